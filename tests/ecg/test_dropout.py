import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ecg.dropout import Dropout
from tests.support.toy import rule

SHAPES = [(7,), (64, 256), (5, 3, 1, 11), (64, 64, 1, 187)]


def dropped(p: float, shape: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    return Dropout(p)(torch.ones(shape)) == 0


@rule
@given(p=st.floats(0.01, 0.99), seed=st.integers(0, 2**32))
def test_values_are_dropped_with_the_requested_probability(p: float, seed: int) -> None:
    # Within five standard deviations of the binomial mean, for every position in a 64-bit word.
    rows = dropped(p, (4000, 4), seed)
    bound = 5 * math.sqrt(4000 * p * (1 - p))
    for place in range(4):
        assert abs(int(rows[:, place].sum()) - 4000 * p) <= bound


def test_places_of_one_word_are_drawn_independently() -> None:
    # Chi-square over the 16 patterns of four neighbours, against the product of their chances.
    rows, p = dropped(0.3, (50_000, 4)).long(), 0.3
    pattern = (rows * torch.tensor([8, 4, 2, 1])).sum(1)
    found = torch.bincount(pattern, minlength=16).double()
    ones = torch.tensor([bin(value).count("1") for value in range(16)])
    expected = 50_000 * p**ones * (1 - p) ** (4 - ones)
    assert float(((found - expected) ** 2 / expected).sum()) < 37.7  # 99.9 % point at 15 degrees


@rule
@given(p=st.floats(0.0, 0.9), shape=st.sampled_from(SHAPES), last=st.booleans())
def test_kept_values_are_scaled_so_that_the_mean_is_unchanged(
    p: float, shape: tuple[int, ...], last: bool
) -> None:
    x = torch.ones(shape)
    if last and len(shape) == 4:
        x = x.contiguous(memory_format=torch.channels_last)
    torch.manual_seed(1)
    found = Dropout(p)(x)
    kept = found[found != 0]
    assert torch.allclose(kept, torch.full_like(kept, 1 / (1 - p)), rtol=2e-4)
    assert found.shape == x.shape
    assert found.stride() == x.stride()


def test_the_gradient_is_dropped_with_the_value() -> None:
    x = torch.randn(64, 33, requires_grad=True)
    torch.manual_seed(0)
    found = Dropout(0.5)(x)
    found.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad * x, found)


def test_a_seed_gives_the_same_draws_again_and_another_seed_others() -> None:
    one, again, other = (dropped(0.5, (64, 187), seed) for seed in (3, 3, 4))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0])
def test_nothing_is_dropped_outside_training(p: float) -> None:
    x = torch.randn(8, 8)
    assert torch.equal(Dropout(p).eval()(x), x)


def test_probability_one_drops_everything() -> None:
    assert dropped(1.0, (64, 64)).all()


def test_any_memory_layout_is_supported() -> None:
    # A slice and an expanded tensor do not fill their memory.
    for x in (torch.randn(8, 10)[:, ::3], torch.randn(8, 1).expand(8, 5)):
        found = Dropout(0.5)(x)
        assert ((found == 0) | torch.isclose(found, 2 * x)).all()
