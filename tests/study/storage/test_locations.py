"""One database, however it is spelled; its locks; what is left beside it; who may open it."""

import os
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy

from ecg.errors import UsageError
from study.storage import engines, locks
from study.storage.database import StorageError, folder_beside, parse_url
from study.storage.engines import (
    CONNECTIONS,
    KEEPALIVE,
    engine_options,
    kind_of,
    network_file_system,
)
from study.storage.outage import is_busy
from study.storage.reading import read_study
from study.storage.studies import open_storage, study_lock
from study.trials.provenance import is_dead, worker_name
from tests.support.fake_study import fill
from tests.support.setting import finish, open_new, start, taken


@pytest.fixture
def spellings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """URLs of one file, typed in the folder above it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "w").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "w")
    (tmp_path / "study.db").symlink_to(tmp_path / "w" / "s.db")
    return [
        "sqlite:///w/s.db", "sqlite:///./w/../w//s.db", f"sqlite:///{tmp_path}/w/s.db",
        "sqlite+pysqlite:///w/s.db", "sqlite:///w/s.db?timeout=5", "sqlite:///link/s.db",
        "sqlite:///study.db", "sqlite:///~/w/s.db",
    ]  # fmt: skip


def test_all_spellings_mean_one_file(spellings: list[str], tmp_path: Path) -> None:
    # Rule: relative, absolute, `~`, links, driver and query: one path, one folder beside it.
    assert {parse_url(url).database for url in spellings} == {str(tmp_path / "w" / "s.db")}
    assert {folder_beside(url) for url in spellings} == {tmp_path / "w"}


def test_an_at_sign_in_a_password_is_explained_and_not_shown() -> None:
    with pytest.raises(UsageError, match=r"write the @ of the password as %40") as refused:
        parse_url("postgresql+psycopg://me:a@secret@localhost/ecg")
    assert "secret" not in str(refused.value)


def test_all_spellings_share_the_lock(
    spellings: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Rule: a study held under one spelling is held under all; no lock file is left.
    monkeypatch.setattr(locks, "LOCK_SECONDS", 0.05)
    opened = [open_storage(url) for url in spellings]
    with study_lock(opened[0], "s"):
        for other in opened[1:]:
            with pytest.raises(StorageError, match="Stop that process"), study_lock(other, "s"):
                pytest.fail("two hold the study")
    assert not list(tmp_path.rglob("*.lock"))


def test_a_file_with_hard_links_is_not_written(sqlite_url: str, tmp_path: Path) -> None:
    # Rule: two names of one file have two locks and two logs, so writing is refused under each.
    fill(sqlite_url)
    path, link = Path(str(parse_url(sqlite_url).database)), tmp_path / "link.db"
    link.hardlink_to(path)
    for url in (sqlite_url, f"sqlite:///{link}"):
        with pytest.raises(StorageError, match=r"has 2 hard links.*copy the file"):
            open_storage(url)
        assert read_study(url, "fake").rows
    link.unlink()
    open_storage(sqlite_url)


OPENER = """
import sys
from study.storage.studies import open_storage, study_lock
for url in sys.argv[1:]:
    storage = open_storage(url)
    with study_lock(storage, "s"):
        pass
"""


def test_two_processes_make_a_database_at_once(spellings: list[str], tmp_path: Path) -> None:
    # Rule: whoever opens a new database at the same moment gets it too, under any spelling.
    one = [f"sqlite:///w/{number}.db" for number in range(8)]
    other = [f"sqlite+pysqlite:///{tmp_path}/link/{number}.db" for number in range(8)]
    both = [start(*urls, script=("-c", OPENER), folder=tmp_path) for urls in (one, other)]
    assert [(ended.code, ended.err) for ended in map(finish, both)] == [(0, "")] * 2
    assert {path.name for path in (tmp_path / "w").iterdir()} == {f"{n}.db" for n in range(8)}


def test_the_last_one_out_leaves_one_plain_file(sqlite_url: str, tmp_path: Path) -> None:
    # Rule: WAL while somebody works, one file in its usual mode afterwards, locks of the killed
    # swept up.
    ended = finish(start(sqlite_url, script=("-c", OPENER)))
    assert ended.code == 0, ended.err
    assert [path.name for path in tmp_path.iterdir()] == ["study.db"]
    connection = sqlite3.connect(tmp_path / "study.db")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    connection.close()

    study, storage = open_new(sqlite_url)
    trial = taken(study, storage)
    other = open_storage(sqlite_url)
    with other.engine.connect() as reader:
        reader.exec_driver_sql("SELECT 1 FROM studies")
        engines.leave_sqlite(storage.engine)  # it is not the last one
        assert reader.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    (tmp_path / "study.db-0123.lock").touch()
    other.engine.dispose()
    trial.set_user_attr("x", 1)
    engines.leave_sqlite(storage.engine)
    assert [path.name for path in tmp_path.iterdir()] == ["study.db"]


def test_a_network_file_system_is_recognised(
    tmp_path: Path,
    sqlite_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Rule: by its mount, the innermost one; SQLite then keeps no WAL, which needs shared memory.
    mounts = "\n".join(
        f"1 0 0:1 / {place} rw - {kind} x rw"
        for place, kind in (("/", "ext4"), ("/home", "nfs4"), ("/home/a\\040b", "tmpfs"),
                            ("/m", "fuse.sshfs"), ("/l", "fuse.ntfs-3g"))
    )  # fmt: skip
    found = [kind_of(Path(p), mounts) for p in ("/x", "/home/y/s.db", "/home/a b/s.db", "/homes")]
    assert found == ["ext4", "nfs4", "tmpfs", "ext4"]
    written = tmp_path / "mounts"
    written.write_text(f"{mounts}\n1 0 0:1 / {tmp_path} rw - nfs4 x rw")
    monkeypatch.setattr(engines, "MOUNTS", written)
    assert network_file_system(Path("/m/x")) == "fuse.sshfs"
    assert network_file_system(Path("/l/x")) is None
    storage = open_storage(sqlite_url)
    with storage.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "delete"
    assert "network file system (nfs4)" in capsys.readouterr().err


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_worker_holds_two_connections(url: str) -> None:
    # Rule: in the midst of a claim too; a server of 100 connections takes nearly 50 workers.
    study, storage = open_new(url)
    watcher = sqlalchemy.create_engine(url)
    count = sqlalchemy.text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid()"
    )
    with watcher.connect() as connection, study_lock(storage, "s"):
        trial = study.ask()
        storage.record_heartbeat(trial._trial_id)
        study.tell(trial, 0.5)
        assert connection.scalar(count) == CONNECTIONS == 2
    watcher.dispose()


def test_a_silent_server_is_noticed() -> None:
    # Rule: keepalive is asked for, unless the URL says otherwise.
    typed = engine_options(parse_url("postgresql+psycopg://u@h/x?keepalives_idle=5"))
    expected = {k: v for k, v in KEEPALIVE.items() if k != "keepalives_idle"}
    assert typed["connect_args"] == {**expected, "prepare_threshold": None}


def test_a_busy_database_is_waited_for(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Rule: a worker that finds the file locked at its start waits, as it does later.
    open_storage(sqlite_url).engine.dispose()
    monkeypatch.setattr(engines, "SQLITE_WAIT_SECONDS", 0)
    said: list[str] = []
    holder = sqlite3.connect(parse_url(sqlite_url).database or "", isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")

    def say(text: str) -> None:
        said.append(text)
        holder.close()

    open_storage(sqlite_url, say=say)
    assert len(said) == 1
    assert "database is locked" in said[0]


@pytest.mark.parametrize(
    ("text", "busy"),
    [
        ("FATAL:  sorry, too many clients already", True),
        ("FATAL:  remaining connection slots are reserved for roles", True),
        ("FATAL:  the database system is starting up", True),
        ("connection refused", False),
        ("password authentication failed", False),
    ],
)
def test_what_is_waited_for_before_a_study_begins(text: str, busy: bool) -> None:
    # Rule: a server that takes nobody at the moment; not a wrong host or password.
    error = sqlalchemy.exc.OperationalError("", None, Exception(text))
    assert is_busy(error) is busy


def test_a_worker_of_another_namespace_is_not_declared_dead() -> None:
    # Rule: its process number means nothing here; its heartbeats tell.
    script = ("-c", "from study.trials.provenance import worker_name; print(worker_name())")
    ended = finish(start(script=script))
    assert is_dead(ended.out.strip())
    assert not is_dead(worker_name())
    if os.name != "posix" or os.geteuid() != 0 or not Path("/proc/self/ns/pid").exists():
        pytest.skip("only root on Linux can make a namespace")
    code = (
        "import os, subprocess, sys; sys.exit(subprocess.run(['unshare', '-pf', '--mount-proc', "
        f"sys.executable, '-c', {script[1]!r}]).returncode)"
    )
    other = finish(start(script=("-c", code)))
    if other.code:
        pytest.skip("no namespace can be made here")
    here, there = ended.out.rsplit(":", 1)[0], other.out.rsplit(":", 1)[0]
    assert here != there
    assert not is_dead(other.out.strip())


def test_a_queued_trial_that_another_took_is_not_taken_twice(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Rule: the answer of the database is heeded; the next one is taken.
    study, storage = open_new(sqlite_url)
    for value in (1.0, 2.0):
        study.enqueue_trial({"x": value})
    true = storage.set_trial_state_values
    answers = [False]

    def refused(*words: object) -> bool:
        return answers.pop() if answers else true(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(storage, "set_trial_state_values", refused)
    assert taken(study, storage).number == 1
