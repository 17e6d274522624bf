"""Two ways to handle class imbalance: class weights (alpha) and sampling weights (ratio)."""

import numpy as np
from numpy.typing import NDArray

from ecg.errors import UsageError

# For splits by patient: a few beats of a few patients say little about a class and must not
# outweigh all others. The caps are just above the largest weights of the published protocol, 27.3
# at alpha 1 and 113.01 at ratio 1.
FEWEST_BEATS = 20  # a class with fewer training beats keeps weight 1
LARGEST_BALANCE = 30.0  # n / (5 * n_c), the class weight at alpha 1
LARGEST_DRAW = 120.0  # how much more often than a beat of class N a beat may be drawn


def class_weights(
    counts: NDArray[np.int64], alpha: float, *, capped: bool = False
) -> NDArray[np.float64]:
    """Return the class weights of the cross-entropy.

    w_c = 1 + alpha * (n / (5 * n_c) - 1): alpha 0 leaves all classes at 1, alpha 1 weights them
    by the inverse of their frequency. A class without beats keeps weight 1, which is never used.

    Args:
        counts: (classes,) number of beats per class in the training part.
        alpha: strength of the weights, from 0 to 1.
        capped: for splits by patient: the quotient is at most `LARGEST_BALANCE`, and a class
            with fewer than `FEWEST_BEATS` beats keeps weight 1.

    Returns:
        (classes,) weights.

    Example:
        >>> import numpy as np
        >>> from ecg import class_weights
        >>> class_weights(np.array([80, 20]), alpha=0.5)
        array([0.8125, 1.75  ])
    """
    counts = np.asarray(counts, dtype=np.float64)
    balanced = np.ones(len(counts))
    fewest = FEWEST_BEATS if capped else 1
    np.divide(counts.sum(), len(counts) * counts, out=balanced, where=counts >= fewest)
    if capped:
        balanced = np.minimum(balanced, LARGEST_BALANCE)
    return np.asarray(1 + alpha * (balanced - 1))


def sampling_weights(
    counts: NDArray[np.int64], ratio: float, *, capped: bool = False
) -> NDArray[np.float64]:
    """Return the weight of one beat of each class in draws with replacement.

    It is 1 for a beat of class N and int(ratio * n_N) / n_c for a beat of any other class c, so
    every other class is drawn about `ratio` times as often as N.

    Args:
        counts: (classes,) number of beats per class in the training part; class N first.
        ratio: above 0, at most 1.
        capped: for splits by patient: the weight is at most `LARGEST_DRAW`, and 1 for a class
            with fewer than `FEWEST_BEATS` beats.

    Returns:
        (classes,) weights; 0 for a class without beats.

    Raises:
        UsageError: there are no beats of class N.

    Example:
        >>> import numpy as np
        >>> from ecg import sampling_weights
        >>> sampling_weights(np.array([80, 20]), ratio=0.5)
        array([1., 2.])
    """
    if counts[0] == 0:
        raise UsageError(
            "the sampler's ratio is relative to class N, but the training part has no beats of "
            "class N. Leave `ratio` out."
        )
    counts = np.asarray(counts, dtype=np.float64)
    target = float(int(ratio * counts[0]))
    weights = np.where(counts > 0, 1.0, 0.0)
    np.divide(target, counts, out=weights, where=counts >= (FEWEST_BEATS if capped else 1))
    if capped:
        weights = np.minimum(weights, LARGEST_DRAW)
    weights[0] = 1.0
    return weights
