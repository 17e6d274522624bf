"""Rules of the plots of planned runs: rows, pairs by seed, both splits."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from ecg.metrics import per_class
from search_spaces.tables import TABLES, configurations
from study.plots import NothingToDrawError
from study.plots.grid import (
    both_splits,
    differences_from_baseline,
    per_class_of_rows,
    runs_of_rows,
)
from tests.support.fake_results import fake_runs

BASE = next(row for row in configurations() if row.is_baseline)
OTHER = next(row for row in configurations() if not row.is_baseline)


def test_a_row_has_one_complete_run_per_seed() -> None:
    # Rule: runs that failed do not count, and of two runs of one seed the later one does.
    trials = fake_runs([(BASE, 0), (BASE, 1), (BASE, 1), (OTHER, 0)])
    trials.loc[0, "state"] = "fail"
    found = runs_of_rows(trials, [BASE, OTHER])
    assert list(found[BASE.label]["number"]) == [2]
    assert list(found[OTHER.label].index) == [0]


def test_classes_are_means_over_seeds() -> None:
    trials = fake_runs([(BASE, 0), (BASE, 1)])
    figure = per_class_of_rows(trials)
    recall = np.mean([per_class(m)["recall"] for m in trials["test_confusion"]], axis=0)
    assert [trace.x[0] for trace in figure.data[:5]] == pytest.approx(list(recall))
    assert {trace.y for trace in figure.data} == {(BASE.label,)}


def test_differences_are_of_shared_seeds_only() -> None:
    # Rule: seed 2 of the other row has no partner, so its score does not count.
    trials = fake_runs([(BASE, 0), (BASE, 1), (OTHER, 0), (OTHER, 1), (OTHER, 2)])
    scores = trials["test_f1_macro"]
    figure = differences_from_baseline(trials)
    assert figure.data[0].x == pytest.approx(((scores[2] + scores[3] - scores[0] - scores[1]) / 2,))
    assert figure.data[0].y == (f"{OTHER.label} (n=2)",)
    assert figure.data[0].error_x.array[0] > 0


def test_one_shared_seed_has_no_interval() -> None:
    figure = differences_from_baseline(fake_runs([(BASE, 0), (OTHER, 0)]))
    assert figure.data[0].error_x.array == (0,)


@pytest.mark.parametrize(
    ("runs", "reason"),
    [
        ([(OTHER, 0)], "needs a run of the baseline"),
        ([(BASE, 0), (OTHER, 1)], "needs a seed that a configuration shares"),
        ([], "needs a run of a published table"),
    ],
)
def test_differences_say_what_they_need(runs: Any, reason: str) -> None:
    with pytest.raises(NothingToDrawError, match=reason):
        differences_from_baseline(fake_runs(runs))


def test_splits_are_joined_row_by_row() -> None:
    # Rule: only a row measured on both splits is drawn, its ends in the order of the legend.
    one = fake_runs([(BASE, 0), (OTHER, 0)], split="intra-patient")
    other = fake_runs([(BASE, 0)], split="inter-patient")
    other["test_f1_macro"] = 0.5
    figure = both_splits(one, other)
    assert all(set(trace.y) == {BASE.label} for trace in figure.data)
    line = next(trace for trace in figure.data if trace.mode == "lines")
    assert line.x == (0.5, float(one["test_f1_macro"][0]))
    named = [trace.name for trace in figure.data if trace.showlegend]
    assert named == ["inter-patient", "intra-patient"]
    with pytest.raises(NothingToDrawError, match="needs a run of a published table"):
        both_splits(one, fake_runs([(next(iter(TABLES["table2"].rows)), 0)], split="x").iloc[:0])


@pytest.mark.parametrize("draw", [per_class_of_rows, differences_from_baseline])
def test_reduced_budgets_are_marked(draw: Any) -> None:
    trials: pd.DataFrame = fake_runs([(BASE, 0), (OTHER, 0)], budget="quick")
    assert "reduced budget 'quick'" in draw(trials).layout.title.text
