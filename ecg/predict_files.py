"""The output of `ecg predict`: a CSV of beats, and WFDB annotation files of the classes."""

import csv
import shutil
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecg.errors import UsageError
from ecg.files import output_to, replacing
from ecg.heartbeats import CLASSES, UNKNOWN, Heartbeats

EXTENSION = "aami"  # of annotation files; WFDB allows only letters
HEADER = ("record", "sample", "time", "class", *CLASSES)


def write_csv(path: Path, beats: Heartbeats, probabilities: NDArray[np.float32]) -> None:
    """Write one row per beat: record, sample of the R peak, seconds, class, five probabilities.

    Unknown values are left empty.

    Args:
        path: file to write; an existing file is replaced.
        beats: the classified beats.
        probabilities: (n, 5) probability of each class.

    Raises:
        OutputError: the file cannot be written.
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
    with (
        output_to(path),
        replacing(path) as temporary,
        temporary.open("x", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows(columns)


def write_annotations(folder: Path, beats: Heartbeats, labels: NDArray[np.int64]) -> list[Path]:
    """Write one WFDB annotation file per record, `RECORD.aami`, with the symbols N, S, V, F, Q.

    Args:
        folder: created if missing; existing files are replaced.
        beats: the classified beats.
        labels: (n,) predicted classes, index into `CLASSES`.

    Returns:
        The paths of the files.

    Raises:
        UsageError: the data lacks the record or sample of a beat.
        OutputError: a file cannot be written.
    """
    import wfdb

    if not beats.records or (beats.sample == UNKNOWN).any():
        raise UsageError(
            "`annotations` needs the record and sample of every beat, which this data lacks. Use "
            "WFDB records."
        )
    written = []
    for number, record in beats.records.items():
        rows = np.flatnonzero(beats.record == number)
        if len(rows) == 0:
            continue
        path = folder / f"{record.name}.{EXTENSION}"
        with (
            output_to(path),
            tempfile.TemporaryDirectory(prefix="ecg-annotations-") as inner,
            replacing(path) as temporary,
        ):
            wfdb.wrann(
                record.name, EXTENSION, beats.sample[rows].astype(np.int64),
                symbol=[CLASSES[label] for label in labels[rows]], fs=record.rate, write_dir=inner,
            )  # fmt: skip
            shutil.copyfile(Path(inner) / path.name, temporary)
        written.append(path)
    return written
