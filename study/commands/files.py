"""Commands that write and read files: results, tables, models."""

from pathlib import Path
from typing import Annotated

import typer

from ecg.console import as_path
from study.commands.base import (
    KEEP_HELP,
    Debug,
    SpaceFile,
    Storage,
    WithTf,
    app,
)
from study.storage import DEFAULT_URL

Output = Annotated[
    Path,
    typer.Option(parser=as_path, help="Folder to write to; each study gets a folder in it."),
]


@app.command()
def record(
    study: Annotated[str, typer.Argument(help="Name of the study, see `list`.")],
    file: Annotated[Path, typer.Argument(parser=as_path, help="Where to write the recording.")],
    storage: Storage = DEFAULT_URL,
    debug: Debug = False,
) -> None:
    """Write the curves of a study's complete trials to a file, for `run --replay`."""
    from study.storage.recordings import write_recording
    from study.storage.studies import load_study, open_storage
    from study.wording import counted

    opened = open_storage(storage, create=False, write=False)
    number = write_recording(load_study(opened, study), file)
    print(f"recorded {counted(number, 'trial')} of '{study}' in {file}")


@app.command("export-results")
def export_results(
    studies: Annotated[
        list[str] | None, typer.Argument(help="Studies of published tables.", show_default="all")
    ] = None,
    output: Output = Path("results/tables"),
    storage: Storage = DEFAULT_URL,
    debug: Debug = False,
) -> None:
    """Write the runs of the published tables as CSV, one row per run, and their curves."""
    from study.tables.export import export_result_files, find_studies

    for path in export_result_files(find_studies(storage, studies or []), output):
        print(path)


@app.command("import-results")
def import_results(
    files: Annotated[
        list[Path],
        typer.Argument(parser=as_path, metavar="FILE...", help="Files from `export-results`."),
    ],
    study: Annotated[
        str | None,
        typer.Option(help="Name of the study.", show_default="as `run --space tables` names it"),
    ] = None,
    storage: Storage = DEFAULT_URL,
    debug: Debug = False,
) -> None:
    """Import runs from results files into a study; `run` then trains only what is missing.

    The study is created if it does not exist. Runs that it has are skipped.
    """
    from study.run.importing import import_files

    for line in import_files(files, storage, study):
        print(line)


@app.command("export-tables")
def export_tables(
    studies: Annotated[
        list[str] | None,
        typer.Argument(
            help="Studies of published tables, or confirmed searches.", show_default="all tables"
        ),
    ] = None,
    results: Annotated[
        list[Path] | None,
        typer.Option(
            parser=as_path,
            metavar="PATH",
            help="Results files to read instead of the database.",
            show_default="the database",
        ),
    ] = None,
    output: Output = Path("results/tables"),
    format_: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            help="markdown, csv, latex or html; repeat it for several.",
            show_default="markdown",
        ),
    ] = None,
    with_tf: WithTf = False,
    published: Annotated[bool, typer.Option(help="Print the published scores beside ours.")] = True,
    metric_digits: Annotated[int, typer.Option(help="Digits after the decimal point.")] = 4,
    spread: Annotated[bool, typer.Option(help="Print standard deviations.")] = True,
    storage: Storage = DEFAULT_URL,
    debug: Debug = False,
) -> None:
    """Write the five published tables from the runs trained so far, beside the published scores.

    For a confirmed search, or a study that confirms one, write what `confirm` found.
    """
    from study.tables.export import (
        collect_runs,
        export_confirmations,
        export_table_files,
        read_runs,
    )

    formats = format_ or ["markdown"]
    paths, others = export_confirmations(
        storage, () if results else studies or (), output, formats=formats, digits=metric_digits
    )
    if results or others or not studies:
        runs = read_runs(results) if results else collect_runs(storage, others)
        paths += export_table_files(
            runs,
            output,
            published=published,
            formats=formats,
            digits=metric_digits,
            spread=spread,
            with_tf=with_tf,
        )
    for path in paths:
        print(path)


@app.command("export-model")
def export_model_command(
    study: Annotated[str, typer.Argument(help="Name of the study, see `list`.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")],
    trial: Annotated[
        int | None,
        typer.Option(help="Number of the trial.", show_default="the best on validation"),
    ] = None,
    confirmed: Annotated[
        bool,
        typer.Option(
            "--confirmed",
            help="Export the winner of `confirm`: the best run of the configuration with the best "
            "mean, both by validation score.",
        ),
    ] = False,
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            help="safetensors, onnx (needs the extra 'onnx') or keras (needs 'tensorflow').",
        ),
    ] = "safetensors",
    space: SpaceFile = None,
    storage: Storage = DEFAULT_URL,
    debug: Debug = False,
) -> None:
    """Write the network of a trial to a file for `python -m ecg predict` and other programs."""
    from study.models.export import export_model

    print(
        export_model(
            storage, study, output, trial=trial, confirmed=confirmed, kind=format_, space=space
        )
    )


@app.command()
def clean(
    study: Annotated[str, typer.Argument(help="Name of the study, see `list`.")],
    keep: Annotated[
        str | None,
        typer.Option(help=KEEP_HELP, show_default="as the study was last run"),
    ] = None,
    storage: Storage = DEFAULT_URL,
    debug: Debug = False,
) -> None:
    """Delete the weights of the trials that the study does not keep."""
    from study.storage.weights import clean_study, say_cleaned

    print(say_cleaned(study, clean_study(storage, study, keep)))
