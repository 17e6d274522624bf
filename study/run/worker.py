"""One worker: it claims trials of a study and runs them, until enough are finished."""

import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import optuna
import torch
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from ecg import sources
from ecg.budget import find_budget
from ecg.errors import EcgError
from ecg.heartbeats import Heartbeats
from ecg.splits import make_split
from ecg.training import find_device, make_part, training_data
from search_spaces import find_space
from study.run.queue import Watch, check_failures, claim, interrupt, is_deleted, is_exhausted
from study.storage.attributes import key_of
from study.storage.database import hide_password, reason_of
from study.storage.ids import trial_id
from study.storage.interrupts import interrupts_allowed, interrupts_held
from study.storage.outage import STORAGE_ERRORS, is_outage, outlast
from study.storage.recordings import read_recording
from study.storage.studies import HEARTBEAT_SECONDS, Identity, open_storage
from study.storage.weights import KEEP
from study.trials.messages import Emit, Notice, Progress
from study.trials.pruning import PruningPolicy
from study.trials.trial import Bench, run_trial

T = TypeVar("T")

WAIT_SECONDS = 1.0  # between two looks at trials that others run


class DeviceError(EcgError):
    """The GPU failed; no other trial can use it in this process."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a worker needs to know to join a study; plain values, so it can cross processes.

    Attributes:
        storage: URL.
        study: name.
        identity: of the study.
        space: name or file of the space; None for planned cells.
        cells: keys of the cells asked for, None for a search.
        data: where the heartbeats are, as for `ecg.sources.load`.
        test_reason: why the test part is read; cells only.
        device: as for `ecg.training.find_device`.
        precision: as for `ecg.training.find_precision`.
        target: finished trials asked for.
        deadline: `time.monotonic()` of this machine after which none is begun, None for no end.
        sampler: of new trials.
        pruning: when trials are pruned.
        threads: CPU threads of a worker.
        checkpoints: folder of the running trials' checkpoints.
        checkpoint_seconds: so long at least between two checkpoints of a trial.
        replay: recording whose curves stand in for training, None to train.
        keep: whose weights are kept, one of `study.storage.weights.KEEP`.
        debug: print the traceback of a failed trial.
    """

    storage: str
    study: str
    identity: Identity
    space: str | None
    cells: frozenset[tuple[str, int]] | None
    test_reason: str
    data: str
    device: str
    precision: str
    target: int
    deadline: float | None
    sampler: str
    pruning: PruningPolicy
    threads: int
    checkpoints: Path
    checkpoint_seconds: float
    replay: Path | None = None
    keep: str = KEEP[0]
    debug: bool = False

    @property
    def only_queued(self) -> bool:
        """Whether all trials are planned beforehand, none sampled."""
        return self.cells is not None or self.sampler == "grid"

    def accepts(self, trial: FrozenTrial) -> bool:
        """Whether the trial is one that this task asks for."""
        return self.cells is None or key_of(trial) in self.cells


def work(task: Task, emit: Emit, beats: Heartbeats | None = None) -> None:
    """Run trials until as many as asked for are finished, in this process.

    A storage that fails meanwhile is waited for, and the running trial queued again.

    Args:
        task: what to work on.
        emit: where news go.
        beats: of the task, where this process has loaded them already.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM; the running trial is queued again first.
        TooManyFailuresError: several trials in a row failed.
        DeviceError: the GPU failed; the running trial is queued again first.
        StorageError: the storage failed for long.
        EcgError: the study was deleted.
    """
    storage = open_storage(task.storage, create=False, lean=True)
    bench = _prepare(task, emit, beats)
    pruner = task.pruning.build(bench.budget.max_epochs)
    watch = Watch()

    def load() -> optuna.Study:
        study = optuna.load_study(storage=storage, study_name=task.study, pruner=pruner)
        study.get_trials(deepcopy=False)  # seconds, in a large study: not under a claim's lock
        return study

    def step() -> bool:
        """Run one trial, or wait a moment; return whether all is done."""
        trial = claim(
            study,
            storage,
            target=task.target,
            sampler=task.sampler,
            seed=task.identity.seed,
            accept=task.accepts,
            only_queued=task.only_queued,
            watch=watch,
        )
        if trial is not None:
            _run(trial, study, storage, bench, task)
            check_failures(study)
        elif is_exhausted(
            study, target=task.target, accept=task.accepts, only_queued=task.only_queued
        ):
            return True
        else:
            with interrupts_allowed():
                time.sleep(WAIT_SECONDS)
        return False

    with interrupts_held(), computing_on(task.threads):
        study = _outlast(load, task, emit)
        with _deletion_said(study):
            while task.deadline is None or time.monotonic() < task.deadline:
                with interrupts_allowed():
                    pass  # between two trials
                if _outlast(step, task, emit):
                    return


@contextmanager
def computing_on(threads: int) -> Iterator[None]:
    """Let PyTorch compute on so many CPU threads in this block: how many may round otherwise."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def heartbeat(storage: RDBStorage, trial_id: int) -> Iterator[None]:
    """Tell the storage regularly that the worker of a trial is alive."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(HEARTBEAT_SECONDS):
            try:
                storage.record_heartbeat(trial_id)
            except Exception as error:  # the next beat may get through
                optuna.logging.get_logger("study").debug("no heartbeat: %s", error)

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextmanager
def _deletion_said(study: optuna.Study) -> Iterator[None]:
    """Turn whatever fails for want of a deleted study into an error for people.

    Raises:
        EcgError: the study was deleted.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, EcgError) or not is_deleted(study):
            raise
        raise EcgError(
            f"the study '{study.study_name}' was deleted while it ran; the same command begins "
            "it anew"
        ) from error


def _prepare(task: Task, emit: Emit, beats: Heartbeats | None) -> Bench:
    space = find_space(task.space) if task.space is not None else None
    budget = find_budget(task.identity.budget)
    shared: dict[str, Any] = {
        "identity": task.identity,
        "space": space,
        "budget": budget,
        "precision": task.precision,
        "test_reason": task.test_reason,
        "pruning": task.pruning,
        "checkpoints": task.checkpoints,
        "checkpoint_seconds": task.checkpoint_seconds,
        "keep": task.keep,
        "emit": emit,
    }
    if task.replay is not None:
        return Bench(data=None, test=None, recording=read_recording(task.replay), **shared)
    if beats is None:
        beats = sources.load(task.data)
    if beats.fingerprint != task.identity.data:
        raise EcgError(f"the data in {task.data} changed while the study was being opened")
    split = make_split(task.identity.split, beats, task.identity.record_lists)
    device = find_device(task.device)
    return Bench(
        data=training_data(beats, split, budget, device),
        test=make_part(beats, split.test, device) if space is None else None,
        **shared,
    )


def _outlast(action: Callable[[], T], task: Task, emit: Emit) -> T:
    return outlast(action, hide_password(task.storage), lambda text: emit(Notice(text)))


def _run(
    trial: optuna.Trial, study: optuna.Study, storage: RDBStorage, bench: Bench, task: Task
) -> None:
    """Run a trial and store how it ended; one that ends by no fault of its own is queued again."""

    def again(reason: str) -> None:
        _outlast(lambda: interrupt(study, trial, reason), task, bench.emit)
        bench.emit(Progress(trial.number, "interrupted", message=f"{reason}, requeued"))

    try:
        with heartbeat(storage, trial_id(trial)):
            _attempt(trial, study, bench, task)
    except KeyboardInterrupt:
        with suppress(*STORAGE_ERRORS):  # then it is found as that of a lost worker
            interrupt(study, trial)
        bench.emit(Progress(trial.number, "interrupted"))
        raise
    except optuna.exceptions.UpdateFinishedTrialError:
        # This worker was silent for so long (asleep, cut off) that the trial was queued again.
        bench.emit(Progress(trial.number, "interrupted", message="lost contact, requeued"))
    except Exception as error:
        if is_outage(error):
            again(f"the database failed ({reason_of(error)})")
        elif is_device_failure(error):
            again("the GPU failed")
            raise DeviceError(
                f"the GPU failed in trial {trial.number}: {str(error).splitlines()[0]}; the trial "
                "is queued again. See whether nvidia-smi shows the GPU, then run the same command "
                "again, here or on another machine, or with --device cpu"
            ) from error
        else:
            raise


def _attempt(trial: optuna.Trial, study: optuna.Study, bench: Bench, task: Task) -> None:
    """Run a trial to its end: complete, pruned, or failed by an error of its own."""
    state, message = TrialState.COMPLETE, ""
    value: float | None = None
    try:
        value = run_trial(trial, bench)
        state = TrialState.PRUNED if value is None else TrialState.COMPLETE
    except optuna.exceptions.UpdateFinishedTrialError:
        raise
    except Exception as error:
        if is_outage(error) or is_device_failure(error) or is_deleted(study):
            raise
        if task.debug:
            traceback.print_exc()
        message = str(error) if isinstance(error, EcgError) else f"{type(error).__name__}: {error}"
        trial.set_user_attr("failed", True)
        trial.set_user_attr("failure", message)
        state = TrialState.FAIL

    def tell() -> TrialState:
        return study.tell(trial, value, state, skip_if_finished=True).state

    # Told again after an outage: the training is not done twice for want of its last word.
    if _outlast(tell, task, bench.emit) != state:
        raise optuna.exceptions.UpdateFinishedTrialError
    name = "failed" if state == TrialState.FAIL else state.name.lower()
    bench.emit(Progress(trial.number, name, value=value, message=message))


def is_device_failure(error: BaseException) -> bool:
    """Whether the GPU failed, rather than the trial: a full memory is the trial's own fault."""
    return (
        isinstance(error, RuntimeError)
        and not isinstance(error, torch.OutOfMemoryError)
        and "CUDA" in str(error)
    )
