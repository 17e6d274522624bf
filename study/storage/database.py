"""The database a URL names: what may be typed, what may be shown, and what went wrong with it."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError, SQLAlchemyError

from ecg.errors import EcgError, UsageError

DEFAULT_URL = "sqlite:///results/study.db"
SECRET = re.compile(r"pass|pwd|secret|token|connect$", re.IGNORECASE)  # in a URL's query
SQLITE_WAIT_SECONDS = 60  # for the write lock


class StorageError(EcgError):
    """The storage cannot be opened, read or written."""


def hide_password(url: str) -> str:
    """Return the URL as it may be shown to anyone."""
    try:
        parsed = sqlalchemy.make_url(url)
        if "@" in (parsed.host or ""):  # it was in the password, and should have been %40
            raise ValueError(url)
        secrets = {name: "***" for name in parsed.query if SECRET.search(name)}
        return parsed.update_query_dict(secrets).render_as_string(hide_password=True)
    except (ArgumentError, ValueError):
        return url.split("://", maxsplit=1)[0] + "://..." if "://" in url else "(not a URL)"


def parse_url(url: str) -> sqlalchemy.URL:
    """Return the parts of a database URL.

    Raises:
        UsageError: it is none; the message has examples.
    """
    try:
        return sqlalchemy.make_url(url)
    except (ArgumentError, ValueError):  # ValueError: of a port that is no number
        raise UsageError(
            f"--storage {hide_password(url)} is not a database URL; use one such as {DEFAULT_URL} "
            "or postgresql+psycopg://user@host/database"
        ) from None


@contextmanager
def storage_errors(url: str) -> Iterator[None]:
    """Turn what a database or its driver complains of into an error for people.

    Raises:
        UsageError: the driver of the URL is missing.
        StorageError: the database cannot be reached, read or written.
    """
    shown = hide_password(url)
    try:
        yield
    except ImportError:
        raise UsageError(
            f"the driver for --storage {shown} is not installed; "
            "for PostgreSQL: pip install -e '.[postgres]'"
        ) from None
    except NoSuchModuleError:
        raise UsageError(f"--storage {shown}: no such kind of database") from None
    except (SQLAlchemyError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise _unreachable(shown, error) from None


def check_sqlite_file(url: str, *, create: bool) -> None:
    """Refuse an SQLite file that cannot be used, before SQLite itself says so less clearly.

    Args:
        url: of the storage.
        create: the file may be missing; its folder is made.

    Raises:
        UsageError: there is no file, or it is not one.
        StorageError: it cannot be written.
    """
    shown, database = hide_password(url), parse_url(url).database
    if not database or database == ":memory:":
        raise UsageError(f"--storage {shown} is kept in memory only; name a file")
    path = Path(database)
    if not os.path.exists(path):  # False for a name that no file can have
        if not create:
            raise UsageError(
                f"there is no storage {shown} yet; begin a study with: python -m study run"
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot make the folder of {shown}: {error.strerror}") from None
    elif path.is_dir():
        raise UsageError(f"--storage {shown} is a folder; name a file in it")
    for place in (path, path.parent):
        if os.path.exists(place) and not os.access(place, os.W_OK):
            raise StorageError(
                f"the storage {shown} cannot be written ({place} is read-only for this user); "
                "change its permissions or use --storage with another place"
            )


def reason_of(error: BaseException) -> str:
    """Return what the database said, in one line and without the statement."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    said = str(getattr(cause, "orig", None) or cause).strip()
    return said.splitlines()[0] if said else type(cause).__name__


def _unreachable(shown: str, error: Exception) -> StorageError:
    reason = reason_of(error)
    if isinstance(error, OperationalError):
        return StorageError(f"cannot reach or open the storage {shown}: {reason}")
    return StorageError(f"the storage {shown} is not a usable Optuna database: {reason}")
