"""Workers that follow recorded curves: `python -m tests.support.load URL FOLDER TRIALS WORKERS`.

Everything but the training is real: processes, database, sampler, pruner. The
processes are forked, so that PyTorch is imported once. A worker leaves a file for every trial it
runs, and fails a trial that another one has run before.
"""

import multiprocessing
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from search_spaces import find_space
from study.run import worker as workers
from study.run.queue import FINISHED
from study.storage.recordings import read_recording
from study.storage.studies import load_study, open_storage, open_study, study_lock
from study.trials.task import Search, Task
from tests.support.setting import IDENTITY, REPOSITORY, make_task, start

RECORDING = REPOSITORY / "results/search/imbalance-quick.jsonl"
SPACE = "imbalance"
SECONDS_PER_TRIAL = 2  # of all workers together; after that they count as stuck
TIMES = "times"  # file: one line per trial, seconds of the claim and of the rest


@dataclass(frozen=True)
class Drained:
    """What workers left behind.

    Attributes:
        seconds: time from the start of the workers to the end of the last one.
        claims: seconds of each claim, the wait for the study's lock included.
        trials: seconds of each trial from its claim to its end.
        states: number of trials in each state.
        numbers: numbers of the trials in the database, in their order.
        run: the number of every trial that a worker ran, in order.
        shares: trials of each worker.
        said: what the workers complained of.
    """

    seconds: float
    claims: list[float]
    trials: list[float]
    states: Counter[TrialState]
    numbers: list[int]
    run: list[int]
    shares: Counter[str]
    said: str

    def check(self, trials: int, number: int) -> None:
        """Assert that every trial was run once, by one worker, and none was lost."""
        assert self.said == "", self.said
        assert self.numbers == self.run == list(range(trials)), (self.numbers, self.run)
        assert sum(self.states[state] for state in FINISHED) == trials, self.states
        assert len(self.trials) == trials
        assert len(self.shares) == number, self.shares


def drain(url: str, folder: Path, trials: int, number: int) -> Drained:
    """Let workers finish a new study, and read what they left behind.

    Args:
        url: URL of an empty database.
        folder: made; of the workers' files.
        trials: wanted.
        number: number of workers.
    """
    (folder / "run").mkdir(parents=True)
    process = start(url, folder, trials, number, script=("-m", "tests.support.load"))
    try:
        out, err = process.communicate(timeout=60 + SECONDS_PER_TRIAL * trials)
    finally:
        with suppress(ProcessLookupError):  # none is left, unless they took too long
            os.killpg(process.pid, signal.SIGKILL)
    storage = open_storage(url, create=False)
    found = load_study(storage, "s").get_trials(deepcopy=False)
    storage.engine.dispose()
    lines = (folder / TIMES).read_text().splitlines()
    claims, rests = zip(*(map(float, line.split()) for line in lines), strict=True)
    return Drained(
        seconds=float(out),
        claims=list(claims),
        trials=list(rests),
        states=Counter(trial.state for trial in found),
        numbers=[trial.number for trial in found],
        run=sorted(int(path.name) for path in (folder / "run").iterdir()),
        shares=Counter(trial.user_attrs.get("worker", "nobody") for trial in found),
        said=err,
    )


def make_study(url: str, trials: int) -> Task:
    """Make a study that is searched on recorded curves, and return the task to work on it."""
    space, recording = find_space(SPACE), read_recording(RECORDING)
    identity = replace(
        IDENTITY, space=SPACE, objective=space.objective, budget=recording.identity["budget"]
    )
    storage = open_storage(url)
    with study_lock(storage, "s"):
        study, _ = open_study(storage, "s", identity)
        study.enqueue_trial(dict(space.baseline), user_attrs={"baseline": True})
    storage.engine.dispose()  # a connection must not be shared by processes
    return make_task(url, Search(space=SPACE, target=trials, replay=RECORDING), identity=identity)


def main() -> None:
    """Run the workers, print the seconds they took, and exit with the number that died."""
    url, folder, trials, number = sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:5])
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    workers.WAIT_SECONDS = 0.05
    _watch(folder)
    task = make_study(url, trials)
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=workers.work, args=(task, _ignore)) for _ in range(number)]
    began = time.perf_counter()
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    print(time.perf_counter() - began)
    sys.exit(sum(process.exitcode != 0 for process in processes))


def _watch(folder: Path) -> None:
    """Make every worker note which trials it runs and how long its claims and trials take."""
    run_trial, run, claim = workers.run_trial, workers._run, workers.claim
    claimed = [0.0]

    def noted(trial: optuna.Trial, bench: Any) -> tuple[float, ...] | None:
        os.close(os.open(folder / "run" / str(trial.number), os.O_CREAT | os.O_EXCL))
        return run_trial(trial, bench)

    def timed_claim(*words: Any, **options: Any) -> optuna.Trial | None:
        seconds, trial = _timed(claim, *words, **options)
        claimed[0] = seconds
        return trial

    def timed_run(*words: Any, **options: Any) -> None:
        seconds, _ = _timed(run, *words, **options)
        with (folder / TIMES).open("a") as file:  # one short write: lines do not mix
            file.write(f"{claimed[0]} {seconds}\n")

    workers.run_trial, workers.claim, workers._run = noted, timed_claim, timed_run


def _timed(function: Callable[..., Any], *words: Any, **options: Any) -> tuple[float, Any]:
    began = time.perf_counter()
    result = function(*words, **options)
    return time.perf_counter() - began, result


def _ignore(_: object) -> None:
    """Ignore a message."""


if __name__ == "__main__":
    main()
