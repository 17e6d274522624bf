"""When a search has stalled: its last finished trials brought no gain beyond noise."""

from collections.abc import Iterable

import optuna
from optuna.trial import FrozenTrial, TrialState

from ecg.metrics import bootstrap_interval
from study.storage.attributes import get_attribute
from study.trials.pruning import best_value
from study.trials.task import PlannedRuns, Search

NORMAL = 1.959964  # standard errors in half a 95 % interval


def has_stalled(
    goal: Search | PlannedRuns,
    study: optuna.Study,
    trials: Iterable[FrozenTrial],
    objective: str,
) -> bool:
    """Whether the last `goal.stop_after` finished trials brought no gain beyond noise.

    Noise is one standard error of the best trial's objective on the validation beats, by
    bootstrap. It does not include the variation between seeds.

    Args:
        goal: the goal of the study.
        study: the study of the trials.
        trials: the trials that count towards the goal.
        objective: the study's objective.
    """
    if not goal.stop_after:
        return False
    ended = (TrialState.COMPLETE, TrialState.PRUNED)
    finished = sorted((t for t in trials if t.state in ended), key=lambda trial: trial.number)
    if len(finished) <= goal.stop_after:
        return False
    values = [trial.value if trial.state == TrialState.COMPLETE else None for trial in finished]
    return since_gain(values, _noise(study, finished, objective)) >= goal.stop_after


def since_gain(values: Iterable[float | None], noise: float) -> int:
    """Return how many values have followed the last gain.

    Args:
        values: values of the finished trials in order, None for a pruned one.
        noise: a value is a gain if it exceeds the previous gain by more than this; the first
            value is a gain.
    """
    best, since = -float("inf"), 0
    for value in values:
        if value is not None and value > best + noise:
            best, since = value, 0
        else:
            since += 1
    return since


def _noise(study: optuna.Study, finished: Iterable[FrozenTrial], objective: str) -> float:
    """Return the standard error of the best value; 0 if its confusion matrix is unknown."""
    complete = [trial for trial in finished if trial.state == TrialState.COMPLETE]
    best = best_value(complete)
    for trial in complete:
        if trial.value == best and (confusion := get_attribute(study, trial, "confusion")):
            low, high = bootstrap_interval(confusion, objective)
            return (high - low) / (2 * NORMAL)
    return 0.0
