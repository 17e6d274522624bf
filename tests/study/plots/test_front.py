"""The plot of several objectives, and the table and sentence beside it."""

from pathlib import Path

import pandas as pd
import pytest

from study.plots import NothingToDrawError, front_of, importances, pareto_front
from study.show.dashboard import describe_study
from study.show.report import SEVERAL, render_report
from study.storage.recordings import read_recorded, write_recording
from study.storage.trials_table import study_trials
from tests.support.fake_study import fill

SEVERAL_OBJECTIVES = ("f1_macro,parameters", "f1_macro,f1_weighted", "f1_macro,latency,f1_weighted")


def brute(trials: pd.DataFrame, columns: list[str], signs: list[int]) -> set[int]:
    """Return the numbers of the trials that no other one beats."""
    complete = trials[trials["state"] == "complete"]
    points = dict(zip(complete["number"], (complete[columns] * signs).to_numpy(), strict=True))
    return {
        number
        for number, one in points.items()
        if not any((other >= one).all() and (other > one).any() for other in points.values())
    }


def test_networks_of_one_size_have_one_tick(sqlite_url: str) -> None:
    trials = study_trials(fill(sqlite_url, trials=6, objectives="f1_macro,parameters"))
    trials["value_parameters"] = 1_686_725.0
    assert pareto_front(trials).layout.xaxis.ticktext == ("1.687M",)


@pytest.mark.parametrize("objectives", SEVERAL_OBJECTIVES)
def test_the_plot_rings_the_front(sqlite_url: str, objectives: str) -> None:
    # Rule: every complete trial is drawn once a panel; the ringed ones are the front.
    trials = study_trials(fill(sqlite_url, trials=30, objectives=objectives))
    _, *others = objectives.split(",")
    columns = ["value", *(f"value_{name}" for name in others)]
    signs = [1, *(1 if name.startswith("f1") else -1 for name in others)]
    front = front_of(trials)
    assert set(front["number"]) == brute(trials, columns, signs)
    assert list(front["value"]) == sorted(front["value"], reverse=True)
    figure = pareto_front(trials)
    ringed = [trace for trace in figure.data if trace.legendgroup == "front"]
    assert len(ringed) == len(others)
    for trace, column in zip(ringed, columns[1:], strict=True):
        assert sorted(trace.x) == sorted(front[column])
    drawn = [t for t in figure.data if t.legendgroup not in ("front", "baseline") and t.x[0]]
    assert sum(len(t.x) for t in drawn) == len(others) * int((trials["state"] == "complete").sum())
    assert figure.layout.yaxis.title.text == "validation F1(M)"


def test_the_report_tells_the_front(sqlite_url: str) -> None:
    trials = study_trials(fill(sqlite_url, trials=30, objectives="f1_macro,parameters"))
    page = render_report([trials])
    front = front_of(trials)
    assert SEVERAL in page
    assert f"{len(front)} of 24 complete trials are on the front" in page
    assert "Objectives against each other" in page
    assert "Trials of the front bold" in page
    assert page.count('<tr class="best">') == len(front)
    for value in front["value_parameters"]:
        assert f"{value:,.0f}" in page
    assert "maximising validation F1(M), minimising network parameters" in page
    assert "importance for validation F1(M)" in page
    assert importances(trials)
    note = describe_study(trials)
    assert "complete trials are on the front" in note
    assert "minimising network parameters" in note


def test_a_study_without_a_complete_trial_has_no_front(sqlite_url: str) -> None:
    trials = study_trials(fill(sqlite_url, trials=0, objectives="f1_macro,parameters"))
    assert front_of(trials).empty
    assert "No trial is complete yet, so there is no front." in render_report([trials])


def test_one_objective_has_no_front(sqlite_url: str, tmp_path: Path) -> None:
    # Rule: nor has a recording, which keeps no costs; neither is named as not drawn.
    study = fill(sqlite_url)
    trials = study_trials(study)
    with pytest.raises(NothingToDrawError, match="several objectives"):
        pareto_front(trials)
    assert "Objectives against each other" not in render_report([trials])
    several = fill(sqlite_url, "several", objectives="f1_macro,parameters")
    write_recording(several, tmp_path / "r.jsonl")
    recorded = read_recorded(tmp_path / "r.jsonl")
    assert front_of(recorded).empty
    render_report([recorded])
