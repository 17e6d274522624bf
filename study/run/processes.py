"""Several workers on this machine, and how they end; other machines may add theirs."""

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

import optuna

from ecg.errors import EcgError
from study.run.output import lasting_output
from study.run.worker import work
from study.storage.interrupts import interrupts_allowed, interrupts_held, taking_interrupts
from study.trials.messages import Emit
from study.trials.task import Task


def work_in_processes(task: Task, jobs: int, emit: Emit) -> None:
    """Run `work` in several processes of this machine and pass on their news.

    Whatever ends this function also ends the workers, each after it has requeued its trial.

    Raises:
        KeyboardInterrupt: interrupted.
        EcgError: a worker could not be started, stopped with an error, or died.
    """
    crew = _Crew(emit)
    with interrupts_held():
        try:
            with _deferred_interrupt():
                for number in range(jobs):
                    crew.start(task, number, jobs)
            crew.attend()
        except KeyboardInterrupt:
            crew.dismiss()
            raise
        except BaseException:
            crew.emit = lambda _: None  # printing may be what failed
            crew.dismiss()
            raise
    crew.check()


class _Crew:
    """The workers of this process, each with a separate pipe for its news.

    A worker that is killed thus cannot hold a lock that the others need.
    """

    def __init__(self, emit: Emit) -> None:
        self.emit = emit
        self.workers: list[SpawnProcess] = []
        self.pipes: dict[Connection, SpawnProcess] = {}  # of those that have not ended
        self.errors: list[str] = []

    def start(self, task: Task, number: int, jobs: int) -> None:
        """Start a worker."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe(duplex=False)
        worker = context.Process(
            target=_work_for_parent, args=(task, theirs), name=f"worker-{number}"
        )
        try:
            worker.start()
        except OSError as error:
            raise EcgError(
                f"worker {number + 1} of {jobs} cannot be started ({error.strerror or error}). "
                "The others were stopped. Run the same command again with fewer --jobs."
            ) from error
        theirs.close()  # so that the pipe closes when the worker ends
        self.workers.append(worker)
        self.pipes[ours] = worker

    def attend(self) -> None:
        """Pass on the news of the workers until all have ended."""
        while self.pipes:
            with interrupts_allowed():
                ready = wait(list(self.pipes))
            for pipe in ready:
                assert isinstance(pipe, Connection)
                try:
                    item = pipe.recv()
                except (EOFError, OSError):
                    self.pipes.pop(pipe).join()  # only then do others see that it is dead
                    continue
                if isinstance(item, str):
                    self.errors.append(item)
                else:
                    self.emit(item)

    def dismiss(self) -> None:
        """Stop the workers and wait for them; a second Ctrl-C kills them."""
        # A scheduler may send SIGTERM twice; a person who presses Ctrl-C twice means it.
        before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
        try:
            for worker in self.pipes.values():
                worker.terminate()
            self.attend()
        except KeyboardInterrupt:
            for worker in self.pipes.values():
                worker.kill()
            raise
        finally:
            signal.signal(signal.SIGTERM, before)

    def check(self) -> None:
        """Raise an error if a worker did not end well."""
        if self.errors:
            raise EcgError(self.errors[0])
        if died := [worker for worker in self.workers if worker.exitcode]:
            raise EcgError(
                f"{len(died)} of {len(self.workers)} workers died (exit code "
                f"{died[0].exitcode}). Run the same command again: it repeats their trials."
            )


@contextmanager
def _deferred_interrupt() -> Iterator[None]:
    """Hold Ctrl-C back in this block; processes started meanwhile never see it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work_for_parent(task: Task, news: Connection) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent passes Ctrl-C on

    def send(item: object) -> None:
        with suppress(OSError):  # the parent is gone, see `_end_with_parent`
            news.send(item)

    with lasting_output(), taking_interrupts():
        _end_with_parent()
        try:
            work(task, send)
        except KeyboardInterrupt:
            pass
        except EcgError as error:
            send(str(error))
        except Exception as error:
            if task.machine.debug:
                traceback.print_exc()
            send(f"a worker stopped: {type(error).__name__}: {error}")


def _end_with_parent() -> None:
    """Interrupt this worker, as Ctrl-C does, when its parent is gone."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()
