"""The common form of the heartbeats of every source."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

CLASSES = ("N", "S", "V", "F", "Q")
CLASS_NAMES = ("Normal", "Supraventricular", "Ventricular", "Fusion", "Unknown")
CLASS_TITLES = tuple(f"{one} {name}" for one, name in zip(CLASSES, CLASS_NAMES, strict=True))
# Published class counts (N, S, V, F, Q) of the whole set and of its test part.
PUBLISHED_COUNTS = (90589, 2779, 7236, 803, 8039)
PUBLISHED_TEST_COUNTS = (18118, 556, 1448, 162, 1608)
BEAT_LENGTH = 187  # samples per beat, zero-padded at the end
RAW_SAMPLING_RATE = 360  # Hz, of the MIT-BIH records
SAMPLING_RATE = 120.0  # Hz: every third sample of 360 Hz (the published pages say 125)
UNKNOWN = -1  # `record` and `sample` if the source does not have them


@dataclass(frozen=True)
class Record:
    """Where the beats of one record come from.

    Attributes:
        name: name of the record.
        rate: sampling rate in Hz.
        lead: name of the lead that the beats are cut from, as in the header.
        patient: name of the patient if one patient may have several records, else "".
        lost: number of beats left out because of gaps in the signal.
    """

    name: str
    rate: float
    lead: str
    patient: str = ""
    lost: int = 0


@dataclass(frozen=True, eq=False)
class Heartbeats:
    """Labelled heartbeats, one row per beat, in the order of their source.

    Attributes:
        signals: (n, 187) float32 in [0, 1], min-max scaled per beat, zero-padded at the end.
        labels: (n,) int64, index into `CLASSES` (N, S, V, F, Q = 0..4).
        record: (n,) int32, number of the record; -1 if unknown. MIT-BIH's own number, and that of
            any other record whose name is a number.
        sample: (n,) int32, position of the R peak in the raw record, at the record's own rate; -1
            if unknown.
        symbol: (n,) "U1", annotation symbol; "" if unknown.
        in_test: (n,) bool, the split that came with the source, or None if it came with none.
        source: "mitdb", "kaggle", "synthetic", or the name of other data.
        rr: (n, 2) float32, seconds since the previous beat and until the next, according to the
            annotations; NaN at the ends of a record. None if unknown.
        records: details of each record by number; empty if unknown.
    """

    signals: NDArray[np.float32]
    labels: NDArray[np.int64]
    record: NDArray[np.int32]
    sample: NDArray[np.int32]
    symbol: NDArray[np.str_]
    in_test: NDArray[np.bool_] | None
    source: str
    rr: NDArray[np.float32] | None = None
    records: Mapping[int, Record] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the beats and of the records and patients they come from.

        RR intervals are left out, because they follow from the samples of the annotations.
        """
        digest = hashlib.sha256(self.source.encode())
        for array in (self.signals, self.labels, self.record, self.sample, self.in_test):
            if array is not None:
                digest.update(np.ascontiguousarray(array).data)
        for number, one in sorted(self.records.items()):
            if one.name != str(number) or one.patient:  # else the number says it all
                digest.update(repr((number, one.name, one.patient)).encode())
        return digest.hexdigest()

    def class_counts(self) -> NDArray[np.int64]:
        """Return the number of beats of each class, (5,)."""
        return np.bincount(self.labels, minlength=len(CLASSES))

    def record_name(self, number: int) -> str:
        """Return the name of a record, or its number if it has no name."""
        known = self.records.get(int(number))
        return known.name if known else str(number)

    def rates(self) -> NDArray[np.float64]:
        """Return the sampling rate of each beat's record in Hz, (n,); 360 (MIT-BIH) if unknown."""
        found = np.full(len(self), float(RAW_SAMPLING_RATE))
        for number, one in self.records.items():
            found[self.record == number] = one.rate
        return found

    def times(self) -> NDArray[np.float64]:
        """Return the seconds from the start of the record to each R peak, (n,); NaN if unknown."""
        return np.where(self.sample == UNKNOWN, np.nan, self.sample / self.rates())
