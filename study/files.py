"""Writing a result so that nobody ever finds half of it."""

import contextlib
import os
import secrets
from pathlib import Path

from ecg.errors import EcgError


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
    beside = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("x", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror or error}; name a place that can be written, "
            "or change its permissions"
        ) from None
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
