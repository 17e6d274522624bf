"""The published scores, computed from a confusion matrix (rows true, columns predicted)."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecg.heartbeats import CLASSES

PER_CLASS = ("recall", "specificity", "precision", "f1")
AVERAGES = ("macro", "weighted")
SCORES = tuple(f"{metric}_{average}" for metric in PER_CLASS for average in AVERAGES)
# The mean F1 of N, S and V: the objective of splits by patient, where F is rare and Q is left out.
F1_NSV = "f1_nsv"
OBJECTIVES = (*SCORES, F1_NSV)  # a study can maximise any of these
COUNTED = {F1_NSV: 3}  # number of (first) classes that a plain mean covers, if not all

Vector = NDArray[np.float64]


def per_class(confusion: ArrayLike) -> dict[str, Vector]:
    """Return recall, specificity, precision and F1 of every class against the rest.

    A quotient with denominator 0 (a class that is absent, or never predicted) is 0, as with
    scikit-learn's `zero_division=0`.

    Args:
        confusion: (..., classes, classes) counts; leading dimensions are kept.

    Returns:
        "recall", "specificity", "precision", "f1", each (..., classes).

    Example:
        >>> from ecg import per_class
        >>> per_class([[90, 10], [5, 5]])["recall"]
        array([0.9, 0.5])
    """
    matrix = np.asarray(confusion, dtype=np.float64)
    true_positive = np.diagonal(matrix, axis1=-2, axis2=-1)
    false_negative = matrix.sum(-1) - true_positive
    false_positive = matrix.sum(-2) - true_positive
    total = matrix.sum((-2, -1))[..., None]
    true_negative = total - true_positive - false_negative - false_positive
    return {
        "recall": _quotient(true_positive, true_positive + false_negative),
        "specificity": _quotient(true_negative, true_negative + false_positive),
        "precision": _quotient(true_positive, true_positive + false_positive),
        "f1": _quotient(2 * true_positive, 2 * true_positive + false_positive + false_negative),
    }


def scores(confusion: ArrayLike) -> dict[str, float]:
    """Return the macro and weighted averages of the four metrics, and `f1_nsv`.

    Macro is the plain mean over the classes. Weighted is the mean weighted by true class share.

    Args:
        confusion: (classes, classes) counts.

    Returns:
        `recall_macro`, `recall_weighted`, the same for specificity, precision and f1, and
        `f1_nsv`, in the order of `OBJECTIVES`.

    Example:
        >>> from ecg import scores
        >>> found = scores([[90, 10], [5, 5]])
        >>> found["recall_macro"], round(found["f1_macro"], 4)
        (0.7, 0.6615)
    """
    return {name: float(value) for name, value in _averages(np.asarray(confusion)).items()}


def scores_of_many(confusions: ArrayLike) -> Mapping[str, Vector]:
    """Return `scores` of many matrices at once.

    Args:
        confusions: (..., classes, classes) counts; leading dimensions are kept.

    Returns:
        Every one of `OBJECTIVES`, each (...).
    """
    return _averages(np.asarray(confusions, dtype=np.int64))


def objective_on_split(objective: str, *, by_patient: bool) -> str:
    """Return the objective of a study: a split by patient replaces macro F1 by `f1_nsv`."""
    return F1_NSV if by_patient and objective == "f1_macro" else objective


def ceiling(counts: ArrayLike, score: str) -> float:
    """Return the maximum of a score, given that some classes have no beats.

    A plain mean over classes counts an absent class as 0, except for specificity, which is 1.

    Args:
        counts: (classes,) number of true beats per class.
        score: one of `OBJECTIVES`.

    Returns:
        A number from 0 to 1.

    Example:
        >>> from ecg.metrics import ceiling
        >>> ceiling([90, 10, 5, 2, 0], "f1_macro")
        0.8
    """
    if score != F1_NSV and (not score.endswith("_macro") or score == "specificity_macro"):
        return 1.0
    counted = np.asarray(counts)[: COUNTED.get(score)]
    return float((counted > 0).mean())


def say_ceilings(counts: ArrayLike, part: str, titles: Mapping[str, str]) -> str:
    """Say which classes have no beats, and how that limits the scores.

    Args:
        counts: (5,) number of true beats per class.
        part: name of the part, such as "validation".
        titles: titles of scores, by names from `OBJECTIVES`; empty for a part that is not scored.

    Returns:
        A sentence, or "" if every class has beats or no score is limited.

    Example:
        >>> from ecg.metrics import say_ceilings
        >>> say_ceilings([90, 10, 5, 2, 0], "test", {"f1_macro": "F1(M)"})
        'no Q beat in test: F1(M) is at most 0.8000'
    """
    absent = [name for name, count in zip(CLASSES, np.asarray(counts), strict=True) if count == 0]
    reach = [
        f"{title} is at most {most:.4f}"
        for score, title in titles.items()
        if (most := ceiling(counts, score)) < 1
    ]
    if not absent or (titles and not reach):
        return ""
    named = " or ".join(absent) if len(absent) < 3 else ", ".join(absent)
    said = f"no {named} beat in {part}"
    return f"{said}: {', '.join(reach)}" if reach else said


def resampled_scores(
    confusion: ArrayLike, score: str, draws: int, rng: np.random.Generator
) -> Vector:
    """Return one score of matrices whose beats are drawn with replacement from one matrix.

    Drawing beats means drawing the entries of the matrix from a multinomial distribution (Efron &
    Tibshirani 1993, ch. 13).

    Args:
        confusion: (classes, classes) counts.
        score: one of `OBJECTIVES`.
        draws: number of resampled matrices.
        rng: generator of the draws.

    Returns:
        (draws,) scores.
    """
    matrix = np.asarray(confusion, dtype=np.int64)
    total = int(matrix.sum())
    drawn = rng.multinomial(total, matrix.ravel() / total, size=draws)
    return _averages(drawn.reshape(draws, *matrix.shape))[score]


def bootstrap_interval(
    confusion: ArrayLike,
    score: str,
    *,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Return a percentile bootstrap interval of one score, resampling the beats of one matrix.

    Args:
        confusion: (classes, classes) counts.
        score: one of `OBJECTIVES`.
        draws: number of resampled matrices.
        level: confidence level.
        seed: seed of the draws.

    Returns:
        Lower and upper bound.
    """
    return percentiles(
        resampled_scores(confusion, score, draws, np.random.default_rng(seed)), level
    )


def difference_interval(
    one: ArrayLike,
    other: ArrayLike,
    score: str,
    *,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 20110801,
) -> tuple[float, float]:
    """Return a percentile bootstrap interval of the difference in a score between two matrices.

    The matrices are resampled independently, because they do not say which beats both models
    classified correctly. For two models measured on the same beats, the interval is therefore too
    wide.

    Args:
        one: (classes, classes) counts.
        other: (classes, classes) counts, subtracted.
        score: one of `OBJECTIVES`.
        draws: number of resampled pairs.
        level: confidence level.
        seed: seed of the draws.

    Returns:
        Lower and upper bound.
    """
    rng = np.random.default_rng(seed)
    first, second = (resampled_scores(matrix, score, draws, rng) for matrix in (one, other))
    return percentiles(first - second, level)


def percentiles(values: Vector, level: float) -> tuple[float, float]:
    """Return the bounds that leave equal shares of the values on both sides of `level`."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _averages(confusion: NDArray[np.int64]) -> Mapping[str, Vector]:
    matrix = np.asarray(confusion, dtype=np.float64)
    share = _quotient(matrix.sum(-1), matrix.sum((-2, -1))[..., None])
    metrics = per_class(matrix)
    averages = {}
    for metric in PER_CLASS:
        averages[f"{metric}_macro"] = metrics[metric].mean(-1)
        averages[f"{metric}_weighted"] = (metrics[metric] * share).sum(-1)
    averages[F1_NSV] = metrics["f1"][..., : COUNTED[F1_NSV]].mean(-1)
    return averages


def _quotient(numerator: Vector, denominator: Vector) -> Vector:
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    zeros = np.zeros(numerator.shape)
    return np.divide(numerator, denominator, out=zeros, where=denominator > 0)
