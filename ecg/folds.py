"""Whole patients dealt at random into the parts of a split, or into folds of like class counts."""

import re

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecg.errors import UsageError

FOLDED = re.compile(r"(inter-patient(?:-[0-9a-f]{8})?)-(\d+)-folds")  # the name of such a split
LEAST_FOLDS, MOST_FOLDS = 2, 20
DRAWS = 200  # orders of the patients that are tried
SPLIT_SEED = 20190704  # fixed: a split belongs to the project, not to a study


def folded_name(split: str, folds: int) -> str:
    """Return the name of a split by patient whose training records are dealt into folds.

    Example:
        >>> from ecg.folds import folded_name
        >>> folded_name("inter-patient", 5)
        'inter-patient-5-folds'
    """
    return f"{split}-{folds}-folds"


def folds_of(name: str) -> int:
    """Return the number of folds of a split, 0 for a split without folds."""
    found = FOLDED.fullmatch(name)
    return int(found[2]) if found else 0


def unfolded(name: str) -> str:
    """Return the name of the split whose training records are in the folds."""
    found = FOLDED.fullmatch(name)
    return found[1] if found else name


def deal_patients(counts: ArrayLike, folds: int) -> NDArray[np.int64]:
    """Deal whole patients into folds whose class counts are as alike as possible.

    In each of `DRAWS` seeded orders, each patient joins the fold where it leaves the class counts
    most even. The most even result is returned. Every fold has a patient.

    Args:
        counts: (patients, classes) number of beats.
        folds: number of folds.

    Returns:
        (patients,) fold of each patient, from 0.

    Raises:
        UsageError: there are fewer patients than folds, or the number of folds is out of range.

    Example:
        >>> from ecg.folds import deal_patients
        >>> dealt = deal_patients([[90, 10], [80, 20], [90, 10], [80, 20]], 2)
        >>> dealt[0] == dealt[2], dealt[1] == dealt[3]
        (np.False_, np.False_)
    """
    beats = np.asarray(counts, dtype=np.float64)
    if not LEAST_FOLDS <= folds <= MOST_FOLDS:
        raise UsageError(f"`folds` must be from {LEAST_FOLDS} to {MOST_FOLDS}, not {folds}")
    if len(beats) < folds:
        raise UsageError(
            f"{folds} folds need {folds} patients or more, and the training records are of "
            f"{len(beats)}. Use fewer `folds`, or more records."
        )
    wanted = beats.sum(axis=0) / folds  # (classes,)
    every = np.arange(DRAWS)
    order = np.random.default_rng(SPLIT_SEED).permuted(
        np.tile(np.arange(len(beats)), (DRAWS, 1)), axis=1
    )
    dealt = np.zeros_like(order)  # (draws, patients)
    there = np.zeros((DRAWS, folds, beats.shape[1]))
    for position, patient in enumerate(order.T):  # (draws,): the next patient of each order
        joined = there + beats[patient][:, None]
        costs = (_distances(joined, wanted) - _distances(there, wanted)).sum(axis=2)
        fold = np.full(DRAWS, position) if position < folds else costs.argmin(axis=1)
        dealt[every, patient] = fold
        there[every, fold] += beats[patient]
    best: NDArray[np.int64] = dealt[_distances(there, wanted).sum(axis=(1, 2)).argmin()]
    return best


def deal_parts(counts: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """Deal whole patients into training, validation and test.

    Of `DRAWS` seeded draws, the one with the most even class shares is returned.

    Args:
        counts: (patients, classes) number of beats.
        shares: (3,) the share of each part in the beats.

    Returns:
        (patients,) part of each patient: 0 train, 1 validation, 2 test.
    """
    wanted = shares[:, None] * counts.sum(axis=0)  # (parts, classes)
    rng = np.random.default_rng(SPLIT_SEED)
    best, least = np.zeros(len(counts), dtype=np.int64), np.inf
    for _ in range(DRAWS):
        part = _deal(rng.permutation(len(counts)), counts.sum(axis=1), shares)
        there = np.array([counts[part == one].sum(axis=0) for one in range(len(shares))])
        distance = float(_distances(there, wanted).sum())
        if distance < least:
            best, least = part, distance
    return best


def _deal(
    order: NDArray[np.int64], sizes: NDArray[np.float64], shares: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return the part (0 train, 1 validation, 2 test) of every patient.

    Patients are dealt in the given order: first to test until it has its share, then to
    validation, the rest to training. Each part gets at least one.
    """
    part = np.zeros(len(order), dtype=np.int64)
    left = list(order)
    for one in (2, 1):
        held = 0.0
        while len(left) > one and (held == 0 or held < shares[one] * sizes.sum()):
            patient = left.pop()
            part[patient] = one
            held += max(sizes[patient], 1e-9)
    return part


def _distances(there: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far each class count is from the one that is wanted, (..., parts, classes)."""
    # Relative to the wanted count, so that a beat of a rare class counts more.
    found: NDArray[np.float64] = np.square(there - wanted) / np.maximum(wanted, 1)
    return found
