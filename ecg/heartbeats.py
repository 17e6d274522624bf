"""The one form in which every source hands over its heartbeats."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

CLASSES = ("N", "S", "V", "F", "Q")
CLASS_NAMES = ("Normal", "Supraventricular", "Ventricular", "Fusion", "Unknown")
CLASS_TITLES = tuple(f"{one} {name}" for one, name in zip(CLASSES, CLASS_NAMES, strict=True))
BEAT_LENGTH = 187  # samples a beat, zero-padded at the end
SAMPLING_RATE = 120.0  # Hz: every third sample of 360 Hz (the published pages say 125)
UNKNOWN = -1  # `record` and `sample` where the source does not tell them


@dataclass(frozen=True, eq=False)
class Heartbeats:
    """Labelled heartbeats, one row a beat, in the order of their source.

    Attributes:
        signals: (n, 187) float32 in [0, 1], min-max scaled per beat, zero-padded at the end.
        labels: (n,) int64, index into `CLASSES` (N, S, V, F, Q = 0..4).
        record: (n,) int32, MIT-BIH record number; -1 where the source does not tell.
        sample: (n,) int32, position of the R peak in the raw record (360 Hz); -1 likewise.
        symbol: (n,) "U1", the annotation symbol; "" likewise.
        in_test: (n,) bool, the split that came with the source, or None where it has none.
        source: "mitdb", "kaggle" or "synthetic".
    """

    signals: NDArray[np.float32]
    labels: NDArray[np.int64]
    record: NDArray[np.int32]
    sample: NDArray[np.int32]
    symbol: NDArray[np.str_]
    in_test: NDArray[np.bool_] | None
    source: str

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of everything a model or a split can see of the data."""
        digest = hashlib.sha256(self.source.encode())
        for array in (self.signals, self.labels, self.record, self.sample, self.in_test):
            if array is not None:
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def class_counts(self) -> NDArray[np.int64]:
        """Return the number of beats of each class, (5,)."""
        return np.bincount(self.labels, minlength=len(CLASSES))
