import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st

from ecg.budget import find_budget
from ecg.errors import UsageError
from ecg.imbalance import (
    FEWEST_BEATS,
    LARGEST_BALANCE,
    LARGEST_DRAW,
    class_weights,
    sampling_weights,
)
from ecg.sources import load
from ecg.splits import make_split
from ecg.training import TrainConfig, training_data
from ecg.training.order import beat_weights, epoch_order
from ecg.training.run import Run
from tests.support.toy import rule

PUBLISHED_TRAIN = np.array([57977, 1779, 4631, 513, 5145])  # 80% of the published train part
positive_counts = st.lists(st.integers(1, 100_000), min_size=5, max_size=5)
any_counts = st.lists(st.integers(0, 1_000), min_size=5, max_size=5)


@rule
@given(positive_counts, st.floats(0, 1))
def test_class_weights_follow_the_formula(counts: list[int], alpha: float) -> None:
    # w_c = 1 + alpha * (n / (5 n_c) - 1), computed here one class at a time.
    expected = [1 + alpha * (sum(counts) / (5 * count) - 1) for count in counts]
    np.testing.assert_allclose(class_weights(np.array(counts), alpha), expected, rtol=1e-12)


@rule
@given(any_counts)
def test_alpha_zero_gives_all_classes_weight_one(counts: list[int]) -> None:
    assert class_weights(np.array(counts), 0.0).tolist() == [1.0] * 5


@rule
@given(positive_counts)
def test_alpha_one_weights_by_inverse_frequency(counts: list[int]) -> None:
    # Every class then has the same total weight: w_c * n_c = n / 5.
    total = class_weights(np.array(counts), 1.0) * counts
    np.testing.assert_allclose(total, np.full(5, sum(counts) / 5), rtol=1e-12)


@rule
@given(positive_counts, st.floats(0, 1))
def test_class_weights_leave_the_mean_weight_between_beats_at_one(
    counts: list[int], alpha: float
) -> None:
    # The sum of n_c w_c is n for every alpha, so the weights do not change the learning rate.
    total = (class_weights(np.array(counts), alpha) * counts).sum()
    assert total == pytest.approx(sum(counts), rel=1e-9)


@rule
@given(positive_counts, st.floats(0.01, 1))
def test_caps_bound_weights_and_draws_and_spare_small_classes(
    counts: list[int], share: float
) -> None:
    # For splits by patient: the formulas, except for the caps and classes with under 20 beats.
    found = np.array(counts)
    weights = class_weights(found, share, capped=True)
    capped = [
        min(sum(counts) / (5 * n), LARGEST_BALANCE) if n >= FEWEST_BEATS else 1 for n in found
    ]
    np.testing.assert_allclose(weights, [1 + share * (one - 1) for one in capped], rtol=1e-12)
    drawn = [
        min(int(share * counts[0]) / n, LARGEST_DRAW) if n >= FEWEST_BEATS else 1 for n in found
    ]
    np.testing.assert_allclose(
        sampling_weights(found, share, capped=True), [1.0, *drawn[1:]], rtol=1e-12
    )


def test_published_training_part_is_under_the_caps() -> None:
    counts = PUBLISHED_TRAIN.astype(float)
    for share in (0.05, 0.1, 0.25, 0.5, 1.0):
        plain = 1 + share * (counts.sum() / (5 * counts) - 1)
        for capped in (False, True):
            weights = class_weights(PUBLISHED_TRAIN, share, capped=capped)
            assert weights.tolist() == plain.tolist()
        drawn = [1.0, *(float(int(share * counts[0])) / counts[1:])]
        for capped in (False, True):
            assert sampling_weights(PUBLISHED_TRAIN, share, capped=capped).tolist() == drawn


def test_a_class_with_few_beats_is_neither_weighted_nor_drawn_more() -> None:
    counts = np.array([38_000, 800, 3_000, 400, 8])
    assert class_weights(counts, 1.0, capped=True)[4] == 1
    assert sampling_weights(counts, 1.0, capped=True)[4] == 1
    counts[4] = 20
    assert class_weights(counts, 1.0, capped=True)[4] == LARGEST_BALANCE
    assert sampling_weights(counts, 1.0, capped=True)[4] == LARGEST_DRAW


def test_class_without_beats_keeps_weight_one() -> None:
    weights = class_weights(np.array([50, 0, 30, 10, 10]), 1.0)
    assert weights[1] == 1
    assert np.isfinite(weights).all()


@rule
@given(positive_counts, st.floats(0.01, 1))
def test_sampling_weights_follow_the_formula(counts: list[int], ratio: float) -> None:
    # 1 for an N beat, int(r * n_N) / n_c for a beat of another class.
    expected = [1.0] + [int(ratio * counts[0]) / count for count in counts[1:]]
    np.testing.assert_allclose(sampling_weights(np.array(counts), ratio), expected, rtol=1e-12)


@rule
@given(any_counts.filter(lambda counts: counts[0] > 0), st.floats(0.01, 1))
def test_class_without_beats_is_never_drawn(counts: list[int], ratio: float) -> None:
    weights = sampling_weights(np.array(counts), ratio)
    assert np.isfinite(weights).all()
    assert (weights[np.array(counts) == 0] == 0).all()


def test_a_ratio_without_normal_beats_is_refused() -> None:
    # The ratio is relative to class N.
    with pytest.raises(UsageError, match="class N"):
        sampling_weights(np.array([0, 1, 2, 3, 4]), 0.5)


@pytest.mark.parametrize("ratio", [0.1, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_sampler_draws_classes_in_the_expected_shares(ratio: float, seed: int) -> None:
    # N is drawn with probability n_N / (n_N + 4 int(r n_N)), each other class with
    # int(r n_N) over the same; a chi-square test of one epoch's draws does not contradict it.
    counts = PUBLISHED_TRAIN
    labels = torch.from_numpy(np.repeat(np.arange(5), counts))
    order = epoch_order(labels, beat_weights(labels, ratio), seed, epoch=1)
    drawn = np.bincount(labels[order], minlength=5)
    mass = np.array([counts[0]] + [int(ratio * counts[0])] * 4)
    assert len(order) == counts.sum()
    assert scipy.stats.chisquare(drawn, len(order) * mass / mass.sum()).pvalue > 1e-4


def test_sampler_draws_the_beats_of_one_class_evenly() -> None:
    # Within a class no beat is preferred.
    labels = torch.from_numpy(np.repeat(np.arange(5), [4000, 20, 20, 20, 20]))
    drawn = np.bincount(
        epoch_order(labels, beat_weights(labels, 1.0), seed=3, epoch=1), minlength=len(labels)
    )
    for label in range(5):
        of_class = drawn[labels.numpy() == label]
        assert scipy.stats.chisquare(of_class).pvalue > 1e-4


def test_only_trainings_by_patient_are_capped() -> None:
    # Rule: the published split uses the published formula at every budget, even if a class has
    # few beats (of F, `quick` has 15).
    beats = load("synthetic")
    cpu = torch.device("cpu")
    for name, by_patient in (("intra-patient", False), ("inter-patient", True)):
        data = training_data(beats, make_split(name, beats), find_budget("smoke"), cpu)
        assert data.by_patient is by_patient
        run = Run(TrainConfig(model="simple", width_multiplier=0.1, alpha=1.0, ratio=1.0), data)
        counts = np.bincount(data.train.labels, minlength=5)
        weights = class_weights(counts, 1.0, capped=by_patient)
        assert run._loss_weights.tolist() == torch.from_numpy(weights).float().tolist()
        drawn = sampling_weights(counts, 1.0, capped=by_patient)
        assert run._beat_weights is not None
        assert run._beat_weights.tolist() == drawn[data.train.labels].tolist()
    assert (counts[1:] < FEWEST_BEATS).any()  # else this would show nothing
