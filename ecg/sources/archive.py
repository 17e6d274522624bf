"""PhysioNet's ZIP of the MIT-BIH records, unpacked without trusting it."""

import zipfile
import zlib
from collections import defaultdict
from pathlib import Path, PurePosixPath

from ecg.errors import DataError
from ecg.sources.mitdb_files import DOWNLOAD_AGAIN, FILES, SIZE_LIMITS

# What zipfile raises for a damaged, encrypted or exotic member.
UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, OSError)


def unpack_records(archive: Path, target: Path) -> None:
    """Write the 144 record files of a ZIP into an existing folder.

    Only files with an expected name are read, from the one inner folder that has most of
    them. Names inside the archive never become paths, and no file may be larger than
    `SIZE_LIMITS`, whatever size the archive declares.

    Args:
        archive: the ZIP file; its records may lie in any one inner folder.
        target: an existing, empty folder.

    Raises:
        DataError: not a ZIP, damaged, no record files inside, or a file that is too large.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            for name, member in _record_members(opened, archive).items():
                (target / name).write_bytes(_read_member(opened, member, name, archive))
    except UNREADABLE as error:
        raise DataError(
            f"{archive}: not a readable ZIP file ({error or type(error).__name__}); "
            f"{DOWNLOAD_AGAIN}"
        ) from error


def _record_members(opened: zipfile.ZipFile, archive: Path) -> dict[str, zipfile.ZipInfo]:
    expected = frozenset(FILES)
    by_folder: dict[PurePosixPath, dict[str, zipfile.ZipInfo]] = defaultdict(dict)
    for member in opened.infolist():
        inside = PurePosixPath(member.filename)
        if inside.name in expected and not member.is_dir():
            by_folder[inside.parent][inside.name] = member
    if not by_folder:
        raise DataError(
            f"{archive}: holds no MIT-BIH record (100.hea, 100.dat, 100.atr, ...); {DOWNLOAD_AGAIN}"
        )
    return max(by_folder.values(), key=len)


def _read_member(
    opened: zipfile.ZipFile, member: zipfile.ZipInfo, name: str, archive: Path
) -> bytes:
    limit = SIZE_LIMITS[Path(name).suffix]
    content = b""
    if member.file_size <= limit:
        with opened.open(member) as file:
            content = file.read(limit + 1)
    if max(member.file_size, len(content)) > limit:
        raise DataError(
            f"{archive}: {name} is larger than {limit} bytes, so it is not the MIT-BIH file; "
            f"{DOWNLOAD_AGAIN}"
        )
    return content
