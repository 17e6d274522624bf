"""Whose tables a database has: those of Optuna, of an older Optuna, or of another program."""

from functools import cache
from pathlib import Path
from shlex import quote

import sqlalchemy
from optuna.storages._rdb import models
from sqlalchemy import Connection

from ecg.errors import UsageError
from study.storage.database import StorageError, hide_password
from study.wording import counted

STUDY_COLUMNS = tuple(models.StudyModel.__table__.columns.keys())
OWN = frozenset({*models.BaseModel.metadata.tables, "alembic_version"})


def has_studies(connection: Connection, url: str) -> bool:
    """Whether a database has Optuna's tables; without them it has no studies yet.

    Args:
        connection: connection to the database.
        url: URL of the database, for the messages.

    Raises:
        UsageError: the tables belong to another program.
        StorageError: the tables belong to an older Optuna.
    """
    inspector = sqlalchemy.inspect(connection)
    found = set(inspector.get_table_names())
    ours = found & OWN
    whole = {"studies", "trials", "version_info"} <= ours
    if found and not (whole or _is_being_made(connection, inspector, ours)):
        raise UsageError(
            f"The database {hide_password(url)} belongs to another program: it has "
            f"{counted(len(found), 'table')} that Optuna did not make "
            f"({', '.join(sorted(found)[:3])}). Nothing was changed. Use another database with "
            "--storage."
        )
    if not whole:
        return False
    made_by = connection.scalar(sqlalchemy.select(models.VersionInfoModel.library_version))
    if made_by is None:  # written last: another process is creating the tables
        return False
    revision = None
    if "alembic_version" in ours:
        revision = connection.scalar(sqlalchemy.text("SELECT version_num FROM alembic_version"))
    if revision in (None, *known_revisions()[:-1]):
        raise StorageError(
            f"The database {hide_password(url)} was made by Optuna {made_by}. This version cannot "
            "read its tables. Nothing was changed. Copy the database, then upgrade it: "
            f"optuna storage upgrade --storage {quote(hide_password(url))}"
        )
    return True


def _is_being_made(connection: Connection, inspector: sqlalchemy.Inspector, ours: set[str]) -> bool:
    """Whether a process is creating the tables, or was killed while it did."""
    if "studies" not in ours:
        return bool(ours)
    if {column["name"] for column in inspector.get_columns("studies")} != {*STUDY_COLUMNS}:
        return False
    return not connection.scalar(sqlalchemy.text("SELECT count(*) FROM studies"))


@cache
def known_revisions() -> tuple[str, ...]:
    """Return the table revisions that the installed Optuna knows, the current one last."""
    folder = Path(str(models.__file__)).parent / "alembic" / "versions"
    return tuple(sorted(path.stem.rstrip("_") for path in folder.glob("v*.py")))
