import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ecg.heartbeats import BEAT_LENGTH
from ecg.training import TrainConfig, TrainingData, augment, train
from ecg.training.augment import jittered, mixed, symmetric_beta
from tests.support.toy import CPU, rule

TIME = torch.arange(BEAT_LENGTH).float()


def beats(n: int, *, seed: int = 0, length: int = BEAT_LENGTH) -> Tensor:
    return torch.randn(n, 1, length, generator=torch.Generator().manual_seed(seed))


def only(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Switch every other kind of jitter off."""
    for other in {"STRETCH", "SHIFT", "DRIFT", "NOISE"} - {name}:
        monkeypatch.setattr(augment, other, 0.0)


def test_jitter_of_strength_0_changes_nothing() -> None:
    torch.testing.assert_close(jittered(beats(8), 0.0), beats(8))


@rule
@given(strength=st.floats(0, 1), seed=st.integers(0, 2**31))
def test_jitter_changes_neither_the_rhythm_nor_its_input(strength: float, seed: int) -> None:
    signals = beats(5, seed=seed, length=BEAT_LENGTH + 4)
    before = signals.clone()
    torch.manual_seed(seed)
    found = jittered(signals, strength)
    assert found.shape == signals.shape
    assert torch.equal(found[..., BEAT_LENGTH:], signals[..., BEAT_LENGTH:])
    assert torch.equal(signals, before)
    assert found.isfinite().all()


def test_time_is_stretched_by_at_most_5_percent_either_way(monkeypatch: pytest.MonkeyPatch) -> None:
    # A ramp shows where each value was taken from; the R peak at the first sample stays.
    only(monkeypatch, "STRETCH")
    ramps = TIME.repeat(2000, 1, 1)
    torch.manual_seed(0)
    found = jittered(ramps, 1.0)[:, 0]
    assert (found[:, 0] == 0).all()
    factors = found[:, 100] / 100
    assert 0.95 <= factors.min() < 0.955
    assert 1.045 < factors.max() <= 1.0501
    assert found.max() <= BEAT_LENGTH - 1
    halved = jittered(ramps, 0.5)[:, 0, 100] / 100
    assert 0.975 <= halved.min() < halved.max() <= 1.0251


def test_a_shift_is_at_most_3_samples_either_way(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "SHIFT")
    torch.manual_seed(0)
    shifts = jittered(TIME.repeat(2000, 1, 1), 1.0)[:, 0, 100] - 100
    assert -3.0001 <= shifts.min() < -2.9
    assert 2.9 < shifts.max() <= 3.0001


def test_a_drift_is_slow_and_small(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "DRIFT")
    torch.manual_seed(0)
    drift = jittered(torch.zeros(2000, 1, BEAT_LENGTH), 1.0)
    assert 0.25 < drift.abs().max() <= augment.DRIFT
    fastest = 2 * math.pi * augment.DRIFT_RATES[1] / 120 * augment.DRIFT
    assert drift.diff(dim=-1).abs().max() <= fastest


def test_noise_has_the_requested_strength(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "NOISE")
    torch.manual_seed(0)
    for strength in (0.5, 1.0):
        noise = jittered(torch.zeros(500, 1, BEAT_LENGTH), strength)
        assert noise.std().item() == pytest.approx(augment.NOISE * strength, rel=0.02)
        assert abs(noise.mean().item()) < 1e-3


@rule
@given(n=st.integers(1, 40), alpha=st.floats(0.01, 1), seed=st.integers(0, 2**31))
def test_mixed_beats_and_labels_have_the_same_shares(n: int, alpha: float, seed: int) -> None:
    # Each with the previous beat, the first with the last; the targets of a beat sum to 1.
    labels = torch.arange(n) % 5
    signals = labels.float().view(-1, 1, 1).repeat(1, 1, 7)  # a beat is the number of its class
    torch.manual_seed(seed)
    found, targets = mixed(signals, labels, alpha)
    torch.testing.assert_close(targets.sum(1), torch.ones(n))
    assert (targets >= 0).all()
    torch.testing.assert_close((targets @ torch.arange(5.0)), found[:, 0, 0], atol=1e-5, rtol=1e-5)
    for row in range(n):
        classes = {int(labels[row]), int(labels[row - 1])}
        assert set(targets[row].nonzero().flatten().tolist()) <= classes


@pytest.mark.parametrize("alpha", [0.01, 0.1, 0.4, 1.0])
def test_shares_are_drawn_from_a_symmetric_beta(alpha: float) -> None:
    # Its mean is 1/2 and its variance 1 / (4 * (2 alpha + 1)), also where alpha is tiny.
    torch.manual_seed(0)
    drawn = symmetric_beta(alpha, 40_000, CPU)
    assert drawn.isfinite().all()
    assert (drawn >= 0).all()
    assert (drawn <= 1).all()
    assert drawn.mean().item() == pytest.approx(0.5, abs=0.01)
    assert drawn.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.02)


@pytest.mark.parametrize("option", [{"jitter": 1.0}, {"mixup": 0.4}])
def test_each_epoch_has_new_draws_and_the_same_seed_the_same_draws(
    data: TrainingData, option: dict[str, float]
) -> None:
    # At a learning rate of 0 only the draws differ between two epochs.
    config = TrainConfig(
        model="simple", width_multiplier=0.1, max_epochs=2, learning_rate=0.0, **option
    )
    first, second = train(config, data).epochs
    assert first.validation_loss == second.validation_loss
    assert first.train_loss != pytest.approx(second.train_loss, rel=1e-5)
    assert train(config, data).epochs == (first, second)
