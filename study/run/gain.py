"""When a search has stalled: its last finished trials brought no gain beyond noise."""

from collections.abc import Iterable, Sequence

import optuna
from optuna.trial import FrozenTrial, TrialState

from ecg.costs import COSTS
from ecg.metrics import bootstrap_interval
from study.storage.attributes import get_attribute
from study.storage.front import directions_of
from study.trials.pruning import best_value
from study.trials.task import Task

NORMAL = 1.959964  # standard errors in half a 95 % interval


def has_stalled(task: Task, study: optuna.Study, trials: Iterable[FrozenTrial]) -> bool:
    """Whether the last `task.goal.stop_after` finished trials brought no gain beyond noise.

    Noise is one standard error of the best trial's score on the validation beats, by bootstrap.
    It does not include the variation between seeds. A cost has none.

    Args:
        task: what the worker does.
        study: the study of the trials.
        trials: the trials that count towards the goal.
    """
    stop_after = task.goal.stop_after
    if not stop_after:
        return False
    ended = (TrialState.COMPLETE, TrialState.PRUNED)
    finished = sorted((t for t in trials if t.state in ended), key=lambda trial: trial.number)
    if len(finished) <= stop_after:
        return False
    signs = [-1 if direction == "minimize" else 1 for direction in directions_of(study)]
    values = [
        [sign * value for sign, value in zip(signs, trial.values, strict=True)]
        if trial.state == TrialState.COMPLETE
        else None
        for trial in finished
    ]
    noise = _noise(study, finished, task.identity.all_objectives)
    return since_gain(values, noise) >= stop_after


def since_gain(values: Iterable[Sequence[float] | None], noise: Sequence[float]) -> int:
    """Return how many trials have followed the last gain.

    Args:
        values: objectives of the finished trials in order, larger is better; None for a pruned one.
        noise: noise of each objective. A trial is a gain if it exceeds every previous gain by more
            than this in some objective; the first trial is a gain.
    """
    gains: list[Sequence[float]] = []
    since = 0
    for one in values:
        if one is not None and all(
            any(new > old + by for new, old, by in zip(one, gain, noise, strict=True))
            for gain in gains
        ):
            gains.append(one)
            since = 0
        else:
            since += 1
    return since


def _noise(
    study: optuna.Study, finished: Iterable[FrozenTrial], objectives: Sequence[str]
) -> list[float]:
    """Return the standard errors of the best trial; 0 if its confusion matrix is unknown."""
    complete = [trial for trial in finished if trial.state == TrialState.COMPLETE]
    best = best_value(complete)
    for trial in complete:
        if trial.values[0] == best and (confusion := get_attribute(study, trial, "confusion")):
            bounds = [
                (0.0, 0.0) if name in COSTS else bootstrap_interval(confusion, name)
                for name in objectives
            ]
            return [(high - low) / (2 * NORMAL) for low, high in bounds]
    return [0.0] * len(objectives)
