"""Where results are written: under names that are safe, and so that nobody finds half of one."""

import re
from hashlib import sha256
from pathlib import Path

from ecg.errors import EcgError
from ecg.files import replacing

LONGEST_NAME = 120  # bytes; file systems take 255, and temporary names are longer
_SAFE = re.compile(r"\w[\w .,+=@-]*(?<![ .])")
# Of Windows, whatever comes behind a point.
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$) *(\.|$)", re.I)


class OutputError(EcgError):
    """A result cannot be written where it was asked for."""


def file_name(study: str) -> str:
    """Return the name of a study as the name of one file or folder, on every system.

    A name that is none, such as "../x", has its other characters replaced, and a few letters of a
    digest added: two studies never get one name.
    """
    size = len(study.encode("utf-8", "surrogatepass"))
    if _SAFE.fullmatch(study) and not _RESERVED.match(study) and size <= LONGEST_NAME:
        return study
    digest = sha256(study.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    plain = re.sub(r"[^\w.+=@-]+|\.{2,}", "-", study).strip("-. ")
    short = plain.encode("utf-8", "ignore")[: LONGEST_NAME - 20].decode("utf-8", "ignore")
    return f"study-{short}-{digest}" if short else f"study-{digest}"


def write_text(path: Path, text: str) -> None:
    """Write a file beside its place and rename it; the folder is made where there is none.

    Args:
        path: of the file; what was there before is replaced.
        text: written as UTF-8, line ends as they are.

    Raises:
        OutputError: the folder or the file cannot be written.
    """
    try:
        with replacing(path) as beside:
            beside.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror or error}; name a place that can be written, "
            "or change its permissions"
        ) from None
