"""Connecting to each kind of database: SQLite for reading or writing, PostgreSQL over a network.

SQLite's locks are unreliable on network file systems, which are recognised here too.
"""

import os
import sqlite3
from collections.abc import Callable
from functools import partial
from glob import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from study.storage.database import SQLITE_WAIT_SECONDS, hide_password
from study.storage.locks import held

READING = {"ecg_reading": True}  # execution option of a connection that takes no write lock
LEAVING_SECONDS = 0.2  # wait for other processes that close the file at the same moment
CLOSED = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)  # errors without write permission
# Per worker: one connection for its work, one for the study's lock or the heartbeat.
CONNECTIONS = 2
# Timeouts for a server that does not answer; names of libpq, which the drivers share.
KEEPALIVE = {
    "connect_timeout": 15, "keepalives": 1, "keepalives_idle": 30, "keepalives_interval": 10,
    "keepalives_count": 3, "tcp_user_timeout": 60_000,
}  # fmt: skip
MOUNTS = Path("/proc/self/mountinfo")  # Linux only; other systems are not checked
NETWORK = frozenset({
    "nfs", "nfs3", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "afs", "ncpfs", "9p",
    "virtiofs", "vboxsf", "prl_fs", "ceph", "lustre", "gpfs", "beegfs", "fhgfs", "pvfs2", "ocfs2",
    "gfs2", "glusterfs", "orangefs", "panfs", "wekafs", "davfs",
})  # fmt: skip
# FUSE file systems that are local, by the part of their type after "fuse.".
LOCAL_FUSE = frozenset({"ntfs", "ntfs-3g", "exfat", "ext2", "fuseblk", "lxcfs", "fuse-overlayfs",
                        "mergerfs", "bindfs", "gocryptfs", "encfs", "portal"})  # fmt: skip


def engine_options(url: sqlalchemy.URL, *, write: bool = True) -> dict[str, Any]:
    """Return the arguments of SQLAlchemy's `create_engine` for a database.

    Args:
        url: see `study.storage.database.parse_url`.
        write: whether the file may be written; otherwise SQLite creates no file beside it.
    """
    if url.get_backend_name() == "sqlite":
        if write:
            return {"connect_args": {"timeout": SQLITE_WAIT_SECONDS}}
        connect = partial(connect_to_read, Path(str(url.database)))
        return {"creator": connect, "poolclass": NullPool}
    typed = {name: value for name, value in KEEPALIVE.items() if name not in url.query}
    if url.get_driver_name() == "psycopg":  # a pooler may use another server per transaction
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
    """Open an SQLite file for reading, where neither the file nor its folder may be writable.

    Raises:
        sqlite3.OperationalError: the file cannot be read without write permission.
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
                f"its latest changes are in {beside}, and reading them needs write permission in "
                "that folder. Copy both files to another folder, or ask their owner to run "
                "`python -m study list`"
            ) from None
    # In WAL mode SQLite needs files beside the database. If there are none, nobody is writing.
    return connect("immutable=1")


def set_up_sqlite(
    engine: sqlalchemy.Engine, *, write: bool, say: Callable[[str], None] | None
) -> None:
    """Configure the connections of an SQLite engine.

    A file that may be written gets a write-ahead log. The log needs memory that all processes
    share, so a file on a network file system gets none.

    Args:
        engine: engine of the file.
        write: whether the file may be written.
        say: shows a warning of a network file system to the user; None in workers, which do not
            repeat it.
    """
    kind = network_file_system(Path(str(engine.url.database))) if write else None
    if kind is not None and say is not None:
        say(
            f"warning: {hide_password(str(engine.url))} is on a network file system ({kind}), "
            "where SQLite is slow and its locks may not hold. Use a local disk, or PostgreSQL for "
            "several machines."
        )

    def connected(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # the driver starts no transactions by itself
        if not write or kind is not None:
            return
        connection.execute("PRAGMA journal_mode = WAL")
        # A commit does not wait for the disk, which would be most of its cost. A killed process
        # loses nothing. A power cut can lose the last seconds, but never part of a transaction,
        # and lost trials run again with the same result.
        connection.execute("PRAGMA synchronous = NORMAL")

    def begun(connection: sqlalchemy.Connection) -> None:
        reads = not write or READING.items() <= connection.get_execution_options().items()
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    sqlalchemy.event.listen(engine, "connect", connected)
    sqlalchemy.event.listen(engine, "begin", begun)
    engine.dispose()  # existing connections are not configured


def leave_sqlite(engine: sqlalchemy.Engine) -> None:
    """Close an SQLite file; the last process to close it turns it back into a single plain file.

    A file in WAL mode cannot be opened by programs that cannot write beside it, such as the
    dashboards in a browser or an editor. While other processes have it open, nothing changes.
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
            if mode == "wal":  # the change of mode proves that nobody else has the file open
                for lock in path.parent.glob(f"{escape(path.name)}-*.lock"):
                    lock.unlink(missing_ok=True)  # left behind by killed processes
    except Exception:  # in use, deleted, or on a full disk: the last process to close it does this
        return


def network_file_system(path: Path) -> str | None:
    """Return the type of the network file system that holds a file, such as "nfs4", or None.

    Args:
        path: path of a file, which need not exist.
    """
    try:
        mounts = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    kind = kind_of(Path(os.path.realpath(path)), mounts)
    if kind in NETWORK:
        return kind
    fuse, _, name = kind.partition(".")
    return kind if fuse == "fuse" and name and name not in LOCAL_FUSE else None


def kind_of(path: Path, mounts: str) -> str:
    """Return the type of the file system that holds a path, "" if it is unknown.

    Args:
        path: an absolute path.
        mounts: content of `MOUNTS`, see proc_pid_mountinfo(5).
    """
    found, depth = "", -1
    for line in mounts.splitlines():
        before, separator, after = line.partition(" - ")
        words = before.split(" ")
        if not separator or len(words) < 5:
            continue
        place = Path(_unescaped(words[4]))
        # If several are mounted at one place, the last one hides the others.
        if path.is_relative_to(place) and len(place.parts) >= depth:
            found, depth = after.split(" ")[0], len(place.parts)
    return found


def _unescaped(text: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text
