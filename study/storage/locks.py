"""Holding a study, or the opening of a database, for oneself among all processes that use it."""

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
LONGEST_PAUSE = 0.02  # s between two tries; longer ones let late comers go first
# So soon the server lets go of the lock of a machine that was cut off; its own default is hours,
# or a quarter of an hour where an answer was on its way (which no keepalive hastens).
SERVER_LIMITS = {
    "tcp_keepalives_idle": 30,  # seconds
    "tcp_keepalives_interval": 10,
    "tcp_keepalives_count": 3,
    "tcp_user_timeout": 60_000,  # milliseconds
}


@contextmanager
def held(engine: sqlalchemy.Engine, name: str, *, seconds: float | None = None) -> Iterator[None]:
    """Hold something of a database, let go when the holder ends or dies.

    PostgreSQL: an advisory lock of a transaction. It is tried for, not waited for in the server:
    behind a pooler, those who wait would keep the connections that the holder needs. SQLite: a
    lock on a file beside the real file, however its path is spelled; it is gone afterwards.

    Args:
        engine: of the database.
        name: of what is held.
        seconds: to wait for others, None for `LOCK_SECONDS`.

    Raises:
        StorageError: others held it for too long.
        OperationalError: the database cannot be reached, or its folder not be written.
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
                raise _not_had(hide_password(str(engine.url)), wait)
            time.sleep(pause * random.uniform(0.5, 1))
            pause = min(2 * pause, LONGEST_PAUSE)
        for option, value in SERVER_LIMITS.items():
            connection.exec_driver_sql(f"SET LOCAL {option} = {value}")
        try:
            yield
        finally:
            with suppress(OperationalError):  # a server that is gone has let the lock go
                connection.rollback()


@contextmanager
def _file_lock(engine: sqlalchemy.Engine, digest: bytes, wait: float) -> Iterator[None]:
    path = f"{engine.url.database}-{digest.hex()[:12]}.lock"
    lock = FileLock(path, timeout=wait)
    try:
        lock.acquire()
    except Timeout:
        raise _not_had(path, wait) from None
    except OSError as error:  # as a database says it that cannot be written
        raise OperationalError("the study's lock", None, error) from None
    try:
        yield
    finally:
        # While it is held: whoever waits for it sees that the file is gone, and makes another.
        with suppress(OSError):
            os.unlink(path)
        lock.release()


def _not_had(what: str, wait: float) -> StorageError:
    return StorageError(
        f"another process holds {what} and did not let go within {wait:g} s; end it, then run the "
        "same command again"
    )
