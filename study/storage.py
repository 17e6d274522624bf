"""Opening a storage, locking a study, and checking that it is the one asked for."""

import os
import sqlite3
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from filelock import FileLock, Timeout
from optuna.storages import RDBStorage
from sqlalchemy.exc import ArgumentError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from ecg.errors import EcgError, UsageError

DEFAULT_URL = "sqlite:///results/study.db"
# Raised when a study of an older version can no longer be read or continued.
FORMAT = 1
HEARTBEAT_SECONDS = 15
GRACE_SECONDS = 60  # a worker silent for so long is taken for dead
LOCK_SECONDS = 300


class StorageError(EcgError):
    """The storage cannot be opened, read or written."""


@dataclass(frozen=True)
class Identity:
    """What makes two runs the same study. Stored with it and compared when it is continued."""

    space: str
    space_digest: str
    objective: str
    source: str
    data: str
    split: str
    budget: str
    seed: int
    format: int = FORMAT

    def differences(self, stored: dict[str, Any]) -> list[str]:
        """Say, one by one, what a stored identity has else than this one."""
        titles = {"space_digest": "definition of the space", "data": "data fingerprint"}
        return [
            f"{titles.get(name, name)} {stored.get(name)!r}, not {wanted!r}"
            for name, wanted in asdict(self).items()
            if stored.get(name) != wanted
        ]


def hide_password(url: str) -> str:
    """Return the URL as it may be shown to anyone."""
    try:
        parsed = sqlalchemy.make_url(url)
        secrets = {name: "***" for name in parsed.query if "password" in name.lower()}
        return parsed.update_query_dict(secrets).render_as_string(hide_password=True)
    except ArgumentError:
        return url.split("://", maxsplit=1)[0] + "://..." if "://" in url else "(not a URL)"


def parse_url(url: str) -> sqlalchemy.URL:
    """Return the parts of a database URL.

    Raises:
        UsageError: it is none; the message has examples.
    """
    try:
        return sqlalchemy.make_url(url)
    except ArgumentError:
        raise UsageError(
            f"--storage {hide_password(url)} is not a database URL; use one such as {DEFAULT_URL} "
            "or postgresql+psycopg://user@host/database"
        ) from None


def open_storage(url: str, *, create: bool = True) -> RDBStorage:
    """Open an Optuna storage in which several processes can work at once.

    SQLite has no row locks, so every transaction takes the write lock when it begins
    (BEGIN IMMEDIATE) and waits for others; readers do not block (WAL).

    Args:
        url: of SQLAlchemy, such as sqlite:///results/study.db.
        create: make the database where there is none.

    Raises:
        UsageError: the URL is malformed, its driver is missing, or there is no database.
        StorageError: the database cannot be reached, read or written.
    """
    shown = hide_password(url)
    parsed = parse_url(url)
    is_sqlite = parsed.get_backend_name() == "sqlite"
    if is_sqlite:
        _check_sqlite_file(parsed.database, shown, create=create)
    arguments = {"timeout": 60} if is_sqlite else {}
    try:
        with warnings.catch_warnings(), _lock_file(url, "open"):
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            storage = RDBStorage(
                url,
                engine_kwargs={"connect_args": arguments, "pool_pre_ping": not is_sqlite},
                heartbeat_interval=HEARTBEAT_SECONDS,
                grace_period=GRACE_SECONDS,
            )
            if is_sqlite:
                _take_write_lock_first(storage.engine)
    except ImportError:
        raise UsageError(
            f"the driver for --storage {shown} is not installed; "
            "for PostgreSQL: pip install -e '.[postgres]'"
        ) from None
    except sqlalchemy.exc.NoSuchModuleError:
        raise UsageError(f"--storage {shown}: no such kind of database") from None
    except (SQLAlchemyError, OSError, RuntimeError) as error:
        raise _unreachable(shown, error) from None
    return storage


def find_identity(study: optuna.Study) -> dict[str, Any]:
    """Return the stored identity of a study, empty for one that this project did not make."""
    identity: dict[str, Any] = study.user_attrs.get("identity", {})
    return identity


def open_study(storage: RDBStorage, name: str, identity: Identity) -> tuple[optuna.Study, bool]:
    """Open the study of that name, or make it; call it under `study_lock`.

    Returns:
        The study, and whether it is new.

    Raises:
        UsageError: a study of this name exists and is another one; the message says in what.
    """
    known = optuna.get_all_study_names(storage)
    if name not in known:
        study = optuna.create_study(storage=storage, study_name=name, direction="maximize")
        study.set_user_attr("identity", asdict(identity))
        return study, True
    study = optuna.load_study(storage=storage, study_name=name)
    stored = find_identity(study)
    if not stored and not study.get_trials(deepcopy=False) and not study.user_attrs:
        # Whoever made it died before it could say what it is.
        study.set_user_attr("identity", asdict(identity))
        return study, True
    if not stored:
        raise UsageError(f"the study '{name}' was not made by this tool; use another --study name")
    if stored.get("format", 0) > FORMAT:
        raise UsageError(
            f"the study '{name}' was made by a newer version of this project "
            f"(format {stored['format']}, this one knows {FORMAT}); update the project"
        )
    if differences := identity.differences(stored):
        raise UsageError(
            f"the study '{name}' exists and is another one: it has {'; '.join(differences)}. "
            "Nothing was changed. Use the same options as before to go on with it, or --study "
            "with a new name to begin another"
        )
    return study, False


def load_study(storage: RDBStorage, name: str) -> optuna.Study:
    """Return an existing study.

    Raises:
        UsageError: there is none of that name (the message names the nearest ones), or it is
            not of this project.
    """
    import difflib

    with suppress(KeyError):  # asked for by name: listing all studies reads all their notes
        study = optuna.load_study(storage=storage, study_name=name)
        if not find_identity(study):
            raise UsageError(f"the study '{name}' was not made by this tool")
        return study
    known = optuna.get_all_study_names(storage)
    if not known:
        raise UsageError("the storage holds no study yet; begin one with: python -m study run")
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or sorted(known)
    raise UsageError(f"no study is named '{name}'; did you mean: {', '.join(near)}?")


@contextmanager
def study_lock(storage: RDBStorage, name: str) -> Iterator[None]:
    """Hold the study for oneself, among all processes that use the storage.

    PostgreSQL: an advisory lock, let go by the server when its holder dies. Else: a lock on a
    file beside the database, let go by the operating system.

    Raises:
        StorageError: the lock could not be had for five minutes.
    """
    if storage.engine.dialect.name != "postgresql":
        with _lock_file(storage.url, name):
            yield
        return
    key = int.from_bytes(sha256(name.encode()).digest()[:8], "big", signed=True)
    with storage.engine.connect() as connection:
        connection.execute(sqlalchemy.text(f"SET lock_timeout = '{LOCK_SECONDS}s'"))
        try:
            connection.execute(sqlalchemy.text("SELECT pg_advisory_lock(:key)"), {"key": key})
        except OperationalError as error:
            raise _not_locked(hide_password(storage.url), error) from None
        connection.commit()
        try:
            yield
        finally:
            connection.execute(sqlalchemy.text("SELECT pg_advisory_unlock(:key)"), {"key": key})
            connection.commit()


def _not_locked(what: str, error: Exception) -> StorageError:
    reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
    return StorageError(
        f"another process holds {what} and did not let go within {LOCK_SECONDS:g} s ({reason}); "
        "end it, then run the same command again"
    )


@contextmanager
def _lock_file(url: str, name: str) -> Iterator[None]:
    parsed = sqlalchemy.make_url(url)
    tag = sha256(f"{url}\x1f{name}".encode()).hexdigest()[:12]
    if parsed.get_backend_name() == "sqlite" and parsed.database not in (None, "", ":memory:"):
        path = Path(f"{parsed.database}-{tag}.lock")
    else:
        path = Path(tempfile.gettempdir()) / f"ecg-study-{tag}.lock"
    lock = FileLock(path, timeout=LOCK_SECONDS)
    try:
        lock.acquire()
    except Timeout as error:
        raise _not_locked(str(path), error) from None
    try:
        yield
    finally:
        lock.release()


def _take_write_lock_first(engine: sqlalchemy.Engine) -> None:
    def connected(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself
        connection.execute("PRAGMA journal_mode = WAL")

    def begun(connection: sqlalchemy.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    sqlalchemy.event.listen(engine, "connect", connected)
    sqlalchemy.event.listen(engine, "begin", begun)
    engine.dispose()  # connections from before do not know these rules


def _check_sqlite_file(database: str | None, shown: str, *, create: bool) -> None:
    if not database or database == ":memory:":
        raise UsageError(f"--storage {shown} is kept in memory only; name a file")
    path = Path(database)
    if not path.exists():
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
        if place.exists() and not os.access(place, os.W_OK):
            raise StorageError(
                f"the storage {shown} cannot be written ({place} is read-only for this user); "
                "change its permissions or use --storage with another place"
            )


def _unreachable(shown: str, error: Exception) -> StorageError:
    original = getattr(error, "orig", None) or error
    reason = (
        str(original).strip().splitlines()[0] if str(original).strip() else type(error).__name__
    )
    if isinstance(error, OperationalError):
        return StorageError(f"cannot reach or open the storage {shown}: {reason}")
    return StorageError(f"the storage {shown} is not a usable Optuna database: {reason}")
