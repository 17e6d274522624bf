"""File names of studies that are valid on every system."""

import re
from hashlib import sha256

LONGEST_NAME = 120  # bytes; file systems take 255, and temporary names are longer
_SAFE = re.compile(r"\w[\w .,+=@-]*(?<![ .])")
# Reserved on Windows, with any extension.
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$) *(\.|$)", re.I)


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
