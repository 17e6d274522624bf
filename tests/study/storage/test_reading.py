"""Reading a storage: quick, as it is at one moment, and without leaving a trace in it."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import pytest
import sqlalchemy
from optuna.trial import TrialState

from ecg.errors import UsageError
from study.show.terminal import LISTED, SHOWN
from study.storage.database import StorageError
from study.storage.reading import read_studies, read_study
from study.storage.rows import EXAMPLES
from tests.support.fake_study import fill
from tests.support.setting import Typed, finish, start

SLOW = ("torch", "pandas", "plotly", "alembic", "matplotlib", "scipy", "sklearn")
LOADED = """
import sys
from study.cli import main
slow = sys.argv.pop().split(",")
try:
    main()
finally:
    print("loaded:", [name for name in slow if name in sys.modules])
"""


@contextmanager
def counted() -> Iterator[list[str]]:
    """Give a list that every statement any engine executes is added to."""
    seen: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        seen.append(statement)

    sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "before_cursor_execute", note)


@pytest.mark.parametrize("words", [("list",), ("show", "fake")])
def test_list_and_show_load_nothing_slow(sqlite_url: str, words: tuple[str, ...]) -> None:
    # Rule: the two commands that are typed most load neither PyTorch, pandas nor drawing, nor
    # a database's migrations: to import them takes longer than to read thousands of trials.
    fill(sqlite_url)
    names = ",".join(SLOW)
    result = finish(start(*words, "--storage", sqlite_url, names, script=("-c", LOADED)))
    assert (result.code, result.err) == (0, "")
    assert "fake" in result.out
    assert result.out.splitlines()[-1] == "loaded: []"


@pytest.mark.parametrize("attributes", [LISTED, SHOWN, (*SHOWN, EXAMPLES)])
def test_statements_do_not_grow_with_the_trials(url: str, attributes: tuple[str, ...]) -> None:
    # Rule: as many statements read ten times the trials, and none reads a curve unasked.
    numbers = []
    for name, trials in (("few", 6), ("many", 60)):
        fill(url, name, trials)
        with counted() as seen:
            assert len(read_study(url, name, attributes).rows) == trials
        numbers.append(len(seen))
        assert not any(word in line for line in seen for word in ("UPDATE", "INSERT", "CREATE"))
    assert numbers[0] == numbers[1] < 15
    assert "curves" not in read_study(url, "many", attributes).rows[0]


def test_a_study_is_read_as_it_is_at_one_moment(url: str) -> None:
    # Rule: what another process does while a study is read is not seen, not even in part: no
    # half of a new trial, no value of one that still runs; and nobody is kept waiting.
    study = fill(url, trials=3)
    study.add_trial(optuna.create_trial(state=TrialState.RUNNING))
    running = study.trials[-1]._trial_id
    todo = [True]

    def go_on(_: object, __: object, statement: str, *___: object) -> None:
        if "FROM trial_values" in statement and todo:
            todo.clear()
            study._storage.set_trial_state_values(running, TrialState.COMPLETE, [0.9])
            study.add_trial(study.trials[0])

    sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", go_on)
    try:
        rows = read_study(url, "fake").rows
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "before_cursor_execute", go_on)
    assert not todo
    assert [row["number"] for row in rows] == [0, 1, 2, 3]
    assert (rows[3]["state"], rows[3]["value"]) == ("running", None)
    rows = read_study(url, "fake").rows
    assert len(rows) == 5
    assert (rows[3]["state"], rows[3]["value"]) == ("complete", 0.9)


def test_a_database_without_tables_has_no_study(url: str, typed: Callable[..., Typed]) -> None:
    # Rule: before the first study of a new server `list` says how to start one; looking makes
    # no table.
    if url.startswith("sqlite"):
        sqlite3.connect(Path(url.removeprefix("sqlite:///"))).close()
        Path(url.removeprefix("sqlite:///")).touch()
    assert read_studies(url) == []
    assert "no studies yet" in typed("list", "--storage", url).out
    shown = typed("show", "any", "--storage", url)
    assert (shown.code, "Start one with" in shown.err) == (2, True)
    engine = sqlalchemy.create_engine(url)
    assert sqlalchemy.inspect(engine).get_table_names() == []
    engine.dispose()


def test_a_state_that_does_not_exist_is_named(sqlite_url: str, tmp_path: Path) -> None:
    fill(sqlite_url)
    with sqlite3.connect(tmp_path / "study.db") as connection:
        connection.execute("UPDATE trials SET state = 'WEIRD' WHERE trial_id = 2")
    with pytest.raises(StorageError, match="is not a usable Optuna database: 'WEIRD' is not"):
        read_study(sqlite_url, "fake")


def test_a_database_of_something_else_is_refused(sqlite_url: str, tmp_path: Path) -> None:
    # Rule: a file that is no database, or has other tables of these names, is named in one
    # sentence.
    path = tmp_path / "study.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE studies (study_id INTEGER, study_name TEXT)")
    connection.execute("INSERT INTO studies VALUES (1, 'fake')")
    connection.commit()
    connection.close()
    with pytest.raises(UsageError, match=r"sqlite:///.*study.db belongs to another program"):
        read_study(sqlite_url, "fake")
    path.write_bytes(b"not a database, but long enough to have a header\n" * 20)
    with pytest.raises(StorageError, match="is not a usable Optuna database: file is not a"):
        read_studies(sqlite_url)
