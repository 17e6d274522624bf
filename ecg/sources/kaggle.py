"""The Kaggle heartbeats (`shayanfazeli/heartbeat`): two CSV files that come with a split.

Kachuee M, Fazeli S, Sarrafzadeh M. ECG Heartbeat Classification: A Deep Transferable
Representation. IEEE ICHI 2018. The rows are MIT-BIH beats without record and position.
"""

import csv
import io
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecg.errors import DataError
from ecg.heartbeats import BEAT_LENGTH, CLASSES, PUBLISHED_COUNTS, UNKNOWN, Heartbeats
from ecg.sources.csv_advice import ADVICE, COLUMNS, TOLERANCE, explain
from ecg.sources.csv_files import CsvFile

TRAIN_FILE, TEST_FILE = "mitbih_train.csv", "mitbih_test.csv"
SUBSET = "kaggle-subset"  # source name of files other than the published ones
CHUNK = 4096  # rows parsed at a time: a few MB, whatever the size of the file
MOST_ROWS = 2**20
ENOUGH = 100  # rows that suffice to recognise PTB files by their labels


def read_folder(folder: Path) -> Heartbeats:
    """Read `mitbih_train.csv` and `mitbih_test.csv` of a folder, see `read_pair`."""
    return read_pair(CsvFile(folder / TRAIN_FILE), CsvFile(folder / TEST_FILE))


def read_pair(train: CsvFile, test: CsvFile, *, source: str = SUBSET) -> Heartbeats:
    """Read the training rows, then the test rows; `in_test` keeps that split.

    Args:
        train: file without a header, each row with 187 values in [0, 1] and a label 0..4.
        test: file of the same form.
        source: name of the data, unless the class counts are the published ones; then it is
            "kaggle".

    Returns:
        The beats in file order; record and sample are -1 and symbol is "".

    Raises:
        DataError: a file is missing, empty or damaged, or the files are not such a pair; the
            message names file and row.
    """
    missing = [file for file in (train, test) if not file.path.is_file()]
    if missing:
        names = " and ".join(file.name for file in missing)
        raise DataError(f"{missing[0].path.parent}: {names} missing. {ADVICE}")
    train_signals, train_labels = _read_csv(train)
    test_signals, test_labels = _read_csv(test)
    n_train, n_test = len(train_labels), len(test_labels)
    labels = np.concatenate([train_labels, test_labels])
    if np.array_equal(train_signals, test_signals) and np.array_equal(train_labels, test_labels):
        raise DataError(
            f"{test}: has the same rows as {train}, so every test row is also in training. {ADVICE}"
        )
    if len(labels) >= ENOUGH and labels.max() <= 1:
        raise DataError(
            f"{train}: the only labels are 0 and 1, as in the PTB files (ptbdb_normal.csv, "
            "ptbdb_abnormal.csv), whose beats have other classes. Name files of MIT-BIH beats, or "
            "download them with `python -m ecg fetch kaggle`."
        )
    counts = tuple(np.bincount(labels, minlength=len(CLASSES)))
    return Heartbeats(
        signals=np.concatenate([train_signals, test_signals]),
        labels=labels,
        record=np.full(n_train + n_test, UNKNOWN, dtype=np.int32),
        sample=np.full(n_train + n_test, UNKNOWN, dtype=np.int32),
        symbol=np.full(n_train + n_test, "", dtype="U1"),
        in_test=np.repeat([False, True], [n_train, n_test]),
        source="kaggle" if counts == PUBLISHED_COUNTS else source,
    )


def _read_csv(file: CsvFile) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the signals (n, 187) and labels (n,) of one file."""
    signals: list[NDArray[np.float32]] = []
    labels: list[NDArray[np.int64]] = []
    try:
        for table in _chunks(file):
            if not _is_valid(table):
                raise ValueError("an invalid value")
            if CHUNK * len(labels) > MOST_ROWS:
                raise ValueError(f"more than {MOST_ROWS:,} rows")
            # Adding zero turns -0.0, which clip keeps, into 0.0.
            signals.append(np.clip(table[:, :BEAT_LENGTH], 0.0, 1.0) + np.float32(0.0))
            labels.append(table[:, BEAT_LENGTH].astype(np.int64))
        if not labels:
            raise ValueError("the file is empty")
    except (ValueError, OSError) as error:  # pandas' parser errors are ValueErrors
        # The fast parser does not say where; look for the first bad row line by line.
        raise DataError(f"{file}: {explain(file) or f'{error}. {ADVICE}'}") from error
    return np.concatenate(signals), np.concatenate(labels)


def _chunks(file: CsvFile) -> Iterator[NDArray[np.float32]]:
    import pandas as pd

    lines = (line for _, line in file.lines())
    while chunk := b"".join(islice(lines, CHUNK)):
        frame = pd.read_csv(
            io.BytesIO(chunk), header=None, dtype=np.float32, quoting=csv.QUOTE_NONE
        )
        yield frame.to_numpy(dtype=np.float32)


def _is_valid(table: NDArray[np.float32]) -> bool:
    if table.shape[1] != COLUMNS:
        return False
    values, labels = table[:, :BEAT_LENGTH], table[:, BEAT_LENGTH]
    # NaN fails every comparison, infinity one of them.
    in_range = (values >= -TOLERANCE) & (values <= 1 + TOLERANCE)
    return bool(in_range.all() and np.isin(labels, np.arange(len(CLASSES))).all())
