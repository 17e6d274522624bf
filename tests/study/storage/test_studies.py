"""Rules of the storage: who may open it, which study it is, who holds it, what it gives away."""

import os
import signal
import sqlite3
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy

from ecg.errors import UsageError
from ecg.training.config import PROTOCOL
from study.cli import app
from study.storage import locks
from study.storage.database import StorageError, hide_password
from study.storage.studies import (
    FORMAT,
    load_study,
    open_storage,
    open_study,
    study_lock,
)
from study.tables.export import export_result_files
from tests.support.fake_runs import fake_runs
from tests.support.setting import IDENTITY, Typed, open_new, start, taken

SECRET = "pl4nted-s3cret"
NOWHERE = f"postgresql+psycopg://user:{SECRET}@127.0.0.1:1/x"


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        (
            "space_digest",
            "87654321",
            "definition of the space is '12345678' there, '87654321' here",
        ),
        ("data", "cd" * 32, "data fingerprint"),
        ("split", "inter-patient", "split is 'intra-patient' there, 'inter-patient' here"),
        ("budget", "quick", "budget is 'smoke' there, 'quick' here"),
        ("seed", 8, "seed is 7 there, 8 here"),
        ("device", "cuda", "device is 'cpu' there, 'cuda' here"),
        ("precision", "bf16", "precision is 'fp32' there, 'bf16' here"),
        ("protocol", 1, f"protocol is {PROTOCOL} there, 1 here"),
        ("objective", "f1_weighted", "objective is 'f1_macro' there, 'f1_weighted' here"),
    ],
)
def test_another_study_of_the_same_name_is_refused(
    sqlite_url: str, field: str, value: Any, words: str
) -> None:
    # Rule: what differs is named, as it is and as it was asked for, and nothing is changed.
    study, storage = open_new(sqlite_url)
    study.enqueue_trial({"x": 1.0})
    with pytest.raises(UsageError) as refused:
        open_study(storage, "s", replace(IDENTITY, **{field: value}))
    assert words in str(refused.value)
    assert "Nothing was changed" in str(refused.value)
    again = load_study(open_storage(sqlite_url), "s")
    assert again.user_attrs["identity"] == IDENTITY.to_fields()
    assert len(again.trials) == 1


def test_every_difference_is_named(sqlite_url: str) -> None:
    # Rule: all differences are named at once, not one a try.
    _, storage = open_new(sqlite_url)
    with pytest.raises(UsageError, match=r"split .*; budget .*; seed "):
        open_study(storage, "s", replace(IDENTITY, split="inter-patient", budget="quick", seed=1))


def test_a_newer_format_is_refused(sqlite_url: str) -> None:
    # Rule: a study of a newer version is not touched; the message says to update.
    study, storage = open_new(sqlite_url)
    study.set_user_attr("identity", {**IDENTITY.to_fields(), "format": FORMAT + 1})
    with pytest.raises(UsageError, match=r"newer version .* Update the project"):
        open_study(storage, "s", IDENTITY)


def test_an_older_format_is_refused(sqlite_url: str) -> None:
    # Rule: a study from before precision and device were kept is not continued; what to do.
    study, storage = open_new(sqlite_url)
    older = {k: v for k, v in IDENTITY.to_fields().items() if k not in ("device", "precision")}
    study.set_user_attr("identity", {**older, "format": 1})
    with pytest.raises(UsageError, match=r"older version .* start another study with --study"):
        open_study(storage, "s", IDENTITY)


def test_a_foreign_study_is_refused(sqlite_url: str) -> None:
    # Rule: a study without identity was made by another tool and is left alone.
    storage = open_storage(sqlite_url)
    optuna.create_study(storage=storage, study_name="s").enqueue_trial({"x": 1})
    with pytest.raises(UsageError, match="made by another tool"):
        open_study(storage, "s", IDENTITY)
    with pytest.raises(UsageError, match="made by another tool"):
        load_study(storage, "s")
    assert optuna.load_study(storage=storage, study_name="s").user_attrs == {}


@pytest.mark.parametrize("name", ["", " ", "a\nb", "\x1b[31mred", "\udcff", "a" * 513])
def test_a_name_that_no_study_can_have_is_refused(sqlite_url: str, name: str) -> None:
    # Rule: a name fits the tables of every database and can be printed; looking for another one
    # finds none.
    storage = open_storage(sqlite_url)
    with pytest.raises(UsageError, match=r"is not a valid name .* Use 1 to 512 printable"):
        open_study(storage, name, IDENTITY)
    open_study(storage, "é 心電図 " + "a" * 500, IDENTITY)
    with pytest.raises(UsageError, match="There is no study named"):
        load_study(storage, name)


def test_a_study_that_another_tool_just_made_is_left_alone(sqlite_url: str) -> None:
    # Rule: one without identity, trial or attribute is another tool's too: ours has its
    # identity from its first moment.
    storage = open_storage(sqlite_url)
    optuna.create_study(storage=storage, study_name="s", direction="minimize")
    with pytest.raises(UsageError, match="made by another tool"):
        open_study(storage, "s", IDENTITY)
    assert optuna.load_study(storage=storage, study_name="s").user_attrs == {}
    _, is_new = open_study(storage, "ours", IDENTITY)
    made = optuna.load_study(storage=storage, study_name="ours")
    assert is_new
    assert (made.user_attrs, made.direction.name) == (
        {"identity": IDENTITY.to_fields()},
        "MAXIMIZE",
    )


def test_the_same_study_is_continued(url: str) -> None:
    # Rule: the same identity opens the same study, whichever the database.
    first, storage = open_new(url)
    first.enqueue_trial({"x": 1.0})
    study, is_new = open_study(storage, "s", IDENTITY)
    assert not is_new
    assert len(study.trials) == 1


def test_an_unknown_study_suggests_the_nearest(sqlite_url: str) -> None:
    # Rule: a mistyped name is answered with the nearest ones; an empty storage with how to begin.
    storage = open_storage(sqlite_url)
    with pytest.raises(UsageError, match=r"has no studies yet. Start one with"):
        load_study(storage, "imbalance")
    for name in ("imbalance-intra", "architecture-intra"):
        open_study(storage, name, IDENTITY)
    with pytest.raises(UsageError, match=r"Did you mean: imbalance-intra"):
        load_study(storage, "imbalence-intra")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    # Rule: a folder that cannot be made is a storage error with the place; a folder in place
    # of a file is a usage error.
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"Cannot create the folder of .*file/study.db"):
        open_storage(f"sqlite:///{tmp_path}/file/study.db")
    with pytest.raises(UsageError, match=r"is a folder. Name a file in it"):
        open_storage(f"sqlite:///{tmp_path}")


def test_a_read_only_file_is_named(sqlite_url: str, tmp_path: Path) -> None:
    # Rule: a database that cannot be written is refused at once, with what to do.
    open_storage(sqlite_url)
    (tmp_path / "study.db").chmod(0o444)
    if os.access(tmp_path / "study.db", os.W_OK):
        pytest.skip("this user may write everything")
    with pytest.raises(StorageError, match=r"no write permission for .*Change its permissions"):
        open_storage(sqlite_url)


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    # Rule: any other file is refused with a sentence and left as it is.
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but long enough to have a header\n" * 20)
    before = path.read_bytes()
    with pytest.raises(StorageError, match="is not a usable Optuna database: file is not a"):
        open_storage(f"sqlite:///{path}")
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("study.db", r"is not a database URL. Use a URL such as sqlite:///study\.db or"),
        ("nosuchthing://host/x", "kind of database is not supported"),
        ("postgresql+nosuchdriver://host/x", "this kind of database is not known"),
        ("mysql+pymysql://host/x", "kind of database is not supported"),
        ("mysql://host/x", "kind of database is not supported"),
        ("sqlite://", "a database in memory. Name a file"),
        ("sqlite:///:memory:", "a database in memory. Name a file"),
        ("sqlite://x.db", "which needs three slashes. Write sqlite:///x.db"),
        ("sqlite://results/x.db", "which needs three slashes. Write sqlite:///results/x.db"),
        ("sqlite+aiosqlite:///x.db", "Write sqlite:/// instead of sqlite.aiosqlite:///"),
        ("sqlite:///file:x.db?uri=true", "Write a plain path: sqlite:///x.db"),
        ("sqlite:///file:x.db?mode=ro&uri=true", "Write a plain path: sqlite:///x.db"),
        ("sqlite:///~nobody-of-this-name/x.db", "there is no home folder for ~nobody-of"),
        ("sqlite:///a\udcffb.db", "is not UTF-8 text"),
        ("postgres://user@host/x", r"Write postgresql\+psycopg:// instead of postgres://"),
        ("postgresql+psycopg2://u@host/x", r"psycopg2 is not installed. Write postgresql\+psycopg"),
        ("postgresql+asyncpg://u@host/x", "asyncpg is not installed"),
    ],
)
def test_a_url_that_cannot_be_meant_is_refused(url: str, words: str) -> None:
    # Rule: what was typed wrong is a usage error (exit code 2) that says what would be right.
    with pytest.raises(UsageError, match=words):
        open_storage(url)


def test_a_storage_that_must_exist_is_not_made(sqlite_url: str, tmp_path: Path) -> None:
    # Rule: looking at a storage makes none.
    with pytest.raises(UsageError, match=r"There is no database .* yet. Start a study"):
        open_storage(sqlite_url, create=False)
    assert not (tmp_path / "study.db").exists()


def test_an_unreachable_server_is_named_without_its_password() -> None:
    # Rule: the message has host and port; the password is in none of the chained errors.
    pytest.importorskip("psycopg")
    with pytest.raises(StorageError) as caught:
        open_storage(NOWHERE)
    assert "127.0.0.1:1" in str(caught.value)
    assert "***" in str(caught.value)
    error: BaseException | None = caught.value
    while error is not None:
        assert SECRET not in repr(error) + str(error)
        error = error.__cause__ or error.__context__
    assert SECRET not in "".join(traceback.format_exception(caught.value))


RESULTS = "planned/results.csv"
COMMANDS = {
    "run": ("--space", "imbalance", "--data", "synthetic", "--budget", "smoke"),
    "retry": ("s",),
    "record": ("s", "out"),
    "enqueue": ("s", "ratio=0.1"),
    "confirm": ("s",),
    "export-results": (),
    "import-results": (RESULTS,),
    "export-tables": (),
    "list": (),
    "show": ("s",),
    "clean": ("s",),
    "export-model": ("s", "-o", "best.safetensors"),
    "delete": ("s", "--yes"),
    "dashboard": (),
    "report": ("-o", "out"),
    "plots": ("s",),
}


def test_every_command_with_a_storage_is_tried() -> None:
    # Rule: a new command cannot be forgotten below.
    known = {str(one.name or one.callback.__name__) for one in app.registered_commands}  # type: ignore[union-attr]
    assert known - {"spaces"} == set(COMMANDS)


@pytest.mark.parametrize("query", ["", f"?sslpassword={SECRET}", f"?passfile=/{SECRET}&password=x"])
@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_tells_the_password(
    typed: Callable[..., Typed],
    toy_data: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    command: str,
    query: str,
) -> None:
    # Rule: a password in the URL reaches neither output, nor a log, nor a file, not even where
    # tracebacks are asked for.
    pytest.importorskip("psycopg")
    monkeypatch.chdir(tmp_path)
    if command == "import-results":
        planned = fake_runs("sqlite:///planned.db", "planned", seeds=1, budget="smoke", seed=0)
        export_result_files([planned], tmp_path)
    result = typed(command, *COMMANDS[command], "--storage", NOWHERE + query, "--debug")
    assert result.code == 1
    assert "127.0.0.1" in result.err
    assert "Traceback" in result.err
    assert SECRET not in result.out + result.err + caplog.text
    assert not any(SECRET in str(path) for path in tmp_path.rglob("*"))
    assert not any(SECRET.encode() in p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_password_that_works_is_told_nowhere(
    typed: Callable[..., Typed],
    toy_data: None,
    tiny: Path,
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # Rule: neither in what is printed, nor in files, nor anywhere in the database.
    monkeypatch.chdir(tmp_path)
    place = sqlalchemy.make_url(url).set(password=SECRET).render_as_string(hide_password=False)
    assert SECRET in place
    monkeypatch.setattr("study.show.dashboard._Server.serve_forever", lambda _: None)
    run = ("--space", tiny, "--data", "synthetic", "--budget", "smoke", "--study", "s")
    for words in (
        ("run", *run, "--trials", 2),
        ("confirm", "s", "--top", 1, "--seeds", 1, "--data", "synthetic"),
        ("list",),
        ("show", "s"),
        ("record", "s", "out"),
        ("retry", "s"),
        ("report",),
        ("dashboard", "--port", 0),
    ):
        ended = typed(*words, "--storage", place)
        assert ended.code == 0, ended.err
        assert SECRET not in ended.out + ended.err + caplog.text
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"out", "report.html", "weights.safetensors"} & {path.name for path in written}
    assert not any(SECRET.encode() in path.read_bytes() for path in written)
    engine = sqlalchemy.create_engine(url)
    tables = sqlalchemy.MetaData()
    tables.reflect(engine)
    with engine.connect() as connection:
        held = [repr(connection.execute(t.select()).all()) for t in tables.tables.values()]
    engine.dispose()
    assert "identity" in "".join(held)
    assert SECRET not in "".join(held)


@pytest.mark.parametrize(
    "url",
    [
        NOWHERE,
        f"postgresql+psycopg://user@host/x?password={SECRET}",
        f"postgresql+psycopg:///x?host=h&user=u&sslpassword={SECRET}",
        f"://user:{SECRET}@host/x",
        f"user:{SECRET}@host/x",
        f"postgresql+psycopg://user:an@{SECRET}@host/x",
        f"postgresql+psycopg://user@host:{SECRET}/x",
        f"mysql+pymysql://host/x?passwd={SECRET}",
        f"mssql+pyodbc:///?odbc_connect=PWD%3D{SECRET}",
    ],
)
def test_no_form_of_url_shows_its_password(url: str) -> None:
    # Rule: wherever a URL may carry a password, it is not shown.
    assert SECRET not in hide_password(url)


def test_sqlite_transactions_take_the_write_lock_first(sqlite_url: str, tmp_path: Path) -> None:
    # Rule: every transaction begins with the write lock (so none fails half way), and readers
    # see the state before it meanwhile (WAL).
    study, storage = open_new(sqlite_url)
    other = sqlite3.connect(tmp_path / "study.db", timeout=0, isolation_level=None)
    assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    with storage.engine.connect() as ours:
        assert ours.exec_driver_sql("PRAGMA synchronous").scalar() == 1  # NORMAL
    with storage.engine.begin():
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        assert other.execute("SELECT study_name FROM studies").fetchall() == [("s",)]
    other.execute("BEGIN IMMEDIATE")
    other.rollback()
    other.close()
    assert taken(study, storage).number == 0


HOLDER = """
import sys, time
from study.storage.studies import open_storage, study_lock
with study_lock(open_storage(sys.argv[1]), sys.argv[2]):
    print("held", flush=True)
    time.sleep(300)
"""


def test_a_study_is_held_by_one_process(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Rule: while one process holds a study another one waits, then says so; other studies are
    # free; when the holder is killed the study is free too.
    storage = open_storage(url)
    holder = start(url, "s", script=("-c", HOLDER))
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        monkeypatch.setattr(locks, "LOCK_SECONDS", 1)
        with (
            pytest.raises(StorageError, match=r"has held the lock of .* more than 1 s"),
            study_lock(storage, "s"),
        ):
            pytest.fail("two processes hold the study")
        with study_lock(storage, "another"):
            pass
        monkeypatch.setattr(locks, "LOCK_SECONDS", 30)
        holder.send_signal(signal.SIGKILL)
        with study_lock(storage, "s"):
            pass
    finally:
        holder.kill()
        holder.communicate()


def test_a_lock_is_let_go_after_an_error(url: str) -> None:
    # Rule: an error inside does not leave the study locked.
    storage = open_storage(url)
    with pytest.raises(RuntimeError, match="inside"), study_lock(storage, "s"):
        raise RuntimeError("inside")
    with study_lock(storage, "s"):
        pass
    storage.engine.dispose()
    assert isinstance(storage.engine, sqlalchemy.Engine)
