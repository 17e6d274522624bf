"""Safe extraction of records from an untrusted ZIP file."""

import re
import shutil
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from ecg.errors import DataError
from ecg.sources.mitdb_files import DOWNLOAD_AGAIN, FILES, SIZE_LIMITS

# What zipfile raises for a damaged, encrypted or unsupported member.
UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, OSError)
SAFE_NAME = re.compile(r"\w[\w.+-]{0,99}", re.ASCII)
# For records that are not MIT-BIH's: bytes per file and in total, and the largest ratio of a
# file's unpacked size to its packed size.
LARGEST_FILE, LARGEST_ARCHIVE, MOST_UNPACKED = 2**31, 2**32, 100
SLACK = 2**20  # bytes that any file may unpack to, whatever the ratio

Members = dict[str, zipfile.ZipInfo]


def unpack_mitdb(archive: Path, target: Path) -> None:
    """Extract the 144 files of the MIT-BIH records from a ZIP into an existing folder.

    Only files with an expected name are read, from the inner folder that has most of them. Names
    inside the archive never become paths, and no file may be larger than `SIZE_LIMITS`, whatever
    size the archive declares.

    Args:
        archive: the ZIP file; its records may be in any single inner folder.
        target: an existing, empty folder.

    Raises:
        DataError: not a ZIP, damaged, no record files inside, or a file that is too large.
    """
    expected = frozenset(FILES)
    try:
        with zipfile.ZipFile(archive) as opened:
            folders = [
                {name: member for name, member in inside.items() if name in expected}
                for inside in by_folder(opened).values()
            ]
            chosen = max(folders, key=len, default={})
            if not chosen:
                raise DataError(
                    f"{archive}: holds no MIT-BIH record (100.hea, 100.dat, 100.atr, ...). "
                    f"{DOWNLOAD_AGAIN}"
                )
            for name, member in chosen.items():
                limit = SIZE_LIMITS[Path(name).suffix]
                _unpack(opened, member, target / name, limit, archive)
    except UNREADABLE as error:
        raise _unreadable(archive, error, DOWNLOAD_AGAIN) from error


def unpack_records(archive: Path, target: Path) -> list[str]:
    """Extract the annotated records of a ZIP into an existing folder; file names are not trusted.

    Args:
        archive: the ZIP file; the records of the inner folder with most records are used.
        target: an existing, empty folder.

    Returns:
        The names of the records, sorted.

    Raises:
        DataError: not a ZIP, damaged, no annotated record, or files that are too large.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            chosen = max(
                by_folder(opened).values(), key=lambda one: len(annotated(one)), default={}
            )
            names = annotated(chosen)
            files = {name: one for name, one in chosen.items() if name.rsplit(".", 1)[0] in names}
            if not files or sum(one.file_size for one in files.values()) > LARGEST_ARCHIVE:
                raise ValueError("it holds no annotated record, or unpacks to more than 4 GiB")
            for name, member in files.items():
                limit = min(LARGEST_FILE, SLACK + MOST_UNPACKED * member.compress_size)
                _unpack(opened, member, target / name, limit, archive)
    except UNREADABLE as error:
        raise _unreadable(archive, error, "Unpack it by hand and name the folder.") from error
    return names


def by_folder(opened: zipfile.ZipFile) -> dict[PurePosixPath, Members]:
    """Return the files of a ZIP by inner folder and name; unsafe names are left out."""
    found: dict[PurePosixPath, Members] = defaultdict(dict)
    for member in opened.infolist():
        inside = PurePosixPath(member.filename)
        if SAFE_NAME.fullmatch(inside.name) and not member.is_dir():
            found[inside.parent][inside.name] = member
    return found


def annotated(names: Sequence[str] | Members | set[str]) -> list[str]:
    """Return the names of the records that have a header and annotations, sorted."""
    there = set(names)
    return sorted(
        name[: -len(".hea")]
        for name in there
        if name.endswith(".hea") and name[: -len(".hea")] + ".atr" in there
    )


def _unpack(
    opened: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, limit: int, archive: Path
) -> None:
    size = member.file_size
    if size <= limit:
        with opened.open(member) as file, target.open("wb") as written:
            shutil.copyfileobj(file, written)  # zipfile reads no more than the declared size
            size = written.tell()
    if size > limit:
        raise DataError(
            f"{archive}: {target.name} is larger than {limit} bytes, which no such record is. "
            f"{DOWNLOAD_AGAIN}"
        )


def _unreadable(archive: Path, error: Exception, advice: str) -> DataError:
    return DataError(
        f"{archive}: not a readable ZIP file ({error or type(error).__name__}). {advice}"
    )
