"""Which trial to run next. Trials are claimed one at a time under the study's lock.

`--trials` counts finished trials (complete or pruned) of all workers together, so a worker begins
a new trial only while finished and running ones together are fewer. A trial that was interrupted,
or whose worker died, is requeued with its parameters.
"""

import warnings
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from ecg.errors import EcgError, UsageError
from ecg.training.order import derive_seed
from study.run.gain import has_stalled
from study.storage.attributes import PLANNED
from study.storage.heartbeats import Watch
from study.storage.ids import storage_of, study_id, trial_id
from study.storage.studies import study_lock
from study.trials.provenance import is_dead, worker_name
from study.trials.task import SAMPLERS, SEVERAL_ONLY, Task

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
MAX_FAILURES = 3
LEAST_STARTUP = 4
KEPT = ("baseline", PLANNED)  # attributes that a trial passes to the one in its place
FIXED = ("fixed_params",)  # Optuna's: the values that a trial was queued with


class TooManyFailuresError(EcgError):
    """Several trials in a row failed."""


def startup_trials(sampler: str, target: int) -> int:
    """Return how many trials of a search are drawn at random before the sampler uses its model.

    Optuna's 10 would be most of a short search. Chosen by replay: results/search/README.md.
    """
    return LEAST_STARTUP if sampler == "gp" else min(10, max(LEAST_STARTUP, target // 3))


def make_sampler(
    name: str, seed: int, trial_number: int, startup: int = 10, *, several: bool = False
) -> BaseSampler:
    """Return the sampler of one trial.

    Its seed depends on the study's seed and the trial's number, not on the worker.

    Args:
        name: "tpe" (with groups, for conditional parameters, if there is one objective), "random",
            "gp", "grid", or "nsga2" for several objectives.
        seed: the study's seed.
        trial_number: number of the trial to sample.
        startup: trials drawn at random before "tpe" and "gp" use their model; size of a
            generation of "nsga2".
        several: whether the study has several objectives.

    Raises:
        UsageError: the name is unknown.
    """
    derived = derive_seed("sampler", seed, trial_number) % 2**32
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if name == "tpe":
            return TPESampler(seed=derived, group=not several, n_startup_trials=startup)
        if name in ("random", "grid"):  # the trials of a grid are queued, not sampled
            return RandomSampler(seed=derived)
        if name == "gp":
            return GPSampler(seed=derived, n_startup_trials=startup)
        if name == SEVERAL_ONLY:
            return NSGAIISampler(seed=derived, population_size=startup)
    raise UsageError(f"unknown sampler '{name}'. Use one of: {', '.join(SAMPLERS)}")


def claim(
    task: Task, study: optuna.Study, storage: RDBStorage, watch: Watch
) -> optuna.Trial | None:
    """Take the next trial to run: a queued one if there is any, else a new one.

    Args:
        task: decides which trials count, how many, and how new ones are sampled.
        study: the study of the task; its sampler is set to that of the trial.
        storage: the storage of the study.
        watch: the watch of this process, which has seen earlier claims.

    Returns:
        The trial, now running; None if enough trials are finished or running.
    """
    goal = task.goal
    with study_lock(storage, study.study_name), warnings.catch_warnings():
        # Optuna warns that its heartbeat needs `optimize`; `heartbeat` in worker.py replaces that.
        warnings.simplefilter("ignore")
        trials = study.get_trials(deepcopy=False)
        if _requeue_lost_trials(study, storage, watch, trials):
            trials = study.get_trials(deepcopy=False)
        mine = [trial for trial in trials if goal.accepts(trial)]
        counts = Counter(trial.state for trial in mine)
        if counts[TrialState.RUNNING] + sum(counts[state] for state in FINISHED) >= goal.target:
            return None
        if has_stalled(task, study, mine):
            return None
        waiting = [trial for trial in mine if trial.state == TrialState.WAITING]
        if not waiting and goal.only_queued:
            return None
        chosen = next((one for one in waiting if _set_running(storage, one)), None)
        if waiting and chosen is None:  # another program is taking trials of this study
            return None
        number = chosen.number if chosen else len(trials)
        startup = startup_trials(goal.sampler, goal.target)
        several = len(study.directions) > 1
        study.sampler = make_sampler(
            goal.sampler, task.identity.seed, number, startup, several=several
        )
        trial = optuna.Trial(study, trial_id(chosen)) if chosen else study.ask()
        storage.record_heartbeat(trial_id(trial))
        trial.set_user_attr("worker", worker_name())  # last, see _requeue_lost_trials
        return trial


def _set_running(storage: RDBStorage, trial: FrozenTrial) -> bool:
    """Take a queued trial; return whether it was still queued."""
    try:
        return storage.set_trial_state_values(trial_id(trial), TrialState.RUNNING)
    except optuna.exceptions.UpdateFinishedTrialError:
        return False


def is_exhausted(task: Task, study: optuna.Study) -> bool:
    """Whether there is no trial left to run or to wait for."""
    goal = task.goal
    trials = [trial for trial in study.get_trials(deepcopy=False) if goal.accepts(trial)]
    if sum(trial.state in FINISHED for trial in trials) >= goal.target:
        return True
    if has_stalled(task, study, trials):
        return True
    open_ones = any(t.state in (TrialState.RUNNING, TrialState.WAITING) for t in trials)
    return goal.only_queued and not open_ones


def queue_again(study: optuna.Study, trial: FrozenTrial, reason: str) -> None:
    """Queue a trial that did not finish again, with its parameters.

    Args:
        study: the study of the trial.
        trial: the trial that did not finish.
        reason: why, for whoever looks at the new trial.
    """
    kept = {name: trial.user_attrs[name] for name in KEPT if name in trial.user_attrs}
    again: dict[str, Any] = {**kept, "again": {"trial": trial.number, "reason": reason}}
    # A trial that was stopped while its parameters were sampled has only some of them.
    fixed = {name: trial.system_attrs[name] for name in FIXED if name in trial.system_attrs}
    distributions: dict[str, BaseDistribution] = trial.distributions
    study.add_trial(
        optuna.create_trial(
            state=TrialState.WAITING,
            params=trial.params,
            distributions=distributions,
            user_attrs=again,
            system_attrs=fixed,
        )
    )


def interrupt(study: optuna.Study, trial: optuna.Trial, reason: str = "interrupted") -> None:
    """Requeue a running trial and mark it as interrupted.

    It is requeued first, so that nothing is lost if this process dies in between, see
    `_requeue_lost_trials`. A trial that another worker has requeued meanwhile is left alone.
    """
    trials = study.get_trials(deepcopy=False)
    frozen = next(t for t in trials if t.number == trial.number)
    if frozen.state != TrialState.RUNNING:
        return
    if trial.number not in _find_replaced(trials):  # an earlier attempt may have got this far
        queue_again(study, frozen, reason)
    trial.set_user_attr("failure", reason)
    study.tell(trial, state=TrialState.FAIL)


def queue_failed(study: optuna.Study) -> int:
    """Requeue every failed trial that no later trial has replaced; call this under the lock.

    Returns:
        The number of trials requeued.
    """
    trials = study.get_trials(deepcopy=False)
    replaced = _find_replaced(trials)
    failed = [t for t in trials if t.state == TrialState.FAIL and t.number not in replaced]
    for trial in failed:
        queue_again(study, trial, "queued again after it failed")
    return len(failed)


def check_failures(study: optuna.Study) -> None:
    """Stop a study whose latest trials all failed with an error.

    Raises:
        TooManyFailuresError: the latest three trials that ended failed; quotes the last error.
    """
    # By number, not by time, which a change of the clock would falsify.
    ended = [t for t in study.get_trials(deepcopy=False) if t.state.is_finished()]
    last = sorted(ended, key=lambda t: t.number)[-MAX_FAILURES:]
    if len(last) == MAX_FAILURES and all(t.user_attrs.get("failed") for t in last):
        raise TooManyFailuresError(
            f"Stopped after {MAX_FAILURES} failures in a row. Last error: "
            f"{last[-1].user_attrs.get('failure')}. Finished trials are kept. Fix the cause, then "
            "run the same command again."
        )


def is_deleted(study: optuna.Study) -> bool:
    """Whether the study is no longer in the database, as after a click in the dashboard."""
    try:
        return storage_of(study).get_study_id_from_name(study.study_name) != study_id(study)
    except KeyError:
        return True


def _requeue_lost_trials(
    study: optuna.Study, storage: RDBStorage, watch: Watch, trials: Sequence[FrozenTrial]
) -> bool:
    """Requeue trials whose worker is lost; call this under the lock.

    A worker is lost if it was silent for too long, is dead on this host, or died while claiming
    the trial: a claim happens under the lock and ends with storing the worker's name.

    Returns:
        Whether there were any.
    """
    running = [trial for trial in trials if trial.state == TrialState.RUNNING]
    if not running:
        return False
    silent = watch.silent(storage, (trial_id(trial) for trial in running))
    lost = [
        trial
        for trial in running
        if trial_id(trial) in silent
        or "worker" not in trial.user_attrs
        or is_dead(trial.user_attrs["worker"])
    ]
    replaced = _find_replaced(trials) if lost else set()
    for trial in lost:
        # A silent worker may end its trial at this very moment: then nothing was lost.
        with suppress(optuna.exceptions.UpdateFinishedTrialError):
            storage.set_trial_user_attr(trial_id(trial), "failure", "its worker was lost")
            if trial.number not in replaced:  # requeued first: dying in between loses nothing
                queue_again(study, trial, "its worker was lost")
            storage.set_trial_state_values(trial_id(trial), TrialState.FAIL)
    return bool(lost)


def _find_replaced(trials: Sequence[FrozenTrial]) -> set[int]:
    """Return the numbers of the trials that were requeued as other trials."""
    return {trial.user_attrs["again"]["trial"] for trial in trials if "again" in trial.user_attrs}
