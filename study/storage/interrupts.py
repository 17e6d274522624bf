"""Ctrl-C and SIGTERM stop a worker while it trains or waits, never while it uses the database.

Python can raise KeyboardInterrupt anywhere. Raised inside a commit, it would leave the transaction
open. An SQLite file would stay locked, even for the code that queues the trial again.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class _Interrupts:
    """Whether interrupts must wait, and whether one is waiting, in this process."""

    def __init__(self) -> None:
        self.held = False
        self.waiting = False

    def arrive(self, number: int, _: FrameType | None = None) -> None:
        """Handle a signal. A second Ctrl-C takes effect at once, at the user's risk."""
        impatient = self.waiting and number == signal.SIGINT
        self.waiting = True
        if not self.held or impatient:
            self.deliver()

    def deliver(self) -> None:
        """Raise KeyboardInterrupt if a signal is waiting."""
        if self.waiting:
            self.waiting = False
            raise KeyboardInterrupt


_interrupts = _Interrupts()


@contextmanager
def taking_interrupts() -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM, which schedulers send, into KeyboardInterrupt during this block.

    Call it in the main thread only. An ignored Ctrl-C, as in a background job, stays ignored.
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
    """Make interrupts wait until the end of this block, or until `interrupts_allowed`.

    Raises:
        KeyboardInterrupt: at the end of the block, if a signal arrived and no outer block holds it.
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
    """Let interrupts take effect at once in this part of a block that holds them.

    Raises:
        KeyboardInterrupt: a signal arrived before or in this block.
    """
    with interrupts_held(False):
        _interrupts.deliver()
        yield
