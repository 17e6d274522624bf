"""Workers: this process, or several on this machine; others join from elsewhere."""

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty
from types import FrameType
from typing import Any

import optuna
import torch
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from ecg import sources
from ecg.budget import find_budget
from ecg.errors import EcgError
from ecg.splits import make_split
from ecg.training import find_device, make_part, training_data
from search_spaces import find_space
from study.plan import key_of
from study.pruning import PruningPolicy
from study.queue import check_failures, claim, interrupt, is_exhausted
from study.replay import read_recording
from study.storage import HEARTBEAT_SECONDS, Identity, open_storage
from study.trial import Bench, Emit, Progress, run_trial

WAIT_SECONDS = 1.0  # between two looks at trials that others run


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
        target: finished trials asked for.
        deadline: `time.time()` after which no trial is begun, None for no end.
        sampler: of new trials.
        pruning: when trials are pruned.
        threads: CPU threads of a worker, None for PyTorch's choice.
        checkpoints: folder of the running trials' checkpoints.
        checkpoint_seconds: so long at least between two checkpoints of a trial.
        replay: recording whose curves stand in for training, None to train.
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
    target: int
    deadline: float | None
    sampler: str
    pruning: PruningPolicy
    threads: int | None
    checkpoints: Path
    checkpoint_seconds: float
    replay: Path | None = None
    debug: bool = False

    @property
    def only_queued(self) -> bool:
        """Whether all trials are planned beforehand, none sampled."""
        return self.cells is not None or self.sampler == "grid"

    def accepts(self, trial: FrozenTrial) -> bool:
        """Whether the trial is one that this task asks for."""
        return self.cells is None or key_of(trial) in self.cells


def work(task: Task, emit: Emit) -> None:
    """Run trials until as many as asked for are finished, in this process.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM; the running trial is queued again first.
        TooManyFailuresError: several trials in a row failed.
    """
    if task.threads is not None:
        torch.set_num_threads(task.threads)
    storage = open_storage(task.storage, create=False)
    bench = _prepare(task, emit)
    pruner = task.pruning.build(bench.budget.max_epochs)
    study = optuna.load_study(storage=storage, study_name=task.study, pruner=pruner)
    study.get_trials(deepcopy=False)  # seconds, in a large study: not under the lock of a claim
    while task.deadline is None or time.time() < task.deadline:
        trial = claim(
            study,
            storage,
            target=task.target,
            sampler=task.sampler,
            seed=task.identity.seed,
            accept=task.accepts,
            only_queued=task.only_queued,
        )
        if trial is not None:
            _run(trial, study, storage, bench, debug=task.debug)
            check_failures(study)
        elif is_exhausted(
            study, target=task.target, accept=task.accepts, only_queued=task.only_queued
        ):
            return
        else:
            time.sleep(WAIT_SECONDS)


def work_in_processes(task: Task, jobs: int, emit: Emit) -> None:
    """Run `work` in several processes of this machine and pass their news on.

    Raises:
        KeyboardInterrupt: after every worker has queued its trial again.
        EcgError: a worker stopped with an error.
    """
    context = multiprocessing.get_context("spawn")
    news: Any = context.Queue()
    workers = [
        context.Process(target=_work_for_parent, args=(task, news), name=f"worker-{number}")
        for number in range(jobs)
    ]
    errors: list[str] = []
    try:
        with _deferred_interrupt():
            for worker in workers:
                worker.start()
        # A list: asking every one buries those that died, and only a buried worker is known dead.
        while [worker for worker in workers if worker.is_alive()]:
            _pass_on(news, emit, errors)
    except KeyboardInterrupt:
        for worker in workers:
            if worker.pid is not None and worker.is_alive():
                worker.terminate()
        raise
    finally:
        for worker in workers:
            if worker.pid is not None:
                worker.join()
        _pass_on(news, emit, errors)
    if errors:
        raise EcgError(errors[0])
    if died := [w for w in workers if w.exitcode]:
        raise EcgError(
            f"{len(died)} of {jobs} workers died (exit code {died[0].exitcode}); their trials "
            "will be run again: type the same command once more"
        )


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Treat SIGTERM (a scheduler ends the job) like Ctrl-C while this lasts."""

    def interrupt_main(_: int, __: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt_main)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _deferred_interrupt() -> Iterator[None]:
    """Let Ctrl-C wait; processes started meanwhile never see it, however early it comes."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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


def _prepare(task: Task, emit: Emit) -> Bench:
    space = find_space(task.space) if task.space is not None else None
    budget = find_budget(task.identity.budget)
    shared: dict[str, Any] = {
        "identity": task.identity,
        "space": space,
        "budget": budget,
        "test_reason": task.test_reason,
        "pruning": task.pruning,
        "checkpoints": task.checkpoints,
        "checkpoint_seconds": task.checkpoint_seconds,
        "emit": emit,
    }
    if task.replay is not None:
        return Bench(data=None, test=None, recording=read_recording(task.replay), **shared)
    beats = sources.load(task.data)
    if beats.fingerprint != task.identity.data:
        raise EcgError(f"the data in {task.data} changed while the study was being opened")
    split = make_split(task.identity.split, beats)
    device = find_device(task.device)
    return Bench(
        data=training_data(beats, split, budget, device),
        test=make_part(beats, split.test, device) if space is None else None,
        **shared,
    )


def _run(
    trial: optuna.Trial, study: optuna.Study, storage: RDBStorage, bench: Bench, *, debug: bool
) -> None:
    try:
        with heartbeat(storage, trial._trial_id):
            value = run_trial(trial, bench)
    except KeyboardInterrupt:
        interrupt(study, trial)
        bench.emit(Progress(trial.number, "interrupted"))
        raise
    except optuna.exceptions.UpdateFinishedTrialError:
        # This worker was silent for so long (asleep, cut off) that the trial was queued again.
        bench.emit(Progress(trial.number, "interrupted", message="taken for lost, queued again"))
        return
    except Exception as error:
        if debug:
            traceback.print_exc()
        reason = str(error) if isinstance(error, EcgError) else f"{type(error).__name__}: {error}"
        trial.set_user_attr("failed", True)
        trial.set_user_attr("failure", reason)
        study.tell(trial, state=TrialState.FAIL)
        bench.emit(Progress(trial.number, "failed", message=reason))
        return
    if value is None:
        study.tell(trial, state=TrialState.PRUNED)
        bench.emit(Progress(trial.number, "pruned"))
    else:
        study.tell(trial, value)
        bench.emit(Progress(trial.number, "complete", value=value))


def _work_for_parent(task: Task, news: Any) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent passes it on
    with sigterm_as_interrupt():
        _end_with_parent(news)
        try:
            work(task, news.put)
        except KeyboardInterrupt:
            pass
        except EcgError as error:
            news.put(str(error))
        except Exception as error:
            if task.debug:
                traceback.print_exc()
            news.put(f"a worker stopped: {type(error).__name__}: {error}")


def _end_with_parent(news: Any) -> None:
    """Interrupt this worker when its parent is gone, as Ctrl-C would have."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            news.cancel_join_thread()  # nobody reads the news any more
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def _pass_on(news: Any, emit: Emit, errors: list[str]) -> None:
    while True:
        try:
            item = news.get(timeout=0.2)
        except Empty:
            return
        if isinstance(item, Progress):
            emit(item)
        else:
            errors.append(item)
