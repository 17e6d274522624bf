import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from study.run.worker import computing_on
from study.trials import provenance as environment
from study.trials.provenance import PACKAGES, describe_device, is_dead, versions, worker_name

HOST = worker_name().rpartition(":")[0]


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits until its input is closed."""
    process = subprocess.Popen(
        [sys.executable, "-Ic", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    yield process
    process.kill()
    process.communicate()


def test_a_running_process_is_alive_and_a_finished_one_dead(
    sleeper: subprocess.Popen[bytes],
) -> None:
    worker = f"{HOST}:{sleeper.pid}"
    assert not is_dead(worker)
    sleeper.communicate()
    assert is_dead(worker)


def test_this_process_is_alive() -> None:
    assert worker_name() == f"{HOST}:{os.getpid()}"
    assert HOST.startswith(platform.node())
    assert not is_dead(worker_name())


def test_a_process_of_another_user_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int, signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert not is_dead(f"{HOST}:1")


def test_nothing_is_known_of_processes_on_another_host(
    sleeper: subprocess.Popen[bytes],
) -> None:
    # A process ID that is free here may be in use there; only silent heartbeats count.
    sleeper.communicate()
    for host in (f"{HOST}-2", "", f"x:{HOST}"):
        assert not is_dead(f"{host}:{sleeper.pid}")


@pytest.mark.parametrize("pid", ["", "x", "-1", "0", "1.5", " 1", "1:2", "²", "9" * 20])
def test_what_is_no_process_number_is_not_taken_for_dead(pid: str) -> None:
    assert not is_dead(f"{HOST}:{pid}")


@pytest.mark.parametrize("worker", ["", ":", HOST, "worker"])
def test_what_is_no_worker_is_not_taken_for_dead(worker: str) -> None:
    assert not is_dead(worker)


def test_versions_name_python_the_packages_and_the_commit() -> None:
    found = versions()
    assert set(found) == {"python", *PACKAGES, "commit"}
    assert found["python"] == platform.python_version()
    assert found["torch"] == torch.__version__
    assert re.fullmatch(r"unknown|[0-9a-f]{7,40}(-dirty)?", found["commit"])
    assert json.loads(json.dumps(found)) == found


def test_a_change_of_code_makes_a_commit_dirty_and_one_of_results_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("study/code.py", "results/scores.csv"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("1")
    me = ("-c", "user.name=me", "-c", "user.email=me@example.org")
    for words in (("init", "-q"), ("add", "."), (*me, "commit", "-qm", "Begin")):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "study" / "code.py"))
    clean = versions.__wrapped__()["commit"]
    assert re.fullmatch("[0-9a-f]{12}", clean)
    (tmp_path / "results" / "scores.csv").write_text("2")
    assert versions.__wrapped__()["commit"] == clean
    (tmp_path / "study" / "code.py").write_text("2")
    assert versions.__wrapped__()["commit"] == clean + "-dirty"


def test_missing_packages_and_commits_are_named_as_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Such as in an unpacked archive, on a machine without git.
    monkeypatch.setattr(environment, "PACKAGES", ("no-such-package",))
    monkeypatch.setenv("PATH", "")
    found = versions.__wrapped__()
    assert found["no-such-package"] == "not installed"
    assert found["commit"] == "unknown"


def test_a_processor_is_described_with_the_threads_that_compute_now() -> None:
    with computing_on(1):
        assert describe_device("cpu").endswith(", 1 thread")
    with computing_on(2):
        assert re.fullmatch("cpu: .+, 2 threads", describe_device("cpu"))


def test_a_graphics_card_is_described_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"Card {device.index}")
    assert describe_device("cuda:1") == "cuda: Card 1"
