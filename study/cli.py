"""Commands: parse, call, print. Heavy modules are imported inside, so that --help is quick."""

import sys
from typing import Annotated

import typer

from ecg.console import run_command

app = typer.Typer(
    help="Hyperparameter studies of ECG heartbeat classifiers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

STORAGE_HELP = "Database URL, such as sqlite:///results/study.db or postgresql+psycopg://..."
Storage = Annotated[str, typer.Option(envvar="ECG_STORAGE", help=STORAGE_HELP)]
DEFAULT_STORAGE = "sqlite:///results/study.db"
Debug = Annotated[bool, typer.Option("--debug", help="Print tracebacks of errors.")]


def main() -> None:
    """Run `python -m study`."""
    run_command(lambda: app(standalone_mode=True), debug="--debug" in sys.argv)


@app.command()
def run(
    space: Annotated[
        str, typer.Option(help="What to search: a space's name, or the path of a .py file.")
    ] = "imbalance",
    trials: Annotated[
        int | None, typer.Option(help="Finished trials wanted in all [default: by budget].")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(help="Begin no trial after so many seconds.")
    ] = None,
    study: Annotated[
        str | None, typer.Option(help="Name [default: SPACE-SOURCE-SPLIT-BUDGET].")
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
    data: Annotated[
        str,
        typer.Option(
            help="Folder or ZIP of MIT-BIH records, folder of Kaggle CSVs, 'synthetic', or "
            "'auto': $ECG_DATA, else data/, else download, else synthetic."
        ),
    ] = "auto",
    split: Annotated[
        str, typer.Option(help="paper (beat by beat) or inter-patient (DS1/DS2).")
    ] = "paper",
    budget: Annotated[
        str | None,
        typer.Option(help="smoke, quick or paper [default: paper on a GPU, else quick]."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    seed: Annotated[int, typer.Option(help="Of the study: sampler and trainings.")] = 0,
    jobs: Annotated[int, typer.Option(help="Worker processes on this machine.")] = 1,
    sampler: Annotated[str, typer.Option(help="tpe, random or gp.")] = "tpe",
    pruner: Annotated[str, typer.Option(help="median, hyperband or none.")] = "median",
    prune_patience: Annotated[
        int,
        typer.Option(help="Ask the pruner after so many epochs without a better loss; 0: always."),
    ] = 1,
    debug: Debug = False,
) -> None:
    """Search a space; the same command again continues the study.

    Every trial is a training run on the training part, measured on the validation part. The
    test part is not touched. Ctrl-C ends cleanly: the running trial is run again next time.
    """
    from rich.console import Console

    from study.pruning import PruningPolicy
    from study.run import RunOptions, run_study

    console = Console()
    options = RunOptions(
        space=space,
        trials=trials,
        timeout=timeout,
        study=study,
        storage=storage,
        data=data,
        split=split,
        budget=budget,
        device=device,
        seed=seed,
        jobs=jobs,
        sampler=sampler,
        pruning=PruningPolicy(pruner=pruner, patience=prune_patience),
        debug=debug,
    )
    try:
        name = run_study(options, console)
    except KeyboardInterrupt:
        console.print(
            "interrupted: finished trials are kept, the running one will be run again; go on "
            f"with the same command: {' '.join(['python -m study', *sys.argv[1:]])}",
            markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip
        raise
    _print_study(storage, name, console_trials=5)
    suffix = "" if storage == DEFAULT_STORAGE else " --storage URL"
    console.print(
        "\nnext:\n"
        f"  python -m study show {name}{suffix}\n"
        f"  python -m study list{suffix}\n"
        f"  optuna-dashboard {DEFAULT_STORAGE if not suffix else 'URL'}",
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip


@app.command("list")
def list_command(storage: Storage = DEFAULT_STORAGE, debug: Debug = False) -> None:
    """List the studies of a storage."""
    from rich.console import Console

    from study.records import load_all_records
    from study.summary import list_studies

    studies = load_all_records(storage)
    Console().print(list_studies(studies) if studies else "no study yet: python -m study run")


@app.command()
def show(
    study: Annotated[str, typer.Argument(help="Name of the study, see `list`.")],
    trials: Annotated[int, typer.Option(help="So many of the best trials.")] = 10,
    storage: Storage = DEFAULT_STORAGE,
    debug: Debug = False,
) -> None:
    """Show what a study found: the best configuration beside the baseline."""
    _print_study(storage, study, console_trials=trials)


def _print_study(storage: str, name: str, *, console_trials: int) -> None:
    from rich.console import Console

    from study.records import load_records
    from study.summary import show_study

    Console().print(show_study(load_records(storage, name), trials=console_trials))
