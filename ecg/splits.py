"""Training, validation and test parts, checked for leaks before anyone sees them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ecg.errors import DataError, UsageError
from ecg.heartbeats import CLASSES, UNKNOWN, Heartbeats

Rows = NDArray[np.int64]

# Published class counts (N, S, V, F, Q) of the whole set and of its test part.
PUBLISHED_COUNTS = (90589, 2779, 7236, 803, 8039)
PUBLISHED_TEST_COUNTS = (18118, 556, 1448, 162, 1608)
HELD_OUT = 0.2  # share of validation in train, and of test where no count is published
SPLIT_SEED = 20190704  # fixed: a split is a fact of the project, not of a study
REDRAWN = "intra-patient-resplit"  # what the intra-patient split is called where runs draw it anew

# de Chazal, O'Dwyer & Reilly 2004, IEEE Trans Biomed Eng 51(7), table II. The paced records
# 102, 104, 107 and 217 are left out, as AAMI EC57 asks.
# fmt: off
DS1 = (101, 106, 108, 109, 112, 114, 115, 116, 118, 119, 122,
       124, 201, 203, 205, 207, 208, 209, 215, 220, 223, 230)
DS2 = (100, 103, 105, 111, 113, 117, 121, 123, 200, 202, 210,
       212, 213, 214, 219, 221, 222, 228, 231, 232, 233, 234)
# fmt: on
# 201 (DS1) and 202 (DS2) are one person. As a validation record, 201 is never trained on, so
# that no person of the test part is seen in training. 208 stays in training: it holds most F.
DS1_VALIDATION = (118, 201, 207, 223)
SAME_PERSON = {202: 201}


class LeakError(DataError):
    """A beat, a record or a person stands in two parts of a split."""


@dataclass(frozen=True, eq=False)
class Split:
    """Row numbers of the three parts, each ascending.

    Attributes:
        name: "intra-patient" or "inter-patient".
        train: (n,) int64.
        validation: (n,) int64.
        test: (n,) int64.
        by_patient: whether the parts claim to share no record and train no person of the test.
    """

    name: str
    train: Rows
    validation: Rows
    test: Rows
    by_patient: bool

    def parts(self) -> Iterator[tuple[str, Rows]]:
        """Yield name and rows of each part."""
        yield "train", self.train
        yield "validation", self.validation
        yield "test", self.test


def intra_patient(beats: Heartbeats, draw: int | None = None) -> Split:
    """Split beat by beat, as the published tables did: one patient is in all parts.

    Test is the source's own part where it has one; else it is drawn per class with exactly
    the published counts, or with 20% of a set of another size. Validation is int(0.2 * n) of
    the rest, per class.

    Args:
        beats: all of them.
        draw: number of another draw, of test and validation; None for the project's own.

    Raises:
        UsageError: another draw is asked for, but the source has a test part of its own.
    """
    rng = np.random.default_rng(SPLIT_SEED if draw is None else (draw, SPLIT_SEED))
    if draw is not None and beats.in_test is not None:
        raise UsageError(
            f"the source '{beats.source}' has a test part of its own, so its split cannot be drawn "
            "anew. Use the MIT-BIH records"
        )
    if beats.in_test is not None:
        test = np.flatnonzero(beats.in_test)
        rest = np.flatnonzero(~beats.in_test)
    else:
        counts = beats.class_counts()
        published = tuple(counts) == PUBLISHED_COUNTS
        wanted = np.array(PUBLISHED_TEST_COUNTS) if published else (HELD_OUT * counts).astype(int)
        rest, test = _draw(rng, np.arange(len(beats)), beats.labels, wanted)
    rest_counts = np.bincount(beats.labels[rest], minlength=len(CLASSES))
    train, validation = _draw(rng, rest, beats.labels, (HELD_OUT * rest_counts).astype(int))
    name = "intra-patient" if draw is None else REDRAWN
    return Split(name, train, validation, test, by_patient=False)


def inter_patient(beats: Heartbeats) -> Split:
    """Split by record: DS1 for training and validation, DS2 for test (de Chazal 2004).

    Raises:
        UsageError: the source does not tell the record of a beat.
    """
    if (beats.record == UNKNOWN).any():
        raise UsageError(
            f"the split 'inter-patient' needs the record of every beat, which the source "
            f"'{beats.source}' does not tell. Use the MIT-BIH records, or `split` intra-patient"
        )
    train = np.isin(beats.record, DS1) & ~np.isin(beats.record, DS1_VALIDATION)
    validation = np.isin(beats.record, DS1_VALIDATION)
    test = np.isin(beats.record, DS2)
    train_rows, validation_rows, test_rows = map(np.flatnonzero, (train, validation, test))
    return Split("inter-patient", train_rows, validation_rows, test_rows, by_patient=True)


SPLITS: dict[str, Callable[[Heartbeats], Split]] = {
    "intra-patient": intra_patient,
    "inter-patient": inter_patient,
}


def make_split(name: str, beats: Heartbeats, *, draw: int = 0) -> Split:
    """Return the named split, checked for leaks and empty parts.

    Args:
        name: of `SPLITS`, or `REDRAWN`.
        beats: all of them.
        draw: which one of the split `REDRAWN`, the repeat of a run; others are drawn once.

    Raises:
        UsageError: no split has this name, or the source cannot be split so.
        LeakError: see `check_leaks`.
        DataError: a part is empty.

    Example:
        >>> from ecg import load, make_split
        >>> split = make_split("inter-patient", load("synthetic"))
        >>> {part: len(rows) for part, rows in split.parts()}
        {'train': 8100, 'validation': 1800, 'test': 9900}
    """
    if name not in (*SPLITS, REDRAWN):
        raise UsageError(f"unknown split '{name}'; known splits: {', '.join(SPLITS)}")
    split = intra_patient(beats, draw) if name == REDRAWN else SPLITS[name](beats)
    for part, rows in split.parts():
        if len(rows) == 0:
            raise DataError(f"the {part} part of the split '{name}' has no beats; use more data")
    check_leaks(split, beats)
    return split


def check_leaks(split: Split, beats: Heartbeats) -> None:
    """Refuse a split in which something to be told apart stands on both sides.

    No row, and no beat (record and sample, where known), may be in two parts. In a split by
    patient no record may be in two parts, and no person of the test part in training.

    Raises:
        LeakError: names the parts and the first thing they share.
    """
    identity = beats.record.astype(np.int64) * 2**32 + beats.sample
    known = (beats.record != UNKNOWN) & (beats.sample != UNKNOWN)
    for (name_a, a), (name_b, b) in combinations(split.parts(), 2):
        where = f"the {name_a} and {name_b} parts of the split '{split.name}'"
        if len(shared := np.intersect1d(a, b)):
            raise LeakError(f"row {shared[0]} is in {where}")
        if len(shared := np.intersect1d(identity[a[known[a]]], identity[b[known[b]]])):
            record, sample = divmod(int(shared[0]), 2**32)
            raise LeakError(f"the beat at sample {sample} of record {record} is in {where}")
        if not split.by_patient:
            continue
        if len(shared := np.intersect1d(beats.record[a], beats.record[b])):
            raise LeakError(f"record {shared[0]} is in {where}")
    if split.by_patient:
        people = [_people(beats.record[rows]) for rows in (split.train, split.test)]
        if shared_people := people[0] & people[1]:
            raise LeakError(
                f"the person of record {min(shared_people)} is in the train and test parts of "
                f"the split '{split.name}'"
            )


def subsample(rows: Rows, labels: NDArray[np.int64], size: int | None) -> Rows:
    """Reduce a part to a fixed stratified subset, the same for everyone.

    Every class keeps its share, and at least one beat where it has any.

    Args:
        rows: (n,) row numbers of the part.
        labels: labels of the whole set, indexed by `rows`.
        size: beats to keep; None, or more than there are, keeps all.

    Returns:
        Ascending row numbers, `size` of them up to rounding.
    """
    if size is None or size >= len(rows):
        return rows
    counts = np.bincount(labels[rows], minlength=len(CLASSES))
    wanted = np.where(counts > 0, np.maximum(1, np.round(size * counts / len(rows))), 0)
    rng = np.random.default_rng(SPLIT_SEED)
    return _draw(rng, rows, labels, wanted.astype(int))[1]


def _draw(
    rng: np.random.Generator, rows: Rows, labels: NDArray[np.int64], wanted: NDArray[np.int64]
) -> tuple[Rows, Rows]:
    """Draw `wanted[c]` rows of each class c; return the rows left and the rows drawn."""
    drawn = np.concatenate(
        [
            rng.permutation(rows[labels[rows] == label])[: wanted[label]]
            for label in range(len(CLASSES))
        ]
    )
    return np.setdiff1d(rows, drawn), np.sort(drawn)


def _people(records: NDArray[np.int32]) -> set[int]:
    return {SAME_PERSON.get(int(record), int(record)) for record in np.unique(records)}
