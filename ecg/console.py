"""The terminal: exit codes and error messages of both command lines, and progress bars."""

import errno
import io
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, TextIO, TypeVar

import typer

from ecg.errors import EcgError
from ecg.files import expanded
from ecg.lazy import DISTRIBUTION

T = TypeVar("T")
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)  # of an output that cannot be written
ARGUMENT = re.compile(r"`([a-z_]+)`")


def print_version(asked: bool) -> None:
    """Print the version and exit, if asked to."""
    if asked:
        import ecg

        print(f"{DISTRIBUTION} {ecg.__version__}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option("--version", callback=print_version, is_eager=True, help="Print the version."),
]


def as_path(text: Path | str) -> Path:
    """Return a typed path with a leading `~` expanded."""
    return expanded(text)


as_path.__name__ = "path"  # what --help calls the value of an option


def run_command(command: Callable[[], object], *, debug: bool = False) -> None:
    """Run a command line and exit with its code.

    The code is 0 on success, 2 for a usage error and 1 for a failure at run time, both with a
    message on standard error, and 130 for Ctrl-C. A traceback is printed only for debugging.
    """
    _open_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):  # do not fail on names it cannot encode
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        command()
        sys.stdout.flush()
    except EcgError as error:
        if debug:
            traceback.print_exc()
        print(f"error: {as_typed(str(error))}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader closed the pipe, as `head` does
        drop_output(sys.stdout)
        sys.exit(0)
    except Exception as error:
        if debug:
            traceback.print_exc()
        if isinstance(error, OSError) and error.errno in FULL and error.filename is None:
            drop_output(sys.stdout)
            print(
                f"error: Cannot write the output: {error.strerror}. Free some space, or write it "
                "to another disk.",
                file=sys.stderr,
            )
            sys.exit(1)
        print(
            f"error: unexpected {type(error).__name__}: {error}. Run again with --debug and "
            "report the traceback.",
            file=sys.stderr,
        )
        sys.exit(1)


def _open_streams() -> None:
    """Give closed standard streams (as after `>&-`) a file that takes everything.

    Otherwise the next file that is opened would take their place.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            number = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(number, True)  # for the workers
            setattr(sys, name, os.fdopen(number, "w"))


def drop_output(stream: TextIO) -> None:
    """Drop what is written to a stream from now on, and what it has buffered.

    That would fail again when the program ends.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def as_typed(message: str) -> str:
    """Return a message that names options instead of arguments: `device` becomes --device."""
    return ARGUMENT.sub(lambda name: f"--{name[1].replace('_', '-')}", message)


def tracked(items: Sequence[T], title: str) -> Iterator[T]:
    """Yield items one by one, with a progress bar on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as progress:
        yield from progress.track(items, description=title)
