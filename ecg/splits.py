"""Training, validation and test parts, checked for leaks before use."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ecg.errors import DataError, UsageError, use_one_of
from ecg.folds import FOLDED, SPLIT_SEED, deal_parts, deal_patients, folds_of, unfolded
from ecg.heartbeats import (
    CLASSES,
    PUBLISHED_COUNTS,
    PUBLISHED_TEST_COUNTS,
    UNKNOWN,
    Heartbeats,
)
from ecg.record_lists import LISTED, PARTS, RecordLists
from ecg.training.config import PROTOCOL

BY_PATIENT = 3  # protocol of trainings on splits by patient, which leave out class Q

Rows = NDArray[np.int64]

HELD_OUT = 0.2  # share of test, if no counts are published, and of validation in the rest
REDRAWN = "intra-patient-resplit"  # name of the intra-patient split if each run draws it again

# de Chazal, O'Dwyer & Reilly 2004, IEEE Trans Biomed Eng 51(7), table II. The paced records
# 102, 104, 107 and 217 are left out, as AAMI EC57 requires.
# fmt: off
DS1 = (101, 106, 108, 109, 112, 114, 115, 116, 118, 119, 122,
       124, 201, 203, 205, 207, 208, 209, 215, 220, 223, 230)
DS2 = (100, 103, 105, 111, 113, 117, 121, 123, 200, 202, 210,
       212, 213, 214, 219, 221, 222, 228, 231, 232, 233, 234)
# fmt: on
# 201 (DS1) and 202 (DS2) are one person. As a validation record, 201 is never trained on, so
# no person in the test part is seen in training. 208 stays in training, because it has most F.
DS1_VALIDATION = (118, 201, 207, 223)
SAME_PERSON = {202: 201}
SHOWN = 8  # at most this many records are named


class LeakError(DataError):
    """A beat, a record or a person is in two parts of a split."""


@dataclass(frozen=True, eq=False)
class Split:
    """Row numbers of the three parts, each ascending.

    Attributes:
        name: "intra-patient", "inter-patient", or the name given by a file of records.
        train: (n,) int64.
        validation: (n,) int64.
        test: (n,) int64.
        by_patient: whether no two parts share a record, and training shares no person with
            another part.
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
    """Split beat by beat, as the published tables did: a patient is in all parts.

    If the source comes with a test part, that part is used. Otherwise the test part is drawn per
    class, with exactly the published counts, or with 20% of a set of another size. Validation is
    int(0.2 * n) of the rest, per class.

    Args:
        beats: the whole set.
        draw: number of another random draw of test and validation; None for the default draw.

    Raises:
        UsageError: another draw is requested, but the source comes with a test part.
    """
    rng = np.random.default_rng(SPLIT_SEED if draw is None else (draw, SPLIT_SEED))
    if draw is not None and beats.in_test is not None:
        raise UsageError(
            f"the source '{beats.source}' comes with a test part, so its split cannot be drawn "
            "again. Use the MIT-BIH records."
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
    """Split by patient: MIT-BIH's records as in de Chazal 2004, other data by a fixed draw.

    DS1 is for training and validation, DS2 for testing. For other data, whole patients are drawn:
    a fifth of the beats for testing and a fifth of the rest for validation. Of 200 seeded
    draws, the one with the most even class shares is used.

    Raises:
        UsageError: the source does not have the record of each beat, or has too few patients.
    """
    _require_records(beats)
    if not has_mitdb_records(beats):
        return _draw_patients(beats)
    train = np.isin(beats.record, DS1) & ~np.isin(beats.record, DS1_VALIDATION)
    validation = np.isin(beats.record, DS1_VALIDATION)
    test = np.isin(beats.record, DS2)
    train_rows, validation_rows, test_rows = map(np.flatnonzero, (train, validation, test))
    return Split("inter-patient", train_rows, validation_rows, test_rows, by_patient=True)


def by_lists(beats: Heartbeats, lists: RecordLists) -> Split:
    """Split by record according to a file; records that it does not name are left out.

    Raises:
        UsageError: the source does not have the record of each beat, or lacks a named record.
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
                f"`records_file` lists the record {missing[0]} in {part}, but the data "
                f"'{beats.source}' does not have it. Its records are: {known}."
            )
        for name in names:
            person = _person(beats, numbers[name])
            other_part, other = people.setdefault(person, (part, name))
            if other_part != part:
                raise LeakError(
                    f"`records_file` puts one patient into two parts: record {other} into "
                    f"{other_part}, record {name} into {part}. Put all records of a patient into "
                    "one part."
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

    A split by patient has no beats of class Q, as in the literature since de Chazal 2004: without
    the paced records, MIT-BIH has only 15 of them, 8 for training and 7 for testing.

    Args:
        name: "intra-patient", "inter-patient", `REDRAWN`, the name given by `lists`, or a name from
            `ecg.folds.folded_name`.
        beats: the whole set.
        lists: records of each part of an inter-patient split; None for the default ones.
        draw: number of the draw for `REDRAWN`, which is the repeat of a run, or of the fold;
            others ignore it.

    Raises:
        UsageError: no split has this name, or the source does not allow this split.
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
                f"the {part} part of the split '{split.name}' has no beats. Use more data"
                f"{other if split.by_patient else ''}."
            )
    check_leaks(split, beats)
    return split


def is_by_patient(name: str) -> bool:
    """Return whether the split of this name keeps each patient in one part."""
    return name not in ("intra-patient", REDRAWN)


def protocol_of(split: str) -> int:
    """Return the protocol of trainings on a split; splits by patient leave out class Q."""
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
            f"`records_file` lists the records of a split by patient, but `split` is '{name}'. Use "
            "`split` inter-patient."
        )
    return True


def _named(name: str) -> Callable[[Heartbeats], Split]:
    if name in SPLITS:
        return SPLITS[name]
    if LISTED.fullmatch(name):
        raise UsageError(
            f"the split '{name}' was made from a file of records. Pass that file as `records_file`."
        )
    raise UsageError(f"unknown split '{name}'. {use_one_of(SPLITS)}")


def check_leaks(split: Split, beats: Heartbeats) -> None:
    """Refuse a split whose parts overlap.

    No row and no beat (record and sample, if known) may be in two parts. In a split by patient,
    no record may be in two parts, and no person of the training part in another part.

    Raises:
        LeakError: two parts overlap; the message names them and the first thing they share.
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
    """Reduce a part to a fixed stratified subset.

    Every class keeps its share, and at least one beat if it has any.

    Args:
        rows: (n,) row numbers of the part.
        labels: labels of the whole set, indexed by `rows`.
        size: number of beats to keep; None or a number above n keeps all.

    Returns:
        Row numbers, ascending; `size` of them up to rounding.
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
            f"'{beats.source}' does not have. Use the MIT-BIH records, or `split` intra-patient."
        )


def has_mitdb_records(beats: Heartbeats) -> bool:
    """Return whether the record numbers are those of MIT-BIH."""
    return beats.source.split("-")[0] in ("mitdb", "kaggle", "synthetic")


def _draw_patients(beats: Heartbeats) -> Split:
    """Assign whole patients to the three parts at random; see `inter_patient`."""
    index, counts = _count_patients(beats, np.arange(len(beats)))
    if len(counts) < len(PARTS):
        raise UsageError(
            f"the split 'inter-patient' needs three patients or more, but '{beats.source}' has "
            f"{len(counts)}. Use more records, or `split` intra-patient."
        )
    shares = np.array([(1 - HELD_OUT) ** 2, (1 - HELD_OUT) * HELD_OUT, HELD_OUT])  # of the beats
    part = deal_parts(counts, shares)
    train, validation, test = (np.flatnonzero(part[index] == one) for one in range(len(PARTS)))
    return Split("inter-patient", train, validation, test, by_patient=True)


def _people(beats: Heartbeats, rows: Rows) -> dict[str, str]:
    """Return the persons in some rows, each with the name of one of their records."""
    records = np.unique(beats.record[rows]).tolist()
    return {_person(beats, one): beats.record_name(one) for one in records}


def _person(beats: Heartbeats, record: int) -> str:
    known = beats.records.get(record)
    if known and known.patient:
        return known.patient
    if has_mitdb_records(beats):
        record = SAME_PERSON.get(record, record)
    return beats.record_name(record)
