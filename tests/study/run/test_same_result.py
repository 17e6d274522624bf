"""Rules of repeatability: a result depends neither on --jobs nor on the number of cores."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from study.run.queue import FINISHED
from study.storage.studies import load_study, open_storage
from tests.soak import SOAK
from tests.support.crash import grid
from tests.support.setting import REPOSITORY, SECONDS, found

TASKSET = shutil.which("taskset")


def run(folder: Path, *words: object, before: tuple[str, ...] = ()) -> dict[str, tuple[Any, ...]]:
    """Run a study in real processes; return what its trials found, by configuration."""
    url = f"sqlite:///{folder}/study.db"
    # PyTorch chooses its threads here as it does for everybody.
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    setting = (
        "--data",
        "synthetic",
        "--study",
        "s",
        "--storage",
        url,
        "--pruner",
        "none",
        "--budget",
        "smoke",
    )
    subprocess.run(
        [*before, sys.executable, "-m", "study", "run", *map(str, (*words, *setting))],
        cwd=folder, env={**environment, "PYTHONPATH": str(REPOSITORY)}, check=True,
        stdout=subprocess.DEVNULL, timeout=SECONDS,
    )  # fmt: skip
    storage = open_storage(url, create=False)
    trials = load_study(storage, "s").get_trials(states=FINISHED)
    storage.engine.dispose()
    for trial in trials:
        assert str(trial.user_attrs["device_name"]).endswith(", 1 thread")
    results = {str(trial.user_attrs["config"]): found(trial) for trial in trials}
    assert len(results) == len(trials)
    return results


@pytest.mark.skipif(TASKSET is None, reason="no taskset here")
@pytest.mark.parametrize("kind", ["planned", "random", "grid"])
def test_a_result_depends_neither_on_jobs_nor_on_cores(
    tmp_path: Path, tiny: Path, kind: str
) -> None:
    # Rule: planned runs, and searches whose samplers do not look at other trials, find the same
    # to the bit (losses, confusions, scores on both parts) with two jobs, and with --jobs auto on
    # a single core; planned runs also with one job on all cores.
    words: dict[str, tuple[object, ...]] = {
        "planned": ("--space", "table1" if SOAK else "table2"),
        "random": ("--space", tiny, "--sampler", "random", "--trials", 4),
        "grid": (*grid(tmp_path, 4)[:2], "--sampler", "grid"),
    }
    one_core = (str(TASKSET), "-c", str(min(os.sched_getaffinity(0))))
    ways: list[tuple[tuple[str, ...], tuple[object, ...]]] = [
        (one_core, ()),
        ((), ("--jobs", 2)),
        *([((), ("--jobs", 1))] if kind == "planned" else []),
    ]
    results = []
    for number, (before, more) in enumerate(ways):
        folder = tmp_path / str(number)
        folder.mkdir()
        results.append(run(folder, *words[kind], *more, before=before))
    assert results[0]
    assert all(result == results[0] for result in results)
