"""The file of a network's predictions on a part of the data, as it is stored with a trial."""

import io
import zlib
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from ecg.heartbeats import CLASSES


@dataclass(frozen=True, eq=False)
class Predictions:
    """The predictions of a trained network on a part of the data.

    Attributes:
        row: (n,) int32, row number of each beat in the heartbeats; -1 if unknown.
        label: (n,) int8, the true class.
        probability: (n, 5) float16.
    """

    row: NDArray[np.int32]
    label: NDArray[np.int8]
    probability: NDArray[np.float16]


def pack_predictions(found: Predictions) -> bytes:
    """Return predictions as a compressed .npz file, with an array for each attribute."""
    file = io.BytesIO()
    np.savez_compressed(file, row=found.row, label=found.label, probability=found.probability)
    return file.getvalue()


def load_predictions(path: Path) -> Predictions:
    """Load the predictions of a file, see `pack_predictions`.

    Args:
        path: path of an existing file.

    Raises:
        ValueError: the file is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = Predictions(arrays["row"], arrays["label"], arrays["probability"])
    except (OSError, ValueError, EOFError, KeyError, TypeError, BadZipFile, zlib.error) as error:
        raise ValueError(str(error) or type(error).__name__) from None
    n, label = len(found.label), found.label
    if (
        found.probability.shape != (n, len(CLASSES))
        or (found.row.shape, label.shape) != ((n,), (n,))
        or not all(array.dtype.kind == "i" for array in (found.row, label))
        or not np.isfinite(found.probability).all()
        or (n and (label.min() < 0 or label.max() >= len(CLASSES)))
    ):
        raise ValueError("the arrays do not match")
    return found
