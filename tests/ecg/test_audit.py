"""Rules of the audit: every row finds its beat, and all counts are correct."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg import audit as audit_module
from ecg import audit_report
from ecg.audit import (
    Audit,
    audit,
    find_duplicates,
    look_up,
    measure_rate,
    of_trained_records,
    overlapping_trained_beats,
    window_lengths,
    window_seconds,
    with_origin,
)
from ecg.errors import OutputError, UsageError
from ecg.heartbeats import BEAT_LENGTH, Heartbeats
from ecg.sources import kaggle, load
from ecg.sources.synthetic import generate
from ecg.splits import Rows, Split, inter_patient, intra_patient
from tests.support.toy import flat_heartbeats, rule


@pytest.fixture(scope="module")
def rebuilt() -> Heartbeats:
    return generate(records=48, beats_per_record=20)


def sorted_by_class(beats: Heartbeats, rows: Rows) -> Rows:
    """The rows in Kaggle's order: by class, shuffled within."""
    rows = np.random.default_rng(0).permutation(rows)
    return rows[np.argsort(beats.labels[rows], kind="stable")]


def write_csvs(folder: Path, beats: Heartbeats, train: Rows, test: Rows) -> Path:
    """Write rows in the form of Kaggle's files."""
    folder.mkdir(exist_ok=True)
    for name, rows in ((kaggle.TRAIN_FILE, train), (kaggle.TEST_FILE, test)):
        table = np.column_stack([beats.signals[rows].astype(np.float64), beats.labels[rows]])
        np.savetxt(folder / name, table, fmt="%.18e", delimiter=",")
    return folder


def rows_of(beats: Heartbeats, rows: Rows) -> Heartbeats:
    """The rows as from a source without records."""
    unknown = np.full(len(rows), -1, dtype=np.int32)
    return replace(
        beats,
        signals=beats.signals[rows].copy(),
        labels=beats.labels[rows].copy(),
        record=unknown,
        sample=unknown,
        symbol=np.full(len(rows), "", dtype="U1"),
        in_test=np.arange(len(rows)) >= len(rows) * 4 // 5,
        source="kaggle",
    )


def audited(rows: Heartbeats, rebuilt: Heartbeats) -> Audit:
    lookup = look_up(rows, rebuilt)
    beats = with_origin(rows, rebuilt, lookup)
    return Audit(rebuilt, beats, intra_patient(beats), lookup)


def split_of(train: list[int], test: list[int]) -> Split:
    none = np.array([], dtype=np.int64)
    return Split("intra-patient", np.array(train), none, np.array(test), by_patient=False)


# --- Looking rows up


def test_every_csv_row_finds_its_record_sample_and_symbol(
    rebuilt: Heartbeats, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # End to end: written to files, read back, and identified by the values alone.
    test = sorted_by_class(rebuilt, intra_patient(rebuilt).test)
    train = sorted_by_class(rebuilt, np.setdiff1d(np.arange(len(rebuilt)), test))
    folder = write_csvs(tmp_path / "csvs", rebuilt, train, test)
    monkeypatch.setattr(
        audit_module, "load", lambda path: rebuilt if path == "records" else load(path)
    )
    found = audit("records", folder)
    beats, order = found.beats, np.concatenate([train, test])
    assert np.array_equal(beats.record, rebuilt.record[order])
    assert np.array_equal(beats.sample, rebuilt.sample[order])
    assert np.array_equal(beats.symbol, rebuilt.symbol[order])
    assert np.array_equal(found.split.test, np.arange(len(train), len(order)))

    _, files = audit_report.write(found, tmp_path / "out")
    assert [path.name for path in files] == ["audit.md", "audit.png", "audit_rows.csv"]
    with files[2].open(newline="") as file:
        table = list(csv.DictReader(file))
    expected = [
        {
            "part": part,
            "row": str(row),
            "record": str(rebuilt.record[beat]),
            "sample": str(rebuilt.sample[beat]),
            "symbol": str(rebuilt.symbol[beat]),
            "label": str(rebuilt.labels[beat]),
        }
        for part, beats_of_part in (("train", train), ("test", test))
        for row, beat in enumerate(beats_of_part, start=1)
    ]
    assert table == expected


def test_real_rows_find_their_beats(mitdb: Path) -> None:
    # All beats of the real set differ, so each has exactly one match.
    beats = load(mitdb)
    some = sorted_by_class(beats, np.arange(0, len(beats), 37))
    lookup = look_up(rows_of(beats, some), beats)
    assert np.array_equal(lookup.beat, some)
    assert (lookup.choices == 1).all()


def test_a_tampered_row_is_not_found(rebuilt: Heartbeats) -> None:
    rows = rows_of(rebuilt, np.arange(len(rebuilt)))
    rows.signals[900, 40] += np.float32(1e-4)
    found = audited(rows, rebuilt)
    assert found.lookup is not None
    assert np.flatnonzero(found.lookup.beat < 0).tolist() == [900]
    assert found.beats.record[900] == found.beats.sample[900] == -1
    # Row 133 of the test file, after 768 training rows.
    assert "not found: test row 133\n" in audit_report.report(found)
    lines = audit_report.rows_table(found).splitlines()
    assert lines[901] == f"test,133,,,,{rows.labels[900]}"


def test_rounding_does_not_lose_a_row(rebuilt: Heartbeats) -> None:
    # Files printed with six decimals are off by half of the last one.
    rows = rows_of(rebuilt, np.arange(len(rebuilt)))
    rounded = replace(rows, signals=rows.signals.round(6))
    assert np.array_equal(look_up(rounded, rebuilt).beat, np.arange(len(rebuilt)))


def test_a_row_with_another_label_is_reported(rebuilt: Heartbeats) -> None:
    rows = rows_of(rebuilt, np.arange(100))
    rows.labels[3] = (rows.labels[3] + 1) % 5
    text = audit_report.report(audited(rows, rebuilt))
    assert "other label: train row 4\n" in text
    assert "not found:" not in text


def test_identical_beats_are_given_in_order_each_once(rebuilt: Heartbeats) -> None:
    # Three beats of one shape, the second labelled V: a V row gets it, N rows the others.
    few = rows_of(rebuilt, np.zeros(3, dtype=np.int64))
    few = replace(few, labels=np.array([0, 2, 0]), record=np.array([100, 101, 102], np.int32))
    rows = replace(few, labels=np.array([0, 0, 2]))
    lookup = look_up(rows, few)
    assert lookup.choices.tolist() == [3, 3, 3]
    assert lookup.beat.tolist() == [0, 2, 1]


shapes = st.lists(st.integers(0, 5), min_size=1, max_size=30)


@rule
@given(shapes, st.data())
def test_rows_get_beats_of_their_values_and_no_beat_twice(
    kinds: list[int], data: st.DataObject
) -> None:
    # Few shapes, so that many beats are identical; rows are beats in any order, some left out.
    shape_of = np.random.default_rng(1).random((6, BEAT_LENGTH)).astype(np.float32)
    beats = replace(flat_heartbeats(np.zeros(len(kinds), int)), signals=shape_of[kinds])
    order = data.draw(st.permutations(range(len(kinds))))
    chosen = np.array(order[: data.draw(st.integers(1, len(kinds)))])
    lookup = look_up(rows_of(beats, chosen), beats)
    assert np.array_equal(np.array(kinds)[lookup.beat], np.array(kinds)[chosen])
    assert len(np.unique(lookup.beat)) == len(chosen)
    assert np.array_equal(lookup.choices, np.bincount(kinds)[np.array(kinds)[chosen]])


# --- What is counted


def test_test_beats_of_trained_records_are_counted() -> None:
    # Beats of an unknown record never count as trained, whatever training contains.
    record = np.array([100, 100, 101, 102, -1, -1])
    beats = flat_heartbeats(np.zeros(6, int), record=record)
    shared = of_trained_records(beats, split_of([0, 2, 4], [1, 3, 5]))
    assert shared.tolist() == [True, False, False]


def test_no_inter_patient_test_beat_is_of_a_trained_record(rebuilt: Heartbeats) -> None:
    split = inter_patient(rebuilt)
    assert not of_trained_records(rebuilt, split).any()
    assert not overlapping_trained_beats(rebuilt, split).any()


def test_intra_patient_test_beats_are_of_trained_records(rebuilt: Heartbeats) -> None:
    assert of_trained_records(rebuilt, intra_patient(rebuilt)).all()


def test_test_windows_that_overlap_training_windows_are_counted() -> None:
    # 50 values last 150 raw samples. Beats at 0 and 100 of a record overlap; at 100 and 250
    # they only touch, and a beat of another record is a different signal.
    signals = np.zeros((5, BEAT_LENGTH), dtype=np.float32)
    signals[:, :50] = 1
    beats = replace(
        flat_heartbeats(np.zeros(5, int), record=np.array([100, 100, 100, 101, 101])),
        signals=signals,
        sample=np.array([250, 0, 100, 120, 260], dtype=np.int32),  # in no order
    )
    assert overlapping_trained_beats(beats, split_of([1], [2, 3])).tolist() == [True, False]
    assert overlapping_trained_beats(beats, split_of([2], [0, 1])).tolist() == [False, True]
    assert overlapping_trained_beats(beats, split_of([3], [4, 2])).tolist() == [True, False]


def test_a_row_in_both_files_is_counted_across_the_split(
    rebuilt: Heartbeats,
) -> None:
    # The last row, of the test file, repeats the first of the training file.
    rows = rows_of(rebuilt, np.array([*range(100), 0]))
    found = audited(rows, rebuilt)
    in_train = int(0 in found.split.train)
    twice = find_duplicates(found.beats, found.split)
    assert (twice.groups, twice.rows, twice.beats) == (1, 2, 1)
    assert twice.across["train", "test"] == (in_train, in_train)
    assert twice.across["validation", "test"] == (1 - in_train, 1 - in_train)
    assert "2 of 101 rows have the values of another row" in audit_report.report(found)


def test_equal_values_of_different_beats_are_not_one_beat_in_two_rows() -> None:
    beats = flat_heartbeats(np.zeros(4, int), record=np.array([100, 101, 102, 103]))
    twice = find_duplicates(beats, split_of([0, 1], [2, 3]))
    assert (twice.groups, twice.rows, twice.beats) == (1, 4, 0)
    assert twice.across["train", "test"] == (2, 0)


def test_rows_of_unknown_origin_do_not_count_as_one_beat() -> None:
    twice = find_duplicates(flat_heartbeats(np.zeros(4, int)), split_of([0, 1], [2, 3]))
    assert twice.beats == 0
    assert twice.across["train", "test"] == (2, 0)


# --- The sampling rate


@rule
@given(st.floats(80, 200), st.integers(0, 100))
def test_rate_is_that_at_which_the_windows_were_cut(rate: float, seed: int) -> None:
    # One window in twenty is cut short by a non-beat annotation.
    rng = np.random.default_rng(seed)
    seconds = rng.uniform(0.4, 0.9, 400)
    lengths = np.ceil(rate * seconds).astype(np.int64)
    lengths[::20] //= 2
    evidence = measure_rate(lengths, seconds)
    assert evidence.slope == pytest.approx(rate, rel=0.01)
    assert evidence.typical == pytest.approx(rate, rel=0.015)
    # Assuming another rate gives a proportionally different heart rate.
    assert evidence.heart_rate_at(125) / evidence.heart_rate_at(100) == pytest.approx(1.25)


def test_cropped_windows_do_not_lower_the_rate() -> None:
    # At 120 Hz the values of 1.56 s and more do not fit; here these are most of the windows.
    seconds = np.linspace(1, 4, 300)
    lengths = np.minimum(np.ceil(120 * seconds).astype(np.int64), BEAT_LENGTH)
    evidence = measure_rate(lengths, seconds)
    assert evidence.slope == pytest.approx(120, rel=0.01)
    assert evidence.windows == (lengths < BEAT_LENGTH).sum()


def test_rate_of_the_rebuilt_windows_is_120_hz(rebuilt: Heartbeats) -> None:
    evidence = measure_rate(window_lengths(rebuilt.signals), window_seconds(rebuilt))
    assert evidence.slope == pytest.approx(120, abs=0.5)
    assert evidence.heart_rate_at(120) == pytest.approx(evidence.heart_rate, rel=0.01)


def test_windows_at_the_end_of_a_record_have_no_length_in_time(rebuilt: Heartbeats) -> None:
    # Their last beats are followed by another record.
    seconds = window_seconds(rebuilt)
    unknown = np.flatnonzero(np.isnan(seconds))
    assert unknown.tolist() == [20 * n + at for n in range(48) for at in (18, 19)]
    intervals = np.diff(rebuilt.sample[:3]) / 360
    assert seconds[0] == pytest.approx(intervals[0] + 0.2 * intervals[1])


def test_the_length_excludes_the_padding() -> None:
    signals = np.zeros((3, BEAT_LENGTH), dtype=np.float32)
    signals[1, [3, 90]] = 1  # zeros between values count
    signals[2] = 1
    assert window_lengths(signals).tolist() == [0, 91, BEAT_LENGTH]


def test_an_unmeasurable_rate_is_reported() -> None:
    beats = flat_heartbeats(np.zeros(10, int), record=np.full(10, 100))
    found = Audit(beats, beats, split_of([0], [1]), lookup=None)
    assert "so the rate is unknown" in audit_report.report(found)


# --- Output


def test_audit_of_the_real_records(mitdb: Path, tmp_path: Path) -> None:
    # Rule: results/audit shows these numbers.
    text, (_, plot) = audit_report.write(audit(mitdb), tmp_path)
    assert "21,892 of 21,892 test beats (100.0%) come from records" in text
    assert "by 120.00 per second" in text
    assert "0 of 109,446 rows have the values of another row" in text
    assert plot.stat().st_size < 300_000


def test_the_same_data_gives_the_same_files(rebuilt: Heartbeats, tmp_path: Path) -> None:
    found = Audit(rebuilt, rebuilt, intra_patient(rebuilt), lookup=None)
    contents = []
    for name in ("a", "b"):
        text, files = audit_report.write(found, tmp_path / name / "deep", ["a note"])
        assert files[0].read_text() == text
        assert "- a note\n" in text
        contents.append([path.read_bytes() for path in files])
        assert sorted(path.name for path in files[0].parent.iterdir()) == ["audit.md", "audit.png"]
    assert contents[0] == contents[1]
    assert contents[0][1].startswith(b"\x89PNG")


def test_the_plot_shows_every_record_and_part(rebuilt: Heartbeats) -> None:
    # 1040 x 1196 pixels, and each of the four colours in it.
    from matplotlib.colors import to_rgb
    from matplotlib.image import imread

    found = Audit(rebuilt, rebuilt, intra_patient(rebuilt), lookup=None)
    image = imread(io.BytesIO(audit_report.draw(found)), format="png")
    assert image.shape[:2] == (1196, 1040)
    for colour in audit_report.COLOURS.values():
        share = np.isclose(image[..., :3], to_rgb(colour), atol=0.01).all(axis=-1).mean()
        assert share > 0.01


def test_a_folder_that_cannot_be_created_is_reported(rebuilt: Heartbeats, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = Audit(rebuilt, rebuilt, intra_patient(rebuilt), lookup=None)
    with pytest.raises(OutputError, match=r"Cannot write .*file.*Use another place"):
        audit_report.write(found, tmp_path / "file")


def test_a_failed_write_leaves_nothing_behind(rebuilt: Heartbeats, tmp_path: Path) -> None:
    # There is a folder in place of the text file.
    (tmp_path / "audit.md").mkdir()
    found = Audit(rebuilt, rebuilt, intra_patient(rebuilt), lookup=None)
    with pytest.raises(OutputError, match=r"Cannot write .*audit\.md"):
        audit_report.write(found, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["audit.md"]


def test_a_failed_write_keeps_the_earlier_file(
    rebuilt: Heartbeats, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The disk is full just before the last bytes of the new file.
    def fail(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[:-10])
        raise OSError(28, "No space left on device")

    (tmp_path / "audit.md").write_text("earlier")
    monkeypatch.setattr(Path, "write_bytes", fail)
    found = Audit(rebuilt, rebuilt, intra_patient(rebuilt), lookup=None)
    with pytest.raises(OutputError, match="No space left on device"):
        audit_report.write(found, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["audit.md"]
    assert (tmp_path / "audit.md").read_text() == "earlier"


def test_swapped_paths_are_reported(
    rebuilt: Heartbeats, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = np.arange(len(rebuilt))
    folder = write_csvs(tmp_path / "csvs", rebuilt, rows[:50], rows[50:60])
    with pytest.raises(UsageError, match=r"do not include record numbers.*`records`"):
        audit(folder)
    monkeypatch.setattr(audit_module, "load", lambda path: rebuilt)
    with pytest.raises(UsageError, match=r"not Kaggle's CSV files.*mitbih_train\.csv"):
        audit("records", "records")
