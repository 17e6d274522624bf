"""A storage that fails while a study runs: a server restarted, a disk full. It is waited for."""

import re
import time
from collections.abc import Callable
from typing import TypeVar

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from study.storage.database import StorageError, reason_of
from study.storage.interrupts import interrupts_allowed
from study.wording import format_seconds

T = TypeVar("T")

STORAGE_ERRORS = (StorageInternalError, SQLAlchemyError)
OUTAGE_SECONDS = 600.0  # so long a storage is waited for
# What SQLite, PostgreSQL and PgBouncer say when they take nobody else at the moment.
BUSY = re.compile(
    r"database( table)? is locked|too many (clients|connections)|remaining connection slots"
    r"|(starting up|shutting down|in recovery mode|not yet accepting connections)"
    r"|no more connections allowed|QueuePool limit",
    re.IGNORECASE,
)
LONGEST_PAUSE = 15.0  # s between two tries; the first comes after one second


def is_outage(error: BaseException) -> bool:
    """Whether the storage may work again later: the server is gone, a disk full, a file locked."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    return isinstance(cause, OperationalError | InterfaceError | PoolTimeoutError)


def is_busy(error: BaseException) -> bool:
    """Whether the database is there and only takes nobody else at the moment.

    Before a study has begun, only this is waited for: a wrong host is better said at once.
    """
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    return is_outage(error) and BUSY.search(str(cause)) is not None


def outlast(
    action: Callable[[], T],
    shown: str,
    say: Callable[[str], None],
    waits: Callable[[BaseException], bool] = is_outage,
) -> T:
    """Do something with the storage; while the storage fails, wait and do it again.

    Args:
        action: may be done again after it failed half way.
        shown: the storage's URL as anyone may see it.
        say: tells the person, once.
        waits: for which errors.

    Raises:
        StorageError: the storage failed for ten minutes.
    """
    began, pause = time.monotonic(), 1.0
    while True:
        try:
            return action()
        except Exception as error:
            if not waits(error):
                raise
            reason = reason_of(error)
        if pause == 1.0:
            say(
                f"Lost the database {shown} ({reason}). "
                f"Retrying for up to {format_seconds(OUTAGE_SECONDS)}."
            )
        if time.monotonic() - began >= OUTAGE_SECONDS:
            raise StorageError(
                f"The database {shown} failed for {format_seconds(OUTAGE_SECONDS)} ({reason}). "
                "Nothing stored is lost. Fix the problem, then run the same command again."
            )
        with interrupts_allowed():
            time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
