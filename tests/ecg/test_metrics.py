import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, f1_score, precision_score, recall_score

from ecg.metrics import (
    AVERAGES,
    OBJECTIVES,
    PER_CLASS,
    SCORES,
    bootstrap_interval,
    per_class,
    scores,
)
from tests.support.toy import rule

# The published test matrix of the Simple CNN, and the scores published with it.
SIMPLE_CNN = [
    [17991, 81, 35, 7, 4],
    [147, 400, 4, 5, 0],
    [49, 6, 1377, 14, 2],
    [13, 0, 22, 127, 0],
    [20, 1, 4, 0, 1583],
]
SIMPLE_CNN_SCORES = {
    "recall_weighted": 0.9811,
    "recall_macro": 0.8864,
    "specificity_weighted": 0.9494,
    "specificity_macro": 0.9861,
    "precision_weighted": 0.9805,
    "precision_macro": 0.9177,
    "f1_weighted": 0.9807,
    "f1_macro": 0.9012,
}
SCIKIT_LEARN = {"recall": recall_score, "precision": precision_score, "f1": f1_score}
label_pairs = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60)
matrices = st.lists(
    st.lists(st.integers(0, 50), min_size=5, max_size=5), min_size=5, max_size=5
).filter(lambda rows: sum(map(sum, rows)) > 0)


def test_the_published_matrix_gives_the_published_scores() -> None:
    # To the four digits that were published, all eight of them.
    rounded = {name: round(value, 4) for name, value in scores(SIMPLE_CNN).items()}
    assert rounded.pop("f1_nsv") == round(per_class(SIMPLE_CNN)["f1"][:3].mean(), 4)
    assert rounded == SIMPLE_CNN_SCORES


def test_scores_come_in_the_order_of_their_names() -> None:
    assert tuple(scores(SIMPLE_CNN)) == OBJECTIVES == (*SCORES, "f1_nsv")
    assert len(set(SCORES)) == len(PER_CLASS) * len(AVERAGES) == 8


@rule
@given(label_pairs)
def test_recall_precision_and_f1_agree_with_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    # Per class, macro and weighted, absent and never predicted classes included.
    true, predicted = np.array(pairs).T
    matrix = confusion_matrix(true, predicted, labels=range(5))
    for metric, reference in SCIKIT_LEARN.items():
        common = {"labels": range(5), "zero_division": 0}
        each = reference(true, predicted, average=None, **common)
        np.testing.assert_allclose(per_class(matrix)[metric], each, rtol=1e-12)
        for average in AVERAGES:
            expected = reference(true, predicted, average=average, **common)
            assert scores(matrix)[f"{metric}_{average}"] == pytest.approx(expected, rel=1e-12)


@rule
@given(label_pairs)
def test_specificity_is_counted_beat_by_beat(pairs: list[tuple[int, int]]) -> None:
    # The share of beats of other classes that are not predicted as this class; 0 without any.
    matrix = confusion_matrix(*np.array(pairs).T, labels=range(5))
    expected, share = [], []
    for label in range(5):
        others = [predicted for true, predicted in pairs if true != label]
        rejected = sum(predicted != label for predicted in others)
        expected.append(rejected / len(others) if others else 0.0)
        share.append(sum(true == label for true, _ in pairs) / len(pairs))
    np.testing.assert_allclose(per_class(matrix)["specificity"], expected, rtol=1e-12)
    found = scores(matrix)
    assert found["specificity_macro"] == pytest.approx(np.mean(expected))
    assert found["specificity_weighted"] == pytest.approx(np.dot(expected, share))


@rule
@given(matrices)
def test_scores_are_between_0_and_1_and_weighted_recall_is_accuracy(
    matrix: list[list[int]],
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a class without beats is no reason to warn
        found = scores(matrix)
    assert all(0 <= value <= 1 + 1e-12 for value in found.values())
    assert found["recall_weighted"] == pytest.approx(np.trace(matrix) / np.sum(matrix))


@rule
@given(matrices, st.permutations(range(5)))
def test_scores_do_not_depend_on_the_order_of_the_classes(
    matrix: list[list[int]], order: list[int]
) -> None:
    shuffled = np.array(matrix)[np.ix_(order, order)]
    found, expected = scores(shuffled), scores(matrix)
    for name in SCORES:
        assert found[name] == pytest.approx(expected[name])


def test_perfect_prediction_scores_one() -> None:
    assert set(scores(np.diag([9, 1, 3, 2, 5])).values()) == {1.0}


@rule
@given(st.lists(matrices, min_size=1, max_size=4))
def test_leading_dimensions_are_kept(stack: list[list[list[int]]]) -> None:
    # A stack of matrices gives the stack of their scores.
    together = per_class(np.array(stack)[:, None])
    for metric in PER_CLASS:
        assert together[metric].shape == (len(stack), 1, 5)
        for row, matrix in zip(together[metric], stack, strict=True):
            np.testing.assert_array_equal(row[0], per_class(matrix)[metric])


@pytest.mark.parametrize("score", SCORES)
def test_interval_contains_the_point_estimate(score: str) -> None:
    low, high = bootstrap_interval(SIMPLE_CNN, score, draws=500)
    assert 0 <= low < scores(SIMPLE_CNN)[score] < high <= 1


def test_interval_is_fixed_by_its_seed() -> None:
    first = bootstrap_interval(SIMPLE_CNN, "f1_macro", draws=200, seed=4)
    assert bootstrap_interval(SIMPLE_CNN, "f1_macro", draws=200, seed=4) == first
    assert bootstrap_interval(SIMPLE_CNN, "f1_macro", draws=200, seed=5) != first


def test_the_interval_of_accuracy_is_binomial() -> None:
    # Weighted recall is a share of beats, so its interval is p +- 1.96 sqrt(p (1 - p) / n).
    low, high = bootstrap_interval(SIMPLE_CNN, "recall_weighted", draws=4000)
    total, share = np.sum(SIMPLE_CNN), np.trace(SIMPLE_CNN) / np.sum(SIMPLE_CNN)
    half = 1.96 * np.sqrt(share * (1 - share) / total)
    assert (low, high) == pytest.approx((share - half, share + half), abs=0.1 * half)


def test_wider_level_gives_a_wider_interval() -> None:
    narrow = bootstrap_interval(SIMPLE_CNN, "f1_macro", draws=500, level=0.5)
    wide = bootstrap_interval(SIMPLE_CNN, "f1_macro", draws=500, level=0.99)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_a_certain_score_has_an_interval_without_width() -> None:
    # Every resample of a perfect matrix is perfect.
    assert bootstrap_interval(np.diag([50] * 5), "f1_macro", draws=50) == (1.0, 1.0)
