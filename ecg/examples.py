"""A few validation beats that a trained model classified correctly or wrongly, as plain JSON."""

from typing import TYPE_CHECKING, TypedDict

import numpy as np

from ecg.heartbeats import CLASSES

if TYPE_CHECKING:
    from torch import Tensor

    from ecg.training import Part

EXAMPLES = 2  # per class, correct and wrong each
DIGITS = 3


class Example(TypedDict):
    """One heartbeat and its predicted class.

    Attributes:
        true: one of `CLASSES`.
        predicted: one of `CLASSES`.
        signal: 187 values, normalised as for the model.
    """

    true: str
    predicted: str
    signal: list[float]


def pick_examples(part: "Part", predicted: "Tensor") -> list[Example]:
    """Pick beats of every class: the first two correct ones, then the first two wrong ones.

    Args:
        part: the beats, on any device.
        predicted: (n,) predicted labels, on the CPU.

    Returns:
        At most 20 beats, ordered by class; fewer if a class has too few of a kind.
    """
    true, found = part.labels.cpu().numpy(), predicted.numpy()
    rows = [
        int(row)
        for label in range(len(CLASSES))
        for right in (True, False)
        for row in np.flatnonzero((true == label) & ((found == label) == right))[:EXAMPLES]
    ]
    signals = part.signals[rows, 0].double().cpu().numpy()  # (beats, 187)
    return [
        {
            "true": CLASSES[true[row]],
            "predicted": CLASSES[found[row]],
            "signal": np.round(signal, DIGITS).tolist(),
        }
        for row, signal in zip(rows, signals, strict=True)
    ]
