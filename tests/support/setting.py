"""What study tests share: a tiny space, an identity, a claimed trial, a process."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial

from ecg.training.config import PROTOCOL
from study.run.queue import FINISHED, claim
from study.storage.heartbeats import Watch
from study.storage.studies import Identity, open_storage, open_study, study_lock
from study.trials.messages import Progress
from study.trials.provenance import is_dead, worker_name
from study.trials.task import Machine, PlannedRuns, Search, Task
from tests.soak import SOAK

REPOSITORY = Path(__file__).parents[2]
SECONDS = 600.0 if SOAK else 120.0  # after which a process counts as stuck
IDENTITY = Identity(
    space="tiny",
    space_digest="12345678",
    objective="f1_macro",
    source="synthetic",
    data="ab" * 32,
    split="intra-patient",
    budget="smoke",
    device="cpu",
    precision="fp32",
    protocol=PROTOCOL,
    seed=7,
)
TINY = '''
"""A small network that trains in a moment."""

from search_spaces import Choice, Real, Space

SPACE = Space(
    name="tiny",
    description="the learning rate of a small network",
    parameters=(
        Choice("model", ("simple",)),
        Choice("width_multiplier", (0.1,)),
        Real("learning_rate", 1e-4, 1e-2, log=True),
    ),
    baseline={"model": "simple", "width_multiplier": 0.1, "learning_rate": 3e-4},
)
'''


@dataclass(frozen=True)
class Typed:
    """How a command ended: exit code, standard output, error output."""

    code: int
    out: str
    err: str


def open_new(url: str, name: str = "s") -> tuple[optuna.Study, RDBStorage]:
    """Open a database, and make or open a study of `IDENTITY` in it."""
    storage = open_storage(url)
    with study_lock(storage, name):
        study, _ = open_study(storage, name, IDENTITY)
    return study, storage


def make_task(
    url: str = "sqlite:///study.db",
    goal: Search | PlannedRuns | None = None,
    *,
    target: int = 100,
    sampler: str = "random",
    seed: int = 7,
    identity: Identity = IDENTITY,
) -> Task:
    """Return a task for the study "s"; a search, if no goal is given."""
    return Task(
        machine=Machine(storage=url, device="cpu", precision="fp32"),
        study="s",
        identity=replace(identity, seed=seed),
        goal=goal or Search(space="tiny", target=target, sampler=sampler),
    )


def take(
    study: optuna.Study, storage: RDBStorage, *, watch: Watch | None = None, **task: Any
) -> optuna.Trial | None:
    """Claim the next trial as a worker does."""
    return claim(make_task(**task), study, storage, watch or Watch())


def taken(study: optuna.Study, storage: RDBStorage, **changes: Any) -> optuna.Trial:
    """Claim the next trial, which must exist."""
    trial = take(study, storage, **changes)
    assert trial is not None
    return trial


FOUND = (
    *("config", "seed", "curves", "validation", "confusion", "per_class", "best_epoch"),
    *("last_epoch", "stop_reason", "data", "split", "budget"),
)


def found(trial: FrozenTrial) -> tuple[Any, ...]:
    """Return all results of a training except times; for a planned run also its test scores."""
    attributes = {name: trial.user_attrs[name] for name in FOUND}
    attributes |= {k: v for k, v in trial.user_attrs.items() if k in ("test", "test_confusion")}
    return trial.params, trial.value, trial.intermediate_values, attributes


def count_states(study: optuna.Study) -> Counter[str]:
    """Return the number of trials in each state, by its lower-case name."""
    return Counter(trial.state.name.lower() for trial in study.get_trials(deepcopy=False))


def count_finished(study: optuna.Study) -> int:
    """Return the number of complete and pruned trials."""
    return len(study.get_trials(deepcopy=False, states=FINISHED))


def start(
    *words: object,
    script: tuple[str, ...] = ("-m", "study"),
    folder: Path = REPOSITORY,
    stdout: int | IO[str] = subprocess.PIPE,
) -> subprocess.Popen[str]:
    """Start a Python process in its own group; by default `python -m study WORDS`."""
    return subprocess.Popen(
        [sys.executable, *script, *map(str, words)],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", "PYTHONPATH": str(REPOSITORY)},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A test run in the background ignores Ctrl-C, and its children would too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,  # noqa: PLW1509
    )


def finish(process: subprocess.Popen[str], seconds: float = SECONDS) -> Typed:
    """Wait for a process to end; kill it with its children if it is stuck."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return Typed(process.returncode, out, err)


def wait_until(
    condition: Callable[[], bool],
    process: subprocess.Popen[str] | None = None,
    seconds: float = SECONDS,
    pause: float = 0.005,
) -> None:
    """Wait for a condition that must come true while the process lives; check every `pause` s."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(pause)


def die_or_watch(folder: Any, _: object) -> None:
    """Be a worker process: the last one kills itself, the first one waits until it is dead."""
    note = Path(folder) / "killed"
    if multiprocessing.current_process().name == "worker-1":
        note.write_text(worker_name())
        os.kill(os.getpid(), signal.SIGKILL)
    wait_until(lambda: note.exists() and is_dead(note.read_text()), seconds=30)


def be_deaf(folder: Any, news: Any) -> None:
    """Be a worker process that ignores SIGTERM at first; it notes that it ended by itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asked = [False]
    signal.signal(signal.SIGTERM, lambda *_: asked.__setitem__(0, True))
    news.send(Progress(0, "running"))
    wait_until(lambda: asked[0])
    time.sleep(1)
    news.send(Progress(0, "interrupted"))
    (Path(folder) / "ended").touch()
