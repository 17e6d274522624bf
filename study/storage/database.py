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
from ecg.files import expanded

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
    """Return the parts of a database URL; an SQLite file has one form, however it is spelled.

    Relative paths, links, `~` and the name of the driver are resolved, so that two processes
    that mean one file agree on its locks, and on the folders beside it.

    Raises:
        UsageError: it is none; the message has what would be right.
    """
    shown = hide_password(url)
    try:
        url.encode()
        parsed = sqlalchemy.make_url(url)
        backend, driver = parsed.get_backend_name(), parsed.drivername.partition("+")[2]
    except UnicodeEncodeError:
        raise UsageError(
            f"--storage {shown!a} is not UTF-8 text. Rename the file or folder, or use another one."
        ) from None
    except (ArgumentError, ValueError):  # ValueError: of a port that is no number
        example = DEFAULT_URL if ":" in url or not url.strip() else f"sqlite:///{url}"
        raise UsageError(
            f"--storage {shown} is not a database URL; use one such as {example} "
            "or postgresql+psycopg://user@host/database"
        ) from None
    if backend == "postgres":
        raise UsageError(
            f"--storage {shown}: write postgresql+psycopg:// in place of {parsed.drivername}://"
        )
    if backend not in ("sqlite", "postgresql"):
        raise UsageError(
            f"--storage {shown}: studies are kept in SQLite (sqlite:///FILE) or PostgreSQL "
            "(postgresql+psycopg://user@host/database), in no other kind of database"
        )
    if backend == "postgresql":  # whose default driver depends on the version of SQLAlchemy
        return parsed if driver else parsed.set(drivername="postgresql+psycopg")
    if driver not in ("", "pysqlite"):
        raise UsageError(f"--storage {shown}: write sqlite:/// in place of {parsed.drivername}:///")
    return parsed.set(drivername="sqlite", database=str(_sqlite_path(parsed, shown)))


def _sqlite_path(url: sqlalchemy.URL, shown: str) -> Path:
    """Return the real path of an SQLite file."""
    named = url.database
    if url.host:
        raise UsageError(
            f"--storage {shown} names no file: three slashes come before it. Write "
            f"sqlite:///{url.host}{'/' + named if named else ''}"
        )
    if not named or named == ":memory:":
        raise UsageError(f"--storage {shown} is kept in memory only; name a file")
    if "uri" in url.query or named.startswith("file:"):
        plain = named.removeprefix("file:").partition("?")[0]
        raise UsageError(
            f"--storage {shown} is a URI of SQLite's own. Write a plain path: sqlite:///{plain}"
        )
    path = Path(os.path.realpath(expanded(named)))
    if "?" in str(path):
        raise UsageError(
            f"--storage {shown}: the path {path} has a question mark, which a database URL cannot "
            "hold; use another folder"
        )
    return path


def folder_beside(url: str) -> Path:
    """Return the folder of the files that belong to a database, which may be missing.

    Those of an SQLite file lie beside it, those of a server in results/.

    Raises:
        UsageError: see `parse_url`.
    """
    place = parse_url(url)
    is_file = place.get_backend_name() == "sqlite"
    return Path(str(place.database)).parent if is_file else Path("results")


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
    except ImportError as error:
        raise UsageError(_missing(shown, error)) from None
    except NoSuchModuleError:
        raise UsageError(f"--storage {shown}: no such kind of database") from None
    except (SQLAlchemyError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise _unreachable(shown, error) from None


def _missing(shown: str, error: ImportError) -> str:
    """Say what could not be imported; Optuna's own error only says that something was not."""
    cause = error.__cause__ if isinstance(error.__cause__, ImportError) else error
    module = (cause.name or "").partition(".")[0]
    if not isinstance(cause, ModuleNotFoundError):
        said = str(cause).strip().splitlines() or ["no reason given"]
        return f"--storage {shown}: {module or 'the driver'} cannot be imported ({said[0]})"
    if module == "psycopg2":
        return (
            f"--storage {shown}: the driver psycopg2 is not installed. Write postgresql+psycopg:// "
            "for the driver of this project: pip install -e '.[postgres]'"
        )
    advice = ": pip install -e '.[postgres]'" if module == "psycopg" else ""
    return f"--storage {shown}: {module or cause} is not installed{advice}"


def check_sqlite_file(url: str, *, create: bool, write: bool) -> bool:
    """Refuse an SQLite file that cannot be used, before SQLite itself says so less clearly.

    Args:
        url: of the database.
        create: the file may be missing; its folder is made.
        write: the file will be written.

    Returns:
        Whether file and folder can be written.

    Raises:
        UsageError: there is no file, or it is not one.
        StorageError: it cannot be read, or not be written where it has to be.
    """
    shown, path = hide_password(url), Path(str(parse_url(url).database))
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
    elif not os.access(path, os.R_OK):
        raise StorageError(f"the storage {shown} cannot be read by this user")
    places = [place for place in (path, path.parent) if os.path.exists(place)]
    closed = [place for place in places if not os.access(place, os.W_OK)]
    if closed and write:
        raise StorageError(
            f"the storage {shown} cannot be written ({closed[0]} is read-only for this user); "
            "change its permissions or use --storage with another place"
        )
    return not closed


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
