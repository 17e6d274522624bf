"""Printing while a study runs; it continues where the output fails: no reader, a full disk."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO, cast

from ecg.console import drop_output

if TYPE_CHECKING:
    from rich.console import Console

CAUTION = "yellow"  # styles of `print_line`
WARNING = "bold black on yellow"


def print_line(console: "Console", text: str, style: str | None = None) -> None:
    """Print text as it is, without markup; the terminal wraps it."""
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def lasting_output() -> Iterator[None]:
    """In this block, let standard output and standard error fall silent when they fail.

    A failure of the standard output is reported once, on standard error.
    """
    before = sys.stdout, sys.stderr
    sys.stderr = cast(TextIO, _Lasting(sys.stderr))
    sys.stdout = cast(TextIO, _Lasting(sys.stdout, report_to=sys.stderr))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


class _Lasting:
    """A stream that falls silent at its first failure.

    Args:
        stream: the stream to write to.
        report_to: where to report the failure; None for nowhere.
    """

    def __init__(self, stream: TextIO, report_to: TextIO | None = None) -> None:
        self.stream, self.report_to = stream, report_to

    def write(self, text: str) -> int:
        """Write text; return its length."""
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
        with suppress(OSError):
            drop_output(self.stream)
        if self.report_to is not None:
            self.report_to.write(
                f"warning: cannot write to standard output ({error.strerror}). The study continues "
                "without it.\n"
            )
