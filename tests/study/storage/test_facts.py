"""Damaged attributes: named with study, trial and attribute, and costing only that one."""

import json
import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from study.storage import facts
from study.storage.facts import CHECKS, MEASURED
from study.storage.reading import read_study
from study.storage.results import runs_of_study
from study.storage.studies import load_study, open_storage
from tests.support.fake_runs import fake_runs
from tests.support.fake_study import fill
from tests.support.setting import Typed

Command = Callable[..., Typed]
BAD = ("{", "null", "7e999", '"x"', "[]", "{}", "-1", "true", "[[[1]]]", None)


@pytest.fixture(autouse=True)
def _told_anew() -> None:
    facts.warn_of_damage.cache_clear()


def damage(path: Path, name: str, text: str | None, trial: int = 1, table: str = "trial") -> None:
    """Put a text where the value of an attribute was."""
    connection = sqlite3.connect(path)
    connection.execute(
        f"UPDATE {table}_user_attributes SET value_json = ? WHERE key = ? AND {table}_id = ?",
        (text, name, trial),
    )
    assert connection.total_changes == 1
    connection.commit()
    connection.close()


def tables(path: Path) -> dict[tuple[int, str], str]:
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT trial_id, key, value_json FROM trial_user_attributes")
    found = {(of, key): text for of, key, text in rows}
    connection.close()
    return found


@pytest.mark.parametrize("name", ["validation", "confusion", "per_class", "best_epoch", "curves",
                                  "last_epoch", "stop_reason", "seconds", "config"])  # fmt: skip
def test_a_damaged_fact_costs_its_trial(
    sqlite_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    # Rule: whatever is found in its place, the trial counts as failed with the reason, the
    # others are as before, and one line names study, trial and attribute.
    fill(sqlite_url, trials=6)
    before = read_study(sqlite_url, "fake").rows
    kept = tables(tmp_path / "study.db")[(1, name)]
    for text in BAD:
        facts.warn_of_damage.cache_clear()
        caplog.clear()
        damage(tmp_path / "study.db", name, text)
        found = read_study(sqlite_url, "fake").rows
        assert found[1:] == before[1:]
        if found[0]["state"] == "fail":
            assert f"'{name}' is damaged" in found[0]["failure"]
            (line,) = caplog.messages
            assert line.startswith(f"study 'fake', trial 0: the attribute '{name}' is damaged")
            trial = load_study(open_storage(sqlite_url), "fake").trials[0]
            assert (trial.state, trial.user_attrs["failure"]) == (
                TrialState.FAIL,
                found[0]["failure"],
            )
        else:
            assert json.loads(text or "") in ({}, "x"), (name, text)
    damage(tmp_path / "study.db", name, kept)
    assert read_study(sqlite_url, "fake").rows == before


def test_a_missing_fact_costs_its_trial(sqlite_url: str, tmp_path: Path) -> None:
    # Rule: a training leaves all or nothing.
    fill(sqlite_url, trials=3)
    connection = sqlite3.connect(tmp_path / "study.db")
    connection.execute("DELETE FROM trial_user_attributes WHERE key = 'confusion' AND trial_id = 1")
    connection.commit()
    connection.close()
    row = read_study(sqlite_url, "fake").rows[0]
    assert (row["state"], row["failure"]) == ("fail", "the attribute 'confusion' is missing")


def test_a_damaged_study_costs_only_itself(typed: Command, sqlite_url: str, tmp_path: Path) -> None:
    # Rule: it is listed as damaged; named, it is refused with its attribute; reports, exports
    # and lists of the others are whole.
    fill(sqlite_url, "fine")
    fake_runs(sqlite_url, "planned", seeds=1, budget="smoke", seed=0)
    fill(sqlite_url, "broken")
    key = open_storage(sqlite_url).get_study_id_from_name("broken")
    for text in ("{", "[]", '{"seed": "x"}'):
        damage(tmp_path / "study.db", "identity", text, key, "study")
        listed = typed("list", "--storage", sqlite_url)
        assert listed.code == 0, listed.err
        assert [line.split()[:2] for line in listed.out.splitlines()[1:4]] == [
            ["broken", "damaged"], ["fine", "stopped"], ["planned", "stopped"],
        ]  # fmt: skip
        assert "study 'broken': the attribute 'identity' is damaged" in listed.err
        for words in (("report", "-o", tmp_path / "r.html"),
                      ("export-tables", "--output", tmp_path)):  # fmt: skip
            ended = typed(*words, "--storage", sqlite_url)
            assert ended.code == 0, ended.err
        for words in (("show", "broken"), ("record", "broken", tmp_path / "x"),
                      ("retry", "broken"), ("export-results", "broken")):  # fmt: skip
            ended = typed(*words, "--storage", sqlite_url)
            assert ended.code == 1, ended.err
            assert "study 'broken': the attribute 'identity' is damaged" in ended.err


def test_a_damaged_run_is_left_out_and_run_again(sqlite_url: str, tmp_path: Path) -> None:
    # Rule: of the published tables too: it counts as failed, and `retry` queues it.
    from study.run.requeue import requeue_failed

    study = fake_runs(sqlite_url, "planned", seeds=1, budget="smoke", seed=0)
    before = (runs_of_study(study)["state"] == "fail").sum()
    damage(tmp_path / "study.db", "test_confusion", "[[1]]")
    study = load_study(open_storage(sqlite_url), "planned")
    runs = runs_of_study(study)
    assert (runs["state"] == "fail").sum() == before + 1
    assert requeue_failed(study) == before + 1


def test_what_handles_a_trial_is_left_out_where_it_is_damaged(
    sqlite_url: str, tmp_path: Path
) -> None:
    # Rule: it costs no trial, and the workers go on.
    study = fill(sqlite_url, trials=6)
    study.trials  # noqa: B018
    connection = sqlite3.connect(tmp_path / "study.db")
    for name in ("again", "worker", "failed", "baseline", "failure"):
        connection.execute(
            "INSERT OR REPLACE INTO trial_user_attributes (trial_id, key, value_json) "
            "VALUES (2, ?, '[7]')", (name,),
        )  # fmt: skip
    connection.execute(
        "INSERT INTO trial_system_attributes (trial_id, key, value_json) VALUES (2, 'x', '{')"
    )
    connection.commit()
    connection.close()
    rows = read_study(sqlite_url, "fake").rows
    trial = load_study(open_storage(sqlite_url, lean=True), "fake").trials[1]
    assert rows[1]["state"] == trial.state.name.lower() == "complete"
    assert not {"again", "worker", "failed", "baseline"} & trial.user_attrs.keys()


def test_damaged_parameters_cost_their_trial(
    sqlite_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fill(sqlite_url, trials=3)
    connection = sqlite3.connect(tmp_path / "study.db")
    connection.execute(
        "UPDATE trial_params SET param_value = 99 WHERE trial_id = 2 AND param_name = 'strategy'"
    )
    connection.execute("UPDATE trial_params SET distribution_json = 'x' WHERE trial_id = 1")
    connection.commit()
    connection.close()
    caplog.set_level(logging.WARNING)
    assert [row["state"] for row in read_study(sqlite_url, "fake").rows[:2]] == ["fail"] * 2
    study = load_study(open_storage(sqlite_url), "fake")
    assert [trial.state for trial in study.trials[:2]] == [TrialState.FAIL] * 2
    assert "study 'fake', trial 1: the parameter 'strategy' is damaged" in caplog.text


def test_every_attribute_that_is_read_is_checked() -> None:
    # Rule: none can be forgotten, and what a training left is all measured.
    from study.storage.rows import ATTRIBUTES

    assert {*ATTRIBUTES} <= {*CHECKS}
    assert {*MEASURED} <= {*CHECKS}


def test_what_our_own_trainings_leave_is_sound(sqlite_url: str) -> None:
    # Rule: nothing that this project writes counts as damaged.
    def states(name: str) -> list[Any]:
        raw = optuna.load_study(storage=sqlite_url, study_name=name).trials
        ours = load_study(open_storage(sqlite_url), name).trials
        return [
            (a.state, a.user_attrs) == (b.state, b.user_attrs)
            for a, b in zip(raw, ours, strict=True)
        ]

    fill(sqlite_url)
    fake_runs(sqlite_url, "planned", seeds=1, budget="smoke", seed=0)
    assert all(states("fake"))
    assert all(states("planned"))
