"""Rules of Ctrl-C and SIGTERM: they come between two uses of the database, never during one."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from optuna.trial import FrozenTrial, TrialState

from study.run import processes
from study.run import worker as workers
from study.storage.interrupts import interrupts_allowed, interrupts_held, taking_interrupts
from study.storage.studies import load_study, open_storage
from tests.soak import SOAK, record
from tests.support.setting import Typed, be_deaf

SIGNALS = (signal.SIGINT, signal.SIGTERM)
NAME = "tiny-synthetic-intra-patient-smoke"


def receive(number: signal.Signals) -> None:
    """Send a signal to this process; its handler has run when this returns."""
    os.kill(os.getpid(), number)


@pytest.fixture
def taking() -> Iterator[None]:
    """Interrupts are taken, whatever this test run does with them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with taking_interrupts():
        yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", SIGNALS)
def test_an_interrupt_comes_at_once_where_nothing_holds_it(
    taking: None, number: signal.Signals
) -> None:
    # Rule: outside a block that holds them, and where such a block allows them, both signals
    # raise where they arrive.
    with pytest.raises(KeyboardInterrupt):
        receive(number)
    with interrupts_held():
        with pytest.raises(KeyboardInterrupt), interrupts_allowed():
            receive(number)
            pytest.fail("it came too late")
        receive(signal.SIGTERM)  # held again
        with pytest.raises(KeyboardInterrupt), interrupts_allowed():
            pytest.fail("it came too late")


@pytest.mark.parametrize("number", SIGNALS)
def test_an_interrupt_waits_for_the_end_of_what_holds_it(
    taking: None, number: signal.Signals
) -> None:
    # Rule: a held interrupt comes at the end of the outermost block, once.
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt), interrupts_held():
        with interrupts_held():
            receive(number)
            done.append("inner")
        done.append("outer")
    assert done == ["inner", "outer"]
    with interrupts_held():
        pass


def test_only_a_second_ctrl_c_is_impatient(taking: None) -> None:
    # Rule: a person who presses Ctrl-C twice is not kept waiting; a scheduler that sends SIGTERM
    # to every process, while the parent passes it on as well, changes nothing.
    with pytest.raises(KeyboardInterrupt), interrupts_held():
        receive(signal.SIGTERM)
        receive(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            receive(signal.SIGINT)
        receive(signal.SIGINT)  # that was all; this one waits again


def test_an_error_is_not_hidden_by_an_interrupt(taking: None) -> None:
    # Rule: where an error ends the block, the error is what is seen.
    with pytest.raises(ValueError, match="mine"), interrupts_held():
        receive(signal.SIGTERM)
        raise ValueError("mine")


def test_handlers_are_given_back() -> None:
    # Rule: afterwards signals do what they did before; an ignored Ctrl-C was never taken.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        terminated = signal.getsignal(signal.SIGTERM)
        with taking_interrupts():
            assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) != terminated
        assert signal.getsignal(signal.SIGTERM) == terminated
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_interrupt_after_a_trial_begins_no_other(
    typed: Callable[..., Typed],
    toy_data: None,
    tiny: Path,
    sqlite_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Rule: an interrupt that comes while the end of a trial is stored ends the run before the
    # next trial starts.
    monkeypatch.setattr(workers, "check_failures", lambda _: receive(signal.SIGTERM))
    setting = ("--data", "synthetic", "--budget", "smoke", "--trials", 2, "--storage", sqlite_url)
    assert typed("run", "--space", tiny, *setting).code == 130
    trials = load_study(open_storage(sqlite_url), NAME).trials
    assert [trial.state for trial in trials] == [TrialState.COMPLETE]


@pytest.mark.parametrize("second", SIGNALS)
def test_only_a_second_ctrl_c_kills_workers_that_do_not_end(
    taking: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, second: signal.Signals
) -> None:
    # Rule: workers are waited for until they have ended and sent their last news, even if a
    # scheduler sends SIGTERM twice; a second Ctrl-C kills them.
    monkeypatch.setattr(processes, "_work_for_parent", be_deaf)
    news: list[str] = []

    def emit(item: Any) -> None:
        news.append(item.state)
        if item.state == "running":
            receive(second)
            threading.Timer(0.3, receive, [second]).start()

    with pytest.raises(KeyboardInterrupt):
        processes.work_in_processes(str(tmp_path), 1, emit)  # type: ignore[arg-type]
    waited = second == signal.SIGTERM
    assert (tmp_path / "ended").exists() == waited
    assert news == ["running", "interrupted"][: 1 + waited]


class Commits:
    """Counts the commits of a run that takes interrupts, and sends SIGTERM during one.

    Args:
        stop_at: number of that commit, None for none.
    """

    def __init__(self, stop_at: int | None) -> None:
        """Begin to listen."""
        self.stop_at, self.count = stop_at, 0
        sqlalchemy.event.listen(sqlalchemy.Engine, "commit", self)

    def __call__(self, _: Any) -> None:
        """Take note of one commit."""
        if getattr(signal.getsignal(signal.SIGTERM), "__name__", "") == "arrive":
            self.count += 1
            if self.count == self.stop_at:
                receive(signal.SIGTERM)

    def __enter__(self) -> "Commits":
        """Listen in this block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Listen no more."""
        sqlalchemy.event.remove(sqlalchemy.Engine, "commit", self)


@pytest.mark.soak
def test_an_interrupt_amid_any_commit_leaves_the_database_unlocked(
    typed: Callable[..., Typed], toy_data: None, tiny: Path, tmp_path: Path
) -> None:
    # Rule: whichever commit of a run SIGTERM falls into, the run ends at once, the trial is not
    # started, requeued, or finished if that commit was its last; the same command finishes.
    def run(folder: Path) -> Typed:
        url = f"sqlite:///{folder}/study.db"
        setting = ("--data", "synthetic", "--budget", "smoke", "--trials", 1, "--storage", url)
        return typed("run", "--space", tiny, *setting)

    def trials(folder: Path) -> list[FrozenTrial]:
        return load_study(open_storage(f"sqlite:///{folder}/study.db"), NAME).trials

    whole = tmp_path / "whole"
    whole.mkdir()
    with Commits(None) as commits:
        assert run(whole).code == 0
    assert commits.count > 10
    amid = range(1, commits.count + 1, 1 if SOAK else 7)
    for number in amid:
        folder = tmp_path / str(number)
        folder.mkdir()
        with Commits(number) as stopped:
            code = run(folder).code
        assert stopped.count >= number
        states = [trial.state for trial in trials(folder)]
        assert TrialState.RUNNING not in states, number
        if TrialState.COMPLETE not in states:
            assert code == 130
            assert states[-1:] == [TrialState.WAITING], number
            assert states[:-1] in ([], [TrialState.FAIL]), number
        assert run(folder).code == 0
        assert [t.value for t in trials(folder) if t.value is not None] == [trials(whole)[0].value]
    record("crash", "SIGTERM amid every commit of a run", len(amid), note="SQLite, one trial")
