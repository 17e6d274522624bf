"""`study run`: from what a person typed to a study that is made or continued, and worked on."""

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
import torch
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from rich.console import Console

from ecg import sources
from ecg.budget import Budget, find_budget
from ecg.errors import EcgError, UsageError
from ecg.heartbeats import Heartbeats
from ecg.splits import make_split
from ecg.training import TrainConfig, find_device, find_precision
from ecg.training.config import PROTOCOL
from ecg.training.precision import bf16_gain, is_bf16_fast
from search_spaces import Space, find_space
from search_spaces.tables import ALL_TABLES, TABLES, configurations
from study.run.capacity import count_jobs
from study.run.estimate import estimate
from study.run.planned_runs import (
    CELLS_OBJECTIVE,
    TABLES_REASON,
    Cell,
    find_incomplete,
    plan_cells,
    queue_missing,
)
from study.run.processes import work_in_processes
from study.run.progress import Tally, make_view
from study.run.queue import FINISHED, SAMPLERS
from study.run.worker import Task, computing_on, work
from study.storage.attributes import distinct_values
from study.storage.database import hide_password, parse_url
from study.storage.interrupts import taking_interrupts
from study.storage.reading import read_identity
from study.storage.recordings import read_recording
from study.storage.studies import (
    Identity,
    default_name,
    open_storage,
    open_study,
    study_lock,
)
from study.trials.provenance import versions
from study.trials.pruning import PruningPolicy, best_value
from study.trials.trial import configure
from study.wording import counted, format_seconds

GRID_POINTS = 5  # of a number in `--sampler grid`
# More is a slip of the finger, and would fill the machine.
MOST = {"jobs": 256, "threads": 256, "seeds": 1000}


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The options of `study run`, as typed; None where a default depends on other things."""

    space: str
    trials: int | None
    seeds: int
    timeout: float | None
    study: str | None
    storage: str
    data: str
    split: str
    budget: str | None
    device: str
    precision: str = "auto"
    seed: int
    jobs: int | None
    threads: int = 1
    sampler: str
    pruning: PruningPolicy
    checkpoint_seconds: float
    replay: Path | None = None
    debug: bool


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The data and the means of a run, resolved from what was typed.

    Attributes:
        study: name.
        source: of the heartbeats.
        fingerprint: of the heartbeats, or of the recording that stands in for training.
        described: how many heartbeats, or what stands in for them.
        data: where the heartbeats are, as for `ecg.sources.load`.
        split: name.
        budget: limits of a training run.
        device: where trainings run.
        device_kind: of the study's trainings, which a replay only follows.
        precision: in which they compute.
        protocol: of the trainings.
        beats: the heartbeats, None for a replay.
    """

    study: str
    source: str
    fingerprint: str
    described: str
    data: str
    split: str
    budget: Budget
    device: torch.device
    device_kind: str
    precision: str
    protocol: int = PROTOCOL
    beats: Heartbeats | None = None


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
    check_options(options)
    tables = find_tables(options.space)
    space = None if tables else find_space(options.space)
    if space is not None and options.replay is not None:
        setting = replay_setting(options, space)
    else:
        setting = resolve_setting(options, ALL_TABLES if space is None else space.name, console)
    if space is None:
        fields = [row.fields for row in configurations(tables)]
        cells = plan_cells(fields, options.seeds, setting.budget, options.seed)
        return run_cells(
            options, setting, cells, kind=ALL_TABLES, reason=TABLES_REASON, console=console
        )
    task = _search_task(options, setting, space)
    storage = open_storage(task.storage, lean=True)
    with study_lock(storage, task.study):
        study, is_new = open_study(storage, task.study, task.identity)
        _queue_first_trials(study, space, task)
    _say_other_versions(storage, study, options, console)
    header = (
        f"searching for the best validation {space.objective} over {task.target} trials; "
        "the test part is not touched"
    )
    begun = "new study" if is_new else "continuing study"
    baseline = configure(space, dict(space.baseline), setting.budget, options.seed)
    _work(task, setting, options.jobs, [baseline], study, storage, (begun, header), console)
    return task.study


def run_cells(
    options: RunOptions,
    setting: Setting,
    cells: Sequence[Cell],
    *,
    kind: str,
    reason: str,
    console: Console,
) -> str:
    """Train and test planned cells; those that are complete already are not run again.

    Args:
        options: what was typed.
        setting: data and means.
        cells: what is asked for.
        kind: of the study, its "space".
        reason: why the test part is read, for the record.
        console: where to print.

    Returns:
        The name of the study.
    """
    identity = _identity(options, setting, kind=kind, objective=CELLS_OBJECTIVE)
    task = replace(
        _task(options, setting, identity, len(cells)),
        cells=frozenset(cell.key for cell in cells),
        test_reason=reason,
        pruning=PruningPolicy(pruner="none"),
    )
    storage = open_storage(task.storage, lean=True)
    with study_lock(storage, task.study):
        study, is_new = open_study(storage, task.study, identity)
        queued = queue_missing(study, cells)
    _say_other_versions(storage, study, options, console)
    header = (
        f"{len(cells)} planned runs (configuration x seed), {queued} newly queued. Each is trained "
        "by the protocol, then measured on the test part"
    )
    begun = "new study" if is_new else "continuing study"
    ahead = [cell.config for cell in find_incomplete(study, cells)]
    _work(task, setting, options.jobs, ahead, study, storage, (begun, header), console)
    missing = len(find_incomplete(study, cells))
    if missing and options.timeout is None:
        raise EcgError(
            f"{missing} of {len(cells)} planned runs failed. See why with `python -m study show "
            f"{task.study}`, fix the cause, then run the same command again."
        )
    return task.study


def resolve_setting(options: RunOptions, kind: str, console: Console) -> Setting:
    """Find and load the data, budget and device; refuse a split that leaks.

    A study that exists keeps its own device and precision where none is typed.

    Args:
        options: what was typed.
        kind: of the study, its "space".
        console: where to print.

    Raises:
        EcgError: one of them is not to be had.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # our own lines say it
    device = find_device(options.device)
    if options.precision != "auto":
        find_precision(options.precision, device)  # a slip is refused before the data is read
    budget = find_budget(options.budget or ("paper" if device.type == "cuda" else "quick"))
    resolved = sources.resolve(options.data)
    style = "bold black on yellow" if resolved.fallback else "dim"
    console.print(resolved.note, style=style, markup=False, highlight=False, soft_wrap=True)
    console.print("loading the heartbeats", style="dim")
    beats = sources.load(resolved.location)
    make_split(options.split, beats)
    name = options.study or default_name(kind, beats.source, options.split, budget.name)
    device, precision = _own_means(options, device, read_identity(options.storage, name))
    if precision == "bf16" and device.type == "cpu" and not is_bf16_fast():
        console.print(
            f"warning: bf16 convolutions take {1 / bf16_gain():.1f} times as long as fp32 ones on "
            "this CPU. Use --precision fp32 unless the study must stay in bf16.",
            style="bold black on yellow", markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip
    return Setting(
        study=name,
        source=beats.source,
        fingerprint=beats.fingerprint,
        described=f"{len(beats):,} beats",
        data=str(resolved.location),
        split=options.split,
        budget=budget,
        device=device,
        device_kind=device.type,
        precision=precision,
        beats=beats,
    )


def _own_means(
    options: RunOptions, device: torch.device, stored: Mapping[str, Any]
) -> tuple[torch.device, str]:
    """Return the device and precision: as typed, else the study's own, else this machine's.

    Where this machine has not what the study needs, it is the study that refuses.

    Args:
        options: what was typed.
        device: as typed, or this machine's.
        stored: identity of the study, empty for none.
    """
    if options.device == "auto" and stored.get("device") not in (None, device.type):
        with suppress(UsageError):
            device = find_device(stored["device"])
    if options.precision == "auto" and "precision" in stored:
        with suppress(UsageError):
            return device, find_precision(stored["precision"], device)
    return device, find_precision(options.precision, device)


def replay_setting(options: RunOptions, space: Space) -> Setting:
    """Return the setting of a replay: all of it comes with the recording.

    Raises:
        EcgError: the recording cannot be read, or is of another space.
    """
    assert options.replay is not None
    recording = read_recording(options.replay)
    recorded = recording.identity
    if recorded.get("space") != space.name:
        raise UsageError(
            f"the recording {options.replay} is of the space '{recorded.get('space')}', "
            f"not '{space.name}'"
        )
    recording.check(space)
    source = f"replay of {recorded['source']}"
    return Setting(
        study=options.study
        or default_name(space.name, source, recorded["split"], recorded["budget"]),
        source=source,
        fingerprint=recording.digest,
        described=f"{len(recording.trials)} recorded trials, no training",
        data="",
        split=recorded["split"],
        budget=find_budget(recorded["budget"]),
        device=torch.device("cpu"),
        device_kind=recorded["device"],
        precision=recorded["precision"],
        protocol=recorded["protocol"],
    )


def checkpoint_folder(storage: str) -> Path:
    """Return the folder of a storage's checkpoints: beside an SQLite file, else in results/."""
    url = parse_url(storage)
    beside = url.get_backend_name() == "sqlite" and url.database
    return (Path(str(url.database)).parent if beside else Path("results")) / "checkpoints"


def check_options(options: RunOptions) -> None:
    """Refuse numbers and names that make no sense.

    Raises:
        UsageError: names the option.
    """
    for name in ("trials", "timeout", "jobs", "threads", "seeds"):
        value = getattr(options, name)
        if value is not None and not value > 0:
            raise UsageError(f"--{name} must be at least 1, not {value:g}")
    for name, most in MOST.items():
        value = getattr(options, name)
        if value is not None and value > most:
            raise UsageError(f"--{name} must be at most {most}, not {value}")
    parse_url(options.storage)
    if options.seed < 0:
        raise UsageError(f"--seed must be 0 or more, not {options.seed}")
    if not options.checkpoint_seconds >= 0:
        raise UsageError("--checkpoint-every must be 0 or more seconds")
    if options.sampler not in SAMPLERS:
        raise UsageError(f"unknown sampler '{options.sampler}'; known: {', '.join(SAMPLERS)}")


def find_tables(space: str) -> tuple[str, ...]:
    """Return the published tables a space stands for, none for a search."""
    if space == ALL_TABLES:
        return tuple(TABLES)
    return (space,) if space in TABLES else ()


def _search_task(options: RunOptions, setting: Setting, space: Space) -> Task:
    identity = _identity(
        options, setting, kind=space.name, digest=space.digest, objective=space.objective
    )
    target = setting.budget.trials
    if options.sampler == "grid":
        target = len(_grid(space))
    if options.trials is not None:
        target = options.trials
    return replace(_task(options, setting, identity, target), space=options.space)


def _task(options: RunOptions, setting: Setting, identity: Identity, target: int) -> Task:
    return Task(
        storage=options.storage,
        study=setting.study,
        identity=identity,
        space=None,
        cells=None,
        test_reason="",
        data=setting.data,
        device=str(setting.device),
        precision=setting.precision,
        target=target,
        deadline=None if options.timeout is None else time.monotonic() + options.timeout,
        sampler=options.sampler,
        pruning=options.pruning,
        threads=options.threads,
        checkpoints=checkpoint_folder(options.storage),
        checkpoint_seconds=options.checkpoint_seconds,
        replay=options.replay,
        debug=options.debug,
    )


def _identity(
    options: RunOptions, setting: Setting, *, kind: str, digest: str = "", objective: str
) -> Identity:
    return Identity(
        space=kind,
        space_digest=digest,
        objective=objective,
        source=setting.source,
        data=setting.fingerprint,
        split=setting.split,
        budget=setting.budget.name,
        device=setting.device_kind,
        precision=setting.precision,
        protocol=setting.protocol,
        seed=options.seed,
    )


def _grid(space: Space) -> list[dict[str, object]]:
    """Return the baseline and every other point of the space's grid."""
    baseline = dict(space.baseline)
    return [baseline, *(point for point in space.grid(GRID_POINTS) if point != baseline)]


def _queue_first_trials(study: optuna.Study, space: Space, task: Task) -> None:
    """Queue the baseline in a new study, and all of a grid that did not run or failed."""
    trials = study.get_trials(deepcopy=False)
    if not trials:
        study.enqueue_trial(dict(space.baseline), user_attrs={"baseline": True})
    if task.sampler != "grid":
        return
    known = [
        trial.system_attrs.get("fixed_params", trial.params)
        for trial in trials
        if trial.state != TrialState.FAIL
    ]
    for point in _grid(space)[1:]:
        if point not in known:
            study.enqueue_trial(point)


def _say_other_versions(
    storage: RDBStorage, study: optuna.Study, options: RunOptions, console: Console
) -> None:
    """Say so in a line where trials of the study were trained under another PyTorch."""
    if options.replay is not None:
        return
    stored = distinct_values(storage, study, "versions")
    found = {str(those["torch"]) for those in stored if "torch" in those}
    if others := sorted(found - {versions()["torch"]}):
        console.print(
            f"this study has trials of PyTorch {', '.join(others)}; new ones are trained under "
            f"PyTorch {versions()['torch']}",
            markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip


def _work(
    task: Task,
    setting: Setting,
    typed_jobs: int | None,
    ahead: Sequence[TrainConfig],
    study: optuna.Study,
    storage: RDBStorage,
    told: tuple[str, str],
    console: Console,
) -> None:
    """Announce the study, and work on what is left of it.

    Args:
        task: what to work on.
        setting: data and means.
        typed_jobs: workers asked for, None for what the machine takes.
        ahead: what each run left will train; of a search the baseline, for all of them.
        study: of the task.
        storage: of the study.
        told: whether the study is new, and what is done in it.
        console: where to print.
    """

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    mine = [trial for trial in study.get_trials(deepcopy=False) if task.accepts(trial)]
    best = best_value([trial for trial in mine if trial.state == TrialState.COMPLETE])
    tally = Tally(
        target=task.target,
        finished=sum(trial.state in FINISHED for trial in mine),
        best=None if math.isinf(best) else best,
        lengths=[
            trial.user_attrs["last_epoch"]
            for trial in mine
            if trial.state in FINISHED and "last_epoch" in trial.user_attrs
        ],
    )
    begun, header = told
    say(f"{begun} '{task.study}' in {hide_password(task.storage)}")
    say(
        f"data {task.identity.source} ({setting.described}), split {task.identity.split}, "
        f"budget {setting.budget.describe()}, device {task.device} ({task.precision}), "
        f"seed {task.identity.seed}"
    )
    say(header)
    if tally.finished >= task.target:
        say(f"all {task.target} are finished already")
        return
    jobs = count_jobs(
        typed_jobs,
        threads=task.threads,
        trials=task.target - tally.finished,
        device=setting.device,
        replay=task.replay is not None,
        say=say,
    )
    left = task.target - tally.finished
    if task.space is not None:
        ahead = [*ahead] * left
    means = f"{counted(jobs, 'job')} of {counted(task.threads, 'thread')}"
    say(f"{counted(left, 'run')} left, {means}{_tell_time(task, setting, ahead, jobs, tally)}")
    if jobs > 1:
        say(f"starting {jobs} workers")
    storage.remove_session()
    with make_view(tally, task.identity.objective, console) as view, taking_interrupts():
        if jobs == 1:
            work(task, view, setting.beats)
        else:
            work_in_processes(task, jobs, view)


def _tell_time(
    task: Task, setting: Setting, ahead: Sequence[TrainConfig], jobs: int, tally: Tally
) -> str:
    """Say how long the runs ahead will take; nothing where they are short, or on a GPU."""
    if setting.beats is None or setting.device.type != "cpu" or setting.budget.name == "smoke":
        return ""
    with computing_on(task.threads):
        most, about = estimate(
            ahead,
            jobs,
            setting.beats,
            make_split(setting.split, setting.beats),
            setting.budget,
            epochs=tally.mean_length,
            precision=task.precision,
            is_tested=task.cells is not None,
        )
    network = "" if task.cells is not None else " with the baseline's network"
    if about is None:
        return (
            f": at most {format_seconds(most)} on this machine{network}; early stopping usually "
            "ends it sooner"
        )
    return (
        f": about {format_seconds(about)} on this machine{network}, at most "
        f"{format_seconds(most)} without early stopping"
    )
