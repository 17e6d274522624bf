"""Rules of a storage that fails for a while."""

import sqlite3
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import IntegrityError, OperationalError

from study.storage import outage
from study.storage.database import StorageError, reason_of
from study.storage.outage import is_outage, outlast
from tests.support.setting import Typed, open_new

FULL = OperationalError("INSERT secret", {}, sqlite3.OperationalError("disk is full\nmore"))


def wrapped() -> StorageInternalError:
    """Return an error of the database as Optuna passes it on."""
    try:
        raise StorageInternalError("An exception is raised during the commit.") from FULL
    except StorageInternalError as error:
        return error


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited, by a clock that only waiting moves."""
    naps: list[float] = []
    clock = SimpleNamespace(monotonic=lambda: sum(naps), sleep=naps.append)
    monkeypatch.setattr(outage, "time", clock)
    return naps


def test_a_storage_is_waited_for(naps: list[float]) -> None:
    # Rule: what failed by the storage is done again after longer and longer pauses, and the
    # person is warned once, in a sentence without the statement.
    errors = [FULL, wrapped(), FULL]
    said: list[str] = []

    def action() -> int:
        if errors:
            raise errors.pop()
        return 7

    assert outlast(action, "the-url", said.append) == 7
    assert naps == [1, 2, 4]
    assert said == ["Lost the database the-url (disk is full). Retrying for up to 10 min."]


def test_a_storage_is_not_waited_for_for_ever(naps: list[float]) -> None:
    # Rule: after ten minutes the study ends with what to do.
    def action() -> None:
        raise wrapped()

    with pytest.raises(StorageError, match=r"the-url failed for 10 min \(disk is full\).*again"):
        outlast(action, "the-url", lambda _: None)
    assert 600 <= sum(naps) < 620
    assert max(naps) == 15


@pytest.mark.parametrize(
    "error", [KeyError(1), OSError("full"), IntegrityError("x", {}, Exception("unique"))]
)
def test_other_errors_are_not_waited_out(naps: list[float], error: Exception) -> None:
    # Rule: an error that waiting does not fix is raised at once.
    def action() -> None:
        raise error

    with pytest.raises(type(error)):
        outlast(action, "the-url", lambda _: None)
    assert naps == []
    assert not is_outage(error)
    assert reason_of(FULL) == reason_of(wrapped()) == "disk is full"


def test_a_command_whose_storage_fails_says_so(
    typed: Callable[..., Typed], monkeypatch: pytest.MonkeyPatch, sqlite_url: str
) -> None:
    # Rule: where a command fails by its storage, at any place, that is said like other errors.
    open_new(sqlite_url)

    def fails(*_: object, **__: object) -> None:
        raise wrapped()

    monkeypatch.setattr("study.run.requeue.requeue_failed", fails)
    ended = typed("retry", "s", "--storage", sqlite_url)
    assert ended.code == 1
    assert ended.err.startswith("error: The database failed (disk is full). Nothing stored is lost")
    assert len(ended.err.splitlines()) == 1
