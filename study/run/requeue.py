"""Trials that did not finish: each is queued once more, with its parameters, as a new trial."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from study.storage.attributes import BASELINE, PLANNED
from study.storage.heartbeats import Watch
from study.storage.ids import trial_id
from study.trials.provenance import is_dead

KEPT = (BASELINE, PLANNED)  # attributes that a trial passes to the one in its place
FIXED = ("fixed_params",)  # Optuna's: the values that a trial was queued with


def requeue(study: optuna.Study, trial: FrozenTrial, reason: str) -> None:
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
    `requeue_lost`. A trial that another worker has requeued meanwhile is left alone.
    """
    trials = study.get_trials(deepcopy=False)
    frozen = next(t for t in trials if t.number == trial.number)
    if frozen.state != TrialState.RUNNING:
        return
    if trial.number not in _find_replaced(trials):  # an earlier attempt may have got this far
        requeue(study, frozen, reason)
    trial.set_user_attr("failure", reason)
    study.tell(trial, state=TrialState.FAIL)


def requeue_failed(study: optuna.Study) -> int:
    """Requeue every failed trial that no later trial has replaced; call this under the lock.

    Returns:
        The number of trials requeued.
    """
    trials = study.get_trials(deepcopy=False)
    replaced = _find_replaced(trials)
    failed = [t for t in trials if t.state == TrialState.FAIL and t.number not in replaced]
    for trial in failed:
        requeue(study, trial, "requeued after it failed")
    return len(failed)


def requeue_lost(
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
                requeue(study, trial, "its worker was lost")
            storage.set_trial_state_values(trial_id(trial), TrialState.FAIL)
    return bool(lost)


def _find_replaced(trials: Sequence[FrozenTrial]) -> set[int]:
    """Return the numbers of the trials that were requeued as other trials."""
    return {trial.user_attrs["again"]["trial"] for trial in trials if "again" in trial.user_attrs}
