"""Rules of output that fails, which ends no study, and of an error in the parent, which does."""

import errno
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import pytest

from study.run.progress import PlainView
from study.storage.studies import load_study, open_storage
from tests.support.setting import REPOSITORY, Typed, count_states, start

RECORDING = REPOSITORY / "results" / "search" / "imbalance-quick.jsonl"


def words(url: str, jobs: int, trials: int = 8) -> tuple[object, ...]:
    """Return a replay, whose workers are real processes and whose trials are short."""
    replay = ("run", "--replay", RECORDING, "--study", "s", "--storage", url)
    return (*replay, "--jobs", jobs, "--trials", trials)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_study_outlives_the_reader_of_its_output(sqlite_url: str, jobs: int) -> None:
    # Rule: `... | head -1`: the study continues to its end, says once that its output cannot be
    # written, and ends with code 0.
    process = start(*words(sqlite_url, jobs))
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read()
    assert process.wait(60) == 0
    assert errors.count("warning: cannot write to standard output (Broken pipe)") == 1
    assert len(errors.splitlines()) <= 2
    storage = open_storage(sqlite_url)
    finished = count_states(load_study(storage, "s"))
    storage.engine.dispose()
    assert finished["complete"] + finished["pruned"] == finished.total() == 8


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_study_runs_without_a_standard_stream(sqlite_url: str, closed: str) -> None:
    # Rule: `... >&-`: nothing is printed there, and the study runs to its end.
    command = shlex.join([sys.executable, "-m", "study", *map(str, words(sqlite_url, 2))])
    shell = f"{command} {'>&-' if closed == 'stdout' else '2>&-'}"
    done = subprocess.run(
        shell, shell=True, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert bool(done.stdout) == (closed == "stderr")
    storage = open_storage(sqlite_url)
    finished = count_states(load_study(storage, "s"))
    storage.engine.dispose()
    assert finished["complete"] + finished["pruned"] == 8


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
@pytest.mark.parametrize("command", [("study", "spaces"), ("ecg", "describe")])
def test_output_that_does_not_fit_on_the_disk_is_an_error(command: tuple[str, str]) -> None:
    # Rule: `... > file` on a full disk: code 1 and a sentence that says so.
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=REPOSITORY, stdout=full, stderr=subprocess.PIPE,
            env={**os.environ, "ECG_DATA": "synthetic"}, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "error: Cannot write the output: No space left on device. Free some space, or write it to "
        "another disk."
    )


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_study_outlives_the_disk_of_its_log(sqlite_url: str, jobs: int) -> None:
    # Rule: `... > log` on a full disk: the same.
    with Path("/dev/full").open("w") as full:
        process = start(*words(sqlite_url, jobs), stdout=full)
    assert process.stderr is not None
    errors = process.stderr.read()
    assert process.wait(60) == 0
    assert errors.count("warning: cannot write to standard output (No space left on device)") == 1
    storage = open_storage(sqlite_url)
    finished = count_states(load_study(storage, "s"))
    storage.engine.dispose()
    assert finished["complete"] + finished["pruned"] == 8


def test_an_error_of_the_parent_ends_its_workers_and_is_shown(
    typed: Callable[..., Typed], sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Rule: an error while news are shown: the workers requeue their trials and end; the
    # error is what is seen, with code 1; the same command finishes.
    def broken(*_: Any) -> None:
        raise LookupError("that is odd")

    with monkeypatch.context() as patch:
        patch.setattr(PlainView, "show", broken)
        ended = typed(*words(sqlite_url, 2, 200))
    assert ended.code == 1
    assert "LookupError: that is odd" in ended.err
    states = count_states(load_study(open_storage(sqlite_url), "s"))
    assert states["running"] == 0
    assert states["complete"] + states["pruned"] < 200
    assert typed(*words(sqlite_url, 1)).code == 0


def test_a_worker_that_cannot_be_started_ends_the_others(
    typed: Callable[..., Typed], sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Rule: the command ends with code 1 and says which worker, why, and what to do.
    start_worker = SpawnProcess.start
    started: list[SpawnProcess] = []

    def start_one(worker: SpawnProcess) -> None:
        if started:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        started.append(worker)
        start_worker(worker)

    monkeypatch.setattr(SpawnProcess, "start", start_one)
    ended = typed(*words(sqlite_url, 3))
    assert ended.code == 1
    assert "worker 2 of 3 cannot be started (Resource temporarily unavailable)" in ended.err
    assert "fewer --jobs" in ended.err
    assert not started[0].is_alive()
    assert count_states(load_study(open_storage(sqlite_url), "s"))["running"] == 0
