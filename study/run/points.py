"""Points that are queued before any is sampled: the baseline, a grid, winners of another study."""

from collections.abc import Sequence
from typing import Any

import optuna
from optuna.trial import TrialState

from ecg.budget import BUDGETS
from ecg.errors import UsageError
from search_spaces import Space
from study.run.options import RunOptions
from study.storage.front import directions_of, find_front
from study.storage.studies import find_identity, load_study, open_storage

GRID_POINTS = 5  # of a number in `--sampler grid`
Point = dict[str, Any]


def first_points(url: str, options: RunOptions, space: Space) -> list[Point]:
    """Return the points of a search that are queued first, its baseline at the front.

    Args:
        url: of the database.
        options: what is asked for.
        space: what is searched.

    Raises:
        UsageError: the study to begin with is not there, or is of another space.
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
    """Return the parameters of the best complete trials of a study, its baseline left out.

    Args:
        url: of the database.
        name: of the study.
        space: that it must have searched.
        top: so many at most.

    Raises:
        UsageError: there is no such study, it is of another space, or has no complete trial.
    """
    study = load_study(open_storage(url, create=False, lean=True), name)
    identity = find_identity(study)
    if identity.get("space_digest") != space.digest:
        raise UsageError(
            f"the study '{name}' searched the space '{identity.get('space')}', which is not the "
            f"space '{space.name}' as it is defined now. Its winners cannot be taken over"
        )
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not complete:
        raise UsageError(f"the study '{name}' has no complete trial. Run it first")
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
    """Queue the baseline in a new study, and all other points that did not run or failed.

    Args:
        study: whose lock is held.
        points: the baseline first.
    """
    trials = study.get_trials(deepcopy=False)
    if not trials:
        study.enqueue_trial(points[0], user_attrs={"baseline": True})
    known = [
        trial.system_attrs.get("fixed_params", trial.params)
        for trial in trials
        if trial.state != TrialState.FAIL
    ]
    for point in points[1:]:
        if point not in known:
            study.enqueue_trial(point)


def check_larger(name: str, stored: str | None, wanted: str | None) -> None:
    """Refuse a second stage that is no larger than the first.

    Args:
        name: of the study of the first stage.
        stored: its budget.
        wanted: budget of the second, None where none is typed.

    Raises:
        UsageError: says which budget to name.
    """
    order = list(BUDGETS)
    if stored in order and (wanted not in order or order.index(wanted) <= order.index(stored)):
        raise UsageError(
            f"--from {name} needs a larger --budget than its own, which is '{stored}'. The budgets "
            f"in order are: {', '.join(order)}"
        )
