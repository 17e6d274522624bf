"""The MIT-BIH Arrhythmia Database as PhysioNet publishes it: 48 records, two channels, 360 Hz.

Moody GB, Mark RG. The impact of the MIT-BIH Arrhythmia Database. IEEE Eng in Med and Biol
20(3):45-50, 2001; https://physionet.org/content/mitdb/1.0.0/. File formats: WFDB
Applications Guide, header(5), signal(5), annot(5).
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecg.errors import DataError
from ecg.heartbeats import Heartbeats
from ecg.sources.archive import unpack_records
from ecg.sources.mitdb_files import DOWNLOAD_AGAIN, RECORDS, SIZE_LIMITS, differing_files
from ecg.sources.windows import Windows, cut_windows

__all__ = ["RECORDS", "differing_files", "read_folder", "read_record", "read_zip"]

RAW_SAMPLING_RATE = 360  # Hz
SIGNAL_FORMAT = "212"  # two 12-bit samples in three bytes

# Annotation codes that carry more bytes than their own two (WFDB annot(5)).
SKIP, AUX = 59, 63


class _FileError(Exception):
    """What is wrong with one file; `read_record` adds where it lies and what to do."""


def read_folder(folder: Path) -> Heartbeats:
    """Read the 48 records of a folder into heartbeats, in the order of `RECORDS`.

    Args:
        folder: holds 100.hea, 100.dat, 100.atr, 101.hea, ...

    Returns:
        109,446 beats for the published files; `in_test` is None.

    Raises:
        DataError: a file is missing or damaged; the message names folder, record and cause.
    """
    return _read_all(folder, shown_as=folder)


def read_zip(path: Path) -> Heartbeats:
    """Read the 48 records from PhysioNet's ZIP; otherwise like `read_folder`.

    Raises:
        DataError: the ZIP or one of its records is missing something or damaged.
    """
    with tempfile.TemporaryDirectory(prefix="ecg-mitdb-") as folder:
        unpack_records(path, Path(folder))
        return _read_all(Path(folder), shown_as=path)


def read_record(folder: Path, record: int, *, shown_as: Path | None = None) -> Windows:
    """Read one record and cut it into beats.

    Args:
        folder: where `<record>.hea`, `.dat` and `.atr` lie.
        record: the record number.
        shown_as: what error messages call the folder, where it is a temporary one.

    Raises:
        DataError: a file is missing or damaged; whatever `wfdb` raises is turned into this.
    """
    path = folder.absolute() / str(record)
    try:
        _check_files(path)
        adc = _read_signal(path)
        sample, symbol = _read_annotations(path, length=len(adc))
    except (_FileError, OSError) as error:
        raise DataError(
            f"{shown_as or folder}: record {record}: {error}; {DOWNLOAD_AGAIN}"
        ) from error
    return cut_windows(adc, sample, symbol)


def _read_all(folder: Path, shown_as: Path) -> Heartbeats:
    parts = [read_record(folder, record, shown_as=shown_as) for record in RECORDS]
    beats = [len(part.labels) for part in parts]
    return Heartbeats(
        signals=np.concatenate([part.signals for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        record=np.repeat(np.array(RECORDS, dtype=np.int32), beats),
        sample=np.concatenate([part.sample for part in parts]),
        symbol=np.concatenate([part.symbol for part in parts]),
        in_test=None,
        source="mitdb",
    )


def _check_files(path: Path) -> None:
    missing = [
        f"{path.name}{suffix}" for suffix in SIZE_LIMITS if not path.with_suffix(suffix).is_file()
    ]
    if missing:
        raise _FileError(f"{' and '.join(missing)} missing")
    for suffix, limit in SIZE_LIMITS.items():
        size = path.with_suffix(suffix).stat().st_size
        if size > limit:
            raise _FileError(f"{path.name}{suffix} has {size} bytes, more than any MIT-BIH record")


def _read_signal(path: Path) -> NDArray[np.int64]:
    """Return channel 0 in raw ADC units, (samples,), with size and checksum verified."""
    import wfdb

    try:
        header: Any = wfdb.rdheader(str(path))
    except Exception as error:
        raise _FileError(f"{path.name}.hea is unreadable ({_reason(error)})") from error
    _check_header(path, header)
    try:
        signal = wfdb.rdrecord(str(path), channels=[0], physical=False).d_signal
        adc: NDArray[np.int64] = np.asarray(signal, dtype=np.int64)[:, 0]
    except Exception as error:
        raise _FileError(f"{path.name}.dat is unreadable ({_reason(error)})") from error
    if (int(adc.sum()) - header.checksum[0]) % 65536:
        raise _FileError(f"{path.name}.dat does not have the checksum that {path.name}.hea gives")
    return adc


def _check_header(path: Path, header: Any) -> None:
    """Refuse every header but one of a plain MIT-BIH record.

    This also keeps a header from pointing at another file or at more samples than there are.
    """
    name = f"{path.name}.hea"
    files = getattr(header, "file_name", None)
    if getattr(header, "n_seg", None) is not None or not header.n_sig or not files:
        raise _FileError(f"{name} describes no channel")
    if len(files) != header.n_sig:
        raise _FileError(f"{name} announces {header.n_sig} channels and describes {len(files)}")
    if header.fs != RAW_SAMPLING_RATE:
        raise _FileError(
            f"{name} gives a sampling rate of {header.fs} Hz instead of {RAW_SAMPLING_RATE} Hz"
        )
    if set(files) != {f"{path.name}.dat"}:
        raise _FileError(f"{name} names the signal file {files[0]!r} instead of {path.name}.dat")
    plain = (
        set(header.fmt) == {SIGNAL_FORMAT}
        and set(header.samps_per_frame) <= {None, 1}
        and not any(header.skew)
        and not any(header.byte_offset)
    )
    if not plain:
        raise _FileError(f"{name} does not give the plain signal format {SIGNAL_FORMAT}")
    if not header.sig_len or header.checksum[0] is None:
        raise _FileError(f"{name} lacks the number of samples or the checksum")
    if header.sig_len > SIZE_LIMITS[".dat"]:  # it may have thousands of digits
        raise _FileError(f"{name} announces more samples than any MIT-BIH record has")
    expected = (header.sig_len * header.n_sig * 3 + 1) // 2
    found = path.with_suffix(".dat").stat().st_size
    if found != expected:
        fault = "is cut short" if found < expected else "is too long"
        raise _FileError(
            f"{path.name}.dat {fault}: it has {found} bytes where {name} says {expected} "
            f"({header.sig_len} samples of {header.n_sig} channels)"
        )


def _read_annotations(path: Path, *, length: int) -> tuple[NDArray[np.int64], list[str]]:
    """Return sample and symbol of every annotation of a record of `length` samples."""
    import wfdb

    name = f"{path.name}.atr"
    _check_end_marker(name, path.with_suffix(".atr").read_bytes())
    try:
        annotation = wfdb.rdann(str(path), "atr")
        sample: NDArray[np.int64] = np.asarray(annotation.sample, dtype=np.int64)
        symbol = [str(one) for one in annotation.symbol]
    except Exception as error:
        raise _FileError(f"{name} is unreadable ({_reason(error)})") from error
    if len(sample) == 0:
        raise _FileError(f"{name} has no annotation")
    if (np.diff(sample) < 0).any():
        first = int(np.flatnonzero(np.diff(sample) < 0)[0]) + 1
        raise _FileError(f"annotation {first} of {name} lies before the one preceding it")
    if sample[0] < 0 or sample[-1] >= length:
        raise _FileError(
            f"{name} has an annotation at sample {sample[0] if sample[0] < 0 else sample[-1]}, "
            f"outside the {length} samples of the record"
        )
    return sample, symbol


def _check_end_marker(name: str, content: bytes) -> None:
    """Walk the annotations to the end marker, a zero word, which must be the last two bytes.

    `wfdb` takes the last two bytes for the marker without looking, so that a file cut short
    would silently lose its last annotations.
    """
    at = 0
    while at + 2 <= len(content):
        word = int.from_bytes(content[at : at + 2], "little")
        at += 2
        code, value = word >> 10, word & 0x3FF
        if word == 0:
            if at < len(content):
                raise _FileError(
                    f"{name} goes on for {len(content) - at} bytes after its end marker"
                )
            return
        if code == SKIP:
            at += 4
        elif code == AUX:
            at += value + value % 2
    raise _FileError(f"{name} is cut short: it has no end marker")


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
