"""The Kaggle heartbeats (`shayanfazeli/heartbeat`): two CSV files that bring their own split.

Kachuee M, Fazeli S, Sarrafzadeh M. ECG Heartbeat Classification: A Deep Transferable
Representation. IEEE ICHI 2018. The rows are MIT-BIH beats without record and position.
"""

import csv
import io
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ecg.errors import DataError
from ecg.heartbeats import BEAT_LENGTH, CLASSES, UNKNOWN, Heartbeats

TRAIN_FILE, TEST_FILE = "mitbih_train.csv", "mitbih_test.csv"
COLUMNS = BEAT_LENGTH + 1  # the values, then the label
TOLERANCE = 1e-6  # how far rounding may put a value outside [0, 1]
CHUNK = 4096  # rows parsed at a time: a few MB, whatever the size of the file
LINE_LIMIT = 2**16  # bytes; the published lines have 4,700
ADVICE = "download again with `python -m ecg fetch kaggle`"


def read_folder(folder: Path) -> Heartbeats:
    """Read `mitbih_train.csv`, then `mitbih_test.csv`; `in_test` keeps that split.

    Args:
        folder: holds both files; no header, 187 values in [0, 1] and a label 0..4 a row.

    Returns:
        The beats in file order; record and sample are -1 and symbol is "".

    Raises:
        DataError: a file is missing, empty or damaged; the message names file and row.
    """
    missing = [name for name in (TRAIN_FILE, TEST_FILE) if not (folder / name).is_file()]
    if missing:
        raise DataError(f"{folder}: {' and '.join(missing)} missing; {ADVICE}")
    train_signals, train_labels = _read_csv(folder / TRAIN_FILE)
    test_signals, test_labels = _read_csv(folder / TEST_FILE)
    n_train, n_test = len(train_labels), len(test_labels)
    return Heartbeats(
        signals=np.concatenate([train_signals, test_signals]),
        labels=np.concatenate([train_labels, test_labels]),
        record=np.full(n_train + n_test, UNKNOWN, dtype=np.int32),
        sample=np.full(n_train + n_test, UNKNOWN, dtype=np.int32),
        symbol=np.full(n_train + n_test, "", dtype="U1"),
        in_test=np.repeat([False, True], [n_train, n_test]),
        source="kaggle",
    )


def _read_csv(path: Path) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return signals (n, 187) and labels (n,) of one file."""
    signals, labels = [], []
    try:
        for table in _chunks(path):
            if not _is_valid(table):
                raise ValueError("a value that is no heartbeat")
            # Adding zero turns -0.0, which clip keeps, into 0.0.
            signals.append(np.clip(table[:, :BEAT_LENGTH], 0.0, 1.0) + np.float32(0.0))
            labels.append(table[:, BEAT_LENGTH].astype(np.int64))
        if not labels:
            raise ValueError("the file is empty")
    except (ValueError, OSError) as error:  # pandas' parser errors are ValueErrors
        # The fast parser does not tell where; look for the first bad row line by line.
        raise DataError(f"{path}: {_first_fault(path) or error}; {ADVICE}") from error
    return np.concatenate(signals), np.concatenate(labels)


def _chunks(path: Path) -> Iterator[NDArray[np.float32]]:
    import pandas as pd

    with path.open("rb") as file:
        lines = (line for _, line in _lines(file))
        while chunk := b"".join(islice(lines, CHUNK)):
            frame = pd.read_csv(
                io.BytesIO(chunk), header=None, dtype=np.float32, quoting=csv.QUOTE_NONE
            )
            yield frame.to_numpy(dtype=np.float32)


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, with their numbers.

    Raises:
        ValueError: a line is so long that it cannot be one heartbeat: pandas would take hours
            and all memory for a file that has no line ends.
    """
    for number in count(1):
        line = file.readline(LINE_LIMIT)
        if len(line) == LINE_LIMIT:
            raise ValueError(f"row {number}: has {LINE_LIMIT:,} bytes or more")
        if not line:
            return
        if line.strip():
            yield number, line


def _is_valid(table: NDArray[np.float32]) -> bool:
    if table.shape[1] != COLUMNS:
        return False
    values, labels = table[:, :BEAT_LENGTH], table[:, BEAT_LENGTH]
    # NaN fails every comparison, infinity one of them.
    in_range = (values >= -TOLERANCE) & (values <= 1 + TOLERANCE)
    return bool(in_range.all() and np.isin(labels, np.arange(len(CLASSES))).all())


def _first_fault(path: Path) -> str | None:
    """Return what is wrong with the first bad row, e.g. "row 3: 187 columns instead of 188"."""
    try:
        with path.open("rb") as file:
            for number, line in _lines(file):
                text = line.decode("utf-8", errors="replace").rstrip("\r\n")
                if fault := _fault_of_row(text.split(",")):
                    return f"row {number}: {fault}"
    except (ValueError, OSError) as error:
        return str(error)
    return None


def _fault_of_row(fields: list[str]) -> str | None:
    if len(fields) != COLUMNS:
        return f"{len(fields)} columns instead of {COLUMNS} (187 values and a label)"
    for column, field in enumerate(fields, start=1):
        try:
            value = float(field)
        except ValueError:
            return f"column {column}: {field[:40]!r} is not a number"
        if not np.isfinite(value):
            return f"column {column}: {field.strip()} is not a finite number"
        if column == COLUMNS:
            if value not in range(len(CLASSES)):
                return f"label {field.strip()} is not one of 0, 1, 2, 3, 4"
        elif not -TOLERANCE <= value <= 1 + TOLERANCE:
            return f"column {column}: {field.strip()} lies outside [0, 1]"
    return None
