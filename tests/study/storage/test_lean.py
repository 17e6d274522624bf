"""The workers' storage reads what Optuna's does, but for the large attributes."""

import math
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import event

from study.storage import lean
from study.storage.lean import LARGE
from study.storage.studies import load_study, open_storage
from tests.support.setting import open_new, taken

DISTRIBUTIONS: dict[str, Any] = {
    "zeta": CategoricalDistribution((None, "a", 1)),
    "alpha": FloatDistribution(1e-4, 1.0, log=True),
    "units": IntDistribution(1, 9),
}


def some_trials() -> list[FrozenTrial]:
    """Return a trial of every state, and every kind of value that is stored."""
    params = {"zeta": None, "alpha": 0.25, "units": 3}
    whole: dict[str, Any] = {
        "params": params,
        "distributions": DISTRIBUTIONS,
        "user_attrs": {
            "config": {"model": "simple"},
            "N ≥ 1": None,
            **{name: [1] for name in LARGE},
        },
        "system_attrs": {"fixed_params": {"alpha": 0.25}},
        "intermediate_values": {3: math.inf, 1: -math.inf, 2: 0.5},
    }
    make = optuna.create_trial
    return [
        make(state=TrialState.COMPLETE, value=0.5, **whole),
        make(state=TrialState.COMPLETE, value=math.inf),
        make(state=TrialState.PRUNED, value=0.25, **whole),
        make(state=TrialState.FAIL, user_attrs={"failed": True}),
        make(state=TrialState.WAITING, system_attrs={"fixed_params": params}),
        make(state=TrialState.RUNNING, **whole),
    ]


def without_large(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    for trial in trials:
        for name in LARGE:
            trial.user_attrs.pop(name, None)
    return trials


def test_trials_are_those_that_optuna_reads(url: str) -> None:
    # Rule: of every state, all together, by state and one by one, parameters in their order;
    # another study's trials are not among them.
    study, _ = open_new(url)
    open_new(url, "other")[0].add_trials(some_trials())
    study.add_trials(some_trials())
    storage = open_storage(url, lean=True)
    expected = without_large(RDBStorage(url).get_all_trials(study._study_id))
    assert storage.get_all_trials(study._study_id) == expected
    assert [storage.get_trial(trial._trial_id) for trial in expected] == expected
    assert list(storage.get_all_trials(study._study_id)[0].params) == list(DISTRIBUTIONS)
    ended = (TrialState.COMPLETE, TrialState.FAIL)
    found = storage.get_all_trials(study._study_id, states=ended)
    assert found == [trial for trial in expected if trial.state in ended]


def test_a_worker_sees_what_others_change(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Rule: a trial that ends later than its successors is seen to end, however many there are.
    monkeypatch.setattr(lean, "TOGETHER", 2)
    study, plain = open_new(url)
    running = [taken(study, plain) for _ in range(5)]
    seen = load_study(open_storage(url, lean=True), "s")
    assert {trial.state for trial in seen.get_trials()} == {TrialState.RUNNING}
    for trial in running[::-1]:
        trial.set_user_attr("note", trial.number)
        study.tell(trial, float(trial.number))
        assert seen.get_trials() == plain.get_all_trials(study._study_id)


def test_what_is_not_there_is_said_as_optuna_says_it(url: str) -> None:
    _, plain = open_new(url)
    seen = load_study(open_storage(url, lean=True), "s")
    optuna.delete_study(study_name="s", storage=plain)
    with pytest.raises(KeyError):
        seen.get_trials()
    with pytest.raises(KeyError):
        seen._storage.get_trial(123)


def test_reading_takes_no_lock_to_write(sqlite_url: str) -> None:
    # Rule: while one process writes, others read the trials as they were.
    study, plain = open_new(sqlite_url)
    study.add_trials(some_trials())
    seen = load_study(open_storage(sqlite_url, lean=True), "s")
    with plain.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM trial_values")
        assert len(seen.get_trials()) == len(some_trials())


def test_statements_do_not_grow_with_the_study(sqlite_url: str) -> None:
    # Rule: a study of a hundred trials is read with as many statements as one of a few.
    study, _ = open_new(sqlite_url)
    numbers = []
    for trials in (5, 100):
        study.add_trials([optuna.create_trial(value=0.5)] * trials)
        storage = open_storage(sqlite_url, lean=True)
        statements: list[object] = []
        event.listen(storage.engine, "before_cursor_execute", lambda *w: statements.append(w[2]))  # noqa: B023
        storage.get_all_trials(study._study_id)
        numbers.append(len(statements))
    assert numbers[0] == numbers[1] < 10
