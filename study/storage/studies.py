"""Opening a storage, locking a study, and checking that it is the one asked for."""

import sqlite3
import tempfile
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from filelock import FileLock, Timeout
from optuna.storages import RDBStorage
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

from ecg.errors import UsageError
from ecg.record_lists import RecordLists, from_text
from study.storage.database import (
    SQLITE_WAIT_SECONDS,
    StorageError,
    check_sqlite_file,
    hide_password,
    parse_url,
    storage_errors,
)
from study.storage.lean import READING, LeanStorage

# Raised when a study of an older version can no longer be continued.
# 2: the precision, the kind of device and the protocol are part of what a study is.
FORMAT = 2
HEARTBEAT_SECONDS = 15
GRACE_SECONDS = 60  # a worker silent for so long, as another one watches, is taken for dead
LOCK_SECONDS = 300
LONGEST_NAME = 512  # of a study, in Optuna's tables
IDENTITY_KEY = "identity"


@dataclass(frozen=True)
class Identity:
    """What makes two runs the same study. Stored with it and compared when it is continued.

    Attributes:
        space: name of what is searched, or the kind of the planned runs.
        space_digest: of the definition of the space.
        objective: one of `ecg.metrics.SCORES`.
        source: of the heartbeats.
        data: fingerprint of the heartbeats, or of the recording that stands in for training.
        split: name.
        budget: name.
        device: kind of the device that trains, "cpu" or "cuda".
        precision: in which it computes, see `ecg.training.find_precision`.
        protocol: of the trainings, see `ecg.training.config.PROTOCOL`.
        seed: of the study.
        format: of the study in the database.
        records: of each part of a split that a file lists, as text; `split` has their digest.
    """

    space: str
    space_digest: str
    objective: str
    source: str
    data: str
    split: str
    budget: str
    device: str
    precision: str
    protocol: int
    seed: int
    format: int = FORMAT
    records: str = ""

    @property
    def record_lists(self) -> RecordLists | None:
        """The records of each part, None where no file lists them."""
        return from_text(self.records) if self.records else None

    def differences(self, stored: Mapping[str, Any]) -> list[str]:
        """Say, one by one, in what a stored identity differs from this one.

        Its format is left out, and the lists of records, whose digest is in the split.
        """
        titles = {"space_digest": "definition of the space", "data": "data fingerprint"}
        return [
            f"{titles.get(name, name)} is {stored.get(name)!r} there, {wanted!r} here"
            for name, wanted in asdict(self).items()
            if name not in ("format", "records") and stored.get(name) != wanted
        ]


def default_name(kind: str, source: str, split: str, budget: str) -> str:
    """Return the name of a study where none is typed."""
    return "-".join((kind, source.replace(" ", "-"), split, budget))


def open_storage(url: str, *, create: bool = True, lean: bool = False) -> RDBStorage:
    """Open an Optuna storage in which several processes can work at once.

    SQLite has no row locks, so every transaction takes the write lock when it begins
    (BEGIN IMMEDIATE) and waits for others; readers do not block (WAL).

    Args:
        url: of SQLAlchemy, such as sqlite:///results/study.db.
        create: make the database where there is none.
        lean: read trials without their large attributes, see `LeanStorage`.

    Raises:
        UsageError: the URL is malformed, its driver is missing, or there is no database.
        StorageError: the database cannot be reached, read or written.
    """
    is_sqlite = parse_url(url).get_backend_name() == "sqlite"
    if is_sqlite:
        check_sqlite_file(url, create=create)
    arguments = {"timeout": SQLITE_WAIT_SECONDS} if is_sqlite else {}
    with storage_errors(url), warnings.catch_warnings(), _lock_file(url, "open"):
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        storage = (LeanStorage if lean else RDBStorage)(
            url,
            engine_kwargs={"connect_args": arguments, "pool_pre_ping": not is_sqlite},
            heartbeat_interval=HEARTBEAT_SECONDS,
            grace_period=GRACE_SECONDS,
        )
        if is_sqlite:
            _set_up_sqlite(storage.engine)
    return storage


def find_identity(study: optuna.Study) -> dict[str, Any]:
    """Return the stored identity of a study, empty for one that this project did not make."""
    identity: dict[str, Any] = study.user_attrs.get(IDENTITY_KEY, {})
    return identity


def open_study(storage: RDBStorage, name: str, identity: Identity) -> tuple[optuna.Study, bool]:
    """Open the study of that name, or make it; call it under `study_lock`.

    Returns:
        The study, and whether it is new.

    Raises:
        UsageError: a study of this name exists and is another one; the message says in what. Or
            it is no name for a study.
    """
    if not name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
        raise UsageError(
            f"{name!r:.80} cannot be the name of a study; use 1 to {LONGEST_NAME} printable "
            "characters"
        )
    try:
        study = optuna.load_study(storage=storage, study_name=name)
    except KeyError:
        study = optuna.create_study(storage=storage, study_name=name, direction="maximize")
        study.set_user_attr(IDENTITY_KEY, asdict(identity))
        return study, True
    stored = find_identity(study)
    if not stored and not study.get_trials(deepcopy=False) and not study.user_attrs:
        # Whoever made it died before it could say what it is.
        study.set_user_attr(IDENTITY_KEY, asdict(identity))
        return study, True
    if not stored:
        raise UsageError(f"the study '{name}' was not made by this tool; use another --study name")
    check_identity(name, stored, identity)
    return study, False


def check_identity(name: str, stored: Mapping[str, Any], wanted: Identity) -> None:
    """Refuse a study that is another one than wanted.

    Args:
        name: of the study.
        stored: its identity.
        wanted: what it must be.

    Raises:
        UsageError: names every difference.
    """
    check_format(name, stored)
    if differences := wanted.differences(stored):
        raise UsageError(
            f"A study named '{name}' already exists with other settings: "
            f"{'; '.join(differences)}. Nothing was changed. Use its settings to continue it, or "
            "start another study with --study and a new name."
        )


def check_format(name: str, stored: Mapping[str, Any]) -> None:
    """Refuse a study that another version of this project made.

    Args:
        name: of the study.
        stored: its identity.

    Raises:
        UsageError: says which version made it, and what to do.
    """
    found = stored.get("format", 0)
    if found > FORMAT:
        raise UsageError(
            f"The study '{name}' was made by a newer version of this project "
            f"(format {found}, this version knows {FORMAT}). Update the project."
        )
    if found < FORMAT:
        raise UsageError(
            f"The study '{name}' was made by an older version of this project (format {found}, "
            f"this version writes {FORMAT}), which kept no precision, kind of device or protocol "
            "with it. It can still be shown and reported. Start another study with --study and a "
            "new name."
        )


def load_study(storage: RDBStorage, name: str) -> optuna.Study:
    """Return an existing study.

    Raises:
        UsageError: there is none of that name (the message names the nearest ones), or it is
            not of this project.
    """
    # Asked for by name: listing all studies reads all their notes.
    with suppress(KeyError, UnicodeError):
        study = optuna.load_study(storage=storage, study_name=name)
        if not find_identity(study):
            raise foreign_study(name)
        return study
    raise unknown_study(name, optuna.get_all_study_names(storage))


def foreign_study(name: str) -> UsageError:
    """Return the error that a study is not of this project."""
    return UsageError(f"the study '{name}' was not made by this tool")


def unknown_study(name: str, known: Collection[str]) -> UsageError:
    """Return the error that there is no study of that name, the nearest ones in its message."""
    import difflib

    if not known:
        return UsageError("the storage holds no study yet; begin one with: python -m study run")
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or sorted(known)
    return UsageError(f"no study is named '{name}'; did you mean: {', '.join(near)}?")


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
            if error.connection_invalidated:
                raise
            raise _not_locked(hide_password(storage.url), error) from None
        connection.commit()
        try:
            yield
        finally:
            with suppress(OperationalError):  # a server that is gone has let the lock go
                unlock = sqlalchemy.text("SELECT pg_advisory_unlock(:key)")
                connection.execute(unlock, {"key": key})
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
    except OSError as error:  # as a database says it that cannot be written
        raise OperationalError("the study's lock", None, error) from None
    try:
        yield
    finally:
        lock.release()


def _set_up_sqlite(engine: sqlalchemy.Engine) -> None:
    def connected(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself
        connection.execute("PRAGMA journal_mode = WAL")
        # A commit is not forced to the disk: that would be most of its cost. A process may die
        # at any moment all the same; a power cut can take back the last seconds, never a part
        # of a transaction, and trials lost to it are run again with the same result.
        connection.execute("PRAGMA synchronous = NORMAL")

    def begun(connection: sqlalchemy.Connection) -> None:
        reads = READING.items() <= connection.get_execution_options().items()
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    sqlalchemy.event.listen(engine, "connect", connected)
    sqlalchemy.event.listen(engine, "begin", begun)
    engine.dispose()  # connections from before do not know these rules
