"""Writing a result so that nobody ever finds half of it."""

from pathlib import Path

from ecg.errors import EcgError
from ecg.files import replacing


class OutputError(EcgError):
    """A result cannot be written where it was asked for."""


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
