"""Training, validation and test parts, checked for leaks before anyone sees them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ecg.errors import DataError, UsageError
from ecg.folds import FOLDED, deal_patients, folds_of, unfolded
from ecg.heartbeats import (
    CLASSES,
    PUBLISHED_COUNTS,
    PUBLISHED_TEST_COUNTS,
    UNKNOWN,
    Heartbeats,
)
from ecg.record_lists import LISTED, PARTS, RecordLists
from ecg.training.config import PROTOCOL

BY_PATIENT = 3  # protocol of trainings on splits by patient, from which class Q is left out

Rows = NDArray[np.int64]

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
DRAWS = 200  # of patients into parts, where no list is published
SHOWN = 8  # records named where many could be


class LeakError(DataError):
    """A beat, a record or a person stands in two parts of a split."""


@dataclass(frozen=True, eq=False)
class Split:
    """Row numbers of the three parts, each ascending.

    Attributes:
        name: "intra-patient", "inter-patient", or the name that a file of records gives it.
        train: (n,) int64.
        validation: (n,) int64.
        test: (n,) int64.
        by_patient: whether the parts claim to share no record, and training and another part
            no person.
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
    """Split by patient: MIT-BIH's records as de Chazal 2004 did, other data by a fixed draw.

    DS1 trains and validates, DS2 tests. Of other data a fifth of the beats tests and a fifth of
    the rest validates, by whole patients: of `DRAWS` seeded draws the one that shares out the
    classes most evenly.

    Raises:
        UsageError: the source does not tell the record of a beat, or there are too few patients.
    """
    _require_records(beats)
    if not is_mitdb(beats):
        return _draw_patients(beats)
    train = np.isin(beats.record, DS1) & ~np.isin(beats.record, DS1_VALIDATION)
    validation = np.isin(beats.record, DS1_VALIDATION)
    test = np.isin(beats.record, DS2)
    train_rows, validation_rows, test_rows = map(np.flatnonzero, (train, validation, test))
    return Split("inter-patient", train_rows, validation_rows, test_rows, by_patient=True)


def by_lists(beats: Heartbeats, lists: RecordLists) -> Split:
    """Split by record as a file says; records that it does not name are left out.

    Raises:
        UsageError: the source does not tell records, or has not all that are named.
        LeakError: the lists put records of one patient into two parts.
    """
    _require_records(beats)
    numbers = {beats.record_name(int(one)): int(one) for one in np.unique(beats.record)}
    people: dict[str, tuple[str, str]] = {}
    rows: dict[str, Rows] = {}
    for part in PARTS:
        names = getattr(lists, part)
        if missing := [name for name in names if name not in numbers]:
            known = ", ".join([*list(numbers)[:SHOWN], *(["..."] if len(numbers) > SHOWN else [])])
            raise UsageError(
                f"`records_file` names the record {missing[0]} in {part}, which the data "
                f"'{beats.source}' does not have; its records are {known}"
            )
        for name in names:
            person = _person(beats, numbers[name])
            other_part, other = people.setdefault(person, (part, name))
            if other_part != part:
                raise LeakError(
                    f"`records_file` puts one patient into two parts: record {other} into "
                    f"{other_part}, record {name} into {part}; put all records of a patient into "
                    "one part"
                )
        rows[part] = np.flatnonzero(np.isin(beats.record, [numbers[name] for name in names]))
    return Split(lists.split, rows["train"], rows["validation"], rows["test"], by_patient=True)


SPLITS: dict[str, Callable[[Heartbeats], Split]] = {
    "intra-patient": intra_patient,
    "inter-patient": inter_patient,
}


def make_split(
    name: str, beats: Heartbeats, lists: RecordLists | None = None, *, draw: int = 0
) -> Split:
    """Return the named split, checked for leaks and empty parts.

    A split by patient has no beat of class Q, as in the literature since de Chazal 2004: without
    the paced records MIT-BIH has 15 of them, 8 to train, 7 to test.

    Args:
        name: "intra-patient", "inter-patient", `REDRAWN`, or with `lists` also the name they give
            it; for a fold of a split by patient its `ecg.folds.folded_name`.
        beats: all of them.
        lists: the records of each part of an inter-patient split; None for the usual ones.
        draw: which one of the split `REDRAWN`, the repeat of a run, or which fold; others are
            drawn once.

    Raises:
        UsageError: no split has this name, or the source cannot be split so.
        LeakError: see `check_leaks`.
        DataError: a part is empty.

    Example:
        >>> from ecg import load, make_split
        >>> split = make_split("inter-patient", load("synthetic"))
        >>> {part: len(rows) for part, rows in split.parts()}
        {'train': 8088, 'validation': 1788, 'test': 9880}
    """
    if folds_of(name):
        split = _make_fold(name, make_split(unfolded(name), beats, lists), beats, draw)
    elif lists and _fits(name, lists):
        split = by_lists(beats, lists)
    else:
        split = intra_patient(beats, draw) if name == REDRAWN else _named(name)(beats)
    if split.by_patient:
        split = _without_q(split, beats)
    for part, rows in split.parts():
        if len(rows) == 0 and not (part == "test" and folds_of(name)):
            other = ", or list the records of each part in `records_file`"
            raise DataError(
                f"the {part} part of the split '{split.name}' has no beats; use more data"
                f"{other if split.by_patient else ''}"
            )
    check_leaks(split, beats)
    return split


def is_by_patient(name: str) -> bool:
    """Return whether the split of this name has each patient in one part."""
    return name not in ("intra-patient", REDRAWN)


def protocol_of(split: str) -> int:
    """Return the protocol of trainings on a split: by patient they differ, without class Q."""
    return BY_PATIENT if is_by_patient(split) else PROTOCOL


def is_redrawn(name: str) -> bool:
    """Return whether each repeat of a run has its own draw of the split of this name."""
    return name == REDRAWN or FOLDED.fullmatch(name) is not None


def _make_fold(name: str, whole: Split, beats: Heartbeats, draw: int) -> Split:
    """Validate on one fold of the training records of a split, train on the others, test nothing.

    Args:
        name: name of the folded split.
        whole: the split by patient whose training and validation parts are dealt into folds.
        beats: the whole set.
        draw: number of the fold; numbers beyond the last fold start again at the first.
    """
    rows = np.union1d(whole.train, whole.validation)
    index, counts = _count_patients(beats, rows)
    dealt = deal_patients(counts, folds_of(name))
    is_held_out = dealt[index] == draw % folds_of(name)
    return Split(name, rows[~is_held_out], rows[is_held_out], rows[:0], by_patient=True)


def _count_patients(beats: Heartbeats, rows: Rows) -> tuple[Rows, NDArray[np.float64]]:
    """Return the patient of each row, from 0, and the (patients, classes) number of beats."""
    records, record_at = np.unique(beats.record[rows], return_inverse=True)
    people = [_person(beats, int(record)) for record in records]
    patients, patient_at = np.unique(people, return_inverse=True)
    index = patient_at[record_at]
    counts = np.zeros((len(patients), len(CLASSES)))
    np.add.at(counts, (index, beats.labels[rows]), 1)
    return index, counts


def _without_q(split: Split, beats: Heartbeats) -> Split:
    q = CLASSES.index("Q")
    parts = {part: rows[beats.labels[rows] != q] for part, rows in split.parts()}
    return replace(split, **parts)


def _fits(name: str, lists: RecordLists) -> bool:
    if name not in ("inter-patient", lists.split):
        raise UsageError(
            f"`records_file` lists the records of a split by patient, not of '{name}'; use `split` "
            "inter-patient with it"
        )
    return True


def _named(name: str) -> Callable[[Heartbeats], Split]:
    if name in SPLITS:
        return SPLITS[name]
    if LISTED.fullmatch(name):
        raise UsageError(
            f"the split '{name}' is that of a file of records; name the file as `records_file`"
        )
    raise UsageError(f"unknown split '{name}'; known splits: {', '.join(SPLITS)}")


def check_leaks(split: Split, beats: Heartbeats) -> None:
    """Refuse a split in which something to be told apart stands on both sides.

    No row, and no beat (record and sample, where known), may be in two parts. In a split by
    patient no record may be in two parts, and no person of the training part in another.

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
            name = beats.record_name(record)
            raise LeakError(f"the beat at sample {sample} of record {name} is in {where}")
        if not split.by_patient:
            continue
        if len(shared := np.intersect1d(beats.record[a], beats.record[b])):
            raise LeakError(f"record {beats.record_name(shared[0])} is in {where}")
    if split.by_patient:
        trained = _people(beats, split.train)
        for name, rows in (("validation", split.validation), ("test", split.test)):
            if both := sorted(trained.keys() & _people(beats, rows).keys()):
                raise LeakError(
                    f"the person of record {trained[both[0]]} is in the train and {name} parts of "
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


def _require_records(beats: Heartbeats) -> None:
    if (beats.record == UNKNOWN).any():
        raise UsageError(
            f"the split 'inter-patient' needs the record of every beat, which the source "
            f"'{beats.source}' does not tell. Use the MIT-BIH records, or `split` intra-patient"
        )


def is_mitdb(beats: Heartbeats) -> bool:
    """Return whether the record numbers are those of MIT-BIH, and not somebody's own."""
    return beats.source.split("-")[0] in ("mitdb", "kaggle", "synthetic")


def _draw_patients(beats: Heartbeats) -> Split:
    """Draw whole patients into the three parts; see `inter_patient`."""
    index, counts = _count_patients(beats, np.arange(len(beats)))
    if len(counts) < len(PARTS):
        raise UsageError(
            f"the split 'inter-patient' needs three patients or more, and '{beats.source}' has "
            f"{len(counts)}. Use more records, or `split` intra-patient"
        )
    shares = np.array([(1 - HELD_OUT) ** 2, (1 - HELD_OUT) * HELD_OUT, HELD_OUT])  # of the beats
    wanted = shares[:, None] * counts.sum(axis=0)
    rng = np.random.default_rng(SPLIT_SEED)
    best, least = np.zeros(len(counts), dtype=np.int64), np.inf
    for _ in range(DRAWS):
        part = _deal(rng.permutation(len(counts)), counts.sum(axis=1), shares)
        there = np.array([counts[part == one].sum(axis=0) for one in range(len(PARTS))])
        # Squared over what is wanted, so that a beat of a rare class counts more.
        distance = float((np.square(there - wanted) / np.maximum(wanted, 1)).sum())
        if distance < least:
            best, least = part, distance
    train, validation, test = (np.flatnonzero(best[index] == one) for one in range(len(PARTS)))
    return Split("inter-patient", train, validation, test, by_patient=True)


def _deal(order: Rows, sizes: NDArray[np.float64], shares: NDArray[np.float64]) -> Rows:
    """Return the part (0 train, 1 validation, 2 test) of every patient, in the order drawn.

    Test gets patients until it has its share, then validation; each gets one at least, and the
    last patient trains.
    """
    part = np.zeros(len(order), dtype=np.int64)
    left = list(order)
    for one in (2, 1):
        held = 0.0
        while len(left) > one and (held == 0 or held < shares[one] * sizes.sum()):
            patient = left.pop()
            part[patient] = one
            held += max(sizes[patient], 1e-9)
    return part


def _people(beats: Heartbeats, rows: Rows) -> dict[str, str]:
    """Return the persons of some beats, each with the name of a record."""
    records = np.unique(beats.record[rows]).tolist()
    return {_person(beats, one): beats.record_name(one) for one in records}


def _person(beats: Heartbeats, record: int) -> str:
    known = beats.records.get(record)
    if known and known.patient:
        return known.patient
    if is_mitdb(beats):
        record = SAME_PERSON.get(record, record)
    return beats.record_name(record)
