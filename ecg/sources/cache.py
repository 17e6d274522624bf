"""Cache of rebuilt heartbeats: one compressed `.npz` per input, verified when read.

Most signals end in zeros. They are stored without these, one after another (`values`), with the
number of values of each beat (`lengths`).
"""

import errno
import hashlib
import io
import json
import logging
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ecg.errors import DataError
from ecg.files import replacing
from ecg.heartbeats import BEAT_LENGTH, CLASSES, Heartbeats, Record

logger = logging.getLogger(__name__)

FORMAT_VERSION = 2  # 2: with RR intervals and details of the records
PREPARED = "prepared"  # the key of a file that people copy between machines
# Limit for the total bytes of all members, and for the signals they unpack to. MIT-BIH has 82 MB.
SIZE_LIMIT = 1 << 29
# Types of the arrays with one entry per beat; `in_test` (bool) and `rr` (float32 pairs) may be
# absent.
DTYPES = {
    "lengths": np.dtype(np.uint8),
    "labels": np.dtype(np.int64),
    "record": np.dtype(np.int32),
    "sample": np.dtype(np.int32),
    "symbol": np.dtype("U1"),
}


def cached(key: str, build: Callable[[], Heartbeats]) -> Heartbeats:
    """Return the heartbeats stored under a key, or build and store them.

    A file that is damaged or does not match its key is rebuilt and replaced. Processes that build
    at the same time each write their own file, and the last one to finish replaces the others. If
    the folder is not writable, a warning is logged.

    Args:
        key: hash (hex) of everything the heartbeats are built from.
        build: makes the heartbeats; its errors propagate.
    """
    path = cache_folder() / f"{key}.npz"
    try:
        return _read(path, key)
    except FileNotFoundError:
        pass
    except Exception as error:  # whatever a damaged file makes zipfile or numpy raise
        logger.warning("rebuilding the cache file %s: %s", path, error or type(error).__name__)
    beats = build()
    try:
        _write(path, key, beats)
    except OSError as error:
        logger.warning("cannot cache the heartbeats: %s", error)
    return beats


def write_prepared(path: Path, beats: Heartbeats) -> None:
    """Write heartbeats to one file that `read_prepared` reads on any machine.

    Raises:
        OSError: the file cannot be written.
    """
    _write(path, PREPARED, beats)


def is_prepared(path: Path) -> bool:
    """Return whether a file was written by `write_prepared`; true if it is unreadable."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open("key.npy") as member:
            return bool(_read_array(member.read(4096)) == PREPARED)
    except Exception:  # the file is damaged, which reading it will report
        return True


def read_prepared(path: Path) -> Heartbeats:
    """Read the heartbeats from a file of `write_prepared`.

    Raises:
        DataError: the file is damaged or of another kind.
    """
    try:
        return _read(path, PREPARED)
    except Exception as error:  # whatever a damaged file makes zipfile or numpy raise
        raise DataError(
            f"{path}: not a file of prepared heartbeats, or damaged "
            f"({error or type(error).__name__}). Write it again with "
            "`python -m ecg prepare --output FILE`."
        ) from None


def cache_folder() -> Path:
    """Return `$ECG_CACHE`, else `$XDG_CACHE_HOME/ecg-study`, else `~/.cache/ecg-study`."""
    if own := os.environ.get("ECG_CACHE"):
        return Path(own)
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared) / "ecg-study"
    return Path("~/.cache/ecg-study").expanduser()


def _write(path: Path, key: str, beats: Heartbeats) -> None:
    arrays = _pack(key, beats)
    size = max(beats.signals.nbytes, sum(array.nbytes for array in arrays.values()))
    if size > 0.99 * SIZE_LIMIT:  # `_read` would reject it
        raise OSError(errno.EFBIG, f"{len(beats):,} beats are too many for one file")
    # Level 1 takes a third of the time of numpy's level 6, for a few percent more bytes.
    with (
        replacing(path) as temporary,
        zipfile.ZipFile(temporary, "x", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _pack(key: str, beats: Heartbeats) -> dict[str, NDArray[Any]]:
    # Compared as bits, so that a negative zero at the end of a beat is kept.
    kept = np.ascontiguousarray(beats.signals).view(np.uint32) != 0
    lengths = np.where(kept.any(axis=1), BEAT_LENGTH - kept[:, ::-1].argmax(axis=1), 0)
    arrays: dict[str, NDArray[Any]] = {
        "version": np.array(FORMAT_VERSION, dtype=np.int64),
        "key": np.array(key),
        "digest": np.array(_digest(beats)),
        "source": np.array(beats.source),
        "values": beats.signals[np.arange(BEAT_LENGTH) < lengths[:, None]],
        "lengths": lengths.astype(np.uint8),
        "labels": beats.labels,
        "record": beats.record,
        "sample": beats.sample,
        "symbol": beats.symbol,
    }
    if beats.in_test is not None:
        arrays["in_test"] = beats.in_test
    if beats.rr is not None:
        arrays["rr"] = beats.rr
    if beats.records:
        arrays["records"] = np.array(_records_text(beats))
    return arrays


def _records_text(beats: Heartbeats) -> str:
    return json.dumps({number: vars(one) for number, one in sorted(beats.records.items())})


def _read_records(text: str) -> dict[int, Record]:
    return {int(number): Record(**fields) for number, fields in json.loads(text).items()}


def _read(path: Path, key: str) -> Heartbeats:
    """Return the verified content of a cache file.

    Raises:
        FileNotFoundError: there is no such file.
        Exception: any exception, if the file is damaged or of another kind.
    """
    arrays = read_members(path)
    if arrays["version"] != FORMAT_VERSION or arrays["key"] != key:
        raise ValueError("it was written for another version or another input")
    beats = _unpack(arrays)
    if _digest(beats) != arrays["digest"]:
        raise ValueError("its content does not match the stored fingerprint")
    return beats


def read_members(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of an untrusted `.npz` by name.

    Raises:
        FileNotFoundError: there is no such file.
        Exception: any exception, if the file is damaged, too large, or holds other things.
    """
    with zipfile.ZipFile(path) as archive:
        if sum(member.file_size for member in archive.infolist()) > SIZE_LIMIT:
            raise ValueError("its members are too large")
        return {
            member.filename.removesuffix(".npy"): _read_array(archive.read(member))
            for member in archive.infolist()
        }


def _read_array(content: bytes) -> NDArray[Any]:
    """Return the array of a `.npy` member; reject a header that claims more than there is."""
    file = io.BytesIO(content)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("unknown array format")
    shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype.hasobject:
        raise ValueError("an array of Python objects, which are not supported")
    order: Literal["F", "C"] = "F" if fortran_order else "C"
    array = np.frombuffer(content, dtype=dtype, offset=file.tell()).reshape(shape, order=order)
    # The file's bytes are read-only; callers get writable arrays, as from a fresh build.
    return array.copy()


def _unpack(arrays: Mapping[str, NDArray[Any]]) -> Heartbeats:
    values, lengths = arrays["values"], arrays["lengths"]
    n = lengths.size
    if n * BEAT_LENGTH * values.itemsize > SIZE_LIMIT:
        raise ValueError("it claims more beats than any data set has")
    for name in [*DTYPES, *({"in_test"} & arrays.keys())]:
        if arrays[name].dtype != DTYPES.get(name, np.bool_) or arrays[name].shape != (n,):
            raise ValueError(f"{name} has the wrong type or shape")
    if values.dtype != np.float32 or values.shape != (int(lengths.sum(dtype=np.int64)),):
        raise ValueError("values has the wrong type or shape")
    rr = arrays.get("rr")
    if rr is not None and (rr.dtype != np.float32 or rr.shape != (n, 2)):
        raise ValueError("rr has the wrong type or shape")
    labels = arrays["labels"]
    if (lengths > BEAT_LENGTH).any() or not np.isin(labels, np.arange(len(CLASSES))).all():
        raise ValueError("a length or a label is out of range")
    signals = np.zeros((n, BEAT_LENGTH), dtype=np.float32)
    signals[np.arange(BEAT_LENGTH) < lengths[:, None]] = values
    return Heartbeats(
        signals=signals,
        labels=labels,
        record=arrays["record"],
        sample=arrays["sample"],
        symbol=arrays["symbol"],
        in_test=arrays.get("in_test"),
        source=str(arrays["source"]),
        rr=rr,
        records=_read_records(str(arrays["records"])) if "records" in arrays else {},
    )


def _digest(beats: Heartbeats) -> str:
    """Return the SHA-256 (hex) of all content, some of which the fingerprint leaves out."""
    digest = hashlib.sha256(beats.fingerprint.encode())
    digest.update(np.ascontiguousarray(beats.symbol).tobytes())
    digest.update(b"" if beats.rr is None else np.ascontiguousarray(beats.rr).tobytes())
    digest.update(_records_text(beats).encode())
    return digest.hexdigest()
