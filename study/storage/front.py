"""The front of several objectives: no other trial is as good in all of them and better in one."""

from collections.abc import Sequence

import numpy as np
import optuna
from numpy.typing import ArrayLike, NDArray

from ecg.costs import COSTS

MINIMIZE = "minimize"


def find_front(values: ArrayLike, directions: Sequence[str]) -> NDArray[np.bool_]:
    """Return which trials are on the front (Pareto): none is as good in all and better in one.

    Args:
        values: (trials, objectives); a trial with a value that is not a number is not on it.
        directions: "maximize" or "minimize" for each objective.

    Returns:
        (trials,); of trials with equal values the first one is on it.

    Example:
        >>> find_front([(0.9, 300), (0.8, 100), (0.8, 200)], ("maximize", "minimize"))
        array([ True,  True, False])
    """
    signs = [-1.0 if direction == MINIMIZE else 1.0 for direction in directions]
    found = np.asarray(values, dtype=np.float64).reshape(-1, len(signs)) * signs
    known = np.flatnonzero(~np.isnan(found).any(axis=1))
    front = np.zeros(len(found), dtype=np.bool_)
    for place, one in enumerate(found[known]):
        as_good = (found[known] >= one).all(axis=1)
        better = as_good & (found[known] > one).any(axis=1)
        front[known[place]] = not better.any() and not as_good[:place].any()
    return front


def aims_of(objectives: Sequence[str]) -> list[str]:
    """Return "maximize" for each score and "minimize" for each cost."""
    return [MINIMIZE if name in COSTS else "maximize" for name in objectives]


def directions_of(study: optuna.Study) -> list[str]:
    """Return "maximize" or "minimize" for each objective of a study."""
    return [direction.name.lower() for direction in study.directions]
