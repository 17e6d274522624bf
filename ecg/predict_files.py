"""What `ecg predict` writes: a CSV of beats, and WFDB annotation files of the classes found."""

import csv
import shutil
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecg.errors import EcgError, UsageError
from ecg.files import replacing
from ecg.heartbeats import CLASSES, UNKNOWN, Heartbeats

EXTENSION = "aami"  # of annotation files: letters only, as WFDB asks
HEADER = ("record", "sample", "time", "class", *CLASSES)


def write_csv(path: Path, beats: Heartbeats, probabilities: NDArray[np.float32]) -> None:
    """Write one row a beat: record, sample of the R peak, seconds, class, five probabilities.

    Args:
        path: of the file; one that is there is replaced. What the data do not tell is left empty.
        beats: that were classified.
        probabilities: (n, 5).

    Raises:
        EcgError: it cannot be written.
    """
    names = {int(number): beats.record_name(number) for number in np.unique(beats.record)}
    names[UNKNOWN] = ""
    columns = zip(
        (names[number] for number in beats.record.tolist()),
        ("" if sample == UNKNOWN else sample for sample in beats.sample.tolist()),
        ("" if np.isnan(time) else f"{time:.3f}" for time in beats.times().tolist()),
        (CLASSES[label] for label in probabilities.argmax(axis=1).tolist()),
        *([f"{p:.6f}" for p in column] for column in probabilities.T.tolist()),
        strict=True,
    )
    try:
        with replacing(path) as beside, beside.open("x", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(HEADER)
            writer.writerows(columns)
    except OSError as error:
        raise EcgError(f"cannot write {path}: {error.strerror or error}") from None


def write_annotations(folder: Path, beats: Heartbeats, labels: NDArray[np.int64]) -> list[Path]:
    """Write one WFDB annotation file a record, `RECORD.aami`, whose symbols are N, S, V, F, Q.

    Args:
        folder: made where there is none; files that are there are replaced.
        beats: that were classified.
        labels: (n,) index into `CLASSES`.

    Returns:
        The files.

    Raises:
        UsageError: the data do not tell record and sample of the beats.
        EcgError: a file cannot be written.
    """
    import wfdb

    if not beats.records or (beats.sample == UNKNOWN).any():
        raise UsageError("`annotations` needs the record and sample of every beat; use records")
    written = []
    for number, record in beats.records.items():
        rows = np.flatnonzero(beats.record == number)
        if len(rows) == 0:
            continue
        path = folder / f"{record.name}.{EXTENSION}"
        try:
            with tempfile.TemporaryDirectory(prefix="ecg-annotations-") as inner:
                wfdb.wrann(
                    record.name, EXTENSION, beats.sample[rows].astype(np.int64),
                    symbol=[CLASSES[label] for label in labels[rows]], fs=record.rate,
                    write_dir=inner,
                )  # fmt: skip
                with replacing(path) as beside:
                    shutil.copyfile(Path(inner) / path.name, beside)
        except OSError as error:
            raise EcgError(f"cannot write {path}: {error.strerror or error}") from None
        written.append(path)
    return written
