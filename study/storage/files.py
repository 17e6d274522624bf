"""Writing results: safe file names and atomic writes."""

import re
from hashlib import sha256
from pathlib import Path

from ecg.errors import EcgError
from ecg.files import replacing

LONGEST_NAME = 120  # bytes; file systems take 255, and temporary names are longer
_SAFE = re.compile(r"\w[\w .,+=@-]*(?<![ .])")
# Reserved on Windows, with any extension.
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$) *(\.|$)", re.I)


class OutputError(EcgError):
    """A result cannot be written to the requested place."""


def file_name(study: str) -> str:
    """Return a file or folder name for a study that is valid on every system.

    In a study name that is not a valid file name, such as "../x", invalid characters are replaced
    and part of a digest is appended, so that two studies never share a file name.
    """
    size = len(study.encode("utf-8", "surrogatepass"))
    if _SAFE.fullmatch(study) and not _RESERVED.match(study) and size <= LONGEST_NAME:
        return study
    digest = sha256(study.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    plain = re.sub(r"[^\w.+=@-]+|\.{2,}", "-", study).strip("-. ")
    short = plain.encode("utf-8", "ignore")[: LONGEST_NAME - 20].decode("utf-8", "ignore")
    return f"study-{short}-{digest}" if short else f"study-{digest}"


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, see `ecg.files.replacing`; a missing folder is created.

    Args:
        path: path of the file, which is replaced if it exists.
        text: its content, written as UTF-8 with unchanged line ends.

    Raises:
        OutputError: the folder or the file cannot be written.
    """
    try:
        with replacing(path) as beside:
            beside.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise OutputError(
            f"Cannot write {path}: {error.strerror or error}. Use another place, or change its "
            "permissions."
        ) from None
