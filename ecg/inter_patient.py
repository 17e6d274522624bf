"""Figures by which inter-patient results are compared, and their intervals over records.

Between patients, what counts is whether ectopic beats are found (S and V), not the beats of
one class that make up most of the data.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecg.heartbeats import CLASSES
from ecg.metrics import F1_NSV, per_class, scores, scores_of_many

ECTOPIC = ("S", "V")


def kappa(confusion: ArrayLike) -> float:
    """Cohen's kappa: agreement beyond chance (Cohen 1960, Educ Psychol Meas 20(1), eq. 1).

    Args:
        confusion: (classes, classes) counts, rows true, columns predicted.

    Returns:
        At most 1; 0 for agreement by chance, and where all beats stand in one cell, which
        leaves nothing to agree about.
    """
    matrix = np.asarray(confusion, dtype=np.float64)
    total = matrix.sum()
    observed = np.trace(matrix) * total
    chance = matrix.sum(0) @ matrix.sum(1)
    if chance >= total**2:
        return 0.0
    return float((observed - chance) / (total**2 - chance))


def ectopic_scores(confusion: ArrayLike) -> dict[str, float]:
    """Sensitivity and positive predictivity of S and of V.

    Args:
        confusion: (5, 5) counts, rows true, columns predicted.

    Returns:
        `sensitivity_S`, `predictivity_S`, `sensitivity_V`, `predictivity_V`: recall and
        precision under the names AAMI EC57 gives them.
    """
    figures = per_class(confusion)
    found = {}
    for name in ECTOPIC:
        index = CLASSES.index(name)
        found[f"sensitivity_{name}"] = float(figures["recall"][index])
        found[f"predictivity_{name}"] = float(figures["precision"][index])
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
    """The jk index of Mar et al. 2011, IEEE Trans Biomed Eng 58(8), with the weights of
    `evaluation_AAMI.py` in https://github.com/mondejar/ecg-classification.

    0.5 kappa + 0.125 j, where j adds up sensitivity and positive predictivity of S and of V;
    the weights give both terms the same range, so that a perfect classifier has 1. Kappa is
    over all classes of the matrix: of a split by patient N, S, V and F. Unlike AAMI EC57, F beats
    taken for V count against the positive predictivity of V.

    Args:
        confusion: (5, 5) counts, rows true, columns predicted.
    """
    return 0.5 * kappa(confusion) + 0.125 * sum(ectopic_scores(confusion).values())


def inter_patient_scores(confusion: ArrayLike) -> dict[str, float]:
    """F1 of N, S, V (`f1_nsv`), F1 of F (`f1_F`), those of S and V, then `kappa` and `jk_index`."""
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
    """Count the beats of every record in a confusion matrix, rows true, columns predicted.

    Args:
        record: (n,) number of the record of each beat.
        labels: (n,) true classes.
        predicted: (n,) predicted classes.

    Returns:
        (5, 5) counts by number of record, ascending; together they are the matrix of all beats.
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
    """Percentile bootstrap interval of one score, or of its mean over runs, resampling records.

    Beats of one patient are alike, so that an interval which resamples beats is too narrow for
    other patients: the cluster bootstrap of Field & Welsh 2007, J R Stat Soc B 69(3).

    Args:
        matrices: (..., records, classes, classes) counts; leading dimensions are runs on the same
            records, which are resampled together.
        score: one of `ecg.metrics.OBJECTIVES`.
        draws: number of resampled sets of records.
        level: of the interval.
        seed: of the draws.

    Returns:
        Lower and upper bound.
    """
    counts = np.asarray(matrices, dtype=np.int64)
    rng = np.random.default_rng(seed)
    records = counts.shape[-3]
    times = rng.multinomial(records, np.full(records, 1 / records), size=draws)
    values = scores_of_many(np.tensordot(times, counts, axes=(1, -3)))[score]
    values = values.reshape(draws, -1).mean(1)
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
