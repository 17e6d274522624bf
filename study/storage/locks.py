"""Locks between processes: on a study, or on opening a database."""

import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256

import sqlalchemy
from filelock import FileLock, Timeout
from sqlalchemy.exc import OperationalError

from study.storage.database import StorageError, hide_password

LOCK_SECONDS = 300.0
LONGEST_PAUSE = 0.02  # s between two tries; longer pauses favour latecomers
# The server releases the lock of a machine that lost its connection after these times. By default
# it waits hours, or a quarter of an hour for an unacknowledged answer (to which keepalives do not
# apply).
SERVER_LIMITS = {
    "tcp_keepalives_idle": 30,  # seconds
    "tcp_keepalives_interval": 10,
    "tcp_keepalives_count": 3,
    "tcp_user_timeout": 60_000,  # milliseconds
}


@contextmanager
def held(engine: sqlalchemy.Engine, name: str, *, seconds: float | None = None) -> Iterator[None]:
    """Hold a named lock of a database; it is released even if its holder dies.

    PostgreSQL: an advisory lock of a transaction. Clients poll for it instead of waiting in the
    server: behind a pooler, waiting clients would use up the connections that the holder needs.
    SQLite: a lock file beside the database file, which is deleted afterwards.

    Args:
        engine: engine of the database, with a URL of `study.storage.database.parse_url`.
        name: name of the lock.
        seconds: how long to wait for other holders, None for `LOCK_SECONDS`.

    Raises:
        StorageError: another process held the lock for too long.
        OperationalError: the database cannot be reached, or its folder is not writable.
    """
    wait = LOCK_SECONDS if seconds is None else seconds
    lock = _server_lock if engine.dialect.name == "postgresql" else _file_lock
    with lock(engine, sha256(name.encode("utf-8", "surrogatepass")).digest(), wait):
        yield


@contextmanager
def _server_lock(engine: sqlalchemy.Engine, digest: bytes, wait: float) -> Iterator[None]:
    key = int.from_bytes(digest[:8], "big", signed=True)
    take = sqlalchemy.text("SELECT pg_try_advisory_xact_lock(:key)")
    end, pause = time.monotonic() + wait, 0.005
    with engine.connect() as connection:
        while not connection.scalar(take, {"key": key}):
            connection.rollback()
            if time.monotonic() >= end:
                raise _timed_out(hide_password(str(engine.url)), wait)
            time.sleep(pause * random.uniform(0.5, 1))
            pause = min(2 * pause, LONGEST_PAUSE)
        for option, value in SERVER_LIMITS.items():
            connection.exec_driver_sql(f"SET LOCAL {option} = {value}")
        try:
            yield
        finally:
            with suppress(OperationalError):  # a server that is gone has released the lock
                connection.rollback()


@contextmanager
def _file_lock(engine: sqlalchemy.Engine, digest: bytes, wait: float) -> Iterator[None]:
    path = f"{engine.url.database}-{digest.hex()[:12]}.lock"
    lock = FileLock(path, timeout=wait)
    try:
        lock.acquire()
    except Timeout:
        raise _timed_out(path, wait) from None
    except OSError as error:  # raise what a read-only database would raise
        raise OperationalError("the study's lock", None, error) from None
    try:
        yield
    finally:
        # Delete the file before the release: a waiting process then notices and creates another.
        with suppress(OSError):
            os.unlink(path)
        lock.release()


def _timed_out(what: str, wait: float) -> StorageError:
    return StorageError(
        f"Another process has held the lock of {what} for more than {wait:g} s. Stop that process, "
        "then run the same command again."
    )
