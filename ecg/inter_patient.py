"""Scores that compare inter-patient results, and their intervals over records.

Between patients, it matters whether ectopic beats (S and V) are found, not how the large class N
is classified.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecg.heartbeats import CLASSES
from ecg.metrics import F1_NSV, per_class, percentiles, scores, scores_of_many

ECTOPIC = ("S", "V")


def kappa(confusion: ArrayLike) -> float:
    """Return Cohen's kappa, the agreement beyond chance.

    Source: Cohen 1960, Educ Psychol Meas 20(1), eq. 1.

    Args:
        confusion: (classes, classes) counts, rows true, columns predicted.

    Returns:
        At most 1; 0 for agreement by chance. It is also 0 if all beats are in one cell, where
        kappa is undefined.
    """
    matrix = np.asarray(confusion, dtype=np.float64)
    total = matrix.sum()
    observed = np.trace(matrix) * total
    chance = matrix.sum(0) @ matrix.sum(1)
    if chance >= total**2:
        return 0.0
    return float((observed - chance) / (total**2 - chance))


def ectopic_scores(confusion: ArrayLike) -> dict[str, float]:
    """Return sensitivity and positive predictivity of S and of V.

    Args:
        confusion: (5, 5) counts, rows true, columns predicted.

    Returns:
        `sensitivity_S`, `predictivity_S`, `sensitivity_V`, `predictivity_V`: the names that AAMI
        EC57 has for recall and precision.
    """
    metrics = per_class(confusion)
    found = {}
    for name in ECTOPIC:
        index = CLASSES.index(name)
        found[f"sensitivity_{name}"] = float(metrics["recall"][index])
        found[f"predictivity_{name}"] = float(metrics["precision"][index])
    return found


def cross_validated_scores(confusion: ArrayLike) -> dict[str, float]:
    """Return the scores that folds are compared by, and those of each class that has beats.

    Args:
        confusion: (5, 5) counts, rows true, columns predicted.

    Returns:
        `f1_nsv`, `jk_index`, and `sensitivity_X` and `predictivity_X` of each class X of N, S, V
        and F that has beats in the fold; the others have no sensitivity.
    """
    matrix = np.asarray(confusion)
    found = {F1_NSV: scores(matrix)[F1_NSV], "jk_index": jk_index(matrix)}
    by_class = per_class(matrix)
    for index, name in enumerate(CLASSES[:-1]):
        if matrix[index].sum():
            found[f"sensitivity_{name}"] = float(by_class["recall"][index])
            found[f"predictivity_{name}"] = float(by_class["precision"][index])
    return found


def jk_index(confusion: ArrayLike) -> float:
    """Return the jk index of Mar et al. 2011, IEEE Trans Biomed Eng 58(8), with the weights of
    `evaluation_AAMI.py` in https://github.com/mondejar/ecg-classification.

    It is 0.5 kappa + 0.125 j, where j is the sum of sensitivity and positive predictivity of S
    and of V. The weights give both terms the same range, so a perfect classifier scores 1. Kappa
    covers all classes of the matrix: N, S, V and F in a split by patient. Unlike in AAMI EC57, F
    beats classified as V count against the positive predictivity of V.

    Args:
        confusion: (5, 5) counts, rows true, columns predicted.
    """
    return 0.5 * kappa(confusion) + 0.125 * sum(ectopic_scores(confusion).values())


def inter_patient_scores(confusion: ArrayLike) -> dict[str, float]:
    """Return `f1_nsv` (mean F1 of N, S, V), `f1_F`, `ectopic_scores`, `kappa` and `jk_index`."""
    return {
        F1_NSV: scores(confusion)[F1_NSV],
        "f1_F": float(per_class(confusion)["f1"][CLASSES.index("F")]),
        **ectopic_scores(confusion),
        "kappa": kappa(confusion),
        "jk_index": jk_index(confusion),
    }


def confusion_by_record(
    record: NDArray[np.int32], labels: NDArray[np.int64], predicted: NDArray[np.int64]
) -> dict[str, list[list[int]]]:
    """Return a confusion matrix per record, rows true, columns predicted.

    Args:
        record: (n,) record number of each beat.
        labels: (n,) true classes.
        predicted: (n,) predicted classes.

    Returns:
        (5, 5) counts by record number, ascending; they add up to the matrix of all beats.
    """
    records, index = np.unique(record, return_inverse=True)
    counts = np.zeros((len(records), len(CLASSES), len(CLASSES)), dtype=np.int64)
    np.add.at(counts, (index, labels, predicted), 1)
    return {str(one): matrix.tolist() for one, matrix in zip(records, counts, strict=True)}


def record_interval(
    matrices: ArrayLike,
    score: str,
    *,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Return a percentile bootstrap interval of a score, or of its mean over runs, over records.

    Beats of one patient are alike, so an interval that resamples beats is too narrow for other
    patients. This is the cluster bootstrap of Field & Welsh 2007, J R Stat Soc B 69(3).

    Args:
        matrices: (..., records, classes, classes) counts; leading dimensions are runs on the same
            records, which are resampled together.
        score: one of `ecg.metrics.OBJECTIVES`.
        draws: number of resampled sets of records.
        level: confidence level.
        seed: seed of the draws.

    Returns:
        Lower and upper bound.
    """
    counts = np.asarray(matrices, dtype=np.int64)
    rng = np.random.default_rng(seed)
    records = counts.shape[-3]
    times = rng.multinomial(records, np.full(records, 1 / records), size=draws)
    values = scores_of_many(np.tensordot(times, counts, axes=(1, -3)))[score]
    return percentiles(values.reshape(draws, -1).mean(1), level)
