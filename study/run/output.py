"""Output that fails while a study runs: its reader has gone, a disk is full. The study runs on."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast


@contextmanager
def lasting_output() -> Iterator[None]:
    """Let standard and error output fall silent in this block, rather than raise, when they fail.

    That the standard output did is said once, on the error output.
    """
    before = sys.stdout, sys.stderr
    sys.stderr = cast(TextIO, _Lasting(sys.stderr))
    sys.stdout = cast(TextIO, _Lasting(sys.stdout, tell=sys.stderr))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


class _Lasting:
    """A stream that is silent from its first failure on.

    Args:
        stream: that may fail.
        tell: where to say that it did; None for nowhere.
    """

    def __init__(self, stream: TextIO, tell: TextIO | None = None) -> None:
        self.stream, self.tell = stream, tell

    def write(self, text: str) -> int:
        """Write a text; return its length."""
        try:
            self.stream.write(text)
        except OSError as error:
            self._fall_silent(error)
        return len(text)

    def flush(self) -> None:
        """Write out what is buffered."""
        try:
            self.stream.flush()
        except OSError as error:
            self._fall_silent(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def _fall_silent(self, error: OSError) -> None:
        # What is buffered goes the same way, or it would fail again at the end of the program.
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())
        if self.tell is not None:
            self.tell.write(
                f"warning: the output cannot be written ({error.strerror}); "
                "the study runs on without it\n"
            )
