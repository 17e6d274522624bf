"""The files of the MIT-BIH Arrhythmia Database and PhysioNet's hashes of them."""

import hashlib
from functools import cache
from importlib import resources
from pathlib import Path

# fmt: off
RECORDS: tuple[int, ...] = (
    100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 111, 112, 113, 114, 115, 116,
    117, 118, 119, 121, 122, 123, 124, 200, 201, 202, 203, 205, 207, 208, 209, 210,
    212, 213, 214, 215, 217, 219, 220, 221, 222, 223, 228, 230, 231, 232, 233, 234,
)
# fmt: on
# Largest size in bytes of each kind of file: a few times the real size, so that no header or
# archive can make the reader exhaust memory or disk.
SIZE_LIMITS = {".hea": 64 * 1024, ".dat": 4 * 1024 * 1024, ".atr": 256 * 1024}
FILES: tuple[str, ...] = tuple(f"{record}{suffix}" for record in RECORDS for suffix in SIZE_LIMITS)
DOWNLOAD_AGAIN = "Download it again with `python -m ecg fetch mitdb`."


@cache
def published_sha256() -> dict[str, str]:
    """Return PhysioNet's SHA-256 (hex) of each of the 144 files, by name."""
    text = resources.files(__package__).joinpath("mitdb.sha256").read_text(encoding="ascii")
    return {name: digest for digest, name in (line.split() for line in text.splitlines())}


def sha256_of(path: Path) -> str:
    """Return the SHA-256 (hex) of a file.

    Raises:
        OSError: the file is missing or cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def differing_files(folder: Path) -> tuple[str, ...]:
    """Return the names of the files that are missing or differ from PhysioNet's version 1.0.0.

    A difference is not an error, because annotations may have been corrected on purpose.
    """
    return tuple(
        name for name in FILES if not matches_published(folder / name, published_sha256()[name])
    )


def matches_published(path: Path, digest: str) -> bool:
    """Return whether the file exists and has this SHA-256 (hex)."""
    try:
        return sha256_of(path) == digest
    except OSError:
        return False
