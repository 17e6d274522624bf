"""A user's own table of beats: a CSV file with a header, or an `.npz` of arrays."""

import io
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecg.errors import DataError
from ecg.heartbeats import BEAT_LENGTH, CLASSES, SAMPLING_RATE, UNKNOWN, Heartbeats, Record
from ecg.sources.cache import read_members
from ecg.sources.csv_advice import TOLERANCE
from ecg.sources.csv_files import CsvFile, as_text
from ecg.sources.records import number_records

LABEL, RECORD, IN_TEST = "label", "record", "in_test"  # columns besides the values
SIGNALS, LABELS = "signals", "labels"  # arrays of an .npz, besides RECORD and IN_TEST
SEE = "See docs/data.md for the form."
SCALE = "scale each beat by its minimum and maximum: (x - x.min()) / (x.max() - x.min())"
CHUNK = 4096
MOST_ROWS = 2**20
# Labels as people write them; an integer may have been stored as a float.
KNOWN_LABELS = {
    **{str(place): place for place in range(len(CLASSES))},
    **{f"{place}.0": place for place in range(len(CLASSES))},
    **{name: place for place, name in enumerate(CLASSES)},
}


def is_header(fields: Sequence[str]) -> bool:
    """Return whether the first row of a CSV file is the header of such a table."""
    return LABEL in [field.strip().strip('"').lower() for field in fields]


def read(path: Path, files: Sequence[CsvFile], source: str) -> Heartbeats:
    """Read a table from its CSV file if there is one, else from its `.npz`."""
    return read_csv(files[0], source) if files else read_npz(path, source)


def read_csv(file: CsvFile, source: str) -> Heartbeats:
    """Read a CSV file with a header: `label`, optional `record` and `in_test`, and 187 values.

    Args:
        file: the file; the columns of the values may have any names.
        source: name of the data.

    Raises:
        DataError: the file is invalid; the message names file, row and fault.
    """
    import pandas as pd

    try:
        lines = file.lines()
        header = as_text(next(lines, (1, b""))[1])
        names = [name.strip().strip('"').lower() for name in header.split(",")]
        places = _places(names)
        frames: list[Any] = []
        while chunk := b"".join(line for _, line in islice(lines, CHUNK)):
            if CHUNK * len(frames) > MOST_ROWS:
                raise ValueError(f"more than {MOST_ROWS:,} rows")
            frames.append(
                pd.read_csv(io.BytesIO(chunk), header=None, dtype=str, keep_default_na=False)
            )
            if frames[-1].shape[1] != len(names):
                raise ValueError(
                    f"a row has {frames[-1].shape[1]} fields, but the header has {len(names)}"
                )
        if not frames:
            raise ValueError("there is a header but no row")
        frame = pd.concat(frames, ignore_index=True)
        others = {name: frame[place].to_numpy() for name, place in places.items()}
        values = frame.drop(columns=list(places.values()))
        return _assemble(
            _as_numbers(values.to_numpy()),
            others[LABEL],
            others.get(RECORD),
            _as_flags(others.get(IN_TEST)),
            source,
            first_row=2,
        )
    except (ValueError, OSError) as error:
        raise DataError(f"{file}: {error}. {SEE}") from error


def read_npz(path: Path, source: str) -> Heartbeats:
    """Read an `.npz`: `signals` (n, 187), `labels` (n,), optional `record` and `in_test` (n,).

    Args:
        path: path of the file.
        source: name of the data.

    Raises:
        DataError: the file is invalid; the message names file, row and fault.
    """
    try:
        arrays = read_members(path)
        return _from_arrays(arrays, source)
    except Exception as error:  # whatever a damaged file makes zipfile or numpy raise
        raise DataError(f"{path}: {error or type(error).__name__}. {SEE}") from None


def _from_arrays(arrays: Mapping[str, NDArray[Any]], source: str) -> Heartbeats:
    if missing := [name for name in (SIGNALS, LABELS) if name not in arrays]:
        raise ValueError(f"lacks the array {missing[0]} (it has {', '.join(arrays) or 'none'})")
    signals, labels, in_test = arrays[SIGNALS], arrays[LABELS], arrays.get(IN_TEST)
    if signals.ndim != 2 or signals.shape[1] != BEAT_LENGTH or signals.dtype.kind not in "fiu":
        raise ValueError(
            f"signals has the shape {signals.shape} and type {signals.dtype}, not (beats, "
            f"{BEAT_LENGTH}) numbers"
        )
    for name, array in (("labels", labels), (RECORD, arrays.get(RECORD)), (IN_TEST, in_test)):
        if array is not None and array.shape != (len(signals),):
            raise ValueError(f"{name} has the shape {array.shape}, not ({len(signals)},)")
    if in_test is not None and in_test.dtype != np.bool_:
        in_test = _as_flags(in_test.astype(str))
    return _assemble(signals, labels, arrays.get(RECORD), in_test, source, first_row=0)


def _places(names: Sequence[str]) -> dict[str, int]:
    """Return the index of each column that is not a value.

    Raises:
        ValueError: this is not the header of a table.
    """
    places = {name: names.index(name) for name in (LABEL, RECORD, IN_TEST) if name in names}
    if LABEL not in places:
        raise ValueError("the first row has no column `label`")
    values = len(names) - len(places)
    if values != BEAT_LENGTH:
        index = "; the first column has no name: leave the index out" if not names[0] else ""
        raise ValueError(
            f"the header has {values} columns besides {', '.join(places)}, not {BEAT_LENGTH} values"
            f"{index}"
        )
    return places


def _as_numbers(texts: NDArray[Any]) -> NDArray[np.float32]:
    try:
        numbers: NDArray[np.float32] = texts.astype(np.float32)
    except ValueError:
        for row, fields in enumerate(texts.tolist()):
            for column, field in enumerate(fields, start=1):
                try:
                    float(field)
                except ValueError:
                    raise ValueError(
                        f"row {row + 2}: value {column}: {field[:40]!r} is not a number"
                    ) from None
        raise
    return numbers


def _as_flags(texts: NDArray[Any] | None) -> NDArray[np.bool_] | None:
    if texts is None:
        return None
    known = {"0": False, "1": True, "false": False, "true": True, "0.0": False, "1.0": True}
    words = [str(one).strip().lower() for one in texts]
    if unknown := [word for word in words if word not in known]:
        raise ValueError(f"in_test is {unknown[0][:40]!r}, not 0 or 1")
    return np.array([known[word] for word in words], dtype=np.bool_)


def _assemble(
    signals: NDArray[Any],
    labels: NDArray[Any],
    record: NDArray[Any] | None,
    in_test: NDArray[np.bool_] | None,
    source: str,
    *,
    first_row: int,
) -> Heartbeats:
    """Return the beats of a table whose arrays have the right shapes.

    Raises:
        ValueError: a row is invalid; the message names the first one, counted from `first_row`.
    """
    n = len(signals)
    if n == 0:
        raise ValueError("there is no beat")
    values = signals.astype(np.float32)
    is_bad = ~((values >= -TOLERANCE) & (values <= 1 + TOLERANCE))  # includes NaN
    if is_bad.any():
        row, column = (int(at) for at in np.argwhere(is_bad)[0])
        raise ValueError(
            f"row {row + first_row}: value {column + 1} is {values[row, column]:g}, outside "
            f"[0, 1]; {SCALE}"
        )
    names = None if record is None else [str(one).strip() for one in record]
    if names is not None and "" in names:
        raise ValueError(f"row {names.index('') + first_row}: there is no record")
    unique = sorted(set(names or ()))
    numbers = dict(zip(unique, number_records(unique), strict=True))
    unknown = np.full(n, UNKNOWN, dtype=np.int32)
    return Heartbeats(
        signals=np.clip(values, 0.0, 1.0) + np.float32(0.0),
        labels=_as_labels(labels, first_row),
        record=unknown if names is None else np.array([numbers[one] for one in names], np.int32),
        sample=unknown.copy(),
        symbol=np.full(n, "", dtype="U1"),
        in_test=in_test,
        source=source,
        records={number: Record(one, SAMPLING_RATE, "") for one, number in numbers.items()},
    )


def _as_labels(labels: NDArray[Any], first_row: int) -> NDArray[np.int64]:
    texts = [str(one).strip() for one in labels]
    found = [KNOWN_LABELS.get(one.upper(), -1) for one in texts]
    if -1 in found:
        row = found.index(-1)
        is_shifted = set(texts) <= {"1", "2", "3", "4", "5"}
        advice = "; the labels go from 1 to 5: subtract 1" if is_shifted else ""
        raise ValueError(
            f"row {row + first_row}: label {texts[row][:40]!r} is not one of 0, 1, 2, 3, 4 or "
            f"{', '.join(CLASSES)}{advice}"
        )
    return np.array(found, dtype=np.int64)
