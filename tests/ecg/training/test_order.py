import torch
from hypothesis import given
from hypothesis import strategies as st

from ecg.training.order import beat_weights, class_counts, derive_seed, epoch_order
from tests.support.toy import rule

label_vectors = st.lists(st.integers(0, 4), min_size=1, max_size=200).map(torch.tensor)
seeds = st.integers(0, 2**40)
LABELS = torch.arange(300) % 5


@rule
@given(label_vectors, seeds, st.integers(1, 100))
def test_plain_shuffle_is_a_permutation(labels: torch.Tensor, seed: int, epoch: int) -> None:
    # Ratio None: every beat once per epoch.
    order = epoch_order(labels, None, seed, epoch)
    assert order.sort().values.tolist() == list(range(len(labels)))


@rule
@given(label_vectors, seeds, st.floats(0.05, 1))
def test_sampler_draws_as_many_as_there_are_beats(
    labels: torch.Tensor, seed: int, ratio: float
) -> None:
    # An epoch is as long with the sampler as without.
    labels = torch.cat([labels, torch.zeros(20, dtype=torch.int64)])
    order = epoch_order(labels, beat_weights(labels, ratio), seed, 1)
    assert order.shape == labels.shape
    assert order.dtype == torch.int64
    assert 0 <= order.min() <= order.max() < len(labels)


def test_sampler_draws_with_replacement() -> None:
    order = epoch_order(LABELS, beat_weights(LABELS, 1.0), seed=0, epoch=1)
    assert len(order.unique()) < len(order)


def test_order_depends_on_seed_and_epoch_alone() -> None:
    # The same (seed, epoch) gives the same order, whatever was drawn before; others differ.
    for ratio in (None, 0.5):
        first = epoch_order(LABELS, beat_weights(LABELS, ratio), 1, 1)
        torch.rand(7)
        assert torch.equal(epoch_order(LABELS, beat_weights(LABELS, ratio), 1, 1), first)
        assert not torch.equal(epoch_order(LABELS, beat_weights(LABELS, ratio), 1, 2), first)
        assert not torch.equal(epoch_order(LABELS, beat_weights(LABELS, ratio), 2, 1), first)


def test_drawing_an_order_leaves_the_global_random_state_alone() -> None:
    before = torch.get_rng_state()
    epoch_order(LABELS, None, 0, 1)
    epoch_order(LABELS, beat_weights(LABELS, 0.5), 0, 1)
    assert torch.equal(torch.get_rng_state(), before)


parts = st.lists(st.integers(0, 1000) | st.sampled_from(["order", "weights"]), min_size=1)


@rule
@given(parts, parts)
def test_derived_seeds_differ_where_a_part_or_the_order_differs(
    a: list[int | str], b: list[int | str]
) -> None:
    assert (derive_seed(*a) == derive_seed(*b)) == (a == b)
    assert 0 <= derive_seed(*a) < 2**63


def test_derived_seeds_keep_their_parts_apart() -> None:
    # Without a separator, (1, 23) and (12, 3) would be the same.
    assert derive_seed(1, 23) != derive_seed(12, 3)


def test_class_counts_has_five_entries_on_the_cpu() -> None:
    counts = class_counts(torch.tensor([0, 3, 3]))
    assert counts.tolist() == [1, 0, 0, 2, 0]
    assert counts.device.type == "cpu"
