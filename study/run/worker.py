"""One worker: it claims trials of a study and runs them until enough are finished."""

import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import optuna
import torch
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from ecg import sources
from ecg.budget import find_budget
from ecg.errors import EcgError
from ecg.heartbeats import Heartbeats
from ecg.splits import is_redrawn, make_split
from ecg.training import Part, TrainingData, find_device, make_part, training_data
from search_spaces import find_space
from study.run.queue import check_failures, claim, is_deleted, is_exhausted
from study.run.requeue import interrupt
from study.storage.database import hide_password, reason_of
from study.storage.heartbeats import Watch, heartbeat
from study.storage.ids import trial_id
from study.storage.interrupts import interrupts_allowed, interrupts_held
from study.storage.outage import STORAGE_ERRORS, is_outage, outlast
from study.storage.recordings import read_recording
from study.storage.studies import open_storage
from study.trials.messages import Emit, Notice, Progress
from study.trials.task import Search, Task
from study.trials.trial import Bench, run_trial
from study.wording import say_objective_values

T = TypeVar("T")

WAIT_SECONDS = 1.0  # between checks of the trials that others run


class DeviceError(EcgError):
    """The GPU failed; this process cannot use it for another trial."""


@dataclass(frozen=True)
class Ending:
    """How a trial ended, and what follows.

    Attributes:
        state: the state of its last `Progress`.
        stored: the state to store; None to leave the trial alone.
        is_requeued: whether another trial is queued in its place.
        message: why it ended.
        values: the objectives of a complete trial.
        stop: the error that this worker ends with; None to continue with the next trial.
    """

    state: str
    stored: TrialState | None
    message: str = ""
    values: Sequence[float] | None = None
    is_requeued: bool = False
    stop: BaseException | None = None


def decide(  # noqa: PLR0911 - a table has many rows
    outcome: Sequence[float] | BaseException | None, trial: int, study: optuna.Study
) -> Ending:
    """Decide how a trial ended; the only place with this policy.

    Args:
        outcome: the values that the trial returned, None if it was pruned, or the error it raised.
        trial: number of the trial.
        study: the study of the trial.
    """
    fail = TrialState.FAIL
    match outcome:
        case None:
            return Ending("pruned", TrialState.PRUNED)
        case _ if not isinstance(outcome, BaseException):
            return Ending("complete", TrialState.COMPLETE, values=outcome)
        case KeyboardInterrupt():
            return Ending("interrupted", fail, is_requeued=True, stop=outcome)
        case UpdateFinishedTrialError():
            # This worker was silent for so long (asleep, cut off) that the trial was requeued.
            return Ending("interrupted", None, "lost contact, requeued")
        case _ if is_outage(outcome):
            reason = f"the database failed ({reason_of(outcome)})"
            return Ending("interrupted", fail, reason, is_requeued=True)
        case _ if is_device_failure(outcome):
            stop = DeviceError(
                f"the GPU failed in trial {trial}: {str(outcome).splitlines()[0]}. The trial is "
                "requeued. Check that nvidia-smi shows the GPU, then run the same command again "
                "here, on another machine, or with --device cpu."
            )
            stop.__cause__ = outcome
            return Ending("interrupted", fail, "the GPU failed", is_requeued=True, stop=stop)
        case _ if is_deleted(study):
            return Ending("interrupted", None, "the study was deleted", stop=outcome)
        case EcgError():
            return Ending("failed", fail, str(outcome))
        case _:
            return Ending("failed", fail, f"{type(outcome).__name__}: {outcome}")


def work(task: Task, emit: Emit, beats: Heartbeats | None = None) -> None:
    """Run trials in this process until enough are finished.

    If the database fails meanwhile, the worker waits for it and requeues the running trial.

    Args:
        task: what to work on.
        emit: takes the news.
        beats: the heartbeats of the task, if this process has loaded them already.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM; the running trial is requeued first.
        TooManyFailuresError: several trials in a row failed.
        DeviceError: the GPU failed; the running trial is requeued first.
        StorageError: the database failed for too long.
        EcgError: the study was deleted.
    """
    storage = open_storage(
        task.machine.storage,
        create=False,
        lean=True,
        waits=is_outage,
        say=lambda text: emit(Notice(text)),
    )
    bench = _prepare(task, emit, beats)
    pruner = task.goal.pruning.build(find_budget(task.identity.budget).max_epochs)
    watch = Watch()

    def load() -> optuna.Study:
        study = optuna.load_study(storage=storage, study_name=task.study, pruner=pruner)
        study.get_trials(deepcopy=False)  # takes seconds in a large study: not under a lock
        return study

    def step() -> bool:
        """Run one trial, or wait a moment; return whether nothing is left to do."""
        trial = claim(task, study, storage, watch)
        if trial is not None:
            _run(trial, study, storage, bench)
            check_failures(study)
        elif is_exhausted(task, study):
            return True
        else:
            with interrupts_allowed():
                time.sleep(WAIT_SECONDS)
        return False

    with interrupts_held(), computing_on(task.machine.threads):
        study = _outlast(load, bench)
        with _reporting_deletion(study):
            while task.deadline is None or time.monotonic() < task.deadline:
                with interrupts_allowed():
                    pass  # between two trials
                if _outlast(step, bench):
                    return


@contextmanager
def computing_on(threads: int) -> Iterator[None]:
    """Let PyTorch use this many CPU threads in the block; the number affects rounding."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _reporting_deletion(study: optuna.Study) -> Iterator[None]:
    """Turn any failure after the study was deleted into an error that says so.

    Raises:
        EcgError: the study was deleted.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, EcgError) or not is_deleted(study):
            raise
        raise EcgError(
            f"the study '{study.study_name}' was deleted while it ran. Run the same command to "
            "start it again."
        ) from error


def _prepare(task: Task, emit: Emit, beats: Heartbeats | None) -> Bench:
    """Load what the trials of this process share."""
    goal, machine, identity = task.goal, task.machine, task.identity
    found = None if goal.space is None else find_space(goal.space)  # registers its networks
    space = found if isinstance(goal, Search) else None
    if goal.replay is not None:
        return Bench(task=task, emit=emit, space=space, recording=read_recording(goal.replay))
    if beats is None:
        beats = sources.load(machine.data)
    if beats.fingerprint != identity.data:
        raise EcgError(
            f"the data in {machine.data} changed while the study was being opened. Run the same "
            "command again."
        )
    device, budget = find_device(machine.device), find_budget(identity.budget)

    @lru_cache(maxsize=1)  # the runs of one repeat follow one another
    def drawn(draw: int) -> tuple[TrainingData, Part | None]:
        split = make_split(identity.split, beats, identity.record_lists, draw=draw)
        is_tested = space is None and len(split.test) > 0  # folds have no test part
        test = make_part(beats, split.test, device) if is_tested else None
        return training_data(beats, split, budget, device), test

    data, test = drawn(0)
    redraw = drawn if is_redrawn(identity.split) else None
    return Bench(task=task, emit=emit, space=space, data=data, test=test, redraw=redraw)


def _outlast(action: Callable[[], T], bench: Bench) -> T:
    shown = hide_password(bench.task.machine.storage)
    return outlast(action, shown, lambda text: bench.emit(Notice(text)))


def _run(trial: optuna.Trial, study: optuna.Study, storage: RDBStorage, bench: Bench) -> None:
    """Run a trial, store how it ended, and report it.

    Raises:
        KeyboardInterrupt: interrupted.
        DeviceError: the GPU failed.
    """
    outcome: Sequence[float] | BaseException | None
    with heartbeat(storage, trial_id(trial)):
        try:
            outcome = run_trial(trial, bench)
        except (Exception, KeyboardInterrupt) as error:
            outcome = error

        def end() -> Ending:
            ending = decide(outcome, trial.number, study)
            if ending.state == "failed" and bench.task.machine.debug:
                assert isinstance(outcome, BaseException)
                traceback.print_exception(outcome)
            _store(ending, trial, study)
            return ending

        try:
            # Storing is repeated after an outage, so that the training need not be.
            ending = _outlast(end, bench)
        except (UpdateFinishedTrialError, KeyboardInterrupt) as error:
            outcome = error
            ending = end()
    message = ending.message
    if message and ending.is_requeued:
        message += ", requeued"
    value, *others = ending.values or (None,)
    named = zip(bench.identity.all_objectives[1:], others, strict=False)
    message = message or say_objective_values(named)
    bench.emit(Progress(trial.number, ending.state, value=value, message=message))
    if ending.stop is not None:
        raise ending.stop


def _store(ending: Ending, trial: optuna.Trial, study: optuna.Study) -> None:
    """Store how a trial ended.

    Raises:
        UpdateFinishedTrialError: another worker requeued the trial meanwhile.
    """
    if ending.is_requeued:
        ignored = STORAGE_ERRORS if isinstance(ending.stop, KeyboardInterrupt) else ()
        # An interrupted worker does not wait: others will requeue the trial of a lost worker.
        with suppress(UpdateFinishedTrialError, *ignored):
            interrupt(study, trial, ending.message or "interrupted")
        return
    if ending.stored is None:
        return
    if ending.stored == TrialState.FAIL:
        trial.set_user_attr("failed", True)
        trial.set_user_attr("failure", ending.message)
    found = study.tell(trial, ending.values, ending.stored, skip_if_finished=True)
    if found.state != ending.stored:
        raise UpdateFinishedTrialError


def is_device_failure(error: BaseException) -> bool:
    """Whether the GPU failed rather than the trial; a trial that fills the memory failed itself."""
    return (
        isinstance(error, RuntimeError)
        and not isinstance(error, torch.OutOfMemoryError)
        and "CUDA" in str(error)
    )
