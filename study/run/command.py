"""`study run`: from what a person typed to a study that is made or continued, and worked on."""

import math
import time
from collections.abc import Sequence
from dataclasses import replace

import optuna
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from rich.console import Console

from ecg.errors import EcgError
from ecg.splits import make_split
from ecg.training import TrainConfig
from search_spaces import Space, find_space
from search_spaces.tables import ALL_TABLES, configurations
from study.run.capacity import count_jobs
from study.run.estimate import estimate
from study.run.options import RunOptions, check_options, find_tables
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
from study.run.queue import FINISHED
from study.run.setting import Setting, checkpoint_folder, replay_setting, resolve_setting
from study.run.worker import Task, computing_on, work
from study.storage.attributes import distinct_values
from study.storage.database import hide_password
from study.storage.interrupts import taking_interrupts
from study.storage.studies import (
    Identity,
    open_storage,
    open_study,
    study_lock,
)
from study.storage.weights import remember_keep
from study.trials.provenance import versions
from study.trials.pruning import PruningPolicy, best_value
from study.trials.trial import configure
from study.wording import counted, format_seconds

GRID_POINTS = 5  # of a number in `--sampler grid`


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
        if space is not None and setting.beats is not None:
            space.check(setting.beats)
    if space is None:
        fields = [row.fields for row in configurations(tables, with_tf=options.with_tf)]
        cells = plan_cells(fields, options.seeds, setting.budget, options.seed)
        return run_cells(
            options, setting, cells, kind=ALL_TABLES, reason=TABLES_REASON, console=console
        )
    task = _search_task(options, setting, space)
    storage = open_storage(task.storage, lean=True)
    with study_lock(storage, task.study):
        study, is_new = open_study(storage, task.study, task.identity)
        remember_keep(study, task.keep)
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
        remember_keep(study, task.keep)
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
        keep=options.keep,
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
        records=setting.records.as_text() if setting.records else "",
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
            make_split(setting.split, setting.beats, setting.records),
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
