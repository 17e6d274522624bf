"""Commands that run studies: parse, call, print."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from study.commands.base import (
    Debug,
    SpaceFile,
    Storage,
    WithTf,
    app,
    make_console,
    print_study,
    program,
    retyped,
    words_of_storage,
)
from study.commands.machine import (
    CheckpointEvery,
    Data,
    Device,
    Jobs,
    Keep,
    Precision,
    Threads,
    machine_of,
    options_of,
)
from study.commands.search_options import (
    Budget,
    FromStudy,
    Objectives,
    PrunePatience,
    Pruner,
    PruneStartup,
    PruneWarmUp,
    RecordsFile,
    Repeats,
    Replay,
    Resplit,
    Sampler,
    Seed,
    Seeds,
    Space,
    Split,
    StopAfter,
    StudyName,
    Timeout,
    Top,
    Trials,
    WarmStart,
)
from study.run.output import print_line
from study.storage import DEFAULT_URL

if TYPE_CHECKING:
    from rich.console import Console


@contextmanager
def interruptible(console: "Console") -> Iterator[None]:
    """Say how to continue when Ctrl-C ends a study."""
    try:
        yield
    except KeyboardInterrupt:
        print_line(
            console,
            "Interrupted. Finished trials are kept, and unfinished ones are requeued. To continue, "
            f"run the same command again:\n  {retyped()}",
        )
        raise


def print_next(console: "Console", storage: str, name: str, *, is_table: bool) -> None:
    """Print what to type next."""
    import shlex

    from study.storage.reading import read_identity
    from study.wording import words_of_study

    at = words_of_storage(storage)
    of_study = words_of_study(name, at)
    commands = [["show", *of_study], ["dashboard", *at], ["report", *of_study]]
    identity = read_identity(storage, name)
    if is_table:
        commands.append(["export-tables", *of_study])
    elif "replay" not in identity["source"]:  # a replay trained nothing
        if identity["budget"] != "paper":
            earlier = [f"--from={name}"] if name.startswith("-") else ["--from", name]
            commands.append(["run", *earlier, "--budget", "paper", *at])
        commands.append(["confirm", *of_study])
    lines = (f"  {program()} {shlex.join(command)}" for command in commands)
    print_line(console, "\n".join(("\nnext:", *lines)))


@app.command()
def run(
    space: Space = None,
    trials: Trials = None,
    seeds: Seeds = None,
    timeout: Timeout = None,
    study: StudyName = None,
    storage: Storage = DEFAULT_URL,
    data: Data = "auto",
    split: Split = None,
    resplit: Resplit = False,
    records_file: RecordsFile = None,
    budget: Budget = None,
    device: Device = "auto",
    precision: Precision = "auto",
    seed: Seed = None,
    jobs: Jobs = "auto",
    threads: Threads = 1,
    sampler: Sampler = None,
    pruner: Pruner = None,
    prune_patience: PrunePatience = None,
    prune_warm_up: PruneWarmUp = None,
    prune_startup: PruneStartup = None,
    objectives: Objectives = None,
    repeats: Repeats = None,
    stop_after: StopAfter = None,
    from_study: FromStudy = None,
    warm_start: WarmStart = None,
    top: Top = None,
    checkpoint_every: CheckpointEvery = 30.0,
    keep: Keep = None,
    with_tf: WithTf = False,
    replay: Replay = None,
    debug: Debug = False,
) -> None:
    """Search a space, or train the published tables. Run the same command again to continue.

    Each trial of a search trains on the training part and is measured on the
    validation part. The test part is not read. Ctrl-C is safe: an interrupted
    trial runs again when the study continues.
    """
    typed = dict(locals())  # the options by name
    from ecg.record_lists import read_record_lists
    from study.run.command import run_study
    from study.run.options import RunOptions
    from study.run.output import lasting_output
    from study.run.setting import continue_settings

    asked = options_of(RunOptions, typed) | {
        "resplit": resplit or None,
        "with_tf": with_tf or None,
        "records": read_record_lists(records_file) if records_file else None,
    }
    machine, options = continue_settings(machine_of(typed), asked)
    console = make_console()
    with lasting_output():
        with interruptible(console):
            name = run_study(machine, options, console)
        print_study(storage, name, trials=5)
        print_next(console, storage, name, is_table=bool(options.tables))


@app.command()
def spaces() -> None:
    """List the spaces with their parameters, objectives and baselines."""
    from search_spaces import all_spaces
    from search_spaces.tables import TABLES
    from study.show.spaces import list_spaces

    console = make_console()
    console.print(list_spaces(list(all_spaces().values())))
    for table in TABLES.values():
        console.print(f"{table.name}: {table.title}", markup=False, highlight=False)
    console.print("tables: all five tables", highlight=False)


@app.command()
def enqueue(
    study: Annotated[str, typer.Argument(help="Name of the study, see `list`.")],
    parameters: Annotated[
        list[str] | None,
        typer.Argument(
            help="Values, such as model=coupled ratio=0.1.", show_default="those of the baseline"
        ),
    ] = None,
    space: SpaceFile = None,
    storage: Storage = DEFAULT_URL,
    debug: Debug = False,
) -> None:
    """Queue a configuration in a search, to be trained next."""
    import shlex

    from study.run.enqueue import enqueue as queue
    from study.storage.reading import read_settings
    from study.wording import say_parameters, words_to_continue

    point, trials = queue(storage, study, parameters or (), space)
    words = words_to_continue(study, *read_settings(storage, study), words_of_storage(storage))
    print_line(
        make_console(),
        f"queued in '{study}': {say_parameters(point)}\n"
        f"next: {program()} {shlex.join([*words, '--trials', str(trials)])}",
    )


@app.command()
def confirm(
    study: Annotated[str, typer.Argument(help="Name of the study, see `list`.")],
    top: Annotated[int, typer.Option(help="Number of best configurations to confirm.")] = 3,
    seeds: Annotated[int, typer.Option(help="Fresh seeds per configuration.")] = 10,
    budget: Annotated[
        str | None,
        typer.Option(
            help="smoke, quick, short or paper; checkpoints do not carry over.",
            show_default="that of the study",
        ),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(
            help="Compare them by cross-validation over the patients of the training records, "
            "without the test part: number of folds.",
            show_default="none: on the test part",
        ),
    ] = None,
    storage: Storage = DEFAULT_URL,
    data: Data = "auto",
    device: Device = "auto",
    precision: Precision = "auto",
    jobs: Jobs = "auto",
    threads: Threads = 1,
    checkpoint_every: CheckpointEvery = 30.0,
    keep: Keep = None,
    space: SpaceFile = None,
    debug: Debug = False,
) -> None:
    """Train the winners and the baseline with fresh seeds and measure them on the test part.

    Only here do results of a search meet the test part. Each run reads it once,
    and every reading is logged. With --folds the test part is not read.
    """
    typed = dict(locals())  # the options by name
    from study.run.confirm import confirm_study
    from study.run.output import lasting_output
    from study.show.confirmation import show_confirmation
    from study.wording import caution_of_budget

    console, machine = make_console(), machine_of(typed)
    with lasting_output(), interruptible(console):
        found = confirm_study(machine, study, top, seeds, console, budget, space, folds)
    console.print(show_confirmation(found))
    if caution := caution_of_budget(found.identity.get("budget", "paper")):
        print_line(console, caution)
