"""Rules of tables: the forms in docs/data.md, and the faults of others."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from ecg.errors import DataError
from ecg.sources import load, table
from ecg.sources.csv_files import CsvFile
from ecg.splits import make_split

N = 40
rng = np.random.default_rng(0)
SIGNALS = rng.random((N, 187), dtype=np.float32)
LABELS = np.arange(N) % 5
RECORDS = [f"p{place % 8}" for place in range(N)]


def write_csv(path: Path, header: str = "", rows: list[str] | None = None) -> Path:
    values = ",".join(f"t{place}" for place in range(187))
    lines = [header or f"record,label,{values}"]
    for place in range(N):
        numbers = ",".join(f"{value:.6f}" for value in SIGNALS[place])
        lines.append(f"{RECORDS[place]},{'NSVFQ'[LABELS[place]]},{numbers}")
    path.write_text("\n".join(rows or lines) + "\n")
    return path


def test_a_csv_table_is_read_with_labels_and_records(tmp_path: Path) -> None:
    beats = load(write_csv(tmp_path / "lab.csv"))
    assert beats.source == "lab"
    assert np.abs(beats.signals - SIGNALS).max() < 1e-6
    assert beats.labels.tolist() == LABELS.tolist()
    assert [beats.record_name(number) for number in beats.record] == RECORDS
    assert beats.rr is None
    assert np.isnan(beats.times()).all()
    split = make_split("inter-patient", beats)  # by whole records
    assert len(split.test) > 0


def test_a_table_is_found_in_its_folder_and_packed(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "lab.csv")
    expected = load(path).fingerprint
    (tmp_path / "lab.csv.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    assert load(tmp_path).fingerprint == expected


def test_an_npz_table_is_read_with_any_types(tmp_path: Path) -> None:
    path = tmp_path / "lab.npz"
    np.savez(path, signals=SIGNALS.astype(np.float64), labels=LABELS.astype(np.uint8))
    plain = load(path)
    assert np.array_equal(plain.signals, SIGNALS)
    assert set(plain.record.tolist()) == {-1}
    np.savez_compressed(
        path,
        signals=np.asfortranarray(SIGNALS),
        labels=np.array(list("NSVFQ"))[LABELS],
        record=np.array(RECORDS),
        in_test=np.arange(N) % 4 == 0,
    )
    beats = load(path)
    assert np.array_equal(beats.signals, SIGNALS)
    assert beats.labels.tolist() == LABELS.tolist()
    assert beats.in_test is not None
    assert make_split("intra-patient", beats).test.tolist() == list(range(0, N, 4))


def test_record_numbers_are_kept(tmp_path: Path) -> None:
    np.savez(tmp_path / "lab.npz", signals=SIGNALS, labels=LABELS, record=7 + np.arange(N) % 3)
    assert set(load(tmp_path / "lab.npz").record.tolist()) == {7, 8, 9}


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"signals": SIGNALS[:, :100]}, r"signals has the shape \(40, 100\)"),
        ({"signals": SIGNALS.astype(str)}, "signals has the shape"),
        ({"signals": SIGNALS * 3}, r"row 0: value \d+ is .* outside \[0, 1\]; scale each beat"),
        ({"signals": np.full((N, 187), np.nan)}, "row 0: value 1 is nan, outside"),
        ({"labels": LABELS + 1}, "row 4: label '5' is not one of .*subtract 1"),
        ({"labels": LABELS[:-1]}, r"labels has the shape \(39,\), not \(40,\)"),
        ({"record": np.array([""] * N)}, "row 0: there is no record"),
        ({"in_test": np.full(N, 7)}, "in_test is '7', not 0 or 1"),
        ({"labels": np.array([None] * N)}, "an array of Python objects, which are not supported"),
    ],
)
def test_a_fault_of_an_npz_is_named(
    change: dict[str, np.ndarray], cause: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "lab.npz", **{"signals": SIGNALS, "labels": LABELS, **change})
    with pytest.raises(DataError, match=cause) as caught:
        load(tmp_path / "lab.npz")
    assert str(caught.value).startswith(f"{tmp_path / 'lab.npz'}: ")
    assert "docs/data.md" in str(caught.value)


VALUES = ",".join(f"t{place}" for place in range(187))
NUMBERS = ",".join(["0.5"] * 187)


@pytest.mark.parametrize(
    ("rows", "cause"),
    [
        ([f"label,{VALUES},more", f"N,{NUMBERS},0.5"], "188 columns besides label, not 187 values"),
        ([f",label,{VALUES}", f"0,N,{NUMBERS}"], "the first column has no name: leave the index"),
        ([f"label,{VALUES}", f"N,{NUMBERS}", f"X,{NUMBERS}"], "row 3: label 'X' is not one of"),
        ([f"label,{VALUES}", f"N,{NUMBERS[:-3]}x"], "row 2: value 187: 'x' is not a number"),
        ([f"label,{VALUES}", f"N,{NUMBERS[:-3]}2"], "row 2: value 187 is 2, outside"),
        ([f"label,{VALUES}", f"N,{NUMBERS},1"], "a row has 189 fields, but the header has 188"),
        ([f"label,{VALUES}"], "there is a header but no row"),
        ([f"label,record,{VALUES}", f"N,,{NUMBERS}"], "row 2: there is no record"),
    ],
)
def test_a_fault_of_a_csv_is_named_with_its_row(
    rows: list[str], cause: str, tmp_path: Path
) -> None:
    path = write_csv(tmp_path / "lab.csv", rows=rows)
    with pytest.raises(DataError, match=cause) as caught:
        table.read_csv(CsvFile(path), "lab")
    assert str(caught.value).startswith(f"{path}: ")
