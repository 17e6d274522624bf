"""`study run`: from what a person typed to a study that is made or continued, and worked on."""

import math
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import optuna
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from rich.console import Console

from ecg.budget import find_budget
from ecg.errors import EcgError
from ecg.heartbeats import Heartbeats
from ecg.splits import make_split
from ecg.training import TrainConfig, find_device
from search_spaces import Space, find_space
from search_spaces.tables import configurations
from study.run.capacity import count_jobs
from study.run.estimate import estimate
from study.run.gain import has_stalled
from study.run.options import RunOptions
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
from study.storage.weights import remember_keep
from study.trials.provenance import versions
from study.trials.pruning import best_value
from study.trials.task import Machine, PlannedRuns, Search, Task, point_of
from study.trials.trial import configure
from study.wording import counted, format_seconds, objective_label


def run_study(machine: Machine, options: RunOptions, console: Console) -> str:
    """Make the study or continue it, until as many trials as asked for are finished.

    Args:
        machine: where it runs, as typed.
        options: what is asked for.
        console: where to print.

    Returns:
        The name of the study.

    Raises:
        EcgError: what was typed cannot be done, or too much failed.
        KeyboardInterrupt: interrupted; the running trials are queued again.
    """
    space = None if options.tables else find_space(options.space)
    beats = None
    if space is not None and options.replay is not None:
        machine, name, identity = replayed(machine, options, space)
    else:
        machine, name, identity, beats = resolve(machine, options, space, console)
        if space is not None:
            space.check(beats)
    goal: Search | PlannedRuns
    budget = find_budget(identity.budget)
    if space is None:
        fields = [row.fields for row in configurations(options.tables, with_tf=options.with_tf)]
        runs = plan_runs(fields, options.seeds, budget, options.seed)
        goal = PlannedRuns(keys=frozenset(run.key for run in runs), reason=TABLES_REASON)
    else:
        points = first_points(machine.storage, options, space)
        are_all = options.sampler == "grid" or options.from_study is not None
        usual = len(points) if are_all else budget.trials
        goal = Search(
            space=options.space,
            target=usual if options.trials is None else options.trials,
            sampler=options.sampler,
            pruning=options.prune_within(budget),
            replay=options.replay,
            points=frozenset(map(point_of, points)) if are_all else None,
            stop_after=options.stop_after,
        )
    deadline = None if options.timeout is None else time.monotonic() + options.timeout
    task = Task(machine=machine, study=name, identity=identity, goal=goal, deadline=deadline)
    settings = options.settings(machine.data)
    if space is None:
        run_planned(task, runs, beats, settings, console)
    else:
        _search(task, space, points, beats, settings, console)
    return name


def run_planned(
    task: Task,
    runs: Sequence[PlannedRun],
    beats: Heartbeats | None,
    settings: Mapping[str, Any],
    console: Console,
) -> None:
    """Train and test planned runs; those that are complete already are not run again.

    Args:
        task: what to work on.
        runs: what is asked for.
        beats: of the task.
        settings: to be kept with the study, see `study.storage.studies.keep_settings`.
        console: where to print.

    Raises:
        EcgError: some failed.
    """
    storage = open_storage(task.machine.storage, lean=True)
    with study_lock(storage, task.study):
        study, is_new = open_study(storage, task.study, task.identity)
        keep_settings(study, settings)
        remember_keep(study, task.machine.keep)
        queued = queue_missing(study, runs)
    header = (
        f"{len(runs)} planned runs (configuration x seed), {queued} newly queued. Each is trained "
        "by the protocol, then measured on the test part"
    )
    ahead = [run.config for run in find_incomplete(study, runs)]
    _work(task, beats, ahead, study, storage, (_begun(is_new=is_new), header), console)
    missing = len(find_incomplete(study, runs))
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
    storage = open_storage(task.machine.storage, lean=True)
    with study_lock(storage, task.study):
        study, is_new = open_study(storage, task.study, task.identity)
        keep_settings(study, settings)
        remember_keep(study, task.machine.keep)
        queue_first_trials(study, points)
        if isinstance(task.goal, Search) and task.goal.points is not None:
            # A search may have tried a point of the grid twice.
            alive = [t for t in study.get_trials(deepcopy=False) if t.state != TrialState.FAIL]
            twice = sum(map(task.goal.accepts, alive)) - len(task.goal.points)
            goal = replace(task.goal, target=task.goal.target + max(0, twice))
            task = replace(task, goal=goal)
    header = (
        f"searching for the best validation {task.identity.objective} over {task.goal.target} "
        "trials; the test part is not touched"
    )
    if len(names := task.identity.all_objectives) > 1:
        header = (
            f"searching for the front of {' and '.join(map(objective_label, names))} over "
            f"{task.goal.target} trials, none of which is pruned; the test part is not touched"
        )
    budget = find_budget(task.identity.budget)
    baseline = configure(space, dict(space.baseline), budget, task.identity.seed)
    _work(task, beats, [baseline], study, storage, (_begun(is_new=is_new), header), console)


def _begun(*, is_new: bool) -> str:
    return "new study" if is_new else "continuing study"


def _say_other_versions(
    storage: RDBStorage, study: optuna.Study, say: Callable[[str], None]
) -> None:
    """Say so in a line where trials of the study were trained under another PyTorch."""
    stored = distinct_values(storage, study, "versions")
    found = {str(those["torch"]) for those in stored if "torch" in those}
    if others := sorted(found - {versions()["torch"]}):
        say(
            f"this study has trials of PyTorch {', '.join(others)}; new ones are trained under "
            f"PyTorch {versions()['torch']}"
        )


def _work(
    task: Task,
    beats: Heartbeats | None,
    ahead: Sequence[TrainConfig],
    study: optuna.Study,
    storage: RDBStorage,
    told: tuple[str, str],
    console: Console,
) -> None:
    """Announce the study, and work on what is left of it.

    Args:
        task: what to work on.
        beats: of the task, None for a replay.
        ahead: what each run left will train; of a search the baseline, for all of them.
        study: of the task.
        storage: of the study.
        told: whether the study is new, and what is done in it.
        console: where to print.
    """

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    def say_stalled() -> bool:
        mine = [trial for trial in study.get_trials(deepcopy=False) if goal.accepts(trial)]
        if stalled := has_stalled(goal, study, mine, task.identity.all_objectives):
            say(
                f"stopped: the last {goal.stop_after} finished trials brought no gain beyond "
                "noise. To search on, use a larger --stop-after, or 0 for no such end"
            )
        return stalled

    goal, machine = task.goal, task.machine
    if goal.replay is None:
        _say_other_versions(storage, study, say)
    tally = _count(study, task)
    _announce(task, beats, told, say)
    left = goal.target - tally.finished
    if left <= 0:
        say(f"all {goal.target} are finished already")
        return
    if say_stalled():
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
    means = f"{counted(jobs, 'job')} of {counted(machine.threads, 'thread')}"
    say(f"{counted(left, 'run')} left, {means}{_tell_time(task, beats, ahead, jobs, tally)}")
    if jobs > 1:
        say(f"starting {jobs} workers")
    storage.remove_session()
    storage.engine.dispose()  # its connections are the workers' meanwhile
    with make_view(tally, task.identity.objective, console) as view, taking_interrupts():
        if jobs == 1:
            work(task, view, beats)
        else:
            work_in_processes(task, jobs, view)
    say_stalled()
    if tally.began is None and task.deadline is not None and time.monotonic() >= task.deadline:
        say(
            "The time of --timeout was up before a trial began. Run the same command again with "
            "more seconds."
        )


def _count(study: optuna.Study, task: Task) -> Tally:
    """Return how the study stands."""
    mine = [trial for trial in study.get_trials(deepcopy=False) if task.goal.accepts(trial)]
    best = best_value([trial for trial in mine if trial.state == TrialState.COMPLETE])
    finished = [trial for trial in mine if trial.state in FINISHED]
    return Tally(
        target=task.goal.target,
        finished=len(finished),
        best=None if math.isinf(best) else best,
        lengths=[t.user_attrs["last_epoch"] for t in finished if "last_epoch" in t.user_attrs],
    )


def _announce(
    task: Task, beats: Heartbeats | None, told: tuple[str, str], say: Callable[[str], None]
) -> None:
    """Say what the study is, on which data and means, and what is done in it."""
    begun, header = told
    identity, machine = task.identity, task.machine
    described = "recorded trials, no training" if beats is None else f"{len(beats):,} beats"
    say(f"{begun} '{task.study}' in {hide_password(machine.storage)}")
    say(
        f"data {identity.source} ({described}), split {identity.split}, "
        f"budget {find_budget(identity.budget).describe()}, device {machine.device} "
        f"({machine.precision}), seed {identity.seed}"
    )
    say(header)


def _tell_time(
    task: Task, beats: Heartbeats | None, ahead: Sequence[TrainConfig], jobs: int, tally: Tally
) -> str:
    """Say how long the runs ahead will take; nothing where they are short, or on a GPU."""
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
