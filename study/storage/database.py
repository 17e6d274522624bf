"""Database URLs: parsing them, hiding their passwords, and explaining errors."""

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
from study.storage import DEFAULT_URL

SECRET = re.compile(r"pass|pwd|secret|token|connect$", re.IGNORECASE)  # in a URL's query
SQLITE_WAIT_SECONDS = 60  # for the write lock


class StorageError(EcgError):
    """The database cannot be opened, read or written."""


def hide_password(url: str) -> str:
    """Return the URL without its secrets, safe to show to anyone."""
    try:
        parsed = sqlalchemy.make_url(url)
        if "@" in (parsed.host or ""):  # part of a password, in which it should have been %40
            raise ValueError(url)
        secrets = {name: "***" for name in parsed.query if SECRET.search(name)}
        return parsed.update_query_dict(secrets).render_as_string(hide_password=True)
    except (ArgumentError, ValueError):
        return url.split("://", maxsplit=1)[0] + "://..." if "://" in url else "(not a URL)"


def parse_url(url: str) -> sqlalchemy.URL:
    """Return the parts of a database URL, normalised for SQLite.

    Relative paths, symbolic links, `~` and the name of the driver are resolved, so that all
    processes that use one file agree on its locks and on the folders beside it.

    Raises:
        UsageError: the URL is not supported; the message says how to write it.
    """
    shown = hide_password(url)
    try:
        url.encode()
        parsed = sqlalchemy.make_url(url)
        if "@" in (parsed.host or ""):
            raise UsageError(f"--storage {shown}: write the @ of the password as %40.")
        backend, driver = parsed.get_backend_name(), parsed.drivername.partition("+")[2]
    except UnicodeEncodeError:
        raise UsageError(
            f"--storage {shown!a} is not UTF-8 text. Rename the file or folder, or use another one."
        ) from None
    except (ArgumentError, ValueError):  # ValueError: the port is not a number
        example = DEFAULT_URL if ":" in url or not url.strip() else f"sqlite:///{url}"
        named = shown if "://" in url else repr(url)
        raise UsageError(
            f"--storage {named} is not a database URL. Use a URL such as {example} or "
            "postgresql+psycopg://user@host/database."
        ) from None
    if backend == "postgres":
        raise UsageError(
            f"--storage {shown}: this kind of database is not known. Write postgresql+psycopg:// "
            f"instead of {parsed.drivername}://."
        )
    if backend not in ("sqlite", "postgresql"):
        raise UsageError(
            f"--storage {shown}: this kind of database is not supported. Use SQLite "
            "(sqlite:///FILE) or PostgreSQL (postgresql+psycopg://user@host/database)."
        )
    if backend == "postgresql":  # whose default driver depends on the version of SQLAlchemy
        return parsed if driver else parsed.set(drivername="postgresql+psycopg")
    if driver not in ("", "pysqlite"):
        raise UsageError(
            f"--storage {shown}: this SQLite driver is not supported. Write sqlite:/// instead of "
            f"{parsed.drivername}:///."
        )
    return parsed.set(drivername="sqlite", database=str(_sqlite_path(parsed, shown)))


def _sqlite_path(url: sqlalchemy.URL, shown: str) -> Path:
    """Return the real path of an SQLite file."""
    named = url.database
    if url.host:
        raise UsageError(
            f"--storage {shown} does not name a file, which needs three slashes. Write "
            f"sqlite:///{url.host}{'/' + named if named else ''}"
        )
    if not named or named == ":memory:":
        raise UsageError(f"--storage {shown} is a database in memory. Name a file.")
    if "uri" in url.query or named.startswith("file:"):
        plain = named.removeprefix("file:").partition("?")[0]
        raise UsageError(
            f"--storage {shown} names an SQLite URI. Write a plain path: sqlite:///{plain}"
        )
    path = Path(os.path.realpath(expanded(named)))
    if "?" in str(path):
        raise UsageError(
            f"--storage {shown}: a database URL cannot contain the question mark in the path "
            f"{path}. Use another folder."
        )
    return path


def folder_beside(url: str) -> Path:
    """Return the folder for the files that belong to a database; it may not exist yet.

    It is the folder of an SQLite file, and results/ for a server.

    Raises:
        UsageError: see `parse_url`.
    """
    place = parse_url(url)
    is_file = place.get_backend_name() == "sqlite"
    return Path(str(place.database)).parent if is_file else Path("results")


@contextmanager
def storage_errors(url: str) -> Iterator[None]:
    """Turn errors of a database or its driver into errors for people.

    Raises:
        UsageError: the database driver is missing.
        StorageError: the database cannot be reached, read or written.
    """
    shown = hide_password(url)
    try:
        yield
    except ImportError as error:
        raise UsageError(_missing(shown, error)) from None
    except NoSuchModuleError:
        raise UsageError(f"--storage {shown}: this kind of database is not known") from None
    except (SQLAlchemyError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise _unreachable(shown, error) from None
    except LookupError as error:
        if type(error) is not LookupError:  # SQLAlchemy's, of a state that does not exist
            raise
        raise _unreachable(shown, error) from None


def _missing(shown: str, error: ImportError) -> str:
    """Name the module that could not be imported, which Optuna's error does not."""
    cause = error.__cause__ if isinstance(error.__cause__, ImportError) else error
    module = (cause.name or "").partition(".")[0]
    if not isinstance(cause, ModuleNotFoundError):
        said = str(cause).strip().splitlines() or ["no reason given"]
        return f"--storage {shown}: cannot import {module or 'the driver'} ({said[0]})"
    if module == "psycopg2":
        return (
            f"--storage {shown}: the driver psycopg2 is not installed. Write postgresql+psycopg:// "
            "and install its driver: pip install -e '.[postgres]'"
        )
    advice = ". Install it: pip install -e '.[postgres]'" if module == "psycopg" else ""
    return f"--storage {shown}: {module or cause} is not installed{advice}"


def check_sqlite_file(url: str, *, create: bool, write: bool) -> bool:
    """Refuse an SQLite file that cannot be used, with a clearer message than SQLite's.

    Args:
        url: database URL.
        create: whether the file may be missing; its folder is created.
        write: whether the file will be written.

    Returns:
        Whether file and folder are writable.

    Raises:
        UsageError: the file is missing, or it is a folder.
        StorageError: the file is not readable; or it will be written, and is not writable or has
            several hard links.
    """
    shown, path = hide_password(url), Path(str(parse_url(url).database))
    if not os.path.exists(path):  # also False for an invalid file name
        if not create:
            raise UsageError(
                f"There is no database {shown} yet. Start a study with: python -m study run"
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"Cannot create the folder of the database {shown}: {error.strerror}. Use another "
                "folder with --storage."
            ) from None
    elif path.is_dir():
        raise UsageError(f"--storage {shown} is a folder. Name a file in it.")
    elif not os.access(path, os.R_OK):
        raise StorageError(
            f"Cannot read the database {shown}: permission denied. Change the permissions of the "
            "file."
        )
    places = [place for place in (path, path.parent) if os.path.exists(place)]
    closed = [place for place in places if not os.access(place, os.W_OK)]
    if closed and write:
        raise StorageError(
            f"Cannot write to the database {shown}: you have no write permission for {closed[0]}. "
            "Change its permissions, or use another place with --storage."
        )
    if write and os.path.exists(path) and (links := path.stat().st_nlink) > 1:
        # SQLite names its log, and we name our locks, by the path of the file.
        raise StorageError(
            f"The database {shown} has {links} hard links. Workers that use different links share "
            "no locks and damage the database. Delete the other links, or copy the file and use "
            "the copy."
        )
    return not closed


def reason_of(error: BaseException) -> str:
    """Return the first line of the database's message, without the SQL statement."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    said = str(getattr(cause, "orig", None) or cause).strip()
    return said.splitlines()[0] if said else type(cause).__name__


def _unreachable(shown: str, error: Exception) -> StorageError:
    reason = reason_of(error)
    if isinstance(error, OperationalError):
        return StorageError(f"Cannot reach or open the database {shown}: {reason}")
    return StorageError(f"{shown} is not a usable Optuna database: {reason}")
