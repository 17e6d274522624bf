"""A search with several objectives, from the command line to what every other command does."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from ecg.costs import cost_of
from ecg.training import TrainConfig
from study.run.samplers import make_sampler
from study.storage.reading import read_study
from study.storage.studies import find_identity, load_study, open_storage
from tests.support.setting import (
    IDENTITY,
    TINY,
    Typed,
    count_finished,
    finish,
    open_new,
    start,
    wait_until,
)

Command = Callable[..., Typed]
NAME = "tiny-synthetic-intra-patient-smoke-f1_macro-parameters"
SPACE = TINY.replace('Choice("width_multiplier", (0.1,))', 'Real("width_multiplier", 0.1, 0.3)')
TWO = ("--objectives", "f1_macro,parameters")


@pytest.fixture
def space(tmp_path: Path) -> Path:
    """The file of a space whose networks differ in size."""
    path = tmp_path / "sizes.py"
    path.write_text(SPACE)
    return path


@pytest.fixture
def run(typed: Command, toy_data: None, space: Path, sqlite_url: str) -> Command:
    """A function that types `study run` on this space, in one database."""
    words = ("--space", space, "--data", "synthetic", "--budget", "smoke", "--storage", sqlite_url)
    return lambda *more: typed("run", *words, *more)


def study_of(url: str, name: str = NAME) -> optuna.Study:
    return load_study(open_storage(url, create=False), name)


def test_one_objective_is_stored_as_ever(sqlite_url: str) -> None:
    # Rule: identity and whatever else is hashed of it know nothing of several objectives.
    study, _ = open_new(sqlite_url)
    assert "objectives" not in study.user_attrs["identity"]
    assert study.user_attrs["identity"] == IDENTITY.to_fields()
    assert study.metric_names is None
    assert IDENTITY.all_objectives == ("f1_macro",)


def test_a_search_finds_the_front(run: Command, typed: Command, sqlite_url: str) -> None:
    # Rule: each trial has a value per objective, none is pruned, nothing is reported to Optuna;
    # terminal, list and JSON have the front as Optuna finds it.
    done = run(*TWO, "--trials", 5, "--pruner", "median")
    assert done.code == 0, done.err
    assert done.out.count("none of which is pruned") == 1
    assert "maximising validation F1(M), minimising network parameters" in done.out
    study = study_of(sqlite_url)
    assert [aim.name for aim in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert study.metric_names == ["f1_macro", "parameters"]
    identity = find_identity(study)
    assert (identity["objective"], identity["objectives"]) == ("f1_macro", "f1_macro,parameters")
    for trial in study.trials:
        assert trial.state == TrialState.COMPLETE
        assert trial.values[0] == trial.user_attrs["validation"]["f1_macro"]
        config = TrainConfig.from_fields(trial.user_attrs["config"])
        assert trial.values[1] == cost_of(config, "parameters")
        assert not trial.intermediate_values
    front = [row["number"] for row in read_study(sqlite_url, NAME).front]
    best = {tuple(trial.values) for trial in study.best_trials}
    assert {tuple(study.trials[number].values) for number in front} == best
    assert f"{len(front)} of 5 complete trials" in " ".join(done.out.split())
    for number in front:
        assert f"{study.trials[number].values[1]:,.0f}" in done.out
    shown = json.loads(typed("show", NAME, "--json", "--storage", sqlite_url).out)
    assert [trial["number"] for trial in shown["front_trials"]] == front
    assert shown["front_trials"][0]["value_parameters"] == study.trials[front[0]].values[1]
    (listed,) = json.loads(typed("list", "--json", "--storage", sqlite_url).out)
    assert (listed["front"], listed["objectives"]) == (front, ["f1_macro", "parameters"])
    assert f"{len(front)} trial" in typed("list", "--storage", sqlite_url).out
    again = typed("run", "--study", NAME, "--trials", 6, "--storage", sqlite_url)
    assert again.code == 0, again.err
    assert len(study_of(sqlite_url).trials) == 6


def test_every_command_knows_what_to_do(
    run: Command, typed: Command, space: Path, sqlite_url: str, tmp_path: Path
) -> None:
    # Rule: what has a meaning works, what has none says what to do; no traceback anywhere.
    assert run(*TWO, "--trials", 3, "--repeats", 2, "--study", "s").code == 0
    at = ("--storage", sqlite_url)

    def works(*words: object) -> str:
        done = typed(*words, *at)
        assert (done.code, done.err) == (0, ""), words
        return " ".join(done.out.split())

    works("enqueue", "s", "learning_rate=0.001", "width_multiplier=0.2")
    works("run", "--study", "s", "--trials", 4, "--jobs", 1)
    trials = study_of(sqlite_url, "s").trials
    assert trials[3].params["width_multiplier"] == 0.2
    works("retry", "s")
    works("report", "s", "-o", tmp_path / "r.html")
    works("record", "s", tmp_path / "r.jsonl")
    works("clean", "s", "--keep", "best")
    front = [row["number"] for row in read_study(sqlite_url, "s").front]
    refused = typed("export-model", "s", "-o", tmp_path / "b.safetensors", *at)
    said = " ".join(refused.err.split())
    assert refused.code == 2
    assert f"Name one with --trial. On its front are: {', '.join(map(str, front))}." in said
    works("export-model", "s", "--trial", front[0], "-o", tmp_path / "b.safetensors")
    confirmed = works("confirm", "s", "--top", 1, "--seeds", 1, "--jobs", 1)
    assert f"confirming 1 of {len(front)} trial" in confirmed
    assert f"trial {front[0]}: " in confirmed or front[0] == 0
    assert "objectives" not in find_identity(study_of(sqlite_url, "s-confirm"))
    works("export-tables", "s", "--output", tmp_path)
    assert typed("export-results", "s", "--output", tmp_path, *at).code == 2
    works("show", "s")
    works("list")
    larger = works("run", "--from", "s", "--top", 1, "--budget", "quick", "--study", "l")
    assert "front of validation F1(M) and network parameters" in larger
    winner = next(n for n in front if trials[n].params != trials[0].params)
    assert study_of(sqlite_url, "l").trials[1].params == trials[winner].params
    words = ("run", "--space", space, "--jobs", 1)
    works(*words, "--replay", tmp_path / "r.jsonl", "--trials", 3, "--study", "again", *TWO)
    assert [len(t.values) for t in study_of(sqlite_url, "again").trials] == [2, 2, 2]
    works("delete", "s", "--yes")


def test_a_twin_has_the_latency_of_the_first(run: Command, sqlite_url: str) -> None:
    # Rule: a configuration that is tried again is not measured again: it is no other trial.
    words = ("--objectives", "f1_macro,latency", "--study", "s", "--jobs", 1)
    assert run(*words, "--trials", 2).code == 0
    study = study_of(sqlite_url, "s")
    study.enqueue_trial(study.trials[1].params)
    assert run(*words, "--trials", 3).code == 0
    trials = study_of(sqlite_url, "s").trials
    assert trials[2].user_attrs["same_as"] == 1
    assert trials[2].values == trials[1].values
    assert 2 not in [row["number"] for row in read_study(sqlite_url, "s").front]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--objectives", "parameters,f1_macro"), "must begin with a score, not 'parameters'"),
        (("--objectives", "f1_macro"), "needs two or more different names"),
        (("--objectives", "f1_macro,f1_macro"), "needs two or more different names"),
        (("--objectives", "f1_macro,size"), "unknown objective 'size'. Use one of: recall_macro"),
        (("--objectives", ""), "unknown objective ''"),
        (("--sampler", "nsga2"), "is for several objectives. Name them with --objectives"),
        (("--space", "table3", *TWO), "is for searches"),
        (("--split", "inter-patient", "--objectives", "f1_nsv,f1_macro"), "two or more different"),
    ],
)
def test_what_makes_no_sense_is_refused(run: Command, words: tuple[str, ...], said: str) -> None:
    refused = run(*words)
    assert refused.code == 2
    assert said in " ".join(refused.err.split())


def test_other_objectives_are_another_study(run: Command) -> None:
    assert run(*TWO, "--trials", 1, "--study", "s").code == 0
    for words, there in (((), "'f1_macro,parameters'"), (TWO, "''")):
        name = "s" if not words else "one"
        if words:
            assert run("--trials", 1, "--study", name).code == 0
        refused = run(*(words or ("--objectives", "f1_macro,latency")), "--study", name)
        assert (refused.code, f"objectives is {there} there" in refused.err) == (2, True)


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "gp", "random"])
def test_every_sampler_takes_several_objectives(sampler: str) -> None:
    # Rule: beyond its start-up too, with a parameter that is not always there, without a warning.
    study = optuna.create_study(directions=["maximize", "minimize"])
    for number in range(9):
        study.sampler = make_sampler(sampler, 1, number, 4, several=True)
        trial = study.ask()
        x = trial.suggest_float("x", 0, 1)
        y = trial.suggest_float("y", 0, 1) if trial.suggest_categorical("c", [0, 1]) else 0.0
        study.tell(trial, (x + y, x))
    assert len(study.trials) == 9


def test_killed_workers_lose_no_trial(space: Path, sqlite_url: str) -> None:
    # Rule: two real workers killed in mid-search: the same command finishes all trials, each
    # with a value per objective.
    trials = 12  # so many that the kill comes before the last
    words = (
        *("run", "--space", space, "--data", "synthetic", "--budget", "smoke", *TWO),
        *("--sampler", "nsga2", "--trials", trials, "--storage", sqlite_url, "--jobs"),
    )

    def finished() -> int:
        try:
            return count_finished(study_of(sqlite_url))
        except Exception:  # not there yet
            return 0

    process = start(*words, 2)
    wait_until(lambda: finished() >= 1, process, pause=0.05)
    os.killpg(process.pid, signal.SIGKILL)
    finish(process)
    assert finished() < trials
    done = finish(start(*words, 1))
    assert done.code == 0, done.err
    complete = study_of(sqlite_url).get_trials(states=(TrialState.COMPLETE,))
    assert [len(trial.values) for trial in complete] == [2] * trials
    assert "complete trials are on the front" in " ".join(done.out.split())
