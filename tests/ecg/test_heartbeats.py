import dataclasses

import numpy as np
import pytest

from ecg.heartbeats import BEAT_LENGTH, CLASS_NAMES, CLASSES, Record
from tests.support.toy import flat_heartbeats, toy_heartbeats


def test_class_counts_has_an_entry_for_absent_classes() -> None:
    # The counts are of N, S, V, F, Q in this order, whichever classes occur.
    beats = flat_heartbeats(np.array([2, 2, 0, 4]))
    assert beats.class_counts().tolist() == [1, 0, 2, 0, 1]
    assert flat_heartbeats(np.array([], dtype=int)).class_counts().tolist() == [0] * 5


def test_length_is_the_number_of_beats() -> None:
    assert len(toy_heartbeats(123)) == 123
    assert toy_heartbeats(123).signals.shape == (123, BEAT_LENGTH)


def test_every_class_has_a_name() -> None:
    # The symbol of a class is the first letter of its name, except Q, which means unknown.
    assert CLASSES == ("N", "S", "V", "F", "Q")
    assert [name[0] for name in CLASS_NAMES] == ["N", "S", "V", "F", "U"]


def test_fingerprint_is_the_same_for_the_same_data() -> None:
    # The fingerprint depends on the content, not on the object or its memory layout.
    beats = toy_heartbeats(50)
    strided = dataclasses.replace(beats, signals=np.asfortranarray(beats.signals))
    assert toy_heartbeats(50).fingerprint == beats.fingerprint == strided.fingerprint
    assert len(beats.fingerprint) == 64


@pytest.mark.parametrize("field", ["signals", "labels", "record", "sample"])
def test_fingerprint_changes_with_every_array(field: str) -> None:
    # A single changed value makes different data.
    beats = toy_heartbeats(50)
    array = getattr(beats, field).copy()
    array.flat[-1] += 1
    changed = dataclasses.replace(beats, **{field: array})
    assert changed.fingerprint != beats.fingerprint


def test_the_fingerprint_depends_on_the_test_part_and_the_source() -> None:
    # A split depends on whether the data came with a test part, and which.
    beats = toy_heartbeats(50)
    with_test = toy_heartbeats(50, in_test=True)
    other_test = dataclasses.replace(with_test, in_test=~with_test.in_test)
    kaggle = dataclasses.replace(beats, source="kaggle")
    prints = {each.fingerprint for each in (beats, with_test, other_test, kaggle)}
    assert len(prints) == 4


def test_fields_cannot_be_reassigned() -> None:
    # The fingerprint is computed once, so later changes would go unnoticed.
    with pytest.raises(dataclasses.FrozenInstanceError):
        toy_heartbeats(50).labels = np.zeros(50)  # type: ignore[misc]


def test_fingerprint_of_known_data_does_not_change() -> None:
    # It is part of every study's settings, so further details of the records must not change it.
    beats = flat_heartbeats(np.array([0, 1]), record=np.array([100, 101]))
    known = {100: Record("100", 360.0, "MLII"), 101: Record("101", 360.0, "V5", lost=2)}
    more = dataclasses.replace(beats, rr=np.ones((2, 2), np.float32), records=known)
    assert more.fingerprint == beats.fingerprint


def test_fingerprint_changes_with_names_and_patients_of_records() -> None:
    # A split by patient depends on them.
    beats = flat_heartbeats(np.array([0, 1]), record=np.array([1, 2]))
    prints = {
        dataclasses.replace(beats, records={1: one, 2: Record("2", 250.0, "II")}).fingerprint
        for one in (
            Record("1", 250.0, "II"),
            Record("a", 250.0, "II"),
            Record("1", 250.0, "II", "patient 7"),
        )
    }
    assert len(prints) == 3


def test_times_are_samples_over_the_rate_of_the_record() -> None:
    beats = flat_heartbeats(np.array([0, 1, 2]), record=np.array([1, 2, 100]))
    known = {1: Record("1", 250.0, "II"), 2: Record("b", 128.0, "II")}
    beats = dataclasses.replace(
        beats, sample=np.array([500, 64, 720], dtype=np.int32), records=known
    )
    assert beats.times().tolist() == [2.0, 0.5, 2.0]
    assert [beats.record_name(number) for number in (1, 2, 100)] == ["1", "b", "100"]
    assert np.isnan(flat_heartbeats(np.zeros(2)).times()).all()
