"""Figures by which inter-patient results are compared: of S and V, Cohen's kappa, jk index.

Between patients, what counts is whether ectopic beats are found (S and V), not the beats of
one class that make up most of the data.
"""

import numpy as np
from numpy.typing import ArrayLike

from ecg.heartbeats import CLASSES
from ecg.metrics import per_class

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


def jk_index(confusion: ArrayLike) -> float:
    """The jk index of Mar et al. 2011, IEEE Trans Biomed Eng 58(8), here over all five classes.

    0.5 kappa + 0.125 j, where j adds up sensitivity and positive predictivity of S and of V;
    the weights give both terms the same range, so that a perfect classifier has 1.

    Args:
        confusion: (5, 5) counts, rows true, columns predicted.
    """
    return 0.5 * kappa(confusion) + 0.125 * sum(ectopic_scores(confusion).values())


def inter_patient_scores(confusion: ArrayLike) -> dict[str, float]:
    """All figures of this module: those of S and V, then `kappa` and `jk_index`."""
    return {
        **ectopic_scores(confusion),
        "kappa": kappa(confusion),
        "jk_index": jk_index(confusion),
    }
