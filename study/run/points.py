"""Points to queue before any is sampled: the baseline, a grid, winners of another study."""

from collections.abc import Sequence
from typing import Any

import optuna
from optuna.trial import TrialState

from ecg.budget import BUDGETS
from ecg.errors import UsageError
from search_spaces import Space
from study.run.options import RunOptions
from study.storage.attributes import BASELINE
from study.storage.front import directions_of, find_front
from study.storage.studies import find_identity, load_study, open_storage

GRID_POINTS = 5  # per numeric parameter in `--sampler grid`
Point = dict[str, Any]


def first_points(url: str, options: RunOptions, space: Space) -> list[Point]:
    """Return the points that a search queues first, beginning with its baseline.

    Args:
        url: URL of the database.
        options: the options of `run`.
        space: the space to search.

    Raises:
        UsageError: the study to take winners from does not exist, or searched another space.
    """
    baseline = dict(space.baseline)
    points: list[Point] = []
    if earlier := options.from_study or options.warm_start:
        points += find_winners(url, earlier, space, options.top)
    if options.sampler == "grid":
        points += space.grid(GRID_POINTS)
    distinct = [point for i, point in enumerate(points) if point not in points[:i]]
    return [baseline, *(point for point in distinct if point != baseline)]


def find_winners(url: str, name: str, space: Space, top: int) -> list[Point]:
    """Return the parameters of the best complete trials of a study, without its baseline.

    Args:
        url: URL of the database.
        name: name of the study.
        space: the space that it must have searched.
        top: the most trials to return.

    Raises:
        UsageError: the study does not exist, searched another space, or has no complete trial.
    """
    study = load_study(open_storage(url, create=False, lean=True), name)
    identity = find_identity(study)
    if identity.get("space_digest") != space.digest:
        raise UsageError(
            f"the study '{name}' searched the space '{identity.get('space')}', which differs from "
            f"the space '{space.name}' as it is defined now. Name a study of this space."
        )
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not complete:
        raise UsageError(f"the study '{name}' has no complete trial. Run it first.")
    winners: list[Point] = []
    aims = directions_of(study)
    on_front = find_front([trial.values for trial in complete], aims) if len(aims) > 1 else ()
    leading = {trial.number for trial, is_on in zip(complete, on_front, strict=False) if is_on}
    # Of several objectives the front first; by the first one.
    for trial in sorted(complete, key=lambda one: (one.number not in leading, -one.values[0])):
        if trial.params not in (dict(space.baseline), *winners) and len(winners) < top:
            winners.append(trial.params)
    return winners


def queue_first_trials(study: optuna.Study, points: Sequence[Point]) -> None:
    """Queue the baseline in a new study, and the other points unless the study has them.

    Args:
        study: the study; call this under its lock.
        points: the points, baseline first. One that failed is requeued.
    """
    trials = study.get_trials(deepcopy=False)
    if not trials:
        study.enqueue_trial(points[0], user_attrs={BASELINE: True})
    known = [
        trial.system_attrs.get("fixed_params", trial.params)
        for trial in trials
        if trial.state != TrialState.FAIL
    ]
    for point in points[1:]:
        if point not in known:
            study.enqueue_trial(point)


def check_larger(name: str, stored: str | None, wanted: str | None) -> None:
    """Refuse a second stage whose budget is not larger than that of the first.

    Args:
        name: name of the study of the first stage.
        stored: budget of the first stage.
        wanted: budget of the second stage, None if none is typed.

    Raises:
        UsageError: lists the budgets in order.
    """
    order = list(BUDGETS)
    if stored in order and (wanted not in order or order.index(wanted) <= order.index(stored)):
        raise UsageError(
            f"--from {name} needs a larger budget than '{stored}', that of the study. Choose a "
            f"larger --budget from: {', '.join(order)}."
        )
