"""`study run`: create or continue a study as typed, and work on it."""

import math
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console

from ecg.budget import Budget, find_budget
from ecg.errors import EcgError
from ecg.folds import folds_of
from ecg.heartbeats import Heartbeats
from ecg.splits import make_split
from ecg.training import TrainConfig, find_device
from search_spaces import Space, find_space
from search_spaces.tables import configurations
from study.run.capacity import count_jobs
from study.run.estimate import estimate
from study.run.gain import has_stalled
from study.run.options import RunOptions
from study.run.output import print_line
from study.run.planned_runs import (
    TABLES_REASON,
    PlannedRun,
    find_incomplete,
    plan_runs,
    queue_missing,
)
from study.run.points import Point, first_points, queue_first_trials
from study.run.processes import work_in_processes
from study.run.progress import Tally, make_view
from study.run.queue import FINISHED
from study.run.setting import replayed, resolve
from study.run.worker import computing_on, work
from study.storage.attributes import distinct_values
from study.storage.database import hide_password
from study.storage.interrupts import taking_interrupts
from study.storage.studies import keep_settings, open_storage, open_study, study_lock
from study.storage.weights import settle_keep
from study.trials.provenance import versions
from study.trials.pruning import best_value
from study.trials.task import Machine, PlannedRuns, Search, Task, point_of
from study.trials.trial import configure
from study.wording import counted, format_seconds, objective_label

Say = Callable[[str], None]


def run_study(machine: Machine, options: RunOptions, console: Console) -> str:
    """Create a study or continue it, until enough trials are finished.

    Args:
        machine: where it runs, as typed.
        options: the options of `run`.
        console: where to print.

    Returns:
        The name of the study.

    Raises:
        EcgError: an option cannot be satisfied, or too many trials failed.
        KeyboardInterrupt: interrupted; the running trials are requeued.
    """
    space = None if options.tables else find_space(options.space)
    beats = None
    if space is not None and options.replay is not None:
        machine, name, identity = replayed(machine, options, space)
    else:
        machine, name, identity, beats = resolve(machine, options, space, console)
        if space is not None:
            space.check(beats)
    budget = find_budget(identity.budget)
    settings = options.settings(machine.data)
    deadline = None if options.timeout is None else time.monotonic() + options.timeout
    start = partial(Task, machine=machine, study=name, identity=identity, deadline=deadline)
    if space is None:
        fields = [row.fields for row in configurations(options.tables, with_tf=options.with_tf)]
        runs = plan_runs(fields, options.seeds, budget, options.seed)
        goal = PlannedRuns(keys=frozenset(run.key for run in runs), reason=TABLES_REASON)
        run_planned(start(goal=goal), runs, beats, settings, console)
    else:
        points = first_points(machine.storage, options, space)
        search = _search_goal(options, budget, points)
        _search(start(goal=search), space, points, beats, settings, console)
    return name


def _search_goal(options: RunOptions, budget: Budget, points: Sequence[Point]) -> Search:
    """Return the goal of a search that queues the points first."""
    only_points = options.sampler == "grid" or options.from_study is not None
    usual = len(points) if only_points else budget.trials
    return Search(
        space=options.space,
        target=usual if options.trials is None else options.trials,
        sampler=options.sampler,
        pruning=options.prune_within(budget),
        replay=options.replay,
        points=frozenset(map(point_of, points)) if only_points else None,
        stop_after=options.stop_after,
    )


def run_planned(
    task: Task,
    runs: Sequence[PlannedRun],
    beats: Heartbeats | None,
    settings: Mapping[str, Any],
    console: Console,
) -> None:
    """Train and test the planned runs that are not complete.

    Args:
        task: what to work on.
        runs: the planned runs.
        beats: the heartbeats of the task.
        settings: stored with the study, see `study.storage.studies.keep_settings`.
        console: where to print.

    Raises:
        EcgError: some runs failed.
    """
    with _opening(task, settings) as opened:
        queued = queue_missing(opened.study, runs)
    folds = folds_of(task.identity.split)
    factors = "configuration x seed x fold" if folds else "configuration x seed"
    where = "held-out fold" if folds else "test part"
    header = (
        f"{len(runs)} planned runs ({factors}), {queued} added to the queue. Each run follows the "
        f"protocol, then is measured on the {where}"
    )
    ahead = [run.config for run in find_incomplete(opened.study, runs)]
    _work(opened, beats, ahead, header, console)
    missing = len(find_incomplete(opened.study, runs))
    if missing and task.deadline is None:
        raise EcgError(
            f"{missing} of {len(runs)} planned runs failed. See why with `python -m study show "
            f"{shlex.quote(task.study)}`, fix the cause, then run the same command again."
        )


def _search(
    task: Task,
    space: Space,
    points: Sequence[Point],
    beats: Heartbeats | None,
    settings: Mapping[str, Any],
    console: Console,
) -> None:
    with _opening(task, settings) as opened:
        queue_first_trials(opened.study, points)
        goal = task.goal
        if isinstance(goal, Search) and goal.points is not None:
            # A search may have tried a point of the grid twice.
            trials = opened.study.get_trials(deepcopy=False)
            alive = [trial for trial in trials if trial.state != TrialState.FAIL]
            twice = sum(map(goal.accepts, alive)) - len(goal.points)
            goal = replace(goal, target=goal.target + max(0, twice))
    opened = replace(opened, task=replace(opened.task, goal=goal))
    header = (
        f"searching for the best {objective_label(task.identity.objective)} over {goal.target} "
        "trials; the test part is not read"
    )
    if len(names := task.identity.all_objectives) > 1:
        header = (
            f"searching for the front of {' and '.join(map(objective_label, names))} over "
            f"{goal.target} trials, none of which is pruned; the test part is not read"
        )
    budget = find_budget(task.identity.budget)
    baseline = configure(space, dict(space.baseline), budget, task.identity.seed)
    _work(opened, beats, [baseline], header, console)


@dataclass(frozen=True, eq=False)
class _Opened:
    """A study that is open for work.

    Attributes:
        task: what to work on.
        study: the study of the task.
        storage: the storage of the study.
        is_new: whether the study has just been created.
    """

    task: Task
    study: optuna.Study
    storage: RDBStorage
    is_new: bool


@contextmanager
def _opening(task: Task, settings: Mapping[str, Any]) -> Iterator[_Opened]:
    """Open the study of a task, or create it, and hold its lock in this block.

    Args:
        task: what to work on.
        settings: stored with the study.
    """
    storage = open_storage(task.machine.storage, lean=True)
    with study_lock(storage, task.study):
        study, is_new = open_study(storage, task.study, task.identity)
        keep_settings(study, settings)
        machine = replace(task.machine, keep=settle_keep(study, task.machine.keep))
        yield _Opened(replace(task, machine=machine), study, storage, is_new)


def _work(
    opened: _Opened,
    beats: Heartbeats | None,
    ahead: Sequence[TrainConfig],
    header: str,
    console: Console,
) -> None:
    """Announce the study, and work on the trials that are left.

    Args:
        opened: the study and its task.
        beats: the heartbeats of the task, None for a replay.
        ahead: the configuration of each run left; of a search the baseline, for all of them.
        header: what the study does.
        console: where to print.
    """
    say = partial(print_line, console)
    task, storage = opened.task, opened.storage
    goal, machine = task.goal, task.machine
    tally = _count(opened)
    _announce(opened, beats, header, say)
    left = goal.target - tally.finished
    if left <= 0:
        which = f"all {goal.target} {goal.noun}s are" if goal.target > 1 else f"the {goal.noun} is"
        say(f"{which} already finished")
        return
    if _say_stalled(opened, say):
        return
    jobs = count_jobs(
        machine.jobs,
        threads=machine.threads,
        trials=left,
        device=find_device(machine.device),
        replay=goal.replay is not None,
        say=say,
    )
    if isinstance(goal, Search):
        ahead = [*ahead] * left * task.identity.repeats
    workers = f"{counted(jobs, 'job')} of {counted(machine.threads, 'thread')}"
    duration = _say_duration(task, beats, ahead, jobs, tally)
    say(f"{counted(left, goal.noun)} left, {workers}{duration}")
    if jobs > 1:
        say(f"starting {jobs} workers")
    storage.remove_session()
    storage.engine.dispose()  # the workers open their own connections
    with make_view(tally, task.identity.objective, console) as view, taking_interrupts():
        if jobs == 1:
            work(task, view, beats)
        else:
            work_in_processes(task, jobs, view)
    _say_stalled(opened, say)
    if tally.began is None and task.deadline is not None and time.monotonic() >= task.deadline:
        say("--timeout ended before a trial began. Run the same command with a larger --timeout.")


def _counting_trials(opened: _Opened) -> list[FrozenTrial]:
    """Return the trials that count towards the goal."""
    trials = opened.study.get_trials(deepcopy=False)
    return [trial for trial in trials if opened.task.goal.accepts(trial)]


def _count(opened: _Opened) -> Tally:
    """Return the state of the study."""
    trials = _counting_trials(opened)
    finished = [trial for trial in trials if trial.state in FINISHED]
    trained = [trial for trial in finished if "last_epoch" in trial.user_attrs]  # not by hand
    best = best_value([trial for trial in trained if trial.state == TrialState.COMPLETE])
    return Tally(
        target=opened.task.goal.target,
        finished=len(finished),
        best=None if math.isinf(best) else best,
        lengths=[trial.user_attrs["last_epoch"] for trial in trained],
    )


def _say_stalled(opened: _Opened, say: Say) -> bool:
    """Say if a search has stalled; return whether it has."""
    if stalled := has_stalled(opened.task, opened.study, _counting_trials(opened)):
        say(
            f"stopped: the last {opened.task.goal.stop_after} finished trials brought no gain "
            "beyond noise. To continue the search, use a larger --stop-after, or 0 to switch it "
            "off."
        )
    return stalled


def _announce(opened: _Opened, beats: Heartbeats | None, header: str, say: Say) -> None:
    """Say what the study is, its data and settings, and what it does."""
    task = opened.task
    identity, machine = task.identity, task.machine
    if task.goal.replay is None:
        _say_other_versions(opened, say)
    described = "recorded trials, no training" if beats is None else f"{len(beats):,} beats"
    begun = "new study" if opened.is_new else "continuing study"
    say(f"{begun} '{task.study}' in {hide_password(machine.storage)}")
    say(
        f"data {identity.source} ({described}), split {identity.split}, "
        f"budget {find_budget(identity.budget).describe()}, device {machine.device} "
        f"({machine.precision}), seed {identity.seed}"
    )
    say(header)


def _say_other_versions(opened: _Opened, say: Say) -> None:
    """Say if trials of the study were trained with another PyTorch."""
    stored = distinct_values(opened.storage, opened.study, "versions")
    found = {str(those["torch"]) for those in stored if "torch" in those}
    if others := sorted(found - {versions()["torch"]}):
        say(
            f"this study has trials trained with PyTorch {', '.join(others)}; new ones are trained "
            f"with PyTorch {versions()['torch']}"
        )


def _say_duration(
    task: Task, beats: Heartbeats | None, ahead: Sequence[TrainConfig], jobs: int, tally: Tally
) -> str:
    """Say how long the runs ahead will take; "" if they are short, or on a GPU."""
    identity, machine = task.identity, task.machine
    if beats is None or identity.device != "cpu" or identity.budget == "smoke":
        return ""
    is_tested = isinstance(task.goal, PlannedRuns)
    with computing_on(machine.threads):
        most, about = estimate(
            ahead,
            jobs,
            beats,
            make_split(identity.split, beats, identity.record_lists),
            find_budget(identity.budget),
            epochs=tally.mean_length,
            precision=machine.precision,
            is_tested=is_tested,
        )
    network = "" if is_tested else " with the baseline's network"
    if about is None:
        return (
            f": at most {format_seconds(most)} on this machine{network}; early stopping usually "
            "ends it sooner"
        )
    return (
        f": about {format_seconds(about)} on this machine{network}, at most "
        f"{format_seconds(most)} without early stopping"
    )
