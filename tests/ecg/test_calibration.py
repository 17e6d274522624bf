"""Rules of calibration and of precision-recall curves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_recall_curve

from ecg.calibration import average_precision, precision_recall, reliability
from tests.support.toy import rule


@rule
@given(st.integers(0, 10_000), st.integers(2, 60), st.integers(1, 12))
def test_bins_hold_every_beat_and_the_error_is_a_share(seed: int, n: int, bins: int) -> None:
    rng = np.random.default_rng(seed)
    probabilities, labels = rng.dirichlet(np.ones(5), size=n), rng.integers(5, size=n)
    found = reliability(labels, probabilities, bins)
    assert found.beats.sum() == n
    assert found.right.sum() == (probabilities.argmax(1) == labels).sum()
    assert 0 <= found.error <= 1


def test_the_error_is_the_gap_weighted_by_beats() -> None:
    # Three beats at confidence 0.8, of which two are right, and one right beat at 1.
    probabilities = np.array([[0.8, 0.2]] * 3 + [[1.0, 0.0]])
    found = reliability(np.array([0, 0, 1, 0]), probabilities)
    assert found.beats.tolist() == [0] * 7 + [3, 0, 1]
    assert found.error == pytest.approx(0.75 * (0.8 - 2 / 3))


@rule
@given(st.integers(0, 10_000), st.integers(2, 80), st.sampled_from([2, 10, 1000]))
def test_precision_and_recall_are_those_of_scikit_learn(seed: int, n: int, levels: int) -> None:
    # Few levels: equal scores share one threshold.
    rng = np.random.default_rng(seed)
    scores, is_class = rng.integers(levels, size=n) / levels, rng.random(n) < 0.3
    is_class[0] = True
    precision, recall = precision_recall(is_class, scores)
    theirs = precision_recall_curve(is_class, scores)
    assert precision[::-1] == pytest.approx(theirs[0][:-1])
    assert recall[::-1] == pytest.approx(theirs[1][:-1])
    assert average_precision(precision, recall) == pytest.approx(
        average_precision_score(is_class, scores)
    )
