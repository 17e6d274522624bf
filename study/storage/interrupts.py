"""Ctrl-C and SIGTERM stop a worker while it trains or waits, never while it uses the storage.

Python raises KeyboardInterrupt wherever the program happens to be. Inside a commit it leaves the
transaction open, and with SQLite locks the database, also for what queues the trial again.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class _Interrupts:
    """Whether an interrupt must wait, and whether one does: signals are of the whole process."""

    def __init__(self) -> None:
        self.held = False
        self.waiting = False

    def arrive(self, number: int, _: FrameType | None = None) -> None:
        """Take a signal; a second Ctrl-C does not wait, whatever it breaks."""
        impatient = self.waiting and number == signal.SIGINT
        self.waiting = True
        if not self.held or impatient:
            self.deliver()

    def deliver(self) -> None:
        """Raise KeyboardInterrupt, if a signal waits."""
        if self.waiting:
            self.waiting = False
            raise KeyboardInterrupt


_interrupts = _Interrupts()


@contextmanager
def taking_interrupts() -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM (a scheduler ends the job) into KeyboardInterrupt meanwhile.

    Only for the main thread. An ignored Ctrl-C, as in a background job, stays ignored.
    """
    taken = [signal.SIGTERM]
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        taken.append(signal.SIGINT)
    before = {number: signal.signal(number, _interrupts.arrive) for number in taken}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _interrupts.waiting = False


@contextmanager
def interrupts_held(held: bool = True) -> Iterator[None]:
    """Let interrupts wait until the end of this block, or until `interrupts_allowed`.

    Raises:
        KeyboardInterrupt: at the end, if one came meanwhile and no outer block holds it.
    """
    before, _interrupts.held = _interrupts.held, held
    try:
        yield
    finally:
        _interrupts.held = before
    if not before:
        _interrupts.deliver()


@contextmanager
def interrupts_allowed() -> Iterator[None]:
    """Let interrupts come at once in this part of a block that holds them.

    Raises:
        KeyboardInterrupt: one came, before or in this block.
    """
    with interrupts_held(False):
        _interrupts.deliver()
        yield
