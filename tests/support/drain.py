"""Workers whose training is a stand-in: `python -m tests.support.drain URL FOLDER TARGET N [KILL]`.

Everything else is real: processes, database, claims, heartbeats, the end. Processes are forked, so
PyTorch is imported once. A worker leaves a file for every trial it runs, and fails a trial
that another one has run before. The worker of the trial KILL ends itself by SIGKILL in it.
"""

import multiprocessing
import os
import random
import signal
import sys
import time
from pathlib import Path

import optuna

from study.run import worker as workers
from study.run.worker import work
from study.trials.messages import Emit
from study.trials.task import Task
from study.trials.trial import Bench
from tests.support.setting import make_task, open_new


def main() -> None:
    """Run the workers and exit with the number of those that died."""
    url, folder, target, number = sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:5])
    killed = int(sys.argv[5]) if len(sys.argv) > 5 else None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    workers.WAIT_SECONDS = 0.05
    workers._prepare = prepare
    workers.run_trial = lambda trial, bench: stand_in(trial, folder, killed)
    task = make_study(url, target)
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=work, args=(task, print)) for _ in range(number)]
    for process in processes:
        process.start()
    while [process for process in processes if process.is_alive()]:  # also buries the killed
        time.sleep(0.05)
    sys.exit(sum(process.exitcode != 0 for process in processes))


def make_study(url: str, target: int) -> Task:
    """Make the study and return the task to work on it."""
    study, storage = open_new(url)
    study.enqueue_trial({"x": 0.5}, user_attrs={"baseline": True})
    storage.engine.dispose()  # a connection must not be shared by processes
    return make_task(url, target=target)


def prepare(task: Task, emit: Emit, beats: None) -> Bench:
    """Return a bench without data."""
    return Bench(task=task, emit=lambda _: None)


def stand_in(trial: optuna.Trial, folder: Path, killed: int | None) -> float | None:
    """Write to the database what a training run writes, in almost no time."""
    os.close(os.open(folder / str(trial.number), os.O_CREAT | os.O_EXCL))
    x = trial.suggest_float("x", 0, 1)
    for epoch in (1, 2, 3):
        time.sleep(random.uniform(0, 0.01))
        trial.report(x, epoch)
    if trial.number == killed:
        os.kill(os.getpid(), signal.SIGKILL)
    trial.set_user_attr("filler", [x] * 100)
    return None if x < 0.1 else x


if __name__ == "__main__":
    main()
