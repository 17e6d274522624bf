"""CSV files, plain, gzipped or in a ZIP, read line by line."""

import gzip
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import BinaryIO, cast

from ecg.sources.archive import UNREADABLE

ZIP_MAGIC, GZIP_MAGIC, BYTE_ORDER_MARK = b"PK", b"\x1f\x8b", b"\xef\xbb\xbf"
LINE_LIMIT = 2**16  # bytes; the published lines have 4,700


@dataclass(frozen=True)
class CsvFile:
    """A CSV file.

    Attributes:
        path: path of the file, or of the ZIP or gzip file that contains it.
        member: name of the file in the ZIP; "" if it is not in a ZIP.
    """

    path: Path
    member: str = ""

    def __str__(self) -> str:
        member = "".join(c if c.isprintable() else "?" for c in self.member)
        return f"{self.path}: {member}" if member else str(self.path)

    @property
    def name(self) -> str:
        """The name of the CSV file itself."""
        return self.member.rsplit("/", 1)[-1] or self.path.name

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Open the file for reading, unpacked.

        Raises:
            ValueError: the file cannot be unpacked.
            OSError: the file cannot be read.
        """
        with ExitStack() as stack:
            try:
                if self.member:
                    archive = stack.enter_context(zipfile.ZipFile(self.path))
                    yield cast(BinaryIO, stack.enter_context(archive.open(self.member)))
                elif magic(self.path) == GZIP_MAGIC:
                    yield cast(BinaryIO, stack.enter_context(gzip.open(self.path)))
                else:
                    yield stack.enter_context(self.path.open("rb"))
            except (KeyError, *UNREADABLE) as error:
                if isinstance(error, ValueError | FileNotFoundError | PermissionError):
                    raise
                reason = str(error) or type(error).__name__
                raise ValueError(f"cannot be read or unpacked ({reason})") from error

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Yield the lines that are not blank, with their numbers from 1.

        Raises:
            ValueError: the file cannot be unpacked, or a line is too long for a heartbeat. On a
                file without line ends, pandas would take hours and all memory.
            OSError: the file cannot be read.
        """
        with self.open() as file:
            for number in count(1):
                line = file.readline(LINE_LIMIT)
                if len(line) == LINE_LIMIT:
                    raise ValueError(f"row {number}: has {LINE_LIMIT:,} bytes or more")
                if not line:
                    return
                if number == 1:
                    line = line.removeprefix(BYTE_ORDER_MARK)
                if line.strip():
                    yield number, line

    def first_row(self) -> list[str]:
        """Return the fields of the first row, empty if there is none or it is unreadable."""
        try:
            for _, line in self.lines():
                return as_text(line).split(",")
        except (ValueError, OSError):
            pass
        return []


def as_text(line: bytes) -> str:
    """Return a line as text without its line end; invalid bytes are replaced."""
    return line.decode("utf-8", errors="replace").rstrip("\r\n")


def magic(path: Path) -> bytes:
    """Return the first two bytes of a file, b"" if it is unreadable."""
    try:
        with path.open("rb") as file:
            return file.read(2)
    except OSError:
        return b""
