"""Files that are either whole or not there: written beside, flushed, renamed."""

import errno
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ecg.errors import UsageError

STALE_SECONDS = 24 * 3600  # a temporary file older than this was left by a killed process


def expanded(path: Path | str) -> Path:
    """Return a path with a leading `~` or `~user` as the home folder that it stands for.

    Raises:
        UsageError: nobody of that name has a home folder here.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UsageError(
            f"{path}: there is no home folder for {Path(path).parts[0]}. Write ./{path} for a file "
            "of that name."
        ) from None


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a place beside `path` to write to; it becomes `path` when the block ends well.

    The folder is made where there is none. A reader sees the old file or the new one, never a
    part; a block that fails leaves the old one. Several processes may write at once, the last
    one wins. A link stays a link; what it leads to is replaced.

    Args:
        path: the final name.

    Yields:
        A path that does not exist yet, in the same folder.

    Raises:
        OSError: the folder or file cannot be written, or it is a device, a pipe or a folder.
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


def _remove_stale(folder: Path, suffix: str) -> None:
    for left_over in folder.glob(f".*{suffix}.*.tmp"):
        try:
            if time.time() - left_over.stat().st_mtime > STALE_SECONDS:
                left_over.unlink()
        except OSError:  # another process was faster
            continue
