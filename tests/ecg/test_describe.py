"""Rules of the text tables: every number is correct, every line is aligned."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ecg import describe
from ecg.heartbeats import CLASSES, Heartbeats, Record
from ecg.record_lists import RecordLists
from ecg.sources.mitdb_files import FILES, RECORDS
from ecg.splits import Split, make_split
from tests.support.toy import flat_heartbeats, rule, toy_heartbeats


def cells(table: str) -> list[list[str]]:
    return [line.split() for line in table.splitlines()]


def kaggle_like(beats: Heartbeats) -> Heartbeats:
    unknown = np.full(len(beats), -1, dtype=np.int32)
    return replace(beats, record=unknown, sample=unknown, source="kaggle")


def test_classes_have_their_counts_and_shares() -> None:
    labels = np.repeat(np.arange(5), [1500, 300, 100, 60, 40])
    assert describe.per_class(flat_heartbeats(labels)).splitlines() == [
        "class               beats   share",
        "N Normal            1,500  75.00%",
        "S Supraventricular    300  15.00%",
        "V Ventricular         100   5.00%",
        "F Fusion               60   3.00%",
        "Q Unknown              40   2.00%",
        "all                 2,000",
    ]


def test_records_are_listed_in_order_with_their_counts() -> None:
    beats = flat_heartbeats(np.array([0, 1, 0, 4]), record=np.array([200, 100, 200, 100]))
    assert cells(describe.per_record(beats)) == [
        ["record", *CLASSES, "all"],
        ["100", "0", "1", "0", "0", "1", "2"],
        ["200", "2", "0", "0", "0", "0", "2"],
    ]


def test_a_source_without_records_says_so() -> None:
    assert "has no record numbers" in describe.per_record(kaggle_like(toy_heartbeats()))


def test_splits_have_the_counts_of_their_parts() -> None:
    beats = toy_heartbeats()
    header, *rows = cells(describe.splits(beats))
    assert header == ["split", "and", "part", "records", *CLASSES, "all"]
    expected = []
    for name in ("intra-patient", "inter-patient"):
        for part, indices in make_split(name, beats).parts():
            counts = np.bincount(beats.labels[indices], minlength=5)
            records = len(set(beats.record[indices].tolist()))
            expected.append([name, part, *map(str, [records, *counts, len(indices)])])
    assert rows[: len(expected)] == expected  # below: that Q is left out


def test_an_impossible_split_is_named_with_its_reason() -> None:
    # The other one is shown, and the reason does not widen its columns.
    table, reason = describe.splits(kaggle_like(toy_heartbeats(in_test=True))).split("\n\n")
    assert len(table.splitlines()) == 4
    assert all(line.split()[2] == "-" for line in table.splitlines()[1:])
    assert max(map(len, table.splitlines())) < 70
    assert reason.startswith("no split 'inter-patient': ")
    assert "needs the record of every beat" in reason


def test_a_part_without_beats_does_not_stop_the_description() -> None:
    text = describe.splits(flat_heartbeats(np.zeros(3, int)))
    assert text.startswith("no split 'intra-patient': the ")
    assert "\nno split 'inter-patient': " in text


def test_notes_on_the_real_records(mitdb: Path) -> None:
    # Also for the parent folder.
    assert describe.notes(mitdb) == ["all files are identical to PhysioNet's (SHA-256)"]
    assert describe.notes(mitdb.parent) == ["all files are identical to PhysioNet's (SHA-256)"]


def test_notes_name_the_first_files_that_differ(tmp_path: Path) -> None:
    for record in RECORDS:
        (tmp_path / f"{record}.hea").write_text(f"{record} 2 360 650000\n")
    (note,) = describe.notes(tmp_path)
    assert note.startswith(f"{len(FILES)} of {len(FILES)} files differ from PhysioNet's")
    assert note.endswith("100.hea, 100.dat, 100.atr, 101.hea, 101.dat, ...")


def test_notes_on_other_sources() -> None:
    (note,) = describe.notes("synthetic")
    assert note.startswith("simulated heartbeats, not ECG recordings")
    assert describe.notes("/nowhere") == []


words = st.text("abc", max_size=8)


@rule
@given(st.lists(st.tuples(words, words, words), min_size=1, max_size=6))
def test_columns_are_aligned(rows: list[tuple[str, ...]]) -> None:
    # The first column is left-aligned, the others right-aligned, two spaces apart.
    header = ("head", "second", "last")
    lines = describe.table(header, rows).split("\n")
    assert len(lines) == len(rows) + 1
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(3)]
    for line, row in zip(lines, (header, *rows), strict=True):
        padded = line.ljust(sum(widths) + 4)
        assert padded[: widths[0]] == row[0].ljust(widths[0])
        assert padded[widths[0] : widths[0] + 2 + widths[1]] == row[1].rjust(widths[1] + 2)
        assert padded[-widths[2] - 2 :] == row[2].rjust(widths[2] + 2)


def of_lab(records: dict[int, Record], **changes: object) -> Heartbeats:
    beats = flat_heartbeats(np.array([0, 0, 2, 0]), record=np.array([1, 1, 2, 3]))
    return replace(beats, source="lab", records=records, **changes)


LAB = {
    1: Record("anna", 250.0, "II", lost=3),
    2: Record("bert", 250.0, "II"),
    3: Record("carl", 128.0, "MLII"),
    4: Record("dora", 128.0, "MLII"),
}


def test_the_origin_of_records_is_described_in_a_sentence() -> None:
    assert describe.origin(of_lab(LAB)) == (
        "records by lead and sampling rate: 2 with II at 250 Hz, 2 with MLII at 128 Hz; 3 beats "
        "were left out because of gaps in the signal: record anna; records without a beat: dora"
    )
    assert describe.origin(flat_heartbeats(np.zeros(3))) == ""


def test_records_have_their_names() -> None:
    assert [row[0] for row in cells(describe.per_record(of_lab(LAB)))[1:]] == [
        "anna",
        "bert",
        "carl",
    ]


def test_classes_without_beats_are_named_for_each_part() -> None:
    beats = of_lab(LAB)
    split = Split("mine", np.array([0, 2]), np.array([1]), np.array([3]), by_patient=False)
    assert describe.cautions(beats, split) == [
        "no S, F, Q beat in train",
        "no S, V, F, Q beat in validation: F1(M) is at most 0.2000",
        "no S, V, F, Q beat in test: F1(M) is at most 0.2000",
    ]
    assert describe.cautions(toy_heartbeats(), make_split("intra-patient", toy_heartbeats())) == []


def test_a_listed_split_is_described_with_the_others() -> None:
    lists = RecordLists(("anna",), ("bert",), ("carl",))
    text = describe.splits(of_lab(LAB), lists)
    assert f"{lists.split} validation" in text
    assert f"split '{lists.split}': no S, V, F, Q beat in test: F1(M) is at most" in text
