from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState

from ecg.budget import BUDGETS
from ecg.errors import UsageError
from ecg.training import TrainConfig
from search_spaces.tables import TABLES, configurations
from study.run import planned_runs as plan
from study.run.planned_runs import SHOWN, PlannedRun, find_incomplete, plan_runs, queue_missing
from study.run.requeue import requeue_failed
from study.storage.attributes import PLANNED, key_of
from study.storage.studies import open_storage
from tests.support.toy import rule

BUDGET = BUDGETS["smoke"]
ALIVE = (TrialState.COMPLETE, TrialState.RUNNING, TrialState.WAITING)
STATES = (*ALIVE, TrialState.FAIL)
Fields = Mapping[str, Any]

fields = st.fixed_dictionaries(
    {},
    optional={
        "model": st.sampled_from(["simple", "coupled"]),
        "optimizer": st.sampled_from(["adamw", "sgd"]),
        "alpha": st.sampled_from([0, 0.0, 0.5, 1]),
        "scheduler_factor": st.sampled_from([None, 0.5]),
        "seed": st.integers(0, 3),  # of no effect: the repeat has the seed
    },
)
lists_of_fields = st.lists(fields, max_size=4)
counts = st.integers(0, 3)


def make_study() -> optuna.Study:
    return optuna.create_study(direction="maximize")


def keys_in(study: optuna.Study, states: Sequence[TrialState]) -> list[tuple[str, int] | None]:
    return [key_of(trial) for trial in study.get_trials(states=states)]


def end(study: optuna.Study, number: int, state: TrialState) -> None:
    """Bring a queued trial into a state, by way of running it."""
    if state == TrialState.WAITING:
        return
    trial_id = study.trials[number]._trial_id
    study._storage.set_trial_state_values(trial_id, TrialState.RUNNING)
    if state == TrialState.COMPLETE:
        study._storage.set_trial_state_values(trial_id, state, [0.5])
    elif state == TrialState.FAIL:
        study._storage.set_trial_state_values(trial_id, state)


@rule
@given(lists_of_fields, counts, st.integers(0, 3))
def test_every_configuration_is_planned_once_per_repeat(
    given_fields: list[Fields], repeats: int, seed: int
) -> None:
    # Whatever its seed, and however it is written: 0 and 0.0 are the same.
    runs = plan_runs(given_fields, repeats, BUDGET, seed)
    limits = {"max_epochs": BUDGET.max_epochs, "patience": BUDGET.patience}
    wanted = {TrainConfig.from_fields({**given, **limits, "seed": 0}) for given in given_fields}
    assert len({run.key for run in runs}) == len(runs) == len(wanted) * repeats
    for repeat in range(repeats):
        assert {c.config.replace(seed=0) for c in runs if c.repeat == repeat} == wanted


@rule
@given(lists_of_fields, counts, st.integers(0, 3))
def test_configurations_share_the_seed_of_a_repeat_and_no_two_repeats_have_one(
    given_fields: list[Fields], repeats: int, seed: int
) -> None:
    # So that configurations are compared in pairs; another study has other seeds.
    runs = plan_runs(given_fields, repeats, BUDGET, seed)
    pairs = {(run.repeat, run.config.seed) for run in runs}
    assert len(pairs) == len({seed for _, seed in pairs}) == (repeats if given_fields else 0)
    other = plan_runs(given_fields, repeats, BUDGET, seed + 1)
    assert not {run.config.seed for run in runs} & {run.config.seed for run in other}


@rule
@given(lists_of_fields, lists_of_fields, counts, counts)
def test_a_larger_plan_has_all_runs_of_a_smaller_one(
    given_fields: list[Fields], more_fields: list[Fields], repeats: int, more: int
) -> None:
    small = plan_runs(given_fields, repeats, BUDGET, 0)
    large = plan_runs([*given_fields, *more_fields], repeats + more, BUDGET, 0)
    assert set(small) <= set(large)


def test_repeats_come_one_after_another() -> None:
    # An interrupted study has as many whole repeats as there was time for.
    runs = plan_runs([{"alpha": 0}, {"alpha": 1}], 3, BUDGET, 0)
    assert [run.repeat for run in runs] == [0, 0, 1, 1, 2, 2]


def test_a_configuration_in_several_tables_is_trained_once() -> None:
    # The baseline, for example, is in all five.
    by_table = [[row.fields for row in configurations((table,))] for table in TABLES]
    together = [row for table in by_table for row in table]
    runs = plan_runs(together, 2, BUDGET, 0)
    assert len(runs) < 2 * len(together)
    assert len({run.key for run in runs}) == len(runs)
    for table in by_table:
        assert set(plan_runs(table, 2, BUDGET, 0)) <= set(runs)
    everything = plan_runs([row.fields for row in configurations(tuple(TABLES))], 2, BUDGET, 0)
    assert {run.key for run in everything} == {run.key for run in runs}


def test_another_budget_makes_other_runs() -> None:
    smoke, quick = (plan_runs([{}], 1, BUDGETS[name], 0)[0] for name in ("smoke", "quick"))
    assert smoke.key != quick.key
    assert smoke.config.seed == quick.config.seed


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(UsageError, match="has no field 'lr'"):
        plan_runs([{"lr": 1}], 1, BUDGET, 0)


histories = st.lists(
    st.tuples(
        st.lists(fields, max_size=3),
        st.integers(0, 2),
        st.lists(st.sampled_from(STATES), min_size=1, max_size=6),
    ),
    min_size=1,
    max_size=4,
)


@rule
@given(histories)
def test_exactly_the_runs_without_a_living_trial_are_queued(
    history: list[tuple[list[Fields], int, list[TrialState]]],
) -> None:
    # Whatever was requested before, and how far it got: a living trial is complete, running or
    # queued, and no run ever has two. Runs that are not requested are left alone.
    study = make_study()
    for given_fields, repeats, states in history:
        runs = plan_runs(given_fields, repeats, BUDGET, 0)
        before = keys_in(study, ALIVE)
        others = len(study.trials)
        missing = [run.key for run in runs if run.key not in before]
        assert queue_missing(study, runs) == len(missing)
        assert [key_of(trial) for trial in study.trials[others:]] == missing
        assert all(trial.state == TrialState.WAITING for trial in study.trials[others:])
        assert max(Counter(keys_in(study, ALIVE)).values(), default=1) == 1
        assert queue_missing(study, runs) == 0
        waiting = [trial.number for trial in study.get_trials(states=[TrialState.WAITING])]
        for place, number in enumerate(waiting):
            end(study, number, states[place % len(states)])


@rule
@given(lists_of_fields, lists_of_fields, counts, counts)
def test_a_larger_plan_queues_only_what_is_new(
    given_fields: list[Fields], more_fields: list[Fields], repeats: int, more: int
) -> None:
    study = make_study()
    small = plan_runs(given_fields, repeats, BUDGET, 0)
    assert queue_missing(study, small) == len(small)
    for number in range(len(small)):
        end(study, number, TrialState.COMPLETE)
    large = plan_runs([*given_fields, *more_fields], repeats + more, BUDGET, 0)
    assert queue_missing(study, large) == len(large) - len(small)
    assert len(find_incomplete(study, large)) == len(large) - len(small)


@rule
@given(lists_of_fields, counts, st.lists(st.sampled_from(STATES), min_size=1, max_size=6))
def test_only_complete_runs_of_the_plan_count(
    given_fields: list[Fields], repeats: int, states: list[TrialState]
) -> None:
    study = make_study()
    runs = plan_runs(given_fields, repeats, BUDGET, 0)
    queue_missing(study, runs)
    done = set()
    for number, run in enumerate(runs):
        end(study, number, states[number % len(states)])
        if states[number % len(states)] == TrialState.COMPLETE:
            done.add(run.key)
    assert {run.key for run in find_incomplete(study, runs)} == {c.key for c in runs} - done
    assert find_incomplete(study, runs[:1]) == [c for c in runs[:1] if c.key not in done]


def test_a_run_that_is_complete_twice_counts_once() -> None:
    study = make_study()
    runs = plan_runs([{}, {"alpha": 1}], 1, BUDGET, 0)
    for number in range(2):
        study.add_trial(plan.planned_trial(runs[0], SHOWN, None))
        end(study, number, TrialState.COMPLETE)
    assert len(find_incomplete(study, runs)) == len(runs) - 1


def test_trials_of_a_search_are_no_planned_runs() -> None:
    study = make_study()
    study.add_trial(optuna.create_trial(value=1.0))
    runs = plan_runs([{}], 1, BUDGET, 0)
    assert key_of(study.trials[0]) is None
    assert find_incomplete(study, runs) == runs
    assert queue_missing(study, runs) == 1


def test_a_failed_run_is_queued_once_by_a_new_run_and_a_retry_together() -> None:
    # In either order; two trials of a run would count for another that is missing.
    runs = plan_runs([{}], 1, BUDGET, 0)
    for run_first in (True, False):
        study = make_study()
        queue_missing(study, runs)
        for number in range(2):  # it fails a second time too
            end(study, number, TrialState.FAIL)
            if run_first:
                assert (queue_missing(study, runs), requeue_failed(study)) == (1, 0)
            else:
                assert (requeue_failed(study), queue_missing(study, runs)) == (1, 0)
            assert keys_in(study, [TrialState.WAITING]) == [runs[0].key]


def test_a_queued_run_holds_its_whole_configuration() -> None:
    # The trial's configuration is the planned one, to the bit.
    study = make_study()
    runs = plan_runs([{"learning_rate": 0.1 + 0.2, "ratio": 1 / 3}, {}], 2, BUDGET, 0)
    queue_missing(study, runs)
    for run, trial in zip(runs, study.trials, strict=True):
        stored = trial.user_attrs[PLANNED]
        assert TrainConfig.from_fields(stored["fields"]) == run.config
        assert PlannedRun(
            TrainConfig.from_fields(stored["fields"]), stored["repeat"]
        ).key == key_of(trial)


@rule
@given(lists_of_fields)
def test_what_a_trial_shows_is_its_configuration(given_fields: list[Fields]) -> None:
    # Fields without a value are not shown.
    study = make_study()
    runs = plan_runs(given_fields, 1, BUDGET, 0)
    queue_missing(study, runs)
    for run, trial in zip(runs, study.trials, strict=True):
        config = run.config.to_fields()
        shown = {name: config[name] for name in SHOWN if config[name] is not None}
        assert trial.params == {**shown, "repeat": 0}


def test_a_stored_study_can_be_extended_with_other_values_and_repeats(tmp_path: Path) -> None:
    # Optuna holds every trial of a stored study to one distribution of a parameter.
    storage = open_storage(f"sqlite:///{tmp_path}/study.db")
    study = optuna.create_study(storage=storage, study_name="planned", direction="maximize")
    first = plan_runs([{}], 1, BUDGET, 0)
    extremes = [
        {"learning_rate": 1, "weight_decay": 0, "alpha": 1, "ratio": 1, "scheduler_factor": 0.999},
        {"learning_rate": 0, "weight_decay": 1, "alpha": 0, "ratio": 1e-6, "model": "simple"},
        {"optimizer": "sgd", "model": "residual", "momentum": 0, "scheduler_factor": 1e-6},
    ]
    more = plan_runs([{}, *extremes], 3, BUDGET, 0)
    assert queue_missing(study, first) == 1
    assert queue_missing(study, more) == len(more) - 1
    again = optuna.load_study(storage=storage, study_name="planned")
    assert queue_missing(again, more) == 0
    assert {key_of(trial) for trial in again.trials} == {run.key for run in more}


def test_a_stored_study_can_be_extended_with_a_new_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Optuna lets no categorical distribution grow, and the old trials had one network fewer.
    storage = open_storage(f"sqlite:///{tmp_path}/study.db")
    study = optuna.create_study(storage=storage, study_name="planned", direction="maximize")
    fewer = CategoricalDistribution(("simple", "four-layer", "coupled"))
    with monkeypatch.context() as patch:
        patch.setitem(SHOWN, "model", fewer)
        queue_missing(study, plan_runs([{}], 1, BUDGET, 0))
    runs = plan_runs([{}, {"model": "residual"}, {"model": "simple"}], 1, BUDGET, 0)
    assert queue_missing(study, runs) == 2
    assert [trial.params.get("model") for trial in study.trials] == ["coupled", None, "simple"]
    assert study.trials[1].user_attrs[PLANNED]["fields"]["model"] == "residual"
