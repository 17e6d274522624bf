"""Rules of full disks and read-only folders: a clear message, an intact study that continues."""

import gc
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from optuna.trial import TrialState

from ecg import sources
from ecg.sources import physionet
from study.run import worker as workers
from study.run.queue import FINISHED
from study.storage import outage
from study.storage.studies import load_study, open_storage
from tests.ecg.sources.tiny_records import copy_record, write_record
from tests.soak import record
from tests.support.crash import is_whole
from tests.support.disk import Disk
from tests.support.setting import REPOSITORY, Typed

Command = Callable[..., Typed]
Mount = Callable[..., Disk]
RESULTS = REPOSITORY / "results" / "tables" / "tables-mitdb-intra-patient-quick" / "results.csv"
# What is done to a disk, what the system says then, how it is undone.
FULL = (Disk.fill, "No space left on device", Disk.free)
READ_ONLY = (
    lambda disk: disk.set_writable(False),
    "Read-only file system",
    lambda disk: disk.set_writable(True),
)
broken = pytest.mark.parametrize(
    ("spoil", "reason", "repair"), [FULL, READ_ONLY], ids=["full", "read-only"]
)

# A disk that is written to cannot be mounted again for reading only.
full = pytest.mark.parametrize(("spoil", "reason", "repair"), [FULL], ids=["full"])

pytestmark = pytest.mark.soak


@pytest.fixture
def mount() -> Iterator[Mount]:
    """A function that mounts a small disk on a folder; all are taken away at the end."""
    disks: list[Disk] = []

    def make(*arguments: Any) -> Disk:
        disks.append(Disk(*arguments))
        return disks[-1]

    yield make
    for disk in disks:
        disk.unmount()


@pytest.fixture
def run(typed: Command, toy_data: None, tiny: Path, tmp_path: Path) -> Command:
    """A function that runs a small study in the folder `results`."""
    url = f"sqlite:///{tmp_path}/results/study.db"

    def command(trials: int) -> Typed:
        words = ("--space", tiny, "--data", "synthetic", "--budget", "smoke", "--study", "s")
        return typed("run", *words, "--storage", url, "--trials", trials, "--checkpoint-every", 0)

    return command


def check(folder: Path, finished: int) -> None:
    """Check that the study has this many finished trials, none failed, in a sound database."""
    storage = open_storage(f"sqlite:///{folder}/results/study.db")
    trials = load_study(storage, "s").trials
    assert sum(trial.state in FINISHED for trial in trials) == finished
    assert not any(trial.user_attrs.get("failed") for trial in trials)
    assert not any(trial.state == TrialState.RUNNING for trial in trials)
    storage.engine.dispose()
    with closing(sqlite3.connect(folder / "results" / "study.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def spoil_in_mid_trial(monkeypatch: pytest.MonkeyPatch, spoil: Callable[[], None]) -> None:
    """Let something happen while the next trial, and only that, is being trained."""
    run_trial, happened = workers.run_trial, []

    def spoilt(trial: Any, bench: Any) -> Any:
        if not happened:
            happened.append(True)
            spoil()
        return run_trial(trial, bench)

    monkeypatch.setattr(workers, "run_trial", spoilt)


@broken
def test_a_database_folder_from_the_start(
    run: Command, mount: Mount, tmp_path: Path, spoil: Any, reason: str, repair: Any
) -> None:
    # Rule: no study starts where nothing can be written: code 1 and a sentence with the place;
    # the same command works when there is room.
    disk = mount(tmp_path / "results")
    spoil(disk)
    refused = run(1)
    assert refused.code == 1
    assert len(refused.err.splitlines()) == 1
    assert f"{tmp_path}/results" in refused.err
    assert "unexpected" not in refused.err
    repair(disk)
    assert run(1).code == 0
    check(tmp_path, 1)
    record("folders", f"storage folder, before the study: {reason.lower()}", 1)


def test_a_study_on_a_disk_that_is_full_by_now(run: Command, mount: Mount, tmp_path: Path) -> None:
    # Rule: a command that finds the disk full ends with code 1 and a sentence, though its
    # database can be opened; with room the same command continues.
    disk = mount(tmp_path / "results")
    assert run(1).code == 0
    gc.collect()  # lets go of the database, whose files are then new
    disk.fill()
    refused = run(2)
    assert refused.code == 1
    assert len(refused.err.splitlines()) == 1
    assert "unexpected" not in refused.err
    disk.free()
    assert run(2).code == 0
    check(tmp_path, 2)


@full
def test_a_database_folder_fixed_in_mid_trial(
    run: Command, mount: Mount, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    spoil: Any, reason: str, repair: Any,
) -> None:  # fmt: skip
    # Rule: a database that cannot be written in mid-trial is waited for, with one message; when it
    # can be written again, the study continues by itself.
    disk = mount(tmp_path / "results")
    assert run(1).code == 0
    spoil_in_mid_trial(monkeypatch, lambda: spoil(disk))
    naps: list[float] = []
    clock = SimpleNamespace(
        monotonic=lambda: sum(naps),
        sleep=lambda s: (naps.append(s), repair(disk) if len(naps) == 2 else None),
    )
    monkeypatch.setattr(outage, "time", clock)
    ended = run(3)
    assert (ended.code, ended.err) == (0, "")
    assert naps == [1, 2]
    assert ended.out.count("Retrying for up to 10 min") == 1
    assert "trial 1 interrupted: the database failed" in ended.out
    check(tmp_path, 3)
    record("folders", f"storage folder, in mid-trial: {reason.lower()}, mended in time", 1)


@full
def test_a_database_folder_that_stays_unwritable(
    run: Command, mount: Mount, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    spoil: Any, reason: str, repair: Any,
) -> None:  # fmt: skip
    # Rule: a database that stays so ends the study with code 1 and a sentence; once it is fixed,
    # the same command finishes it.
    disk = mount(tmp_path / "results")
    assert run(1).code == 0
    spoil_in_mid_trial(monkeypatch, lambda: spoil(disk))
    naps: list[float] = []
    clock = SimpleNamespace(monotonic=lambda: sum(naps), sleep=naps.append)
    monkeypatch.setattr(outage, "time", clock)
    monkeypatch.setattr(outage, "OUTAGE_SECONDS", 1)
    ended = run(3)
    assert ended.code == 1
    assert len(ended.err.splitlines()) == 1
    assert f"{tmp_path}/results/study.db failed for 1 s" in ended.err
    assert "then run the same command again" in ended.err
    repair(disk)
    monkeypatch.setattr(outage, "time", SimpleNamespace(monotonic=lambda: 0, sleep=None))
    monkeypatch.setattr("study.run.requeue.is_dead", lambda _: True)  # the one that has ended
    assert run(3).code == 0
    check(tmp_path, 3)
    record("folders", f"storage folder, in mid-trial: {reason.lower()}, for too long", 1)


@broken
@pytest.mark.parametrize(
    ("name", "words"),
    [("checkpoints", "cannot save a checkpoint in"), ("artifacts", "is kept without its weights")],
)
def test_a_folder_of_lesser_files(
    run: Command, mount: Mount, tmp_path: Path, caplog: pytest.LogCaptureFixture,
    spoil: Any, reason: str, repair: Any, name: str, words: str,
) -> None:  # fmt: skip
    # Rule: a file that is not essential costs one warning per trial and nothing else; no partial
    # file is left; when there is room the files are written again.
    disk = mount(tmp_path / "results" / name)
    spoil(disk)
    assert run(2).code == 0
    warnings = [line for line in caplog.messages if words in line]
    assert len(warnings) == 2
    assert all(reason in line and str(disk.folder) in line for line in warnings)
    assert disk.files() == set()
    repair(disk)
    caplog.clear()
    assert run(3).code == 0
    assert caplog.messages == []
    check(tmp_path, 3)
    written = list((tmp_path / "results" / "artifacts").iterdir())
    assert len(written) == (6 if name == "checkpoints" else 2)
    assert all(is_whole(path) for path in written)
    record("folders", f"{name} folder: {reason.lower()}", 1)


@broken
@pytest.mark.parametrize("words", [("export-tables", "--results", RESULTS), ("report",)])
def test_a_folder_of_results(
    typed: Command, run: Command, mount: Mount, tmp_path: Path,
    spoil: Any, reason: str, repair: Any, words: tuple[object, ...],
) -> None:  # fmt: skip
    # Rule: a result that cannot be written ends with code 1, file and reason, no partial file is
    # left, and the same command writes it when there is room.
    if words[0] == "report":
        assert run(1).code == 0
        words = (*words, "--storage", f"sqlite:///{tmp_path}/results/study.db")
    disk = mount(tmp_path / "out")
    spoil(disk)
    place = disk.folder / "report.html" if words[0] == "report" else disk.folder
    refused = typed(*words, "--output", place)
    assert refused.code == 1
    assert refused.err.startswith(f"error: Cannot write {disk.folder}")
    assert reason in refused.err
    assert disk.files() == set()
    repair(disk)
    done = typed(*words, "--output", place)
    assert done.code == 0, done.err
    assert disk.files() != set()
    record("folders", f"folder of `{words[0]}`: {reason.lower()}", 1)


@broken
def test_a_cache_folder(
    mount: Mount, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture, spoil: Any, reason: str, repair: Any,
) -> None:  # fmt: skip
    # Rule: a cache that cannot be written costs a warning: the beats are there all the same;
    # no half file is left; with room they are cached.
    data = tmp_path / "data"
    data.mkdir()
    write_record(data, 100)
    for number in physionet.RECORDS[1:]:
        copy_record(data, data, number)
    disk = mount(tmp_path / "cache")
    monkeypatch.setenv("ECG_CACHE", str(disk.folder))
    spoil(disk)
    beats = sources.load(data)
    (message,) = caplog.messages
    assert "cannot cache the heartbeats" in message
    assert reason in message
    assert disk.files() == set()
    repair(disk)
    assert sources.load(data).fingerprint == beats.fingerprint
    assert len(disk.files()) == 1
    record("folders", f"cache folder: {reason.lower()}", 1)
