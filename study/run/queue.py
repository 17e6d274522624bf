"""Which trial to run next. Trials are claimed one at a time under the study's lock.

`--trials` counts finished trials (complete or pruned) of all workers together, so a worker begins
a new trial only while finished and running ones together are fewer. A trial that was interrupted,
or whose worker died, is requeued with its parameters.
"""

import warnings
from collections import Counter

import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from ecg.errors import EcgError
from study.run.gain import has_stalled
from study.run.requeue import requeue_lost
from study.run.samplers import make_sampler, startup_trials
from study.storage.heartbeats import Watch
from study.storage.ids import storage_of, study_id, trial_id
from study.storage.studies import study_lock
from study.trials.provenance import worker_name
from study.trials.task import Task

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
MAX_FAILURES = 3


class TooManyFailuresError(EcgError):
    """Several trials in a row failed."""


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
        if requeue_lost(study, storage, watch, trials):
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
        trial.set_user_attr("worker", worker_name())  # last, see requeue_lost
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
