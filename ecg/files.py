"""Atomic writes: a file is written to a temporary name, flushed, and renamed."""

import errno
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ecg.errors import OutputError, UsageError

STALE_SECONDS = 24 * 3600  # older temporary files were left by killed processes


def expanded(path: Path | str) -> Path:
    """Return a path with a leading `~` or `~user` expanded to the home folder.

    Raises:
        UsageError: there is no such user or home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UsageError(
            f"{path}: there is no home folder for {Path(path).parts[0]}. If the file has this "
            f"name, write ./{path}."
        ) from None


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Provide a temporary path to write to; rename it to `path` if the block succeeds.

    A missing folder is created. Readers see the old file or the new one, never a part of it, and
    a block that fails keeps the old file. Several processes may write at once; the last one wins.
    If `path` is a link, the link stays and its target is replaced.

    Args:
        path: the final name.

    Yields:
        A path in the same folder that does not exist yet.

    Raises:
        OSError: the folder or file is not writable, or `path` is a device, a pipe or a folder.
    """
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_file():  # root could rename a file over /dev/null
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(path.parent, path.suffix)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def output_to(path: Path) -> Iterator[None]:
    """Report what fails to be written as an error for people.

    Args:
        path: file that the block writes.

    Raises:
        OutputError: the block raised an OSError.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"Cannot write {path}: {error.strerror or error}. Use another place, or check its "
            "permissions and free space."
        ) from None


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically, see `replacing`; a missing folder is created.

    Args:
        path: path of the file, which is replaced if it exists.
        content: what to write.

    Raises:
        OutputError: the folder or the file cannot be written.
    """
    with output_to(path), replacing(path) as beside:
        beside.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a text as UTF-8 with unchanged line ends, see `write_bytes`."""
    write_bytes(path, text.encode())


def _remove_stale(folder: Path, suffix: str) -> None:
    for left_over in folder.glob(f".*{suffix}.*.tmp"):
        try:
            if time.time() - left_over.stat().st_mtime > STALE_SECONDS:
                left_over.unlink()
        except OSError:  # another process was faster
            continue
