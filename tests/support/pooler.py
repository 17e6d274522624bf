"""PgBouncer in front of a PostgreSQL server, as many workers need it."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy

START_SECONDS = 20


def find_pooler() -> str | None:
    """Return the path of the program, None where it is not installed."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@contextmanager
def pooled(url: str, connections: int) -> Iterator[str]:
    """Run a pooler of transactions and give the URL of a database behind it.

    Args:
        url: URL of the database, on a server that listens on a Unix socket.
        connections: number of connections to the server, for all clients together.
    """
    place = sqlalchemy.make_url(url)
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        socket_folder = Path(str(place.query["host"]))
        for path in (Path(folder), socket_folder, socket_folder.parent):
            path.chmod(path.stat().st_mode | 0o755)  # PgBouncer does not run as root
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        settings = Path(folder) / "pgbouncer.ini"
        settings.write_text(
            f"[databases]\n{place.database} = host={socket_folder} user={place.username}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = any\npool_mode = transaction\ndefault_pool_size = {connections}\n"
            "max_client_conn = 500\n"
        )
        program = [str(find_pooler()), "--quiet", str(settings)]
        user = "nobody" if os.geteuid() == 0 else None
        with subprocess.Popen(program, user=user, stderr=subprocess.DEVNULL) as process:
            try:
                _wait_for(port)
                yield f"postgresql+psycopg://anybody@127.0.0.1:{port}/{place.database}"
            finally:
                process.terminate()


def _wait_for(port: int) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
