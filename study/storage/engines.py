"""How each kind of database is connected to: SQLite to read or to write, PostgreSQL over a net."""

import sqlite3
from functools import partial
from glob import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from study.storage.database import SQLITE_WAIT_SECONDS
from study.storage.locks import held

READING = {"ecg_reading": True}  # of a connection that takes no lock to write
LEAVING_SECONDS = 0.2  # to wait for others who leave a file at the same moment
CLOSED = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)  # to one who may not write
# Of one worker: one connection for its work, one for the study's lock or the heartbeat.
CONNECTIONS = 2
# Seconds after which a server that is silent counts as gone; names of libpq, which drivers share.
KEEPALIVE = {
    "connect_timeout": 15, "keepalives": 1, "keepalives_idle": 30, "keepalives_interval": 10,
    "keepalives_count": 3, "tcp_user_timeout": 60_000,
}  # fmt: skip


def engine_options(url: sqlalchemy.URL, *, write: bool = True) -> dict[str, Any]:
    """Return the arguments of SQLAlchemy's `create_engine` for a database.

    Args:
        url: see `study.storage.database.parse_url`.
        write: the file can and may be written; without, SQLite makes no file beside it.
    """
    if url.get_backend_name() == "sqlite":
        if write:
            return {"connect_args": {"timeout": SQLITE_WAIT_SECONDS}}
        connect = partial(connect_to_read, Path(str(url.database)))
        return {"creator": connect, "poolclass": NullPool}
    typed = {name: value for name, value in KEEPALIVE.items() if name not in url.query}
    if url.get_driver_name() == "psycopg":  # a pooler may give each transaction another server
        typed["prepare_threshold"] = None  # type: ignore[assignment]
    elif url.get_driver_name() != "psycopg2":
        typed = {}
    return {
        "connect_args": typed,
        "pool_pre_ping": True,
        "pool_size": CONNECTIONS,
        "max_overflow": 0,
    }


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Open an SQLite file that cannot be written, nor anything beside it.

    Raises:
        sqlite3.OperationalError: it cannot be read without.
    """

    def connect(mode: str) -> sqlite3.Connection:
        return sqlite3.connect(
            f"file:{quote(str(path))}?{mode}",
            uri=True,
            timeout=SQLITE_WAIT_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )

    connection = connect("mode=ro")
    try:
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
        return connection
    except sqlite3.OperationalError as error:
        connection.close()
        if error.sqlite_errorcode & 0xFF not in CLOSED:
            raise
        beside = Path(f"{path}-wal")
        if beside.exists() and beside.stat().st_size:
            raise sqlite3.OperationalError(
                f"its last changes are in {beside}, which cannot be read without permission to "
                "write there. Copy both files to another folder, or let its owner run "
                "`python -m study list`"
            ) from None
    # In WAL mode SQLite wants files beside it. Where there are none, nobody writes either.
    return connect("immutable=1")


def set_up_sqlite(engine: sqlalchemy.Engine, *, write: bool, wal: bool) -> None:
    """Give the connections of an SQLite engine the rules of this project.

    Args:
        engine: of the file.
        write: the file may be written.
        wal: with a log beside it, which needs memory that all processes share.
    """

    def connected(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself
        if not (write and wal):
            return
        connection.execute("PRAGMA journal_mode = WAL")
        # A commit is not forced to the disk: that would be most of its cost. A process may die
        # at any moment all the same; a power cut can take back the last seconds, never a part
        # of a transaction, and trials lost to it are run again with the same result.
        connection.execute("PRAGMA synchronous = NORMAL")

    def begun(connection: sqlalchemy.Connection) -> None:
        reads = not write or READING.items() <= connection.get_execution_options().items()
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    sqlalchemy.event.listen(engine, "connect", connected)
    sqlalchemy.event.listen(engine, "begin", begun)
    engine.dispose()  # connections from before do not know these rules


def leave_sqlite(engine: sqlalchemy.Engine) -> None:
    """Close an SQLite file; the last one to leave makes one plain file of it again.

    A file left in WAL mode cannot be opened by programs that may not write beside it, such as
    dashboards in a browser or an editor. While others have it open, nothing is changed.
    """
    engine.dispose()
    path = Path(str(engine.url.database))
    try:
        with held(engine, "open", seconds=LEAVING_SECONDS):
            connection = sqlite3.connect(
                f"file:{quote(str(path))}?mode=rw", uri=True, timeout=LEAVING_SECONDS
            )
            try:
                (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
                connection.execute("PRAGMA journal_mode = DELETE")
            finally:
                connection.close()
            if mode == "wal":  # then it is certain that nobody else has it open
                for lock in path.parent.glob(f"{escape(path.name)}-*.lock"):
                    lock.unlink(missing_ok=True)  # of processes that were killed
    except Exception:  # it is in use, gone, or on a full disk: whoever leaves last does it
        return
