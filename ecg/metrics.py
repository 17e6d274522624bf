"""From a confusion matrix (rows true, columns predicted) to the published figures."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecg.heartbeats import CLASSES

PER_CLASS = ("recall", "specificity", "precision", "f1")
AVERAGES = ("macro", "weighted")
SCORES = tuple(f"{metric}_{average}" for metric in PER_CLASS for average in AVERAGES)
# The mean F1 of N, S and V: what is compared between patients, where F is rare and Q is left out.
F1_NSV = "f1_nsv"
OBJECTIVES = (*SCORES, F1_NSV)  # a study can maximise each
COUNTED = {F1_NSV: 3}  # of how many classes, the first ones, a score is the plain mean

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
        `recall_macro`, `recall_weighted`, and so on for specificity, precision and f1, then
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


def objective_of(objective: str, *, by_patient: bool) -> str:
    """Return what a study maximises: of a split by patient F1 of N, S, V, and not macro F1."""
    return F1_NSV if by_patient and objective == "f1_macro" else objective


def ceiling(counts: ArrayLike, score: str) -> float:
    """Return what a score can reach at most where classes have no beats.

    A plain mean over classes counts an absent one as 0, except specificity, which is 1 there.

    Args:
        counts: (classes,) true beats of each class.
        score: one of `OBJECTIVES`.

    Returns:
        From 0 to 1.

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
    """Say which classes have no beats, and what scores can reach at most for that reason.

    Args:
        counts: (5,) true beats of each class.
        part: where they are, such as "validation".
        titles: by score, some of `OBJECTIVES`; none for a part that is not scored.

    Returns:
        "" where every class has beats, or where no score is limited.

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
    said = f"no {', '.join(absent)} beat in {part}"
    return f"{said}: {', '.join(reach)}" if reach else said


def resampled_scores(
    confusion: ArrayLike, score: str, draws: int, rng: np.random.Generator
) -> Vector:
    """Return one score of matrices whose beats are drawn with replacement from one matrix.

    Drawing beats is drawing the entries of the matrix from a multinomial (Efron & Tibshirani
    1993, ch. 13).

    Args:
        confusion: (classes, classes) counts.
        score: one of `OBJECTIVES`.
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
        score: one of `OBJECTIVES`.
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
        score: one of `OBJECTIVES`.
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
    averages[F1_NSV] = figures["f1"][..., : COUNTED[F1_NSV]].mean(-1)
    return averages


def _quotient(numerator: Vector, denominator: Vector) -> Vector:
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    zeros = np.zeros(numerator.shape)
    return np.divide(numerator, denominator, out=zeros, where=denominator > 0)
