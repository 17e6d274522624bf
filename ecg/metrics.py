"""From a confusion matrix (rows true, columns predicted) to the published figures."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

PER_CLASS = ("recall", "specificity", "precision", "f1")
AVERAGES = ("macro", "weighted")
SCORES = tuple(f"{metric}_{average}" for metric in PER_CLASS for average in AVERAGES)

Vector = NDArray[np.float64]


def per_class(confusion: ArrayLike) -> dict[str, Vector]:
    """Recall, specificity, precision and F1 of every class against the rest.

    A quotient without a denominator (a class that is absent, or never predicted) is 0, as in
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
    """Macro and weighted averages of the four figures.

    Macro is the plain mean over the classes, weighted the mean by true class share.

    Args:
        confusion: (classes, classes) counts.

    Returns:
        `recall_macro`, `recall_weighted`, and so on for specificity, precision and f1, in
        the order of `SCORES`.

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
        Every one of `SCORES`, each (...).
    """
    return _averages(np.asarray(confusions, dtype=np.int64))


def resampled_scores(
    confusion: ArrayLike, score: str, draws: int, rng: np.random.Generator
) -> Vector:
    """Return one score of matrices whose beats are drawn with replacement from one matrix.

    Drawing beats is drawing the entries of the matrix from a multinomial (Efron & Tibshirani
    1993, ch. 13).

    Args:
        confusion: (classes, classes) counts.
        score: one of `SCORES`.
        draws: number of resampled matrices.
        rng: makes the draws.

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
    """Percentile bootstrap interval of one score, resampling the beats of one matrix.

    Args:
        confusion: (classes, classes) counts.
        score: one of `SCORES`.
        draws: number of resampled matrices.
        level: of the interval.
        seed: of the draws.

    Returns:
        Lower and upper bound.
    """
    values = resampled_scores(confusion, score, draws, np.random.default_rng(seed))
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def difference_interval(
    one: ArrayLike,
    other: ArrayLike,
    score: str,
    *,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 20110801,
) -> tuple[float, float]:
    """Percentile bootstrap interval of the difference of a score between two matrices.

    The two are resampled independently: which beats both got right is not on record. For two
    models measured on the same beats the interval is therefore too wide.

    Args:
        one: (classes, classes) counts.
        other: (classes, classes) counts, subtracted.
        score: one of `SCORES`.
        draws: number of resampled pairs.
        level: of the interval.
        seed: of the draws.

    Returns:
        Lower and upper bound.
    """
    rng = np.random.default_rng(seed)
    first, second = (resampled_scores(matrix, score, draws, rng) for matrix in (one, other))
    low, high = np.quantile(first - second, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _averages(confusion: NDArray[np.int64]) -> Mapping[str, Vector]:
    matrix = np.asarray(confusion, dtype=np.float64)
    share = _quotient(matrix.sum(-1), matrix.sum((-2, -1))[..., None])
    figures = per_class(matrix)
    averages = {}
    for metric in PER_CLASS:
        averages[f"{metric}_macro"] = figures[metric].mean(-1)
        averages[f"{metric}_weighted"] = (figures[metric] * share).sum(-1)
    return averages


def _quotient(numerator: Vector, denominator: Vector) -> Vector:
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    zeros = np.zeros(numerator.shape)
    return np.divide(numerator, denominator, out=zeros, where=denominator > 0)
