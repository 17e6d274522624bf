"""A few validation beats of a trained model, rightly and wrongly predicted, as plain JSON."""

from typing import TYPE_CHECKING, TypedDict

import numpy as np

from ecg.heartbeats import CLASSES

if TYPE_CHECKING:
    from torch import Tensor

    from ecg.training import Part

EXAMPLES = 2  # of each class and kind
DIGITS = 3


class Example(TypedDict):
    """One heartbeat and what a model made of it.

    Attributes:
        true: one of `CLASSES`.
        predicted: one of `CLASSES`.
        signal: 187 values, normalised as the model saw them.
    """

    true: str
    predicted: str
    signal: list[float]


def pick_examples(part: "Part", predicted: "Tensor") -> list[Example]:
    """Pick beats of every class: the first two predicted rightly, then the first two wrongly.

    Args:
        part: on any device.
        predicted: (n,) labels of the part, on the CPU.

    Returns:
        At most 20 beats, by class; fewer where a class has no such beats.
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
