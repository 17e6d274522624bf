"""How far the probabilities of a network can be trusted: calibration, precision and recall."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 10  # of equal width, between confidence 0 and 1


@dataclass(frozen=True, eq=False)
class Reliability:
    """Beats by confidence, which is the probability of the class that a beat was given.

    Attributes:
        beats: (bins,) number of beats in each bin.
        right: (bins,) how many of them were classified correctly.
        confidence: (bins,) their mean confidence; NaN in an empty bin.
    """

    beats: NDArray[np.int64]
    right: NDArray[np.int64]
    confidence: NDArray[np.float64]

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """The share of beats classified correctly in each bin, (bins,); NaN in an empty bin."""
        return _ratio(self.right, self.beats)

    @property
    def error(self) -> float:
        """The expected calibration error: the mean over beats of |accuracy - confidence|.

        Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 3.
        """
        gaps = np.abs(self.accuracy - self.confidence)[self.beats > 0]
        weights = self.beats[self.beats > 0] / self.beats.sum()
        return float(np.sum(weights * gaps))


def reliability(
    labels: NDArray[np.integer], probabilities: NDArray[np.floating], bins: int = BINS
) -> Reliability:
    """Sort beats into bins of equal width by their confidence.

    Args:
        labels: (n,) true classes.
        probabilities: (n, classes) in [0, 1].
        bins: number of bins.

    Example:
        >>> import numpy as np
        >>> from ecg.calibration import reliability
        >>> found = reliability(np.array([0, 1]), np.array([[0.9, 0.1], [0.7, 0.3]]), bins=2)
        >>> found.beats.tolist(), found.right.tolist(), round(found.error, 3)
        ([0, 2], [0, 1], 0.3)
    """
    chosen = np.asarray(probabilities, dtype=np.float64)
    confidence = chosen.max(axis=1)
    right = chosen.argmax(axis=1) == labels
    # Bins are open on the left, as in the source: confidence 1 belongs to the last one.
    at = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    beats = np.bincount(at, minlength=bins)
    total = np.bincount(at, weights=confidence, minlength=bins)
    return Reliability(
        beats=beats,
        right=np.bincount(at[right], minlength=bins),
        confidence=_ratio(total, beats),
    )


def _ratio(total: NDArray[Any], beats: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean of each bin, NaN in an empty one."""
    mean = np.full(len(beats), np.nan)
    np.divide(total, beats, out=mean, where=beats > 0)
    return mean


def precision_recall(
    is_class: NDArray[np.bool_], scores: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return precision and recall of one class at every threshold, from the highest to the lowest.

    Args:
        is_class: (n,) whether a beat belongs to the class; at least one does.
        scores: (n,) probability of the class.

    Returns:
        Precision and recall, (thresholds,) each; recall never falls and ends at 1.
    """
    order = np.argsort(-np.asarray(scores, dtype=np.float64), kind="stable")
    ranked, hits = np.asarray(scores)[order], np.cumsum(np.asarray(is_class)[order])
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)  # of each run of equals
    return hits[last] / (last + 1), hits[last] / hits[-1]


def average_precision(precision: NDArray[np.float64], recall: NDArray[np.float64]) -> float:
    """Return the mean of precision over recall, by steps as in scikit-learn.

    Args:
        precision: precision as `precision_recall` returns it.
        recall: recall as `precision_recall` returns it.
    """
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))
