import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score, confusion_matrix

from ecg.inter_patient import (
    confusion_by_record,
    ectopic_scores,
    inter_patient_scores,
    jk_index,
    kappa,
    record_interval,
)
from ecg.metrics import bootstrap_interval, per_class
from tests.ecg.test_metrics import SIMPLE_CNN, matrices
from tests.support.toy import rule


@rule
@given(matrices)
def test_kappa_agrees_with_scikit_learn(matrix: list[list[int]]) -> None:
    counts = np.array(matrix)
    true, predicted = np.repeat(np.indices((5, 5)).reshape(2, -1), counts.ravel(), axis=1)
    if len(set(true) | set(predicted)) == 1:
        assert kappa(matrix) == 0
        return
    assert kappa(matrix) == pytest.approx(cohen_kappa_score(true, predicted), abs=1e-9)


def test_kappa_of_a_worked_example() -> None:
    # Observed 35 of 50, expected 25 of 50.
    assert kappa([[20, 5], [10, 15]]) == pytest.approx(0.4)


def test_perfect_prediction_has_kappa_and_index_one() -> None:
    matrix = np.diag([90, 5, 8, 2, 3])
    assert kappa(matrix) == 1
    assert jk_index(matrix) == 1


def test_guessing_by_class_share_has_no_kappa() -> None:
    shares = np.array([50, 20, 20, 5, 5])
    assert kappa(np.outer(shares, shares)) == pytest.approx(0, abs=1e-12)


def test_a_matrix_with_all_beats_in_one_cell_has_no_kappa() -> None:
    matrix = np.zeros((5, 5), dtype=int)
    matrix[0, 0] = 7
    assert kappa(matrix) == 0


def test_ectopic_scores_are_recall_and_precision_of_s_and_v() -> None:
    metrics = per_class(SIMPLE_CNN)
    assert ectopic_scores(SIMPLE_CNN) == {
        "sensitivity_S": metrics["recall"][1],
        "predictivity_S": metrics["precision"][1],
        "sensitivity_V": metrics["recall"][2],
        "predictivity_V": metrics["precision"][2],
    }
    assert ectopic_scores(SIMPLE_CNN)["sensitivity_S"] == 400 / 556


@rule
@given(matrices)
def test_index_is_bounded_and_made_of_its_parts(matrix: list[list[int]]) -> None:
    found = inter_patient_scores(matrix)
    j = sum(value for name, value in found.items() if name.endswith(("_S", "_V")))
    assert found["jk_index"] == pytest.approx(found["kappa"] / 2 + j / 8)
    assert -0.5 <= found["jk_index"] <= 1 + 1e-12


@rule
@given(matrices)
def test_beats_of_class_q_do_not_count_as_ectopic(matrix: list[list[int]]) -> None:
    # More correct Q beats change kappa, but not the scores of S and V.
    more = np.array(matrix)
    more[4, 4] += 10
    assert ectopic_scores(more) == ectopic_scores(matrix)


@rule
@given(st.lists(st.tuples(*[st.integers(0, n) for n in (3, 4, 4)]), min_size=1, max_size=40))
def test_matrices_of_records_add_up_to_that_of_all_beats(
    beats: list[tuple[int, int, int]],
) -> None:
    record, true, predicted = np.array(beats).T
    found = confusion_by_record(record.astype(np.int32), true, predicted)
    assert list(found) == [str(one) for one in np.unique(record)]
    together = confusion_matrix(true, predicted, labels=range(5))
    assert np.array(list(found.values())).sum(0).tolist() == together.tolist()


def test_interval_over_records_is_wider_where_records_differ() -> None:
    good, bad = np.diag([90, 5, 5, 0, 0]), np.zeros((5, 5), dtype=int)
    bad[:3, 0] = 90, 5, 5
    low, high = record_interval([good] * 11 + [bad] * 11, "f1_nsv")
    within = bootstrap_interval(11 * (good + bad), "f1_nsv")
    assert high - low > 2 * (within[1] - within[0])
    # Runs on the same records are resampled together: repeating a run adds no certainty.
    one_run = [good] * 11 + [bad] * 11
    assert record_interval([one_run, one_run], "f1_nsv") == (low, high)
    alike = record_interval([good] * 22, "f1_nsv")
    assert alike == (1, 1)
