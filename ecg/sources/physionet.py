"""The MIT-BIH Arrhythmia Database as PhysioNet publishes it: 48 records, two channels, 360 Hz.

Moody GB, Mark RG. The impact of the MIT-BIH Arrhythmia Database. IEEE Eng in Med and Biol
20(3):45-50, 2001; https://physionet.org/content/mitdb/1.0.0/.
"""

import tempfile
from pathlib import Path
from typing import Any

from ecg.heartbeats import RAW_SAMPLING_RATE, Heartbeats
from ecg.sources import records
from ecg.sources.archive import unpack_mitdb
from ecg.sources.mitdb_files import DOWNLOAD_AGAIN, RECORDS, SIZE_LIMITS, differing_files
from ecg.sources.wfdb_files import FileError, Rules
from ecg.sources.wfdb_files import read_record as read_any
from ecg.sources.windows import Windows

__all__ = ["RECORDS", "differing_files", "read_folder", "read_record", "read_zip"]

SIGNAL_FORMAT = "212"  # two 12-bit samples in three bytes


def read_folder(folder: Path, *, lead: str | None = None) -> Heartbeats:
    """Read the 48 records of a folder into heartbeats, in the order of `RECORDS`.

    Args:
        folder: folder with 100.hea, 100.dat, 100.atr, 101.hea, ...
        lead: name of the lead to cut beats from; None for the first, as published.

    Returns:
        109,446 beats for the published files and the first lead; `in_test` is None.

    Raises:
        DataError: a file is missing or damaged; the message names folder, record and cause.
    """
    return _read_all(folder, shown_as=folder, lead=lead)


def read_zip(path: Path, *, lead: str | None = None) -> Heartbeats:
    """Read the 48 records from PhysioNet's ZIP; otherwise like `read_folder`.

    Raises:
        DataError: the ZIP or one of its records is incomplete or damaged.
    """
    with tempfile.TemporaryDirectory(prefix="ecg-mitdb-") as folder:
        unpack_mitdb(path, Path(folder))
        return _read_all(Path(folder), shown_as=path, lead=lead)


def read_record(folder: Path, record: int, *, shown_as: Path | None = None) -> Windows:
    """Read one record and cut it into beats.

    Args:
        folder: folder with `<record>.hea`, `.dat` and `.atr`.
        record: record number.
        shown_as: path for error messages, if the folder is temporary.

    Raises:
        DataError: a file is missing or damaged; any error of `wfdb` becomes this error.
    """
    return read_any(folder, str(record), MITDB, shown_as=shown_as)[0]


def _read_all(folder: Path, shown_as: Path, lead: str | None) -> Heartbeats:
    parts = {
        str(record): read_any(folder, str(record), MITDB, lead=lead, shown_as=shown_as)
        for record in RECORDS
    }
    return records.assemble(parts, "mitdb")


def _check_header(name: str, header: Any) -> None:
    """Refuse any header that is not of a plain MIT-BIH record."""
    if header.fs != RAW_SAMPLING_RATE:
        raise FileError(
            f"{name} gives a sampling rate of {header.fs} Hz instead of {RAW_SAMPLING_RATE} Hz"
        )
    plain = (
        set(header.fmt) == {SIGNAL_FORMAT}
        and set(header.samps_per_frame) <= {None, 1}
        and not any(header.skew)
        and not any(header.byte_offset)
        and set(header.file_name) == {name.replace(".hea", ".dat")}
    )
    if not plain:
        raise FileError(f"{name} does not give the plain signal format {SIGNAL_FORMAT}")
    if not header.sig_len or header.checksum[0] is None:
        raise FileError(f"{name} lacks the number of samples or the checksum")
    if header.sig_len > SIZE_LIMITS[".dat"]:  # a damaged one may have thousands of digits
        raise FileError(f"{name} declares more samples than any MIT-BIH record has")


MITDB = Rules(SIZE_LIMITS, _check_header, DOWNLOAD_AGAIN)
