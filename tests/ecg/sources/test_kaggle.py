"""Rules of the Kaggle reader: the given split is kept, and a bad row is named."""

import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ecg.errors import DataError
from ecg.sources import kaggle
from ecg.sources.csv_files import CsvFile


def _rows(n: int, seed: int) -> NDArray[np.float32]:
    values = np.random.default_rng(seed).random((n, 187), dtype=np.float32)
    return np.column_stack([values, np.arange(n, dtype=np.float32) % 5])


def _write(path: Path, rows: NDArray[np.float32]) -> None:
    np.savetxt(path, rows, delimiter=",", fmt="%.18e")  # as the published files are written


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    _write(tmp_path / "mitbih_train.csv", _rows(7, seed=0))
    _write(tmp_path / "mitbih_test.csv", _rows(3, seed=1))
    return tmp_path


def test_train_rows_come_first_and_the_split_is_kept(folder: Path) -> None:
    # The split of the CSVs is the published one, and every value is exact.
    beats = kaggle.read_folder(folder)
    expected = np.concatenate([_rows(7, seed=0), _rows(3, seed=1)])
    assert np.array_equal(beats.signals, expected[:, :187])
    assert beats.labels.tolist() == [0, 1, 2, 3, 4, 0, 1, 0, 1, 2]
    assert beats.in_test is not None
    assert beats.in_test.tolist() == [False] * 7 + [True] * 3
    assert beats.signals.dtype == np.float32
    assert beats.source == "kaggle-subset"  # these are not the published rows


def test_record_sample_and_symbol_are_unknown(folder: Path) -> None:
    # The CSVs have no patients, so no split by patient can be made from them.
    beats = kaggle.read_folder(folder)
    assert set(beats.record.tolist()) == {-1}
    assert set(beats.sample.tolist()) == {-1}
    assert set(beats.symbol.tolist()) == {""}


def test_files_of_several_chunks_are_joined(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The size of the chunks parsed at a time changes nothing.
    whole = kaggle.read_folder(folder)
    monkeypatch.setattr(kaggle, "CHUNK", 2)
    assert kaggle.read_folder(folder).fingerprint == whole.fingerprint


def test_rounding_beyond_the_range_is_clipped(folder: Path) -> None:
    # With fewer digits, a value may be slightly outside [0, 1]; beats stay inside.
    rows = _rows(2, seed=0)
    rows[0, :2] = -1e-7, 1 + 1e-7
    _write(folder / "mitbih_train.csv", rows)
    assert kaggle.read_folder(folder).signals[0, :2].tolist() == [0.0, 1.0]


def _replaced(column: int, text: str) -> str:
    fields = ["0.5"] * 187 + ["1"]
    fields[column] = text
    return ",".join(fields)


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        (",".join(["0.5"] * 187), r"row 3: 187 columns instead of 188"),
        (",".join(["0.5"] * 189), r"row 3: 189 columns instead of 188"),
        ("0.5,0.", r"row 3: 2 columns instead of 188"),
        (_replaced(4, "abc"), r"row 3: column 5: 'abc' is not a number"),
        (_replaced(4, ""), r"row 3: column 5: '' is not a number"),
        (_replaced(4, "nan"), r"row 3: column 5: nan is not a finite number"),
        (_replaced(4, "-inf"), r"row 3: column 5: -inf is not a finite number"),
        (_replaced(4, "1.01"), r"row 3: column 5: 1.01 is outside \[0, 1\]"),
        (_replaced(4, "-0.01"), r"row 3: column 5: -0.01 is outside \[0, 1\]"),
        (_replaced(187, "5"), r"row 3: label 5 is not one of 0, 1, 2, 3, 4"),
        (_replaced(187, "-1"), r"row 3: label -1 is not one of"),
        (_replaced(187, "1.5"), r"row 3: label 1.5 is not one of"),
        (_replaced(187, "nan"), r"row 3: column 188: nan is not a finite number"),
        (_replaced(187, "x"), r"row 3: column 188: 'x' is not a number"),
    ],
)
@pytest.mark.parametrize("chunk", [2, 4096])
def test_a_bad_row_is_named_with_file_and_number(
    line: str, cause: str, chunk: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Rows count from 1, in the file and not in the chunk.
    monkeypatch.setattr(kaggle, "CHUNK", chunk)
    path = folder / "mitbih_test.csv"
    good = path.read_text().splitlines()
    path.write_text("\n".join([*good[:2], line, *good[2:]]) + "\n")
    with pytest.raises(DataError) as caught:
        kaggle.read_folder(folder)
    message = str(caught.value)
    assert re.search(re.escape(str(path)) + ": " + cause, message), message
    assert message.endswith("Download it again with `python -m ecg fetch kaggle`.")


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_an_empty_file_is_refused(content: str, folder: Path) -> None:
    # An interrupted download must not pass for a data set without test rows.
    (folder / "mitbih_test.csv").write_text(content)
    with pytest.raises(DataError, match=r"mitbih_test\.csv: the file is empty"):
        kaggle.read_folder(folder)


@pytest.mark.parametrize("begin", ["", ",".join(["0.5"] * 187) + ",1\n"])
def test_a_file_without_line_ends_is_refused_at_once(begin: str, folder: Path) -> None:
    # pandas would work for hours on a row of millions of columns.
    (folder / "mitbih_train.csv").write_text(begin + "0," * 10**6)
    with pytest.raises(DataError, match=r"row [12]: has 65,536 bytes or more. Download it again"):
        kaggle.read_folder(folder)


def test_blank_lines_are_counted_and_skipped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Even where a whole chunk would be blank.
    monkeypatch.setattr(kaggle, "CHUNK", 2)
    whole = kaggle.read_folder(folder)
    path = folder / "mitbih_train.csv"
    path.write_text(path.read_text().replace("\n", "\n\n \n\n"))
    assert kaggle.read_folder(folder).fingerprint == whole.fingerprint


@pytest.mark.parametrize("name", ["mitbih_train.csv", "mitbih_test.csv"])
def test_both_files_are_needed(name: str, folder: Path) -> None:
    (folder / name).unlink()
    with pytest.raises(DataError, match=f"{name} missing"):
        kaggle.read_folder(folder)


def _texts(n: int = 20, label: int | None = None) -> list[str]:
    rows = _rows(n, seed=2)
    labels = rows[:, 187].astype(int) if label is None else np.full(n, label)
    return [
        ",".join([*(f"{value:.4f}" for value in row[:187]), str(one)])
        for row, one in zip(rows, labels, strict=True)
    ]


HEADER = ",".join([*(f"t{place}" for place in range(187)), "class"])
PANDAS = ",".join(map(str, range(188)))  # the header that pandas writes by default


@pytest.mark.parametrize(
    ("change", "cause", "advice"),
    [
        (lambda rows: [HEADER, *rows], "row 1: a header", "header=False"),
        (lambda rows: [PANDAS, *rows], "row 1: a header", "header=False"),
        (
            lambda rows: ["," + PANDAS, *(f"{i},{row}" for i, row in enumerate(rows))],
            "row 1: a header",
            "index=False",
        ),
        (
            lambda rows: [f"{i},{row}" for i, row in enumerate(rows)],
            "row 1: 189 columns instead of 188: the first one numbers the rows",
            "index=False",
        ),
        (
            lambda rows: [",".join(f'"{field}"' for field in row.split(",")) for row in rows],
            "row 1: fields are in quotes",
            "without quotes",
        ),
        (
            lambda rows: [row.replace(",", ";").replace(".", ",") for row in rows],
            "row 1: fields are separated by semicolons",
            "points in numbers",
        ),
        (lambda rows: [row.replace(",", "\t") for row in rows], "spaces or tabs", "with commas"),
        (
            lambda rows: [row[:-1] + str(int(row[-1]) + 1) for row in rows],
            "row 5: label 5 is not one of",
            "Subtract 1",
        ),
        (
            lambda rows: [row[:-1] + "NSVFQ"[int(row[-1])] for row in rows],
            "row 1: the label is the letter N",
            "0, 1, 2, 3, 4 for N, S, V, F, Q",
        ),
        (
            lambda rows: [",".join([row[-1], *row.split(",")[:-1]]) for row in rows],
            "row 1: the labels seem to be in the first column",
            "Write them in the last",
        ),
    ],
    ids=["header", "pandas-header", "header-index", "index", "quotes", "semicolons", "tabs", "1..5",
         "letters", "labels-first"],
)  # fmt: skip
def test_the_advice_fits_the_fault(
    change: Callable[[list[str]], list[str]], cause: str, advice: str, folder: Path
) -> None:
    # Downloading again helps only if the download is at fault.
    path = folder / "mitbih_train.csv"
    path.write_text("\n".join(change(_texts())) + "\n")
    with pytest.raises(DataError) as caught:
        kaggle.read_folder(folder)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert cause in message
    assert advice in message
    assert "Download it again" not in message


@pytest.mark.parametrize(
    ("content", "cause"),
    [(b"<!DOCTYPE html>", "row 1: this is a web page"), ("0.5,".encode("utf-16"), "UTF-8")],
)
def test_a_file_of_another_kind_is_named(content: bytes, cause: str, folder: Path) -> None:
    (folder / "mitbih_train.csv").write_bytes(content)
    with pytest.raises(DataError, match=cause):
        kaggle.read_folder(folder)


def test_the_same_file_twice_is_refused(folder: Path) -> None:
    # Every test row would also be in training.
    (folder / "mitbih_test.csv").write_bytes((folder / "mitbih_train.csv").read_bytes())
    with pytest.raises(DataError, match=r"mitbih_test\.csv: has the same rows as .*mitbih_train"):
        kaggle.read_folder(folder)


def test_a_message_names_files_in_printable_characters(folder: Path, tmp_path: Path) -> None:
    archive = tmp_path / "x.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name in ("\tmitbih_train.csv", "\x1bmitbih_test.csv"):
            file.write(folder / "mitbih_train.csv", name)
    train, test = (CsvFile(archive, name) for name in ("\tmitbih_train.csv", "\x1bmitbih_test.csv"))
    with pytest.raises(DataError, match=r"\?mitbih_test\.csv: has the same rows as") as caught:
        kaggle.read_pair(train, test)
    assert str(caught.value).isprintable()


def test_renamed_ptb_files_are_recognised(folder: Path) -> None:
    # They have the same form, and only the labels 0 and 1.
    (folder / "mitbih_train.csv").write_text("\n".join(_texts(80, label=0)))
    (folder / "mitbih_test.csv").write_text("\n".join(_texts(40, label=1)))
    with pytest.raises(DataError, match=r"the only labels are 0 and 1, as in the PTB files"):
        kaggle.read_folder(folder)


def test_a_byte_order_mark_is_skipped(folder: Path) -> None:
    # Excel writes one.
    whole = kaggle.read_folder(folder)
    path = folder / "mitbih_train.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert kaggle.read_folder(folder).fingerprint == whole.fingerprint
