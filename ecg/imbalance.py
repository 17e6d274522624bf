"""Two answers to class imbalance: class weights from alpha, sampling weights from ratio."""

import numpy as np
from numpy.typing import NDArray

from ecg.errors import UsageError


def class_weights(counts: NDArray[np.int64], alpha: float) -> NDArray[np.float64]:
    """Weights of the classes in the cross-entropy.

    w_c = 1 + alpha * (n / (5 * n_c) - 1): alpha 0 leaves all classes at 1, alpha 1 weighs them
    by the inverse of their frequency. A class without beats keeps weight 1; it never occurs.

    Args:
        counts: (classes,) beats of each class in the training part.
        alpha: from 0 to 1.

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
    np.divide(counts.sum(), len(counts) * counts, out=balanced, where=counts > 0)
    return np.asarray(1 + alpha * (balanced - 1))


def sampling_weights(counts: NDArray[np.int64], ratio: float) -> NDArray[np.float64]:
    """Weight with which one beat of each class is drawn (with replacement).

    1 for a beat of class N and int(ratio * n_N) / n_c for a beat of any other class c, so that
    every other class is drawn about `ratio` times as often as N.

    Args:
        counts: (classes,) beats of each class in the training part; class N first.
        ratio: above 0, at most 1.

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
        raise UsageError("the sampler's ratio is measured by class N, which has no beats here")
    counts = np.asarray(counts, dtype=np.float64)
    target = float(int(ratio * counts[0]))
    weights = np.zeros(len(counts))
    np.divide(target, counts, out=weights, where=counts > 0)
    weights[0] = float(counts[0] > 0)
    return weights
