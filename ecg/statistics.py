"""What may be said of a few runs: paired tests, their correction, intervals."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ecg.metrics import bootstrap_interval

# Five pairs that all point one way have p = 2 * 0.5**5 = 0.0625: no test of fewer than six
# pairs can find anything at 5%.
MIN_PAIRS = 6
SIGNIFICANCE = 0.05
MAX_EXACT_TIED = 13  # pairs; 2**13 sign patterns are counted in no time
MAX_EXACT = 50
BOOTSTRAP_DRAWS = 10_000
BOOTSTRAP_SEED = 20110801


def smallest_p_value(pairs: int) -> float:
    """Return the smallest two-sided p a signed-rank test of so many pairs can reach."""
    return min(1.0, 2.0 ** (1 - pairs))


def paired_p_value(first: ArrayLike, second: ArrayLike) -> float | None:
    """Two-sided Wilcoxon signed-rank test of paired runs (Wilcoxon 1945, Biometrics 1(6)).

    Pairs without a difference are left out, as Wilcoxon did; where no pair differs, p is 1.
    The p-value is exact up to 50 pairs, or up to 13 where differences are tied.

    Args:
        first: (pairs,) figures.
        second: (pairs,) figures of the same repeats.

    Returns:
        The p-value, or None for fewer than `MIN_PAIRS` pairs.

    Raises:
        ValueError: the two are not of one length.

    Example:
        >>> from ecg import paired_p_value
        >>> round(paired_p_value([91, 93, 92, 95, 94, 96], [90, 91, 89, 91, 89, 90]), 5)
        0.03125
    """
    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if one.shape != other.shape or one.ndim != 1:
        raise ValueError(f"pairs need two rows of one length, not {one.shape} and {other.shape}")
    if len(one) < MIN_PAIRS:
        return None
    # Subtraction leaves noise in the last digits, which would hide zeros and ties.
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
    """Correct p-values for being several (Holm 1979, Scand J Statist 6(2)).

    Args:
        p_values: of one family of tests.

    Returns:
        Corrected p-values in the same order; those under a level are significant at it, and
        the chance of any false one among them is below that level.

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


def interval_of_mean(
    values: ArrayLike,
    *,
    level: float = 0.95,
    draws: int = BOOTSTRAP_DRAWS,
    seed: int = BOOTSTRAP_SEED,
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean over seeds (Efron & Tibshirani 1993, ch. 13).

    Of few seeds it is rather too narrow; say their number beside it.

    Args:
        values: (seeds,) figures, in any order.
        level: of the interval.
        draws: number of resamples.
        seed: of the draws.

    Raises:
        ValueError: there are fewer than two values.

    Example:
        >>> from ecg import interval_of_mean
        >>> low, high = interval_of_mean([0.90, 0.92, 0.91, 0.95])
        >>> round(low, 4), round(high, 4)
        (0.905, 0.94)
    """
    # Sorted, so that the draws do not depend on the order of the seeds.
    figures: NDArray[np.float64] = np.sort(np.asarray(values, dtype=np.float64))
    if figures.ndim != 1 or len(figures) < 2:
        raise ValueError("the interval of a mean over seeds needs at least two of them")
    rng = np.random.default_rng(seed)
    means = figures[rng.integers(len(figures), size=(draws, len(figures)))].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def interval_of_runs(
    values: ArrayLike, confusions: Sequence[ArrayLike], score: str
) -> tuple[float, float]:
    """95% interval of a score: over seeds, or over the test beats where there is one seed.

    Args:
        values: (seeds,) the score of each run.
        confusions: test confusion matrix of each run.
        score: one of `ecg.metrics.SCORES`.

    Raises:
        ValueError: there is no run.
    """
    if len(confusions) == 1:
        return bootstrap_interval(confusions[0], score)
    return interval_of_mean(values)
