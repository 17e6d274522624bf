"""Rules of folds: whole patients, every training record once, nothing of the test part."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg.errors import DataError, UsageError
from ecg.folds import deal_patients, folded_name, folds_of, unfolded
from ecg.heartbeats import UNKNOWN, Heartbeats, Record
from ecg.record_lists import RecordLists
from ecg.sources import load
from ecg.splits import DS1, Split, is_by_patient, make_split, protocol_of
from tests.support.toy import flat_heartbeats, rule, toy_heartbeats


def folds(beats: Heartbeats, number: int, lists: RecordLists | None = None) -> list[Split]:
    """Return the split of each fold."""
    name = folded_name(lists.split if lists else "inter-patient", number)
    return [make_split(name, beats, lists, draw=fold) for fold in range(number)]


def check_folds(beats: Heartbeats, found: list[Split], whole: Split) -> None:
    """Check that the folds cover the training records of a split once, by whole patients."""
    people = np.array([beats.records[int(r)].patient for r in beats.record])
    trained = np.union1d(whole.train, whole.validation)
    assert np.array_equal(np.sort(np.concatenate([s.validation for s in found])), trained)
    for split in found:
        assert len(split.test) == 0
        assert np.array_equal(np.union1d(split.train, split.validation), trained)
        assert not set(people[split.train]) & set(people[split.validation])


@rule
@given(
    st.lists(st.lists(st.integers(0, 50), min_size=5, max_size=5), min_size=2, max_size=12),
    st.integers(2, 6),
)
def test_every_fold_has_a_patient(counts: list[list[int]], number: int) -> None:
    # Rule: each patient is dealt into one fold and no fold is empty; the draw is fixed.
    if len(counts) < number:
        with pytest.raises(UsageError, match=f"{number} folds need {number} patients"):
            deal_patients(counts, number)
        return
    dealt = deal_patients(counts, number)
    assert dealt.shape == (len(counts),)
    assert set(dealt.tolist()) == set(range(number))
    assert np.array_equal(dealt, deal_patients(counts, number))


@rule
@given(st.data())
def test_folds_of_any_data_keep_patients_whole(data: st.DataObject) -> None:
    # Rule: whatever the records, patients and classes, no patient is on both sides of a fold, and
    # every beat of the training records is validated on in exactly one fold.
    patients = data.draw(st.integers(6, 12), label="patients")
    of_record = [*range(patients), *data.draw(st.lists(st.integers(0, patients - 1), max_size=6))]
    size = data.draw(st.integers(40, 120), label="beats")
    rng = np.random.default_rng(data.draw(st.integers(0, 2**16), label="seed"))
    record = np.concatenate([np.arange(len(of_record)), rng.integers(len(of_record), size=size)])
    labels = rng.integers(0, 5, size=len(record))
    labels[: len(of_record)] = 0  # no record has only beats of class Q
    records = {r: Record(f"r{r}", 250.0, "II", f"p{p}") for r, p in enumerate(of_record)}
    beats = dataclasses.replace(
        flat_heartbeats(labels, record=record), source="lab", records=records
    )
    whole = make_split("inter-patient", beats)
    there = {of_record[r] for r in beats.record[np.union1d(whole.train, whole.validation)]}
    number = data.draw(st.integers(2, min(4, len(there))), label="folds")
    check_folds(beats, folds(beats, number), whole)


def test_folds_of_listed_records_are_of_their_lists() -> None:
    # Rule: the folds of a file's split have its training and validation records, no others.
    record = np.repeat(np.arange(1, 7), 4)
    records = {r: Record(f"r{r}", 250.0, "II", f"p{r // 2}") for r in range(1, 7)}
    beats = dataclasses.replace(
        flat_heartbeats(np.tile([0, 1, 2, 4], 6), record=record), source="lab", records=records
    )
    lists = RecordLists(("r1", "r2", "r3"), ("r4",), ("r6",))
    check_folds(beats, folds(beats, 2, lists), make_split(lists.split, beats, lists))


def test_every_record_of_ds1_is_validated_on_once(mitdb: Path) -> None:
    # Rule: 5 folds of MIT-BIH share out the 22 records of DS1. Each has beats of N, S and V, and
    # as even a share of them as records of these sizes allow; most of F is in record 208.
    beats = load(mitdb)
    found = folds(beats, 5)
    held = [set(np.unique(beats.record[split.validation]).tolist()) for split in found]
    assert sorted(record for fold in held for record in fold) == sorted(DS1)
    for split, fold in zip(found, held, strict=True):
        assert set(np.unique(beats.record[split.train]).tolist()) == set(DS1) - fold
        assert len(split.test) == 0
    counts = np.array([np.bincount(beats.labels[s.validation], minlength=5) for s in found])
    assert counts.sum(axis=0).tolist() == [45845, 943, 3788, 415, 0]
    assert (counts[:, 0] >= 8000).all()
    assert (counts[:, 1] >= 90).all()
    assert (counts[:, 2] >= 600).all()


def test_a_fold_beyond_the_last_is_the_first_again() -> None:
    # Rule: the repeats of planned runs go through the folds again and again, a seed each time.
    beats = toy_heartbeats(1500)
    first, again = (make_split("inter-patient-3-folds", beats, draw=draw) for draw in (1, 4))
    assert np.array_equal(first.validation, again.validation)


def test_the_name_of_folds_is_that_of_a_split_by_patient() -> None:
    for split in ("inter-patient", "inter-patient-0123abcd"):
        name = folded_name(split, 5)
        assert (folds_of(name), unfolded(name)) == (5, split)
        assert (folds_of(split), unfolded(split)) == (0, split)
        assert is_by_patient(name)
        assert protocol_of(name) == protocol_of(split)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("inter-patient-1-folds", "must be from 2 to 20, not 1"),
        ("inter-patient-21-folds", "must be from 2 to 20, not 21"),
        ("intra-patient-5-folds", "unknown split"),
        ("inter-patient-01234567-5-folds", "records_file"),
    ],
)
def test_folds_that_cannot_be_are_refused(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_split(name, toy_heartbeats(1500))


def test_folds_need_records_and_enough_patients() -> None:
    # Rule: the message says which of the two is missing.
    beats = toy_heartbeats(1500)
    unknown = dataclasses.replace(beats, record=np.full_like(beats.record, UNKNOWN))
    with pytest.raises(UsageError, match="record of every beat"):
        make_split("inter-patient-5-folds", unknown)
    few = dataclasses.replace(beats, source="lab", record=np.arange(1500) % 4)
    with pytest.raises((UsageError, DataError), match="5 folds need 5 patients"):
        make_split("inter-patient-5-folds", few)
