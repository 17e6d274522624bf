"""Waiting for a database that fails during a study: a server restarts, or a disk is full."""

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
OUTAGE_SECONDS = 600.0  # how long to wait for a database
# Messages of SQLite, PostgreSQL and PgBouncer when they accept no more clients at the moment.
BUSY = re.compile(
    r"database( table)? is locked|too many (clients|connections)|remaining connection slots"
    r"|(starting up|shutting down|in recovery mode|not yet accepting connections)"
    r"|no more connections allowed|QueuePool limit",
    re.IGNORECASE,
)
LONGEST_PAUSE = 15.0  # s between two tries; the first pause is one second


def is_outage(error: BaseException) -> bool:
    """Whether the database may work again later: a server is down, a disk full, a file locked."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    return isinstance(cause, OperationalError | InterfaceError | PoolTimeoutError)


def is_busy(error: BaseException) -> bool:
    """Whether the database exists and only accepts no more clients at the moment.

    At the start of a study, only this is worth waiting for; a wrong host is reported at once.
    """
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    return is_outage(error) and BUSY.search(str(cause)) is not None


def outlast(
    action: Callable[[], T],
    shown: str,
    say: Callable[[str], None],
    waits: Callable[[BaseException], bool] = is_outage,
) -> T:
    """Run an action on the database; while the database fails, wait and run it again.

    Args:
        action: must be safe to repeat after it failed half way.
        shown: URL of the database without secrets.
        say: shows a message to the user; called once.
        waits: whether to wait after an error.

    Raises:
        StorageError: the database failed for ten minutes.
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
