"""Several workers on this machine, and how they end; others join from elsewhere."""

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty
from typing import Any

import optuna

from ecg.errors import EcgError
from study.interrupts import taking_interrupts
from study.news import Emit
from study.workers import Task, work


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
def _deferred_interrupt() -> Iterator[None]:
    """Let Ctrl-C wait; processes started meanwhile never see it, however early it comes."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work_for_parent(task: Task, news: Any) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent passes it on
    with taking_interrupts():
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
        if isinstance(item, str):
            errors.append(item)
        else:
            emit(item)
