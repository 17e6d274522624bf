"""Rules of the queue: which trial is next, what counts, and what becomes of interrupted ones."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import optuna
import pytest
import sqlalchemy
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from ecg.errors import UsageError
from study.run.queue import (
    FINISHED,
    TooManyFailuresError,
    check_failures,
    is_exhausted,
)
from study.run.requeue import interrupt, requeue_failed
from study.run.samplers import make_sampler
from study.storage.attributes import PLANNED
from study.storage.heartbeats import GRACE_SECONDS, HEARTBEAT_SECONDS, Watch, heartbeat
from study.storage.studies import load_study
from study.trials.provenance import worker_name
from study.trials.task import SAMPLERS, PlannedRuns
from tests.support.setting import (
    count_finished,
    count_states,
    make_task,
    open_new,
    take,
    taken,
    wait_until,
)

Opened = tuple[optuna.Study, RDBStorage]
HOST = worker_name().rpartition(":")[0]
GONE = f"{HOST}:{2**22 + 1}"  # a worker of this host that has ended: no process has this number
RUN = {"configuration": "0123", "repeat": 4, "fields": {"alpha": 0.5}}


@pytest.fixture(scope="module")
def shared_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of one SQLite file for all studies of these tests: making one takes a second."""
    return f"sqlite:///{tmp_path_factory.mktemp('queue')}/study.db"


@pytest.fixture
def opened(shared_url: str) -> Opened:
    """A new study and its storage."""
    return open_new(shared_url, uuid4().hex)


class Clock:
    """The clock of this process, which a test moves."""

    seconds = 1000.0

    def monotonic(self) -> float:
        """Return the time."""
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock by which heartbeats are watched."""
    clock = Clock()
    monkeypatch.setattr("study.storage.heartbeats.time", clock)
    return clock


def suggest(trial: optuna.Trial) -> dict[str, Any]:
    """Sample two parameters, the second only under some values of the first."""
    if trial.suggest_categorical("kind", ("a", "b")) == "b":
        trial.suggest_float("x", 0, 1)
    return trial.params


def fail(study: optuna.Study, trial: optuna.Trial) -> None:
    """End a trial as one that an exception ended."""
    trial.set_user_attr("failed", True)
    trial.set_user_attr("failure", "no such luck")
    study.tell(trial, state=TrialState.FAIL)


def abandon(trial: optuna.Trial, worker: str) -> None:
    """Make a running trial look like one of this worker."""
    trial.set_user_attr("worker", worker)


def waiting(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Return the queued trials."""
    return study.get_trials(states=(TrialState.WAITING,))


def test_queued_trials_come_first_and_in_order(opened: Opened) -> None:
    # Rule: a queued trial is taken before a new one is sampled, with its own parameters.
    study, storage = opened
    for x in (0.25, 0.75):
        study.enqueue_trial({"kind": "b", "x": x})
    got = [suggest(taken(study, storage)) for _ in range(3)]
    assert got[:2] == [{"kind": "b", "x": 0.25}, {"kind": "b", "x": 0.75}]
    assert [trial.number for trial in study.trials] == [0, 1, 2]


def test_no_trial_is_sampled_where_all_are_queued(opened: Opened) -> None:
    # Rule: where all trials are queued beforehand an empty queue gives nothing.
    study, storage = opened
    study.enqueue_trial({})
    assert take(study, storage, sampler="grid") is not None
    assert take(study, storage, sampler="grid") is None
    assert len(study.trials) == 1


def test_only_trials_that_were_asked_for_count_and_are_taken(opened: Opened) -> None:
    # Rule: trials that are not of the planned runs asked for are neither taken nor counted.
    study, storage = opened
    for repeat in (0, 1):
        study.enqueue_trial({}, user_attrs={PLANNED: {"configuration": "0123", "repeat": repeat}})
    mine = PlannedRuns(keys=frozenset({("0123", 1)}), reason="a test")
    assert taken(study, storage, goal=mine).number == 1
    assert take(study, storage, goal=mine) is None
    assert len(waiting(study)) == 1


@settings(max_examples=12, deadline=None, derandomize=True, database=None)
@given(
    target=st.integers(1, 4),
    steps=st.lists(
        st.sampled_from(["claim", "claim", "complete", "prune", "fail", "interrupt", "lose"]),
        max_size=14,
    ),
)
def test_finished_and_running_trials_never_exceed_the_target(
    shared_url: str, target: int, steps: list[str]
) -> None:
    # Rule: whatever happens to the trials, a claim is granted exactly while fewer than the
    # target are finished or running; what was interrupted or lost is queued, nothing else is.
    study, storage = open_new(shared_url, uuid4().hex)
    running: list[optuna.Trial] = []
    for step in steps:
        if step == "claim":
            free = len(running) + count_finished(study) < target
            trial = take(study, storage, target=target)
            assert (trial is not None) == free
            running += [trial] if trial is not None else []
        elif running:
            trial = running.pop(0)
            if step == "complete":
                study.tell(trial, 0.5)
            elif step == "prune":
                study.tell(trial, state=TrialState.PRUNED)
            elif step == "fail":
                fail(study, trial)
            elif step == "interrupt":
                interrupt(study, trial)
            else:
                abandon(trial, GONE)
                assert take(study, storage, target=0) is None  # looks for lost trials all the same
    states = count_states(study)
    assert states["running"] + states["complete"] + states["pruned"] <= target
    assert states["running"] == len(running)
    storage.engine.dispose()


@pytest.mark.parametrize("attributes", [{"baseline": True}, {PLANNED: RUN}])
def test_a_trial_whose_worker_died_is_requeued_once(
    opened: Opened, attributes: dict[str, Any]
) -> None:
    # Rule: a trial of a dead process of this host is failed, and requeued exactly once
    # with its parameters, its role and the number of the trial that it replaces.
    study, storage = opened
    study.enqueue_trial({"kind": "b", "x": 0.5}, user_attrs=attributes)
    lost = taken(study, storage)
    suggest(lost)
    abandon(lost, GONE)
    again = taken(study, storage)
    assert again.number == 1
    assert suggest(again) == {"kind": "b", "x": 0.5}
    assert {name: again.user_attrs[name] for name in attributes} == attributes
    assert again.user_attrs["again"] == {"trial": 0, "reason": "its worker was lost"}
    first = study.trials[0]
    assert (first.state, first.user_attrs["failure"]) == (TrialState.FAIL, "its worker was lost")
    assert taken(study, storage).number == 2
    assert not any("again" in trial.user_attrs for trial in study.trials[2:])
    assert requeue_failed(study) == 0


def test_a_silent_worker_elsewhere_loses_its_trial(opened: Opened, clock: Clock) -> None:
    # Rule: a worker of another host is judged by its heartbeat alone; if that stands still for
    # longer than the grace period, the trial is requeued.
    study, storage = opened
    trial = taken(study, storage)
    drawn = suggest(trial)
    abandon(trial, "elsewhere:1")
    watch = Watch()
    assert taken(study, storage, watch=watch).number == 1
    clock.seconds += GRACE_SECONDS - 1
    assert take(study, storage, watch=watch, target=2) is None
    assert take(study, storage, watch=Watch(), target=2) is None
    storage.record_heartbeat(study.trials[1]._trial_id)  # the other one is alive
    clock.seconds += 2
    again = taken(study, storage, watch=watch, target=2)
    assert again.user_attrs["again"]["trial"] == 0
    assert suggest(again) == drawn
    assert take(study, storage, watch=watch, target=2) is None
    assert len(study.trials) == 3


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_clock_that_jumps_steals_no_living_trial(
    opened: Opened, clock: Clock, hours: int
) -> None:
    # Rule: if the clock of the database is changed, a trial whose heartbeat changes is kept and
    # one whose heartbeat stands still is requeued, as if the clock had not been changed.
    study, storage = opened
    living, dead = taken(study, storage), taken(study, storage)
    for trial in (living, dead):
        abandon(trial, "elsewhere:1")
    watch = Watch()
    assert take(study, storage, watch=watch, target=2) is None
    jump(storage, living, hours)  # as every later heartbeat sees it
    jump(storage, dead, -hours)  # as if beaten before, by a clock that is now elsewhere
    for beat in range(8):
        assert take(study, storage, watch=watch, target=2) is None, beat
        clock.seconds += GRACE_SECONDS / 8
        jump(storage, living, hours, seconds=beat + 1)
    clock.seconds += 1
    again = taken(study, storage, watch=watch, target=2)
    assert again.user_attrs["again"]["trial"] == dead.number
    assert study.trials[living.number].state == TrialState.RUNNING


def jump(storage: RDBStorage, trial: optuna.Trial, hours: int, seconds: int = 0) -> None:
    """Let the last heartbeat of a trial be of another time."""
    at = datetime.now(UTC) + timedelta(hours=hours, seconds=seconds)
    with storage.engine.begin() as connection:
        connection.execute(
            sqlalchemy.text("UPDATE trial_heartbeats SET heartbeat = :at WHERE trial_id = :id"),
            {"at": at.strftime("%Y-%m-%d %H:%M:%S.%f"), "id": trial._trial_id},
        )


def test_failures_in_a_row_are_seen_after_the_clock_was_set_back(opened: Opened) -> None:
    # Rule: trials are in a row by their numbers: a study that only fails stops, though an
    # earlier success seems to be the latest.
    study, storage = opened
    study.tell(taken(study, storage), 0.5)
    with storage.engine.begin() as connection:
        connection.execute(
            sqlalchemy.text("UPDATE trials SET datetime_complete = :at WHERE study_id = :id"),
            {"at": "2099-01-01 00:00:00.000000", "id": study._study_id},
        )
    study = load_study(storage, study.study_name)
    for _ in range(3):
        fail(study, taken(study, storage))
    with pytest.raises(TooManyFailuresError):
        check_failures(study)


def test_a_trial_whose_claimer_died_is_requeued(opened: Opened) -> None:
    # Rule: a running trial without a worker was being claimed when its claimer died, for
    # claims are made under the lock.
    study, storage = opened
    study.enqueue_trial({"kind": "a"}, user_attrs={"baseline": True})
    storage.set_trial_state_values(study.trials[0]._trial_id, TrialState.RUNNING)
    again = taken(study, storage)
    assert again.user_attrs["again"]["trial"] == 0
    assert again.user_attrs["baseline"]
    assert suggest(again) == {"kind": "a"}


def test_a_trial_that_asked_for_some_parameters_keeps_the_others_too(opened: Opened) -> None:
    # Rule: a queued trial stopped between two of its parameters comes back with all of them.
    study, storage = opened
    study.enqueue_trial({"kind": "b", "x": 0.125})
    trial = taken(study, storage)
    trial.suggest_categorical("kind", ("a", "b"))
    interrupt(study, trial)
    assert suggest(taken(study, storage)) == {"kind": "b", "x": 0.125}


def test_an_interrupted_trial_is_requeued(opened: Opened) -> None:
    # Rule: it ends as failed by interruption and waits with its parameters and its role.
    study, storage = opened
    study.enqueue_trial({"kind": "b", "x": 0.5}, user_attrs={"baseline": True})
    trial = taken(study, storage)
    suggest(trial)
    interrupt(study, trial)
    first, second = study.trials
    assert (first.state, first.user_attrs["failure"]) == (TrialState.FAIL, "interrupted")
    assert (second.state, second.params) == (TrialState.WAITING, {"kind": "b", "x": 0.5})
    assert second.user_attrs["baseline"]
    assert "worker" not in second.user_attrs


def test_an_interruption_cut_short_queues_nothing_twice(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Rule: a second Ctrl-C while the trial is being requeued neither loses nor doubles it.
    study, storage = opened
    trial = taken(study, storage)
    drawn = suggest(trial)
    with monkeypatch.context() as patch:
        patch.setattr(optuna.Study, "tell", lambda *_, **__: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            interrupt(study, trial)
    abandon(trial, GONE)
    assert suggest(taken(study, storage)) == drawn
    assert [t.state for t in study.trials] == [TrialState.FAIL, TrialState.RUNNING]


@pytest.mark.parametrize("last", ["add_trial", "set_trial_state_values"])
def test_a_rescuer_that_dies_too_loses_nothing(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    # Rule: a lost trial is requeued exactly once, though the process that queues it is
    # killed after any of its writes.
    study, storage = opened
    trial = taken(study, storage)
    drawn = suggest(trial)
    abandon(trial, GONE)
    owner = study if last == "add_trial" else storage
    write = getattr(owner, last)

    def die(*arguments: Any, **more: Any) -> None:
        write(*arguments, **more)
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(owner, last, die)
        with pytest.raises(SystemExit):
            take(study, storage)
    assert suggest(taken(study, storage)) == drawn
    assert [t.state for t in study.trials] == [TrialState.FAIL, TrialState.RUNNING]


def test_a_requeued_trial_is_not_interrupted(opened: Opened) -> None:
    # Rule: a worker that was silent for too long and comes back leaves the trial's end alone.
    study, storage = opened
    trial = taken(study, storage)
    fail(study, trial)
    interrupt(study, trial)
    assert study.trials[0].user_attrs["failure"] == "no such luck"
    assert len(study.trials) == 1


def test_failed_trials_are_requeued_once(opened: Opened) -> None:
    # Rule: `retry` queues every failed trial that has none in its place yet, role and all.
    study, storage = opened
    study.enqueue_trial({"kind": "a"}, user_attrs={PLANNED: RUN})
    trial = taken(study, storage)
    suggest(trial)
    fail(study, trial)
    assert requeue_failed(study) == 1
    assert requeue_failed(study) == 0
    (again,) = waiting(study)
    assert (again.params, again.user_attrs[PLANNED]) == ({"kind": "a"}, RUN)
    fail(study, taken(study, storage))
    assert requeue_failed(study) == 1


def test_three_failures_in_a_row_stop_the_study(opened: Opened) -> None:
    # Rule: the third exception in a row stops the study with the last reason; not the second.
    study, storage = opened
    for expected in (False, False, True):
        fail(study, taken(study, storage))
        if not expected:
            check_failures(study)
    with pytest.raises(TooManyFailuresError, match=r"3 failures in a row.*no such luck"):
        check_failures(study)


@pytest.mark.parametrize("between", ["complete", "interrupt", "lose"])
def test_failures_that_are_not_in_a_row_do_not_stop_it(opened: Opened, between: str) -> None:
    # Rule: a finished, interrupted or lost trial among the last three is no failure of the code.
    study, storage = opened
    for step in ("fail", "fail", between, "fail", "fail"):
        trial = taken(study, storage)
        if step == "fail":
            fail(study, trial)
        elif step == "complete":
            study.tell(trial, 0.5)
        elif step == "interrupt":
            interrupt(study, trial)
        else:
            abandon(trial, GONE)
            take(study, storage, target=0)
    check_failures(study)


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_samples_depend_on_seed_and_number_only(shared_url: str, sampler: str) -> None:
    # Rule: the trial of a number draws the same in every process, another seed or number
    # draws something else.
    def draw(seed: int) -> list[dict[str, Any]]:
        study, storage = open_new(shared_url, uuid4().hex)
        drawn = []
        for _ in range(4):
            trial = taken(study, storage, sampler=sampler, seed=seed)
            trial.suggest_float("y", 0, 1)
            drawn.append(trial.params)
            study.tell(trial, 0.5)
        return drawn

    first = draw(7)
    assert draw(7) == first
    assert not any(one == other for one, other in zip(first, draw(8), strict=True))
    assert len({params["y"] for params in first}) == 4


def test_an_unknown_sampler_is_named() -> None:
    # Rule: the message lists the samplers there are.
    with pytest.raises(
        UsageError, match=r"unknown sampler 'magic'\. Use one of: tpe, random, gp, grid"
    ):
        make_sampler("magic", 0, 0)
    for name in SAMPLERS:
        make_sampler(name, 0, 0)


def test_work_is_over_when_nothing_is_left_to_do_or_to_wait_for(opened: Opened) -> None:
    # Rule: over when the target is finished; where all is planned, also when nothing is queued
    # or running. A running trial of someone else may yet be lost and requeued.
    study, storage = opened

    def over(target: int, *, only_queued: bool) -> bool:
        sampler = "grid" if only_queued else "random"
        return is_exhausted(make_task(target=target, sampler=sampler), study)

    assert not over(1, only_queued=False)
    assert over(1, only_queued=True)
    study.enqueue_trial({})
    assert not over(1, only_queued=True)
    trial = taken(study, storage)
    assert not over(1, only_queued=True)
    study.tell(trial, 0.5)
    assert over(1, only_queued=False)
    assert not over(2, only_queued=False)
    assert over(2, only_queued=True)


def test_finished_means_complete_or_pruned(opened: Opened) -> None:
    # Rule: failed, interrupted and running trials do not count as finished.
    study, storage = opened
    study.tell(taken(study, storage), 0.5)
    study.tell(taken(study, storage), state=TrialState.PRUNED)
    fail(study, taken(study, storage))
    taken(study, storage)
    assert count_finished(study) == 2
    assert count_states(study) == {"complete": 1, "pruned": 1, "fail": 1, "running": 1}
    assert set(FINISHED) == {TrialState.COMPLETE, TrialState.PRUNED}


def test_a_running_worker_beats(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    # Rule: while a trial runs its heartbeat is renewed, several times within the grace period.
    study, storage = opened
    trial = taken(study, storage)
    beats: list[int] = []
    monkeypatch.setattr("study.storage.heartbeats.HEARTBEAT_SECONDS", 0.01)
    monkeypatch.setattr(storage, "record_heartbeat", beats.append)
    with heartbeat(storage, trial._trial_id):
        wait_until(lambda: len(beats) >= 3)
    ended = len(beats)
    assert set(beats) == {trial._trial_id}
    assert len(beats) == ended
    assert storage.grace_period is not None
    assert storage.grace_period >= 3 * HEARTBEAT_SECONDS


def test_an_interruption_stored_again_after_an_outage_queues_once(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Rule: where the database fails between the queueing and the end of a trial, storing the same
    # end again ends the trial and queues it no second time.
    study, storage = opened
    trial = taken(study, storage)
    drawn = suggest(trial)
    outage = sqlalchemy.exc.OperationalError("UPDATE", None, Exception("database is locked"))
    with monkeypatch.context() as patch:
        patch.setattr(optuna.Study, "tell", lambda *_, **__: (_ for _ in ()).throw(outage))
        with pytest.raises(sqlalchemy.exc.OperationalError):
            interrupt(study, trial, "the database failed")
    interrupt(study, trial, "the database failed")
    interrupt(study, trial, "the database failed")
    assert [t.state for t in study.trials] == [TrialState.FAIL, TrialState.WAITING]
    assert study.trials[1].params == drawn
