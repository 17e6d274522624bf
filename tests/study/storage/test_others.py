"""Databases and studies of other programs, and databases that can only be read."""

import os
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
from optuna.storages import RDBStorage
from optuna.trial import create_trial
from optuna_dashboard import get_note

from study.show.dashboard import refresh, refresh_all
from study.storage.notes import save_note
from study.storage.reading import read_study
from study.storage.schema import known_revisions
from study.storage.studies import load_study, open_storage
from tests.support.fake_runs import fake_runs
from tests.support.fake_study import fill
from tests.support.nobody import as_nobody
from tests.support.setting import Typed

Command = Callable[..., Typed]

READERS = (
    ("list",), ("list", "--json"), ("show", "fake"), ("show", "fake", "--json"),
    ("report", "-o", "{out}/r.html"), ("record", "fake", "{out}/r.jsonl"),
    ("export-results", "--output", "{out}"), ("export-tables", "--output", "{out}"),
)  # fmt: skip


@pytest.fixture
def closed() -> Iterator[Path]:
    """A folder that everybody may read and nobody write, with a database left in WAL mode."""
    folder = Path(tempfile.mkdtemp())
    try:
        url = f"sqlite:///{folder}/study.db"
        fill(url)
        fake_runs(url, "planned", seeds=1, budget="smoke", seed=0)
        connection = sqlite3.connect(folder / "study.db")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.close()
        for path in (folder, *folder.iterdir()):
            path.chmod(0o555 if path.is_dir() else 0o444)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_reading_needs_no_right_to_write(
    closed: Path, typed: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Rule: every command that only looks works on a file and a folder of another user, and
    # leaves nothing there; those that write say what is read-only.
    monkeypatch.setattr("study.show.dashboard._Server.serve_forever", lambda _: None)
    url, out = f"sqlite:///{closed}/study.db", Path(tempfile.mkdtemp())
    out.chmod(0o777)
    copy = shutil.copytree(closed, out / "copy")
    warm = f"sqlite:///{copy}/study.db"
    for words in (*READERS, ("dashboard", "--port", 0)):  # nobody may not read modules either
        assert typed(*(str(w).format(out=out) for w in words), "--storage", warm).code == 0
    for path in out.rglob("*"):
        path.chmod(0o777)
    before = {path.name: path.read_bytes() for path in closed.iterdir()}
    with as_nobody():
        for words in (*READERS, ("dashboard", "--port", 0)):
            ended = typed(*(str(w).format(out=out) for w in words), "--storage", url)
            assert ended.code == 0, (words, ended.err)
        for thread in threading.enumerate():  # the dashboard still reads, and must not as root
            if thread.name == "cache" or "keep_fresh" in thread.name:
                thread.join(timeout=60)
        refused = typed("retry", "fake", "--storage", url)
    assert (refused.code, "no write permission" in refused.err) == (1, True)
    assert {path.name: path.read_bytes() for path in closed.iterdir()} == before
    shutil.rmtree(out)


def test_a_file_that_cannot_be_read_is_named(closed: Path, typed: Command) -> None:
    (closed / "study.db").chmod(0)
    with as_nobody():
        ended = typed("list", "--storage", f"sqlite:///{closed}/study.db")
    assert (ended.code, "permission denied" in ended.err) == (1, True)


WRITERS = (
    ("run", "--data", "synthetic", "--budget", "smoke", "--trials", "1"), ("retry", "fake"),
    ("dashboard", "--port", 0), ("plots", "fake"), ("confirm", "fake"), ("delete", "fake", "--yes"),
)  # fmt: skip


@pytest.mark.parametrize(
    "statement",
    ["CREATE TABLE customers (id INTEGER)", "CREATE TABLE studies (id INTEGER, title TEXT)"],
)
def test_a_database_of_another_program_is_left_alone(
    typed: Command, toy_data: None, tmp_path: Path, sqlite_url: str, statement: str
) -> None:
    # Rule: no command adds a table to it; each says whose it is, and what to do.
    connection = sqlite3.connect(tmp_path / "study.db")
    connection.execute(statement)
    connection.close()
    before = (tmp_path / "study.db").read_bytes()
    for words in (*READERS, *WRITERS):
        ended = typed(*(str(w).format(out=tmp_path) for w in words), "--storage", sqlite_url)
        assert ended.code == 2, (words, ended.err)
        assert "belongs to another program" in ended.err
    assert (tmp_path / "study.db").read_bytes() == before


@pytest.mark.parametrize("revision", ["v2.6.0.a", "v3.0.0.a"])
def test_an_older_optuna_is_said_by_every_command(
    typed: Command, toy_data: None, tmp_path: Path, sqlite_url: str, revision: str
) -> None:
    # Rule: the advice to upgrade, and nothing is changed.
    fill(sqlite_url, trials=2)
    connection = sqlite3.connect(tmp_path / "study.db")
    connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    connection.execute("UPDATE version_info SET library_version = '2.10.1'")
    connection.execute("ALTER TABLE trial_values DROP COLUMN value_type")
    connection.commit()
    connection.close()
    for words in (*READERS, *WRITERS):
        ended = typed(*(str(w).format(out=tmp_path) for w in words), "--storage", sqlite_url)
        assert ended.code == 1, (words, ended.err)
        assert "was made by Optuna 2.10.1" in ended.err
        assert "optuna storage upgrade --storage" in ended.err


def test_our_list_of_revisions_is_optunas(sqlite_url: str) -> None:
    manager = RDBStorage(sqlite_url)._version_manager
    assert known_revisions()[-1] == manager.get_head_version()
    assert {*known_revisions()} == {*manager.get_all_versions()}


@pytest.fixture
def mixed(sqlite_url: str) -> str:
    """The URL of a database with a study of ours and two of plain Optuna."""
    fill(sqlite_url)
    low = optuna.create_study(storage=sqlite_url, study_name="low", direction="minimize")
    low.add_trials([create_trial(value=v, user_attrs={"seed": [v]}) for v in (3.0, 1.0, 2.0)])
    both = optuna.create_study(
        storage=sqlite_url, study_name="bo[/b]th\n", directions=["minimize", "maximize"]
    )
    both.add_trial(create_trial(values=[1.0, 2.0]))
    return sqlite_url


def test_studies_of_others_are_listed_as_they_are(typed: Command, mixed: str) -> None:
    # Rule: the best by their own direction, none of several objectives; names as they are, in
    # one line.
    listed = typed("list", "--storage", mixed)
    rows = {line.split("  ")[0]: line.split() for line in listed.out.splitlines()}
    assert rows["low"][4] == "1.0000"
    assert rows[r"bo[/b]th\n"][4] == "-"
    assert typed("report", "-o", "/dev/null", "--storage", mixed).code == 1  # no regular file
    for name in ("low", "bo[/b]th\n"):
        shown = typed("show", name, "--storage", mixed)
        assert (shown.code, "was made by another tool" in shown.err) == (2, True)


def test_nothing_is_written_into_studies_of_others(mixed: str) -> None:
    # Rule: neither a note nor a plot, however the dashboard is opened.
    storage = open_storage(mixed)
    refresh_all(storage)
    for name in ("low", "bo[/b]th\n"):
        study = optuna.load_study(storage=storage, study_name=name)
        refresh(study)
        assert storage.get_study_system_attrs(study._study_id) == {}
    assert "dashboard:note_ver" in storage.get_study_system_attrs(
        load_study(storage, "fake")._study_id
    )


@pytest.mark.parametrize("elsewhere", [False, True])
def test_notes_of_a_copy_stand_with_their_own_trials(
    sqlite_url: str, tmp_path: Path, elsewhere: bool
) -> None:
    # Rule: in the same database or another, overlapping keys or not; a person's note too.
    fill(sqlite_url, "first", trials=3)
    original = fill(sqlite_url, trials=5)
    for number in range(4):
        save_note(original, number, f"of trial {number}")
    target = f"sqlite:///{tmp_path}/other.db" if elsewhere else sqlite_url
    open_storage(target)
    optuna.copy_study(
        from_study_name="fake", from_storage=sqlite_url, to_storage=target, to_study_name="copy"
    )
    copy = load_study(open_storage(target), "copy")
    refresh(copy)
    notes = [get_note(optuna.Trial(copy, trial._trial_id)) for trial in copy.trials]
    assert notes[:4] == [f"of trial {number}" for number in range(4)]
    assert "copy" in get_note(copy)
    refresh(original)
    assert get_note(optuna.Trial(original, original.trials[1]._trial_id)) == "of trial 1"


def test_a_note_with_a_damaged_number_stays_where_it_is(sqlite_url: str) -> None:
    study = fill(sqlite_url, trials=2)
    save_note(study, 0, "of trial 0")
    key = f"dashboard:{study.trials[0]._trial_id}:ecg_number"
    study._storage.set_study_system_attr(study._study_id, key, [7])
    refresh(study)
    assert get_note(optuna.Trial(study, study.trials[0]._trial_id)) == "of trial 0"


def test_trials_added_by_hand_break_nothing(
    typed: Command, sqlite_url: str, tmp_path: Path
) -> None:
    # Rule: they are shown as what they are, and are never the winner; infinite values too.
    study = fill(sqlite_url)
    best = read_study(sqlite_url, "fake").best
    assert best is not None
    study.add_trial(create_trial(value=0.999))
    for value in (float("inf"), float("-inf")):
        study.add_trial(create_trial(value=value))
    shown = typed("show", "fake", "--storage", sqlite_url)
    assert shown.code == 0, shown.err
    assert shown.out.count("added by hand ") == 4  # and once below the table
    assert f"best (trial {best['number']})" in shown.out
    for words in READERS[:6]:
        ended = typed(*(word.format(out=tmp_path) for word in words), "--storage", sqlite_url)
        assert ended.code == 0, ended.err
    refresh(study)
    assert os.path.exists(tmp_path / "r.html")
