"""Audit of the data: the record of each beat, the true sampling rate, leaks and duplicates.

The CSV files contain neither record nor time. Both are looked up in the set rebuilt from the raw
records, and everything else follows from them: patients on both sides of the split, the true
sampling rate, and beats that occur in the set more than once.
"""

from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecg.errors import UsageError
from ecg.heartbeats import BEAT_LENGTH, CLASSES, RAW_SAMPLING_RATE, UNKNOWN, Heartbeats
from ecg.sources import load
from ecg.sources.windows import DECIMATION
from ecg.splits import Rows, Split, inter_patient, intra_patient

TOLERANCE = 1e-6  # between a value of a CSV file and the rebuilt one; both are float32
RATE_WINDOWS = 1000  # windows that the slope is computed from; it uses every pair of them
CHUNK = 4096  # rows looked up at a time


@dataclass(frozen=True, eq=False)
class Lookup:
    """Where the rows of the CSV files are in the rebuilt set.

    Attributes:
        beat: (n,) int64 row of the rebuilt set; -1 if no rebuilt beat has the same values.
        choices: (n,) int64 number of rebuilt beats with the same values.
    """

    beat: Rows
    choices: Rows


@dataclass(frozen=True)
class RateEvidence:
    """How many values per second the windows hold, measured by the times of the annotations.

    Attributes:
        windows: number of windows that are not cropped and whose next two beats are known.
        slope: Theil-Sen slope of window length against duration, in values per second.
        typical: median of length over duration; up to one value per window too high, because a
            partial interval counts as a whole one.
        heart_rate: median according to the annotations, in beats per minute.
    """

    windows: int
    slope: float
    typical: float
    heart_rate: float

    def heart_rate_at(self, rate: float) -> float:
        """Return the heart rate that follows from assuming the sampling rate `rate` (Hz)."""
        return self.heart_rate * rate / self.typical


@dataclass(frozen=True)
class Duplicates:
    """Duplicate rows and beats.

    Attributes:
        groups: number of groups of rows with identical values.
        rows: number of rows in these groups.
        beats: number of beats (record and sample) that occur in more than one row.
        across: for each pair of parts, such as ("train", "test"): the number of rows in the
            second with the values of a row in the first, and the number of rows in the second
            whose beat also occurs in the first.
    """

    groups: int
    rows: int
    beats: int
    across: dict[tuple[str, str], tuple[int, int]]


@dataclass(frozen=True, eq=False)
class Audit:
    """The result of an audit.

    Attributes:
        rebuilt: the set rebuilt from the records.
        beats: the audited beats: the CSV rows with record, sample and symbol looked up, or the
            rebuilt set.
        split: the split of `beats`: that of the CSV files, or the rebuilt intra-patient split.
        lookup: where the CSV rows were found; None without CSV files.
    """

    rebuilt: Heartbeats
    beats: Heartbeats
    split: Split
    lookup: Lookup | None

    @property
    def by_patient(self) -> Split:
        """The inter-patient split of the rebuilt set, for comparison."""
        return inter_patient(self.rebuilt)

    @property
    def rate(self) -> RateEvidence:
        """The sampling rate of the audited beats."""
        seconds = window_seconds(self.rebuilt)
        if self.lookup is not None:
            seconds = np.where(self.lookup.beat >= 0, seconds[self.lookup.beat], np.nan)
        return measure_rate(window_lengths(self.beats.signals), seconds)


def audit(records: str | Path, csv_folder: str | Path | None = None) -> Audit:
    """Audit the CSV files against the records; without them, the rebuilt intra-patient split.

    Args:
        records: any location that `ecg.sources.load` reads and that has the record of each beat.
        csv_folder: folder with `mitbih_train.csv` and `mitbih_test.csv`.

    Raises:
        UsageError: A path holds no data, or data of the wrong kind.
        DataError: A file is missing or damaged.
    """
    rebuilt = load(records)
    if (rebuilt.record == UNKNOWN).any():
        raise UsageError(
            f"{records}: these heartbeats do not include record numbers, so the CSV rows cannot "
            "be looked up. Pass the MIT-BIH records as `records` and the CSV files as `data`."
        )
    if csv_folder is None:
        return Audit(rebuilt, rebuilt, intra_patient(rebuilt), lookup=None)
    rows = load(csv_folder)
    if rows.in_test is None:
        raise UsageError(
            f"{csv_folder}: not Kaggle's CSV files. Pass the folder with mitbih_train.csv and "
            "mitbih_test.csv as `data`, and the folder with the MIT-BIH records as `records`."
        )
    lookup = look_up(rows, rebuilt)
    beats = with_origin(rows, rebuilt, lookup)
    return Audit(rebuilt, beats, intra_patient(beats), lookup)


def look_up(rows: Heartbeats, rebuilt: Heartbeats) -> Lookup:
    """Find the rebuilt beat of every row by its values alone.

    All values must agree within `TOLERANCE`. Among identical beats, a row gets the first one
    that no earlier row took, preferably one with the same label. If there are more identical
    rows than beats, the extra rows share a beat.
    """
    # Rows that agree are close together in any projection. A fixed random projection separates
    # most others, which leaves few candidates to compare value by value.
    direction = np.random.default_rng(0).uniform(-1, 1, BEAT_LENGTH)
    slack = TOLERANCE * np.abs(direction).sum() + 1e-9
    place = rebuilt.signals @ direction
    order = np.argsort(place, kind="stable")
    wanted = rows.signals @ direction
    first = np.searchsorted(place[order], wanted - slack, side="left")
    last = np.searchsorted(place[order], wanted + slack, side="right")

    beat = np.full(len(rows), -1, dtype=np.int64)
    choices = np.zeros(len(rows), dtype=np.int64)
    several: dict[int, Rows] = {}
    for begin in range(0, len(rows), CHUNK):
        chunk = np.arange(begin, min(begin + CHUNK, len(rows)))
        candidates = (last - first)[chunk]
        row = np.repeat(chunk, candidates)
        nth = np.arange(len(row)) - np.repeat(np.cumsum(candidates) - candidates, candidates)
        found = order[first[row] + nth]
        differences = np.abs(rows.signals[row] - rebuilt.signals[found])
        same = (differences <= TOLERANCE).all(axis=1)
        row, found = row[same], found[same]
        np.add.at(choices, row, 1)
        beat[row] = found
        for ambiguous in chunk[choices[chunk] > 1]:
            several[int(ambiguous)] = np.sort(found[row == ambiguous])

    taken = np.zeros(len(rebuilt), dtype=np.bool_)
    for one, options in several.items():
        other_label = rebuilt.labels[options] != rows.labels[one]
        beat[one] = options[np.lexsort((options, other_label, taken[options]))[0]]
        taken[beat[one]] = True
    return Lookup(beat, choices)


def with_origin(rows: Heartbeats, rebuilt: Heartbeats, lookup: Lookup) -> Heartbeats:
    """Return the rows with the record, sample and symbol of their rebuilt beats."""
    found = lookup.beat >= 0
    return replace(
        rows,
        record=np.where(found, rebuilt.record[lookup.beat], np.int32(UNKNOWN)),
        sample=np.where(found, rebuilt.sample[lookup.beat], np.int32(UNKNOWN)),
        symbol=np.where(found, rebuilt.symbol[lookup.beat], ""),
    )


def window_lengths(signals: NDArray[np.float32]) -> Rows:
    """Return the number of values before the zero padding of each row, (n,)."""
    beyond = (signals[:, ::-1] != 0).argmax(axis=1)
    return np.where(signals.any(axis=1), BEAT_LENGTH - beyond, 0)


def window_seconds(rebuilt: Heartbeats) -> NDArray[np.float64]:
    """Return the duration of each window in seconds, (n,); NaN at the end of a record.

    It is one RR interval and a fifth of the next. A window is shorter than that if there is a
    non-beat annotation in between.
    """
    seconds = np.full(len(rebuilt), np.nan)
    intervals = np.diff(rebuilt.times())
    same = rebuilt.record[2:] == rebuilt.record[:-2]
    seconds[:-2][same] = (intervals[:-1] + 0.2 * intervals[1:])[same]
    return seconds


def measure_rate(lengths: Rows, seconds: NDArray[np.float64]) -> RateEvidence:
    """Measure the sampling rate of the rows.

    The slope and the medians are robust, because non-beat annotations cut some windows short.

    Args:
        lengths: (n,) from `window_lengths`; cropped windows are left out.
        seconds: (n,) from `window_seconds`, NaN if unknown.
    """
    usable = np.flatnonzero((lengths > 0) & (lengths < BEAT_LENGTH) & (seconds > 0))
    if len(usable) == 0:
        return RateEvidence(0, np.nan, np.nan, np.nan)
    chosen = usable[np.linspace(0, len(usable) - 1, min(len(usable), RATE_WINDOWS)).astype(int)]
    typical = float(np.median(lengths[usable] / seconds[usable]))
    i, j = np.triu_indices(len(chosen), 1)
    run = seconds[chosen[j]] - seconds[chosen[i]]
    rise = (lengths[chosen[j]] - lengths[chosen[i]])[run != 0]
    slope = float(np.median(rise / run[run != 0])) if len(rise) else typical
    heart_rate = float(60 * 1.2 / np.median(seconds[usable]))
    return RateEvidence(len(usable), slope, typical, heart_rate)


def of_trained_records(beats: Heartbeats, split: Split) -> NDArray[np.bool_]:
    """Return whether each test beat comes from a record in the training part, (test beats,)."""
    records = beats.record[split.test]
    shared: NDArray[np.bool_] = np.isin(records, beats.record[split.train]) & (records != UNKNOWN)
    return shared


def overlapping_trained_beats(beats: Heartbeats, split: Split) -> NDArray[np.bool_]:
    """Return whether each test window overlaps a training window in time, (test beats,).

    A window extends into the next beat, so neighbours on both sides of the split share signal.
    """
    order = np.lexsort((beats.sample, beats.record))
    # In samples at 360 Hz, the rate at which windows are cut. A beat of unknown time touches none.
    start = np.round(np.nan_to_num(beats.times()[order], nan=-1.0) * RAW_SAMPLING_RATE)
    end = start + DECIMATION * window_lengths(beats.signals)[order]
    same = (beats.record[order][1:] == beats.record[order][:-1]) & (beats.record[order][1:] >= 0)
    touches = same & (end[:-1] > start[1:])  # each beat and the next one of its record
    trained = np.zeros(len(beats), dtype=np.bool_)
    trained[split.train] = True
    overlapping = np.zeros(len(beats), dtype=np.bool_)
    overlapping[order[1:]] |= touches & trained[order[:-1]]
    overlapping[order[:-1]] |= touches & trained[order[1:]]
    of_test: NDArray[np.bool_] = overlapping[split.test]
    return of_test


def find_duplicates(beats: Heartbeats, split: Split) -> Duplicates:
    """Count rows with identical values and beats that occur in several rows, also across parts."""
    numbers: dict[bytes, int] = {}
    values = np.array([numbers.setdefault(row.tobytes(), len(numbers)) for row in beats.signals])
    known = beats.record != UNKNOWN
    identity = beats.record.astype(np.int64) * 2**32 + beats.sample
    counts = np.bincount(values)
    across = {}
    for (name_a, a), (name_b, b) in combinations(split.parts(), 2):
        same_values = np.isin(values[b], values[a])
        same_beat = np.isin(identity[b], identity[a]) & known[b]
        across[name_a, name_b] = int(same_values.sum()), int(same_beat.sum())
    return Duplicates(
        groups=int((counts > 1).sum()),
        rows=int(counts[counts > 1].sum()),
        beats=int((np.unique(identity[known], return_counts=True)[1] > 1).sum()),
        across=across,
    )


def records_by_part(beats: Heartbeats, split: Split) -> dict[int, tuple[int, int, int]]:
    """Return the number of training, validation and test beats per record, ascending."""
    return {
        int(record): (
            int((beats.record[split.train] == record).sum()),
            int((beats.record[split.validation] == record).sum()),
            int((beats.record[split.test] == record).sum()),
        )
        for record in np.unique(beats.record[beats.record != UNKNOWN])
    }


def class_counts(labels: NDArray[np.int64]) -> list[int]:
    """Return the number of beats in each class, then the total."""
    return [*np.bincount(labels, minlength=len(CLASSES)).tolist(), len(labels)]
