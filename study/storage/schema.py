"""Whose tables a database has: Optuna's, an older Optuna's, or those of another program."""

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
    """Whether a database has Optuna's tables; one that has none yet has no studies.

    Args:
        connection: to the database.
        url: of the database, for the messages.

    Raises:
        UsageError: its tables are another program's.
        StorageError: its tables are those of an older Optuna.
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
    if made_by is None:  # written last: another process makes the tables at this moment
        return False
    revision = None
    if "alembic_version" in ours:
        revision = connection.scalar(sqlalchemy.text("SELECT version_num FROM alembic_version"))
    if revision in (None, *known_revisions()[:-1]):
        raise StorageError(
            f"The database {hide_password(url)} was made by Optuna {made_by}, whose tables this "
            "version does not read. Nothing was changed. Make a copy of it, then upgrade it: "
            f"optuna storage upgrade --storage {quote(hide_password(url))}"
        )
    return True


def _is_being_made(connection: Connection, inspector: sqlalchemy.Inspector, ours: set[str]) -> bool:
    """Whether tables are those of a process that makes them now, or was killed meanwhile."""
    if "studies" not in ours:
        return bool(ours)
    if {column["name"] for column in inspector.get_columns("studies")} != {*STUDY_COLUMNS}:
        return False
    return not connection.scalar(sqlalchemy.text("SELECT count(*) FROM studies"))


@cache
def known_revisions() -> tuple[str, ...]:
    """Return the revisions of Optuna's tables that the installed Optuna knows, its own last."""
    folder = Path(str(models.__file__)).parent / "alembic" / "versions"
    return tuple(sorted(path.stem.rstrip("_") for path in folder.glob("v*.py")))
