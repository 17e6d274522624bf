"""What all commands share: the program, common options, and helpers for printing."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ecg.console import Version
from ecg.lazy import DISTRIBUTION
from study.storage import DEFAULT_URL

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(
    help="Hyperparameter studies of ECG heartbeat classifiers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

STORAGE_HELP = f"Database URL, such as {DEFAULT_URL} or postgresql+psycopg://..."
Storage = Annotated[str, typer.Option(envvar="ECG_STORAGE", help=STORAGE_HELP)]
KEEP_HELP = "Keep the weights of these trials: best (ten and the baseline) or all."
Debug = Annotated[bool, typer.Option("--debug", help="Print tracebacks of errors.")]
WithTf = Annotated[
    bool,
    typer.Option(
        "--with-tf", help="Add a row to table 1: the Coupled CNN with Keras's conventions."
    ),
]
SpaceFile = Annotated[
    str | None,
    typer.Option(
        "--space",
        metavar="FILE",
        help="File that defines the study's space, if it has moved.",
        show_default="where it was",
    ),
]


@app.callback()
def options(version: Version = False) -> None:
    """Take the options that precede a command."""


def print_study(storage: str, name: str, *, trials: int) -> None:
    """Print what `show` says of a study."""
    from study.show.terminal import SHOWN, show_study
    from study.storage.artifacts import count_evaluations
    from study.storage.reading import read_study

    study = read_study(storage, name, SHOWN)
    evaluations = count_evaluations(storage, name)
    make_console().print(show_study(study, trials=trials, evaluations=evaluations))


def words_of_storage(storage: str) -> list[str]:
    """Return the option that names the database, with any password hidden; none by default."""
    from study.storage.database import hide_password

    return [] if storage == DEFAULT_URL else ["--storage", hide_password(storage)]


def retyped() -> str:
    """Return the command as it was typed, with any password in a URL hidden."""
    import shlex

    from study.storage.database import hide_password

    words = [hide_password(word) if "://" in word else word for word in sys.argv[1:]]
    return f"{program()} {shlex.join(words)}"


def make_console(width: int | None = None) -> "Console":
    """Return a console that shows names and other text from outside as they are."""
    from rich.console import Console

    return Console(width=width, markup=False, highlight=False, emoji=False)


def program() -> str:
    """Return the name under which this program was called."""
    script = Path(sys.argv[0]).stem
    return script if script == DISTRIBUTION else "python -m study"
