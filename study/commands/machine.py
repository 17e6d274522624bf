"""The options that say where a study runs and how: shared by the commands that train."""

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any

import typer

from study.commands.base import KEEP_HELP

if TYPE_CHECKING:
    from study.trials.task import Machine

Data = Annotated[
    str,
    typer.Option(
        help="Folder or ZIP of WFDB records, Kaggle CSVs, a table of beats, 'synthetic', or "
        "'auto': $ECG_DATA, else data/, else download, else synthetic."
    ),
]
Device = Annotated[
    str,
    typer.Option(
        help="auto, cpu, cuda or cuda:N.", show_default="auto: a GPU if there is one, else the CPU"
    ),
]
Precision = Annotated[
    str,
    typer.Option(
        help="fp32, tf32 (CUDA) or bf16.",
        show_default="auto: tf32 on CUDA, bf16 on a CPU where it is faster, else fp32",
    ),
]


def as_jobs(text: str) -> int | None:
    """Return a number of jobs, None for "auto".

    Raises:
        UsageError: the text is neither.
    """
    from ecg.errors import UsageError

    try:
        return None if text == "auto" else int(text)
    except ValueError:
        raise UsageError(f"--jobs must be a whole number or auto, not '{text}'") from None


def options_of(kind: type[Any], typed: Mapping[str, Any]) -> dict[str, Any]:
    """Return those options of a command that a dataclass has fields for, by name."""
    return {field.name: typed[field.name] for field in fields(kind) if field.name in typed}


def machine_of(typed: Mapping[str, Any]) -> "Machine":
    """Return the machine that the options of a command describe.

    Args:
        typed: the options by the names of their arguments.

    Raises:
        UsageError: an option makes no sense.
    """
    from study.trials.task import Machine

    return Machine(
        **options_of(Machine, typed)
        | {"jobs": as_jobs(typed["jobs"]), "checkpoint_seconds": typed["checkpoint_every"]}
    )


Jobs = Annotated[
    str,
    typer.Option(
        help="Worker processes on this machine; auto: one per core if memory allows, one on a GPU. "
        "tpe, gp and pruners depend on what has finished, so only 1 repeats such a search exactly."
    ),
]
Threads = Annotated[int, typer.Option(help="CPU threads per job.")]
Keep = Annotated[
    str | None, typer.Option(help=KEEP_HELP, show_default="as the study was last run, else best")
]
CheckpointEvery = Annotated[
    float, typer.Option(help="Seconds between checkpoints of a running trial.")
]
