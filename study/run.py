"""`study run`: from what a person typed to a study that is made or continued, and worked on."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import optuna
import sqlalchemy
from rich.console import Console

from ecg import sources
from ecg.budget import Budget, find_budget
from ecg.errors import UsageError
from ecg.heartbeats import Heartbeats
from ecg.splits import make_split
from ecg.training import find_device
from search_spaces import Space, find_space
from study.progress import Tally, make_view
from study.pruning import PruningPolicy, best_value
from study.queue import SAMPLERS, count_finished
from study.storage import Identity, hide_password, open_storage, open_study, study_lock
from study.workers import Task, sigterm_as_interrupt, work, work_in_processes


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The options of `study run`, as typed; None where a default depends on other things."""

    space: str
    trials: int | None
    timeout: float | None
    study: str | None
    storage: str
    data: str
    split: str
    budget: str | None
    device: str
    seed: int
    jobs: int
    sampler: str
    pruning: PruningPolicy
    debug: bool


def run_study(options: RunOptions, console: Console) -> str:
    """Make the study or go on with it, until as many trials as asked for are finished.

    Args:
        options: what was typed.
        console: where to print.

    Returns:
        The name of the study.

    Raises:
        EcgError: what was typed cannot be done, or too much failed.
        KeyboardInterrupt: interrupted; the running trials are queued again.
    """
    _check(options)
    space = find_space(options.space)
    device = find_device(options.device)
    budget = find_budget(options.budget or ("paper" if device.type == "cuda" else "quick"))
    resolved = sources.resolve(options.data)
    style = "bold black on yellow" if resolved.fallback else "dim"
    console.print(resolved.note, style=style, markup=False, highlight=False)
    beats = sources.load(resolved.location)
    make_split(options.split, beats)  # refuse a leak before any study is made
    identity = Identity(
        space=space.name,
        space_digest=space.digest,
        objective=space.objective,
        source=beats.source,
        data=beats.fingerprint,
        split=options.split,
        budget=budget.name,
        seed=options.seed,
    )
    name = options.study or "-".join((space.name, beats.source, options.split, budget.name))
    task = Task(
        storage=options.storage,
        study=name,
        identity=identity,
        space=options.space,
        data=str(resolved.location),
        device=str(device),
        target=budget.trials if options.trials is None else options.trials,
        deadline=None if options.timeout is None else time.time() + options.timeout,
        sampler=options.sampler,
        pruning=options.pruning,
        threads=None,
        checkpoints=checkpoint_folder(options.storage),
        debug=options.debug,
    )
    study, is_new = _open(task, space)
    _announce(task, budget, beats, is_new, count_finished(study), console)
    _work(task, options.jobs, study, console)
    return name


def checkpoint_folder(storage: str) -> Path:
    """Return the folder of a storage's checkpoints: beside an SQLite file, else in results/."""
    url = sqlalchemy.make_url(storage)
    beside = url.get_backend_name() == "sqlite" and url.database
    return (Path(str(url.database)).parent if beside else Path("results")) / "checkpoints"


def _check(options: RunOptions) -> None:
    for name in ("trials", "timeout", "jobs"):
        value = getattr(options, name)
        if value is not None and value <= 0:
            raise UsageError(f"--{name} must be at least 1, not {value:g}")
    if options.seed < 0:
        raise UsageError(f"--seed must be 0 or more, not {options.seed}")
    if options.sampler not in SAMPLERS:
        raise UsageError(f"unknown sampler '{options.sampler}'; known: {', '.join(SAMPLERS)}")


def _open(task: Task, space: Space) -> tuple[optuna.Study, bool]:
    storage = open_storage(task.storage)
    with study_lock(storage, task.study):
        study, is_new = open_study(storage, task.study, task.identity)
        if not study.get_trials(deepcopy=False):
            study.enqueue_trial(dict(space.baseline), user_attrs={"baseline": True})
    return study, is_new


def _announce(
    task: Task, budget: Budget, beats: Heartbeats, is_new: bool, finished: int, console: Console
) -> None:
    begun = "new study" if is_new else f"going on with {finished} finished trials of the study"
    lines = (
        f"{begun} '{task.study}' in {hide_password(task.storage)}",
        f"data {beats.source} ({len(beats):,} beats), split {task.identity.split}, "
        f"budget {budget.describe()}, device {task.device}, seed {task.identity.seed}",
        f"searching for the best validation {task.identity.objective} over {task.target} trials; "
        "the test part is not touched",
    )
    console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)


def _work(task: Task, jobs: int, study: optuna.Study, console: Console) -> None:
    best = best_value(study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,)))
    tally = Tally(
        target=task.target,
        finished=count_finished(study),
        best=best if best > -float("inf") else None,
    )
    if tally.finished >= task.target:
        return
    with make_view(tally, task.identity.objective, console) as view, sigterm_as_interrupt():
        if jobs == 1:
            work(task, view)
        else:
            import torch

            share = max(1, torch.get_num_threads() // jobs)
            work_in_processes(replace(task, threads=share), jobs, view)
