"""What the database costs: per trial, with many workers, as a study grows, and to look at it.

    python -m benchmarks.storage --out results/benchmarks

takes about six minutes on two cores and writes `storage.json` and `storage.md`. Nothing is
trained: every trial follows a recorded curve (`results/search/imbalance-quick.jsonl`). It needs the
extra `test`, which has the PostgreSQL server.
"""

import argparse
import json
import os
import platform
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy

from ecg.files import write_text
from search_spaces import find_space
from study import cli
from study.run import worker as workers
from study.run.queue import check_failures
from study.storage.recordings import read_recording
from study.storage.studies import open_storage
from study.trials import trial as trial_module
from study.trials.provenance import describe_device, versions
from study.trials.pruning import MonitoredCurve, PruningPolicy
from tests.support.fake_study import fake_examples
from tests.support.growth import add_together, recorded_trials
from tests.support.load import RECORDING, SPACE, drain
from tests.support.postgres import new_database, running_server
from tests.support.setting import open_new, taken

REPEATS = 5
OVERHEAD_TRIALS = 12  # a study of the quick budget
LOAD_TRIALS, LOAD_WORKERS = 500, 8
SIZES = (100, 500, 1000, 2000, 5000)
LOOKED_AT = 2000  # trials
# What a trial costs besides its training, by the function that costs it.
PARTS: dict[str, tuple[Any, str]] = {
    "claim": (workers, "claim"),
    "sample parameters": (trial_module, "_configure"),
    "attributes": (trial_module, "set_attributes"),
    "epochs: report, prune": (MonitoredCurve, "__call__"),
    "note": (trial_module, "trial_note"),
    "tell": (optuna.Study, "tell"),
    "failures in a row": (workers, "check_failures"),
}
Measured = dict[str, Any]


def spread(values: Sequence[float]) -> Measured:
    """Return median, lowest and highest of repeated measurements."""
    return {
        "median": statistics.median(values),
        "low": min(values),
        "high": max(values),
        "repeats": len(values),
    }


def measure_trial(folder: Path) -> Measured:
    """Milliseconds that one trial costs besides its training, in SQLite, one worker."""
    seconds: dict[str, float] = defaultdict(float)

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*words: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*words, **options)
            finally:
                seconds[name] += time.perf_counter() - began

        return call

    before = {name: getattr(*place) for name, place in PARTS.items()}
    runs: list[dict[str, float]] = []
    try:
        for name, (owner, attribute) in PARTS.items():
            setattr(owner, attribute, timed(name, before[name]))
        for repeat in range(REPEATS + 1):
            seconds.clear()
            _replay(f"sqlite:///{folder}/overhead-{repeat}.db", OVERHEAD_TRIALS)
            runs.append({name: 1e3 * seconds[name] / OVERHEAD_TRIALS for name in PARTS})
    finally:
        for name, (owner, attribute) in PARTS.items():
            setattr(owner, attribute, before[name])
    runs = runs[1:]  # the first one imports what is imported when it is needed
    storage = [sum(run.values()) for run in runs]
    parts = {name: spread([run[name] for run in runs]) for name in PARTS}
    return {"parts": parts, "Optuna and storage": spread(storage)}


def _replay(url: str, trials: int) -> None:
    words = ("--replay", RECORDING, "--trials", trials, "--storage", url)
    sys.argv = ["study", "run", *map(str, words)]
    with redirect_stdout(StringIO()):
        cli.app(standalone_mode=False)


def measure_load(url: str, folder: Path) -> Measured:
    """Let 8 workers share 500 trials; the trials are checked."""
    drained = drain(url, folder, LOAD_TRIALS, LOAD_WORKERS)
    drained.check(LOAD_TRIALS, LOAD_WORKERS)
    cuts = statistics.quantiles(drained.claims, n=20)
    whole = [1e3 * sum(pair) for pair in zip(drained.claims, drained.trials, strict=True)]
    return {
        "seconds": drained.seconds,
        "trials_per_second": LOAD_TRIALS / drained.seconds,
        "claim_ms": {"median": 1e3 * cuts[9], "p95": 1e3 * cuts[18]},
        "trial_ms": {"median": statistics.median(whole)},
        "share_of_a_worker": [min(drained.shares.values()), max(drained.shares.values())],
        "run_twice": 0,  # `check` has passed
        "lost": 0,
    }


def measure_growth(folder: Path, sampler: str) -> list[Measured]:
    """Milliseconds of one more trial in studies of growing size, and to join them."""
    space = find_space(SPACE)
    trials = recorded_trials(read_recording(RECORDING), space, min(1000, SIZES[-1]))
    for trial in trials:
        trial.user_attrs["examples"] = fake_examples(trial.number)
    url = f"sqlite:///{folder}/growth-{sampler}.db"
    made, _ = open_new(url)
    storage = open_storage(url, lean=True)  # as a worker does
    found = []
    size = 0
    for wanted in SIZES:
        while size < wanted:
            part = trials[: wanted - size]
            add_together(made, part)
            size += len(part)
        study = optuna.load_study(
            storage=storage, study_name=made.study_name, pruner=PruningPolicy().build(10)
        )
        joined = _milliseconds(lambda study=study: study.get_trials(deepcopy=False))
        steps = [_one_more(study, storage, sampler) for _ in range(REPEATS)]
        size += REPEATS
        names = {name: spread([step[name] for step in steps]) for name in steps[0]}
        whole = spread([sum(step.values()) for step in steps])
        found.append({"trials": wanted, "join": joined, "ask_and_tell": whole, **names})
    return found


def _one_more(study: optuna.Study, storage: Any, sampler: str) -> dict[str, float]:
    space = find_space(SPACE)
    trials: list[optuna.Trial] = []
    claim = lambda: trials.append(taken(study, storage, sampler=sampler, target=10**6))  # noqa: E731
    return {
        "claim": _milliseconds(claim),
        "sample": _milliseconds(lambda: space.suggest(trials[0])),
        "epoch": _milliseconds(lambda: (trials[0].report(0.5, 3), trials[0].should_prune())),
        "tell": _milliseconds(lambda: (study.tell(trials[0], 0.5), check_failures(study))),
    }


def _milliseconds(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return 1e3 * (time.perf_counter() - began)


def measure_looking(folder: Path) -> Measured:
    """Seconds to look at a large study with curves, notes and examples, as a person types it."""
    database = folder / "looking.db"
    url = f"sqlite:///{database}"
    study, storage = open_new(url, "large")
    trials = recorded_trials(read_recording(RECORDING), find_space(SPACE), LOOKED_AT)
    for trial in trials:
        trial.user_attrs["examples"] = fake_examples(trial.number)
    trials[0].user_attrs["baseline"] = True
    add_together(study, trials)
    storage.engine.dispose()
    report = folder / "report.html"
    found: Measured = {
        "trials": LOOKED_AT,
        "database_bytes": database.stat().st_size,
        "list": _typed(REPEATS, "list", "--storage", url),
        "show": _typed(REPEATS, "show", "large", "--storage", url),
        "report": _typed(1, "report", "--storage", url, "--output", str(report)),
    }
    found["report"]["bytes"] = report.stat().st_size
    found["dashboard"] = _open_dashboard(url)
    return found


def _typed(repeats: int, *words: str) -> Measured:
    """Return wall and CPU seconds of a command."""
    wall, cpu = [], []
    for _ in range(repeats):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "study", *words], check=True, capture_output=True)
        wall.append(time.perf_counter() - began)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return {"seconds": spread(wall), "cpu_seconds": spread(cpu)}


def _open_dashboard(url: str) -> Measured:
    """Return the seconds from the command to the first page of a study, and of later looks."""
    began = time.perf_counter()
    words = (sys.executable, "-m", "study", "dashboard", "--storage", url, "--port", "0")
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().split(": ")[-1].strip()
            ready = time.perf_counter() - began
            page = f"{address}api/studies/1?after=0"
            content, first = _fetch(page)
            later = [_fetch(page)[1] for _ in range(REPEATS)]
        finally:
            process.terminate()
    return {"ready": ready, "first": first, "later": spread(later), "bytes": len(content)}


def _fetch(address: str) -> tuple[bytes, float]:
    began = time.perf_counter()
    with urllib.request.urlopen(address, timeout=120) as answer:
        content: bytes = answer.read()
    return content, time.perf_counter() - began


def describe_machine(server: str) -> Measured:
    """Return what the measurements depend on."""
    engine = sqlalchemy.create_engine(server)
    with engine.connect() as connection:
        postgres = str(connection.scalar(sqlalchemy.text("SHOW server_version")))
    engine.dispose()
    return {
        "processor": describe_device("cpu"),
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.system(),
        "load_at_the_start": os.getloadavg()[0],
        "versions": {
            **versions(),
            "sqlalchemy": sqlalchemy.__version__,
            "sqlite": sqlite3.sqlite_version,
            "postgresql": postgres.split(maxsplit=1)[0],
        },
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


@contextmanager
def _said(what: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    print(f"{what}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)


def measure() -> Measured:
    """Measure everything, one after another."""
    found: Measured = {}
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place,
        running_server() as server,
    ):
        folder = Path(place)
        found["machine"] = describe_machine(server)
        with _said("a trial"):
            found["trial"] = measure_trial(folder)
        found["load"] = {}
        for name, url in (
            ("SQLite", f"sqlite:///{folder}/load.db"),
            ("PostgreSQL", new_database(server)),
        ):
            with _said(f"workers on {name}"):
                found["load"][name] = measure_load(url, folder / name)
        with _said("growth"):
            found["growth"] = {name: measure_growth(folder, name) for name in ("tpe", "random")}
        with _said("looking"):
            found["looking"] = measure_looking(folder)
    return found


def main() -> None:
    """Measure and write."""
    from benchmarks.storage_report import describe

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks"))
    folder = parser.parse_args().out
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    found = measure()
    write_text(folder / "storage.json", json.dumps(found, indent=1) + "\n")
    write_text(folder / "storage.md", describe(found))
    print(describe(found))


if __name__ == "__main__":
    main()
