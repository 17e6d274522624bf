import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg.errors import DataError, UsageError
from ecg.heartbeats import Heartbeats, Record
from ecg.imbalance import class_weights, sampling_weights
from ecg.metrics import ceiling
from ecg.record_lists import RecordLists
from ecg.sources import load
from ecg.splits import (
    DS1,
    DS1_VALIDATION,
    DS2,
    PUBLISHED_COUNTS,
    PUBLISHED_TEST_COUNTS,
    REDRAWN,
    SPLITS,
    LeakError,
    Split,
    check_leaks,
    inter_patient,
    make_split,
    subsample,
)
from tests.support.toy import flat_heartbeats, rule, toy_heartbeats

PACED = {102, 104, 107, 217}
RECORDS = sorted({*DS1, *DS2, *PACED})
label_vectors = st.lists(st.integers(0, 4), min_size=1, max_size=300).map(np.array)


def counts(beats: Heartbeats, rows: np.ndarray) -> list[int]:
    return np.bincount(beats.labels[rows], minlength=5).tolist()


def split_of(train: list[int], validation: list[int], test: list[int], **kwargs: bool) -> Split:
    rows = [np.array(part, dtype=np.int64) for part in (train, validation, test)]
    return Split("mine", *rows, **{"by_patient": False, **kwargs})


def beats_of(record: list[int], sample: list[int]) -> Heartbeats:
    beats = flat_heartbeats(np.zeros(len(record)), record=np.array(record))
    return dataclasses.replace(beats, sample=np.array(sample, dtype=np.int32))


@pytest.fixture(scope="module")
def published() -> Heartbeats:
    """As many silent beats of each class as were published, in a mixed order."""
    labels = np.repeat(np.arange(5), PUBLISHED_COUNTS)
    return flat_heartbeats(np.random.default_rng(0).permutation(labels))


def test_intra_patient_test_part_has_the_published_class_counts(published: Heartbeats) -> None:
    # Exactly, class by class; they add up to the published 21,892 of 109,446.
    split = make_split("intra-patient", published)
    assert counts(published, split.test) == [18118, 556, 1448, 162, 1608]
    assert tuple(counts(published, split.test)) == PUBLISHED_TEST_COUNTS
    assert (len(split.test), len(published)) == (21892, 109446)


def test_intra_patient_validation_is_a_fifth_of_train_in_every_class(published: Heartbeats) -> None:
    # int(0.2 n) of the published training counts.
    split = make_split("intra-patient", published)
    train = [72471, 2223, 5788, 641, 6431]
    assert counts(published, split.validation) == [int(0.2 * n) for n in train]
    assert counts(published, split.train) == [n - int(0.2 * n) for n in train]


def test_the_intra_patient_split_is_the_same_every_time(published: Heartbeats) -> None:
    # A split belongs to the project: no seed of a study changes it.
    np.random.seed(1)
    again = make_split("intra-patient", dataclasses.replace(published))
    split = make_split("intra-patient", published)
    for (_, a), (_, b) in zip(split.parts(), again.parts(), strict=True):
        assert np.array_equal(a, b)


def test_the_intra_patient_split_keeps_the_test_part_of_its_source() -> None:
    # If CSVs come with a test part, it is used, whatever its class counts.
    beats = toy_heartbeats(400, in_test=True)
    split = make_split("intra-patient", beats)
    assert np.array_equal(split.test, np.flatnonzero(beats.in_test))
    rest = counts(beats, np.flatnonzero(~beats.in_test))
    assert counts(beats, split.validation) == [int(0.2 * n) for n in rest]


def test_the_intra_patient_split_draws_a_fifth_of_a_set_of_another_size() -> None:
    beats = toy_heartbeats(400)
    split = make_split("intra-patient", beats)
    assert counts(beats, split.test) == [int(0.2 * n) for n in beats.class_counts()]


def test_another_draw_keeps_the_published_counts(published: Heartbeats) -> None:
    # The repeat is the seed of the split; the default split is none of these draws.
    splits = [make_split(REDRAWN, published, draw=draw) for draw in (0, 1, 1)]
    for split in splits:
        assert split.name == REDRAWN
        assert counts(published, split.test) == list(PUBLISHED_TEST_COUNTS)
        assert_parts_are_a_partition(split, len(published))
    own = make_split("intra-patient", published)
    assert np.array_equal(splits[1].test, splits[2].test)
    assert np.array_equal(splits[1].validation, splits[2].validation)
    for one, other in ((own, splits[0]), (splits[0], splits[1])):
        shared = len(np.intersect1d(one.test, other.test)) / len(one.test)
        assert shared == pytest.approx(0.2, abs=0.02)


def test_a_test_part_of_the_source_is_not_drawn_again() -> None:
    with pytest.raises(UsageError, match="comes with a test part"):
        make_split(REDRAWN, toy_heartbeats(400, in_test=True))


def assert_parts_are_a_partition(split: Split, n: int) -> None:
    rows = np.concatenate([rows for _, rows in split.parts()])
    assert np.array_equal(np.sort(rows), np.arange(n))
    for _, part in split.parts():
        assert (np.diff(part) > 0).all()


@rule
@given(label_vectors)
def test_intra_patient_parts_share_no_beat_and_lose_none(labels: np.ndarray) -> None:
    # For any labels, each beat is in exactly one part, and each part is ascending.
    assert_parts_are_a_partition(SPLITS["intra-patient"](flat_heartbeats(labels)), len(labels))


@rule
@given(label_vectors, st.data())
def test_intra_patient_parts_are_disjoint_with_a_given_test_part(
    labels: np.ndarray, data: st.DataObject
) -> None:
    flags = st.lists(st.booleans(), min_size=len(labels), max_size=len(labels))
    beats = flat_heartbeats(labels, in_test=np.array(data.draw(flags), dtype=bool))
    split = SPLITS["intra-patient"](beats)
    assert_parts_are_a_partition(split, len(labels))
    check_leaks(split, beats)


@rule
@given(st.lists(st.sampled_from(RECORDS), min_size=1, max_size=300))
def test_inter_patient_parts_share_no_record(record: list[int]) -> None:
    # For any records: no record is in two parts, and the paced ones are in none.
    beats = flat_heartbeats(np.zeros(len(record)), record=np.array(record))
    split = inter_patient(beats)
    check_leaks(split, beats)
    seen = [set(beats.record[rows].tolist()) for _, rows in split.parts()]
    assert sum(map(len, seen)) == len(set.union(*seen))
    assert set.union(*seen) == set(record) - PACED


def test_inter_patient_parts_are_de_chazals_records() -> None:
    # DS1 without four records trains, those four validate, DS2 tests.
    beats = flat_heartbeats(np.zeros(len(RECORDS) * 3), record=np.repeat(RECORDS, 3))
    split = make_split("inter-patient", beats)
    assert set(beats.record[split.train]) == set(DS1) - {118, 201, 207, 223}
    assert set(beats.record[split.validation]) == {118, 201, 207, 223} == set(DS1_VALIDATION)
    assert set(beats.record[split.test]) == set(DS2)
    assert split.by_patient


def test_ds1_and_ds2_are_the_published_lists() -> None:
    # de Chazal 2004: 22 records each, none in both, without the paced ones.
    assert " ".join(map(str, DS1)) == (
        "101 106 108 109 112 114 115 116 118 119 122 124 201 203 205 207 208 209 215 220 223 230"
    )
    assert " ".join(map(str, DS2)) == (
        "100 103 105 111 113 117 121 123 200 202 210 212 213 214 219 221 222 228 231 232 233 234"
    )
    assert len(set(DS1) | set(DS2)) == 44
    assert not PACED & {*DS1, *DS2}


def test_the_person_of_201_and_202_is_never_in_train_and_test() -> None:
    # 201 and 202 are one person; 202 tests, so 201 may not train.
    beats = toy_heartbeats(440)
    split = make_split("inter-patient", beats)
    assert 202 in beats.record[split.test]
    assert 201 not in beats.record[split.train]


def test_208_trains() -> None:
    # It holds most of the fusion beats.
    assert 208 in DS1
    assert 208 not in DS1_VALIDATION


def test_inter_patient_without_records_says_what_to_do() -> None:
    beats = flat_heartbeats(np.zeros(10))
    with pytest.raises(UsageError, match="Use the MIT-BIH records, or `split` intra-patient"):
        make_split("inter-patient", beats)


def test_inter_patient_refuses_a_single_beat_without_a_record() -> None:
    record = np.array([*RECORDS, -1])
    with pytest.raises(UsageError, match="needs the record of every beat"):
        make_split("inter-patient", flat_heartbeats(np.zeros(len(record)), record=record))


def test_a_part_without_beats_is_refused() -> None:
    # A score of no beats is worse than no score.
    beats = flat_heartbeats(np.zeros(9), record=np.full(9, 101))
    with pytest.raises(DataError, match="the validation part of the split 'inter-patient' has no"):
        make_split("inter-patient", beats)
    with pytest.raises(
        DataError, match="validation part of the split 'intra-patient' has no beats"
    ):
        make_split("intra-patient", flat_heartbeats(np.zeros(5)))


def test_unknown_split_lists_the_known_ones() -> None:
    with pytest.raises(
        UsageError, match=r"unknown split 'random'\. .*intra-patient, inter-patient"
    ):
        make_split("random", toy_heartbeats(50))


@pytest.mark.parametrize(
    ("parts", "where"),
    [
        (([0, 1], [1, 2], [3]), "row 1 is in the train and validation parts"),
        (([0, 3], [1, 2], [3]), "row 3 is in the train and test parts"),
        (([0], [1, 2], [2, 3]), "row 2 is in the validation and test parts"),
    ],
)
def test_a_row_in_two_parts_is_a_leak(parts: tuple[list[int], ...], where: str) -> None:
    with pytest.raises(LeakError, match=where):
        check_leaks(split_of(*parts), flat_heartbeats(np.zeros(4)))


def test_a_beat_under_two_rows_is_a_leak() -> None:
    # With a duplicated beat, a network could be trained on a test beat under another row.
    beats = beats_of([100, 101, 102, 100], [5, 6, 7, 5])
    with pytest.raises(LeakError, match="beat at sample 5 of record 100 is in the train and test"):
        check_leaks(split_of([0, 1], [2], [3]), beats)


def test_the_same_sample_in_two_records_is_not_a_leak() -> None:
    beats = beats_of([100, 101, 102, 103], [5, 5, 5, 5])
    check_leaks(split_of([0, 1], [2], [3]), beats)


def test_beats_of_unknown_origin_are_distinguished_by_row() -> None:
    # The CSVs have neither record nor sample; -1 and -1 are not the same beat.
    check_leaks(split_of([0, 1], [2], [3]), flat_heartbeats(np.zeros(4)))


@pytest.mark.parametrize(
    ("record", "where"),
    [
        ([100, 101, 100, 103], "record 100 is in the train and validation parts"),
        ([100, 101, 102, 101], "record 101 is in the train and test parts"),
        ([100, 101, 102, 102], "record 102 is in the validation and test parts"),
    ],
)
def test_a_record_in_two_parts_is_a_leak_in_a_split_by_patient(
    record: list[int], where: str
) -> None:
    # In a split by beat it is not a leak: there a patient is in all parts, as published.
    beats = beats_of(record, [1, 2, 3, 4])
    check_leaks(split_of([0, 1], [2], [3]), beats)
    with pytest.raises(LeakError, match=where):
        check_leaks(split_of([0, 1], [2], [3], by_patient=True), beats)


@pytest.mark.parametrize(("train", "test"), [(201, 202), (202, 201)])
def test_one_person_in_train_and_test_is_a_leak_in_a_split_by_patient(
    train: int, test: int
) -> None:
    beats = beats_of([train, 101, test], [1, 2, 3])
    with pytest.raises(LeakError, match=r"the person of record 20[12] is in the train and"):
        check_leaks(split_of([0], [1], [2], by_patient=True), beats)
    check_leaks(split_of([1], [0], [2], by_patient=True), beats)  # to validate on is no training


@rule
@given(label_vectors, st.integers(1, 300), st.randoms(use_true_random=False))
def test_subsample_keeps_every_class_and_its_share(labels: np.ndarray, size: int, random) -> None:
    # Shares are kept within rounding, and no class disappears.
    n = len(labels)
    rows = np.sort(random.sample(range(n), random.randint(1, n)))
    kept = subsample(rows, labels, size)
    assert (np.diff(kept) > 0).all()
    assert np.isin(kept, rows).all()
    before = np.bincount(labels[rows], minlength=5)
    after = np.bincount(labels[kept], minlength=5)
    assert ((after > 0) == (before > 0)).all()
    if size >= len(rows):
        assert np.array_equal(kept, rows)
    else:
        wanted = size * before / len(rows)
        assert (np.abs(after - wanted) <= np.where(wanted < 0.5, 1, 0.5)).all()


def test_a_subsample_is_deterministic() -> None:
    beats = toy_heartbeats(600)
    rows = np.arange(100, 600)
    first = subsample(rows, beats.labels, 120)
    np.random.seed(3)
    assert np.array_equal(subsample(rows, beats.labels, 120), first)
    assert len(first) == pytest.approx(120, abs=3)


def test_subsample_without_a_size_keeps_all() -> None:
    beats = toy_heartbeats(100)
    rows = np.arange(10, 90)
    for size in (None, 80, 1000):
        assert np.array_equal(subsample(rows, beats.labels, size), rows)


def foreign(record: list[int], labels: np.ndarray | None = None, **patients: str) -> Heartbeats:
    """Beats of a user's own records, named "r<number>"; `r1="x"` gives the patient."""
    beats = flat_heartbeats(
        np.zeros(len(record), int) if labels is None else labels, record=np.array(record)
    )
    known = {
        number: Record(f"r{number}", 250.0, "II", patients.get(f"r{number}", ""))
        for number in set(record)
    }
    return dataclasses.replace(beats, source="lab", records=known)


@rule
@given(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 4)), min_size=3, max_size=200))
def test_patients_of_other_data_are_drawn_whole(beats_of_records: list[tuple[int, int]]) -> None:
    # For any records: each patient in one part, no beat lost, the same every time.
    record, labels = (list(column) for column in zip(*beats_of_records, strict=True))
    beats = foreign(record, np.array(labels) % 4, r1="p", r2="p", r3="q", r4="q")
    people = {{1: "p", 2: "p", 3: "q", 4: "q"}.get(one, str(one)) for one in record}
    if len(people) < 3:
        with pytest.raises(UsageError, match="needs three patients or more, but 'lab' has"):
            make_split("inter-patient", beats)
        return
    split = make_split("inter-patient", beats)
    assert_parts_are_a_partition(split, len(record))
    again = make_split("inter-patient", dataclasses.replace(beats))
    assert [rows.tolist() for _, rows in split.parts()] == [r.tolist() for _, r in again.parts()]
    for pair in ((1, 2), (3, 4)):
        parts = {name for name, rows in split.parts() if np.isin(pair, beats.record[rows]).any()}
        assert len(parts) <= 1


def test_the_draw_balances_beats_and_classes() -> None:
    # A fifth of the beats tests, a fifth of the rest validates, of every class.
    generator = np.random.default_rng(3)
    record = np.repeat(np.arange(1, 41), 50)
    labels = generator.choice(5, len(record), p=[0.8, 0.05, 0.08, 0.02, 0.05])
    beats = foreign(record.tolist(), labels)
    split = make_split("inter-patient", beats)
    wanted = {"train": 0.64, "validation": 0.16, "test": 0.2}
    for part, rows in split.parts():
        shares = (np.array(counts(beats, rows)) / beats.class_counts())[:4]  # Q is left out
        assert np.abs(shares - wanted[part]).max() < 0.1


def test_other_data_may_have_mitdbs_numbers() -> None:
    # A lab's record 201 is not MIT-BIH's, and its 202 is not the same person.
    beats = foreign([100, 201, 202, 300], np.zeros(4, int))
    assert make_split("inter-patient", beats).by_patient
    check_leaks(split_of([1], [0], [2], by_patient=True), beats)


LISTS = RecordLists(("r1", "r2"), ("r3",), ("r4",))


def test_listed_records_make_the_parts_and_others_are_left_out() -> None:
    beats = foreign([1, 1, 2, 3, 4, 5])
    split = make_split("inter-patient", beats, LISTS)
    assert [rows.tolist() for _, rows in split.parts()] == [[0, 1, 2], [3], [4]]
    assert split.name == LISTS.split != "inter-patient"
    again = make_split(LISTS.split, beats, LISTS)  # as a worker asks for it
    assert again.train.tolist() == split.train.tolist()


@pytest.mark.parametrize(
    ("name", "lists", "cause"),
    [
        ("intra-patient", LISTS, "`records_file` lists the records of a split by patient"),
        (LISTS.split, None, "was made from a file of records. Pass that file as `records_file`"),
        ("inter-patient-12345678", LISTS, "`records_file` lists the records"),
        ("inter-patient", RecordLists(("r1",), ("r9",), ("r4",)), "lists the record r9 in valid"),
    ],
)
def test_lists_that_do_not_fit_are_refused(
    name: str, lists: RecordLists | None, cause: str
) -> None:
    with pytest.raises(UsageError, match=cause):
        make_split(name, foreign([1, 2, 3, 4]), lists)


def test_lists_that_divide_a_known_patient_are_refused() -> None:
    # The patient is known from the headers or from MIT-BIH; the file need not name it.
    with pytest.raises(LeakError, match="record r2 into train, record r3 into validation"):
        make_split("inter-patient", foreign([1, 2, 3, 4], r2="p", r3="p"), LISTS)
    beats = flat_heartbeats(np.zeros(3), record=np.array([201, 101, 202]))
    with pytest.raises(LeakError, match="record 201 into train, record 202 into test"):
        make_split("inter-patient", beats, RecordLists(("201",), ("101",), ("202",)))


def test_a_file_may_split_mitdb_another_way() -> None:
    beats = toy_heartbeats(440)
    split = make_split("inter-patient", beats, RecordLists(("100",), ("101",), ("103", "105")))
    assert set(beats.record[split.test].tolist()) == {103, 105}


def test_lists_need_records() -> None:
    with pytest.raises(UsageError, match="needs the record of every beat"):
        make_split("inter-patient", flat_heartbeats(np.zeros(9)), LISTS)


def test_real_inter_patient_split_has_no_q_and_weights_under_the_caps(mitdb: Path) -> None:
    beats = load(mitdb)
    split = make_split("inter-patient", beats)
    found = {part: counts(beats, rows) for part, rows in split.parts()}
    assert {part: list(map(int, one)) for part, one in found.items()} == {
        "train": [38459, 540, 2891, 399, 0],
        "validation": [7386, 403, 897, 16, 0],
        "test": [44238, 1836, 3221, 388, 0],
    }
    trained = np.array(found["train"])
    plain = trained.sum() / (5 * trained[:4])
    np.testing.assert_allclose(class_weights(trained, 1.0, capped=True), [*plain, 1.0], rtol=1e-12)
    assert sampling_weights(trained, 1.0, capped=True).tolist() == [
        1.0,
        *(38459 / trained[1:4]),
        0.0,
    ]
    assert ceiling(found["validation"], "f1_macro") == 0.8
    assert ceiling(found["validation"], "f1_nsv") == 1
