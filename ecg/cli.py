"""`python -m ecg`: prepare, describe and audit data; classify beats with a model file."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ecg.console import Version, as_path, as_typed, run_command
from ecg.errors import UsageError, use_one_of
from ecg.files import output_to

app = typer.Typer(
    help="Prepare, describe, audit and classify heartbeats. For training and studies, use "
    "`python -m study`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
Data = Annotated[
    str,
    typer.Option(
        help="Folder or ZIP of WFDB records, Kaggle's CSVs, a table of beats, 'synthetic', or "
        "'auto': $ECG_DATA, else data/, else a download, else synthetic."
    ),
]
Lead = Annotated[
    str | None,
    typer.Option(
        help="Lead of the records to cut beats from.", show_default="MLII or II, else the first"
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Debug = Annotated[bool, typer.Option("--debug", help="Print tracebacks of errors.")]


def main() -> None:
    """Run `python -m ecg`."""
    run_command(lambda: app(standalone_mode=True), debug="--debug" in sys.argv)


@app.callback()
def options(version: Version = False) -> None:
    """Take the options that come before a command."""


@app.command()
def prepare(
    data: Data = "auto",
    output: Annotated[
        Path | None,
        typer.Option(
            parser=as_path,
            metavar="PATH",
            help="Also write the beats to one file (.npz), to pass as --data on another machine.",
            show_default="none",
        ),
    ] = None,
    lead: Lead = None,
    debug: Debug = False,
) -> None:
    """Rebuild the heartbeats, cache them, and print the counts per class."""
    import time

    from ecg import describe, sources
    from ecg.sources.cache import write_prepared

    if output is not None and output.suffix != ".npz":
        raise UsageError(f"--output {output} does not end in .npz. Choose a name that does.")

    resolved = sources.resolve(data)
    print(resolved.note)
    began = time.perf_counter()
    beats = sources.load(resolved.location, lead=lead)
    print(f"{len(beats):,} beats in {time.perf_counter() - began:.1f} s")
    print(f"{describe.origin(beats)}\n".lstrip())
    print(describe.per_class(beats))
    if output is not None:
        with output_to(output):
            write_prepared(output, beats)
        print(f"\nwrote {output} ({output.stat().st_size / 1e6:.0f} MB)")


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
    """Print the number of beats per class, record and split."""
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
            help="Folder with mitbih_train.csv and mitbih_test.csv.",
            show_default="none: audit the split rebuilt from the records",
        ),
    ] = None,
    records: Annotated[
        str,
        typer.Option(
            help="Folder or ZIP of MIT-BIH records, 'synthetic', or 'auto': $ECG_DATA, else data/, "
            "else a download."
        ),
    ] = "auto",
    output: Annotated[Path, typer.Option(parser=as_path, help="Folder to write to.")] = Path(
        "results/audit"
    ),
    debug: Debug = False,
) -> None:
    """Audit the data: records on both sides of the split, sampling rate, duplicates.

    The rows of the CSV files are looked up in the beats rebuilt from the records.

    Without CSV files, the rebuilt intra-patient split is audited. Writes a text and a plot.
    """
    from ecg import audit_report, describe, sources
    from ecg.audit import audit
    from ecg.errors import DataError

    resolved = sources.resolve(records)
    if resolved.fallback:
        raise DataError(f"there are no records to audit: {resolved.note}")
    print(resolved.note)
    audited = audit(resolved.location, data)
    text, paths = audit_report.write(audited, output, describe.notes(resolved.location))
    print(f"\n{text}\nwrote {', '.join(map(str, paths))}")


ModelFile = Annotated[
    Path,
    typer.Argument(metavar="MODEL", help="Model file, written by `python -m study export-model`."),
]


Networks = Annotated[
    Path | None,
    typer.Option(
        parser=as_path,
        metavar="FILE.py",
        help="Python file that defines the model's network, if it is your own. It is run, but "
        "only if it is unchanged since the training.",
        show_default="none",
    ),
]


@app.command()
def predict(
    model: ModelFile,
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="A WFDB record (folder/100), a folder of records, Kaggle's CSVs, or a table of "
            "beats (CSV or .npz).",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="CSV file to write.")],
    peaks: Annotated[
        str | None,
        typer.Option(
            metavar="EXT",
            help="Suffix of the annotation files to take the R peaks from.",
            show_default="atr; if there is no such file, wfdb's detector XQRS",
        ),
    ] = None,
    lead: Lead = None,
    annotations: Annotated[
        Path | None,
        typer.Option(
            help="Also write WFDB annotation files (RECORD.aami) to this folder.",
            show_default="none",
        ),
    ] = None,
    networks: Networks = None,
    device: Device = "auto",
    debug: Debug = False,
) -> None:
    """Classify beats; write record, sample, time, class and five probabilities per beat.

    If the true classes are known, the confusion matrix and the scores are printed.
    """
    import time

    from ecg.model_file import load_model
    from ecg.predict import caution_of, classify, count, find_beats, say_confusion
    from ecg.predict_files import write_annotations, write_csv

    network = load_model(model, device, networks=networks)
    found = find_beats(data, lead=lead, peaks=peaks)
    for note in found.notes:
        print(note)
    began = time.perf_counter()
    probabilities = classify(network, found.beats)
    print(f"{len(found.beats):,} beats classified in {time.perf_counter() - began:.1f} s")
    labels = probabilities.argmax(axis=1)
    write_csv(output, found.beats, probabilities)
    print(f"wrote {output}")
    if annotations is not None:
        files = write_annotations(annotations, found.beats, labels)
        print(f"wrote {len(files)} annotation files in {annotations}")
    if rows := found.is_labelled.nonzero()[0].tolist():
        print(f"\nthe true classes of {len(rows):,} beats are known:")
        print(say_confusion(count(found.beats.labels[rows], labels[rows])))
        if caution := caution_of(network, found.beats):
            print(f"\n{caution}")


@app.command()
def evaluate(
    model: ModelFile,
    data: Annotated[
        str,
        typer.Argument(help="The data of the model's study, or other labelled beats."),
    ] = "auto",
    lead: Lead = None,
    log: Annotated[
        Path, typer.Option(help="File that logs each reading of a study's test part.")
    ] = Path("results/test-reads.jsonl"),
    networks: Networks = None,
    device: Device = "auto",
    debug: Debug = False,
) -> None:
    """Measure a model on the test part of its study's data, or on all beats of other data.

    Comparing models by test scores and keeping the best is selection on the test part. Each
    reading is therefore logged, and `study show` counts them.
    """
    from ecg import sources
    from ecg.metrics import scores
    from ecg.model_file import load_model
    from ecg.predict import classify, count, fair_rows, say_confusion
    from ecg.test_part_log import log_reading

    network = load_model(model, device, networks=networks)
    resolved = sources.resolve(data)
    print(resolved.note)
    beats = sources.load(resolved.location, lead=lead)
    rows, is_test_part, note = fair_rows(network, beats)
    print(note)
    labels = classify(network, beats, rows).argmax(axis=1)
    confusion = count(beats.labels[rows], labels)
    if is_test_part and "study" in network.facts:
        log_reading(log, network.facts, scores(confusion))
        print(f"logged this reading in {log}")
    print(f"\n{say_confusion(confusion)}")


@app.command()
def fetch(
    what: Annotated[str, typer.Argument(help="mitdb (PhysioNet) or kaggle (the CSVs).")],
    target: Annotated[Path, typer.Option(parser=as_path, help="Folder to download into.")] = Path(
        "data"
    ),
    debug: Debug = False,
) -> None:
    """Download the data."""
    from ecg.sources.fetch import fetch_kaggle, fetch_mitdb

    fetchers = {"mitdb": fetch_mitdb, "kaggle": fetch_kaggle}
    if what not in fetchers:
        raise UsageError(f"cannot fetch '{what}'. {use_one_of(fetchers)}")
    fetchers[what](target / what)
    print(f"{what} is in {target / what}")
