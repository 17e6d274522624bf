"""`python -m ecg`: the data step alone."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ecg.console import Version, as_path, as_typed, run_command
from ecg.errors import EcgError, UsageError

app = typer.Typer(
    help="Prepare, describe and audit heartbeats; training and studies are in `python -m study`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
Data = Annotated[
    str,
    typer.Option(
        help="Folder or ZIP of WFDB records, Kaggle CSVs, a table of beats, 'synthetic', or "
        "'auto': $ECG_DATA, else data/, else download, else synthetic."
    ),
]
Debug = Annotated[bool, typer.Option("--debug", help="Print tracebacks of errors.")]


def main() -> None:
    """Run `python -m ecg`."""
    run_command(lambda: app(standalone_mode=True), debug="--debug" in sys.argv)


@app.callback()
def options(version: Version = False) -> None:
    """Take the options that stand before a command."""


@app.command()
def prepare(
    data: Data = "auto",
    output: Annotated[
        Path | None,
        typer.Option(
            parser=as_path,
            metavar="PATH",
            help="Also write them as one file (.npz), for --data elsewhere.",
            show_default="none",
        ),
    ] = None,
    lead: Annotated[
        str | None,
        typer.Option(
            help="Lead to cut the beats of records from.",
            show_default="MLII or II, else the first",
        ),
    ] = None,
    debug: Debug = False,
) -> None:
    """Rebuild the heartbeats and keep them in the cache; print the counts per class."""
    import time

    from ecg import describe, sources
    from ecg.sources.cache import write_prepared

    if output is not None and output.suffix != ".npz":
        raise UsageError(f"--output {output} must end in .npz")

    resolved = sources.resolve(data)
    print(resolved.note)
    began = time.perf_counter()
    beats = sources.load(resolved.location, lead=lead)
    print(f"{len(beats):,} beats in {time.perf_counter() - began:.1f} s")
    print(f"{describe.origin(beats)}\n".lstrip())
    print(describe.per_class(beats))
    if output is not None:
        try:
            write_prepared(output, beats)
        except OSError as error:
            raise EcgError(f"cannot write {output}: {error.strerror or error}") from None
        print(f"\nwritten: {output} ({output.stat().st_size / 1e6:.0f} MB)")


@app.command("describe")
def describe_command(
    data: Data = "auto",
    records_file: Annotated[
        Path | None,
        typer.Option(
            help="TOML file with the records of each part of an inter-patient split.",
            show_default="none",
        ),
    ] = None,
    debug: Debug = False,
) -> None:
    """Print the counts of beats per class, record and split."""
    from ecg import describe, sources
    from ecg.record_lists import read_record_lists

    lists = read_record_lists(records_file) if records_file else None
    resolved = sources.resolve(data)
    print(resolved.note)
    beats = sources.load(resolved.location)
    for note in describe.notes(resolved.location):
        print(note)
    print(f"{len(beats):,} beats, source {beats.source}, fingerprint {beats.fingerprint}")
    print(f"{describe.origin(beats)}\n".lstrip())
    for table in (
        describe.per_class(beats),
        describe.per_record(beats),
        describe.splits(beats, lists),
    ):
        print(as_typed(table) + "\n")


@app.command("audit")
def audit_command(
    data: Annotated[
        Path | None,
        typer.Option(
            parser=as_path,
            metavar="PATH",
            help="Folder of mitbih_train.csv and mitbih_test.csv, if you have them.",
            show_default="the split rebuilt from the records",
        ),
    ] = None,
    records: Annotated[
        str,
        typer.Option(
            help="Folder or ZIP of MIT-BIH records, 'synthetic', or 'auto': $ECG_DATA, else data/, "
            "else download."
        ),
    ] = "auto",
    output: Annotated[Path, typer.Option(parser=as_path, help="Folder to write to.")] = Path(
        "results/audit"
    ),
    debug: Debug = False,
) -> None:
    """Audit the data: records on both sides of the split, sampling rate, duplicates.

    Rows of CSV files are looked up in the beats rebuilt from the records.

    Without CSV files the rebuilt intra-patient split is audited. Writes a text and a figure.
    """
    from ecg import audit_report, describe, sources
    from ecg.audit import audit
    from ecg.errors import DataError

    resolved = sources.resolve(records)
    if resolved.fallback:
        raise DataError(f"there are no records to audit; {resolved.note}")
    print(resolved.note)
    audited = audit(resolved.location, data)
    text, paths = audit_report.write(audited, output, describe.notes(resolved.location))
    print(f"\n{text}\nwritten: {', '.join(map(str, paths))}")


@app.command()
def fetch(
    what: Annotated[str, typer.Argument(help="mitdb (PhysioNet) or kaggle (the CSVs).")],
    target: Annotated[Path, typer.Option(parser=as_path, help="Folder to put it in.")] = Path(
        "data"
    ),
    debug: Debug = False,
) -> None:
    """Download the data."""
    from ecg.errors import UsageError
    from ecg.sources.fetch import fetch_kaggle, fetch_mitdb

    fetchers = {"mitdb": fetch_mitdb, "kaggle": fetch_kaggle}
    if what not in fetchers:
        raise UsageError(f"cannot fetch '{what}'; known: {', '.join(fetchers)}")
    fetchers[what](target / what)
    print(f"{what} is in {target / what}")
