"""Statistics of a few runs: paired tests, correction for multiple tests, intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ecg.metrics import bootstrap_interval

SIGNIFICANCE = 0.05
LEVEL = 0.95  # confidence level of intervals
MAX_EXACT_TIED = 13  # pairs; enumerating 2**13 sign patterns is fast
MAX_EXACT = 50

Interval = tuple[float, float]
Values = Mapping[int, float]  # values of one score, by repeat


@dataclass(frozen=True)
class Comparison:
    """One configuration compared with the baseline in one score.

    Attributes:
        label: label of the configuration.
        score: name of the score.
        pairs: number of repeats that both have finished.
        difference: mean of the paired differences, None without a pair.
        p_value: p-value with Holm's correction, None without a pair.
    """

    label: str
    score: str
    pairs: int
    difference: float | None
    p_value: float | None


def smallest_p_value(pairs: int, tests: int = 1) -> float:
    """Return the smallest p that the best of several tests can reach after Holm's correction.

    The smallest two-sided p of a signed-rank test is 2 * 0.5**pairs, if all differences have the
    same sign. Holm's correction multiplies the smallest p of a family by the number of tests.

    Args:
        pairs: number of pairs per test.
        tests: number of tests in the family.

    Example:
        >>> from ecg.statistics import smallest_p_value
        >>> smallest_p_value(6), smallest_p_value(6, tests=6)
        (0.03125, 0.1875)
    """
    return min(1.0, tests * 2.0 ** (1 - pairs))


def least_pairs(tests: int) -> int:
    """Return how many pairs the best of several tests needs for significance after Holm.

    Example:
        >>> from ecg.statistics import least_pairs
        >>> [least_pairs(tests) for tests in (2, 6, 8)]
        [7, 8, 9]
    """
    return next(pairs for pairs in count(1) if smallest_p_value(pairs, tests) < SIGNIFICANCE)


def paired_p_value(first: ArrayLike, second: ArrayLike) -> float:
    """Return the p-value of a two-sided Wilcoxon signed-rank test of paired runs.

    Source: Wilcoxon 1945, Biometrics 1(6). As in the paper, pairs without a difference are left
    out; if no pair differs, p is 1. The p-value is exact up to 50 pairs, or up to 13 if
    differences are tied.

    Args:
        first: (pairs,) scores.
        second: (pairs,) scores of the same repeats.

    Raises:
        ValueError: the two have different lengths, or there is no pair.

    Example:
        >>> from ecg import paired_p_value
        >>> round(paired_p_value([91, 93, 92, 95, 94, 96], [90, 91, 89, 91, 89, 90]), 5)
        0.03125
    """
    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if one.shape != other.shape or one.ndim != 1:
        raise ValueError(f"pairs need two equally long rows, not {one.shape} and {other.shape}")
    if len(one) == 0:
        raise ValueError("a paired test needs at least one pair")
    # Subtraction leaves rounding errors in the last digits, which would hide zeros and ties.
    differences = np.round(one - other, 12)
    differences = differences[differences != 0]
    if len(differences) == 0:
        return 1.0
    tied = len(np.unique(np.abs(differences))) < len(differences)
    method: stats.PermutationMethod | Literal["approx", "exact"] = "approx"  # the normal one
    if tied and len(differences) <= MAX_EXACT_TIED:
        method = stats.PermutationMethod(n_resamples=2**MAX_EXACT_TIED)  # all sign patterns
    elif not tied and len(differences) <= MAX_EXACT:
        method = "exact"
    return min(1.0, float(stats.wilcoxon(differences, method=method).pvalue))


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for multiple testing (Holm 1979, Scand J Statist 6(2)).

    Args:
        p_values: p-values of one family of tests.

    Returns:
        Corrected p-values in the same order. Calling those below a level significant keeps the
        chance of any false positive below that level.

    Example:
        >>> from ecg import holm
        >>> holm([0.04, 0.01])
        [0.04, 0.02]
    """
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = highest
    return corrected


def compare_with_baseline(
    runs: Mapping[str, Mapping[str, Values]], baseline: str
) -> list[Comparison]:
    """Test every configuration against the baseline, corrected over all tests (Holm).

    Args:
        runs: values by label of the configuration and name of the score. All configurations have
            the same scores.
        baseline: label of the configuration that the others are compared with.

    Returns:
        One comparison per configuration and score, in the order of `runs`.

    Example:
        >>> from ecg.statistics import compare_with_baseline
        >>> runs = {"a": {"f1_macro": {0: 0.75, 1: 0.5}}, "b": {"f1_macro": {0: 1.0, 2: 0.5}}}
        >>> compare_with_baseline(runs, "a")
        [Comparison(label='b', score='f1_macro', pairs=1, difference=0.25, p_value=1.0)]
    """
    found = [
        _compare(label, score, values, runs[baseline][score])
        for label, scores in runs.items()
        if label != baseline
        for score, values in scores.items()
    ]
    corrected = iter(holm([c.p_value for c in found if c.p_value is not None]))
    return [c if c.p_value is None else replace(c, p_value=next(corrected)) for c in found]


def _compare(label: str, score: str, values: Values, baseline: Values) -> Comparison:
    both = sorted(values.keys() & baseline.keys())
    if not both:
        return Comparison(label, score, 0, None, None)
    ours, theirs = ([side[repeat] for repeat in both] for side in (values, baseline))
    difference = float(np.subtract(ours, theirs).mean())
    return Comparison(label, score, len(both), difference, paired_p_value(ours, theirs))


def interval_of_mean(values: ArrayLike, *, level: float = LEVEL) -> Interval:
    """Return Student's t interval of the mean over seeds (Student 1908, Biometrika 6(1)).

    Args:
        values: (seeds,) scores, in any order.
        level: confidence level.

    Raises:
        ValueError: there are fewer than two values.

    Example:
        >>> from ecg import interval_of_mean
        >>> low, high = interval_of_mean([0.90, 0.92, 0.91, 0.95])
        >>> round(low, 4), round(high, 4)
        (0.8856, 0.9544)
    """
    return _student(values, level, share=0.0)


def interval_of_next_run(values: ArrayLike, *, level: float = LEVEL) -> Interval:
    """Return Student's t prediction interval for one more run, such as a published one.

    It is `mean +- t * s * sqrt(1 + 1/n)` (Hahn & Meeker 1991, Statistical Intervals, ch. 4). It
    is wider than the interval of the mean, since a single run varies more than a mean.

    Args:
        values: (seeds,) scores, in any order.
        level: confidence level.

    Raises:
        ValueError: there are fewer than two values.

    Example:
        >>> from ecg.statistics import interval_of_next_run
        >>> low, high = interval_of_next_run([0.90, 0.92, 0.91, 0.95])
        >>> round(low, 4), round(high, 4)
        (0.8431, 0.9969)
    """
    return _student(values, level, share=1.0)


def _student(values: ArrayLike, level: float, *, share: float) -> Interval:
    """Return `mean +- t * s * sqrt(share + 1/n)`."""
    # Sorted, so that rounding does not depend on the order of the seeds.
    scores: NDArray[np.float64] = np.sort(np.asarray(values, dtype=np.float64))
    if scores.ndim != 1 or len(scores) < 2:
        raise ValueError("an interval over seeds needs at least two seeds")
    number = len(scores)
    half = stats.t.ppf((1 + level) / 2, number - 1) * scores.std(ddof=1)
    half *= np.sqrt(share + 1 / number)
    return float(scores.mean() - half), float(scores.mean() + half)


def interval_of_runs(values: ArrayLike, confusions: Sequence[ArrayLike], score: str) -> Interval:
    """Return the 95% interval of a score: over seeds, or over the test beats of a single run.

    Args:
        values: (seeds,) score of each run.
        confusions: test confusion matrix of each run.
        score: one of `ecg.metrics.SCORES`.

    Raises:
        ValueError: there is no run.
    """
    if len(confusions) == 1:
        return bootstrap_interval(confusions[0], score)
    return interval_of_mean(values)
