"""Commands: parse, call, print. Heavy modules are imported inside, so that --help is quick."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ecg.console import Version, as_path, run_command
from ecg.lazy import DISTRIBUTION

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

STORAGE_HELP = "Database URL, such as sqlite:///results/study.db or postgresql+psycopg://..."
Storage = Annotated[str, typer.Option(envvar="ECG_STORAGE", help=STORAGE_HELP)]
WIDEST = 1000  # characters of a line of `list`
DEFAULT_STORAGE = "sqlite:///results/study.db"
Debug = Annotated[bool, typer.Option("--debug", help="Print tracebacks of errors.")]


def main() -> None:
    """Run `python -m study`, or `ecg-study`."""
    run_command(_run_app, debug="--debug" in sys.argv)


@app.callback()
def options(version: Version = False) -> None:
    """Take the options that stand before a command."""


def _run_app() -> None:
    """Run the command; a storage that fails in the midst of it is told like any other error.

    Raises:
        StorageError: it failed.
    """
    try:
        app(standalone_mode=True)
    except Exception as error:
        from study.storage.database import StorageError, reason_of
        from study.storage.outage import STORAGE_ERRORS

        if not isinstance(error, STORAGE_ERRORS):
            raise
        raise StorageError(
            f"The database failed ({reason_of(error)}). Nothing stored is lost. Fix the problem, "
            "then run the same command again."
        ) from error


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
    typer.Option(help="fp32, tf32 (CUDA) or bf16.", show_default="auto: tf32 on CUDA, else fp32"),
]


def _as_jobs(text: str) -> int | None:
    """Return a number of jobs, None for "auto".

    Raises:
        UsageError: it is neither.
    """
    from ecg.errors import UsageError

    try:
        return None if text == "auto" else int(text)
    except ValueError:
        raise UsageError(f"--jobs must be a whole number or auto, not '{text}'") from None


Jobs = Annotated[
    str,
    typer.Option(
        help="Worker processes on this machine; auto: one a core, within memory; one on a GPU. "
        "tpe, gp and pruners look at what has finished: such a search repeats exactly with 1 only."
    ),
]
Threads = Annotated[int, typer.Option(help="CPU threads of each job.")]
WithTf = Annotated[
    bool,
    typer.Option(
        "--with-tf", help="In table 1, a row of the Coupled CNN with Keras's conventions too."
    ),
]
Keep = Annotated[
    str,
    typer.Option(help="Trials whose weights are kept: best (ten and the baseline) or all."),
]
SpaceFile = Annotated[
    str | None,
    typer.Option(
        "--space",
        metavar="FILE",
        help="File of the study's space, if it is another than then.",
        show_default="where it was",
    ),
]
CheckpointEvery = Annotated[
    float, typer.Option(help="Seconds between two checkpoints of a running trial.")
]


@app.command()
def run(
    space: Annotated[
        str | None,
        typer.Option(
            help="What to search (see `spaces`), the path of a .py file, one of the published "
            "tables table1 ... table5, or tables for all five.",
            show_default="imbalance",
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(help="Stop after this many finished trials.", show_default="by budget"),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(help="Seeds of every configuration of a table.", show_default="1"),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(help="Start no new trial after this many seconds.", show_default="no limit"),
    ] = None,
    study: Annotated[
        str | None,
        typer.Option(
            help="Name of the study. One that exists keeps its settings where none are typed.",
            show_default="SPACE-SOURCE-SPLIT-BUDGET",
        ),
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
    data: Data = "auto",
    split: Annotated[
        str | None,
        typer.Option(
            help="intra-patient (beat by beat) or inter-patient (DS1/DS2).",
            show_default="intra-patient",
        ),
    ] = None,
    resplit: Annotated[
        bool,
        typer.Option("--resplit", help="Draw another intra-patient split for every seed (tables)."),
    ] = False,
    records_file: Annotated[
        Path | None,
        typer.Option(
            help="TOML file with the records of each part of an inter-patient split.",
            show_default="none",
        ),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="smoke, quick, short or paper.", show_default="paper on a GPU, else quick"
        ),
    ] = None,
    device: Device = "auto",
    precision: Precision = "auto",
    seed: Annotated[
        int | None, typer.Option(help="Of the study: sampler and trainings.", show_default="0")
    ] = None,
    jobs: Jobs = "auto",
    threads: Threads = 1,
    sampler: Annotated[
        str | None, typer.Option(help="tpe, random, gp or grid.", show_default="tpe")
    ] = None,
    pruner: Annotated[
        str | None, typer.Option(help="median, hyperband or none.", show_default="median")
    ] = None,
    prune_patience: Annotated[
        int | None,
        typer.Option(
            help="Ask the pruner after so many epochs without a better loss; 0: always.",
            show_default="1 at short and paper, else 0",
        ),
    ] = None,
    prune_warm_up: Annotated[
        int | None,
        typer.Option(
            help="Epochs of a trial before the pruner is asked.",
            show_default="10 % of the budget's, at least 2",
        ),
    ] = None,
    prune_startup: Annotated[
        int | None,
        typer.Option(help="Finished trials before the median pruner judges.", show_default="4"),
    ] = None,
    repeats: Annotated[
        int | None,
        typer.Option(
            help="Train each configuration of a search with so many seeds, and compare means.",
            show_default="1",
        ),
    ] = None,
    stop_after: Annotated[
        int | None,
        typer.Option(
            help="End when so many finished trials in a row brought no gain beyond noise.",
            show_default="0: do not",
        ),
    ] = None,
    from_study: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Train the best of this study and its baseline at a larger --budget.",
            show_default="none",
        ),
    ] = None,
    warm_start: Annotated[
        str | None,
        typer.Option(
            help="Try the best of this study of the same space first.", show_default="none"
        ),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(help="So many of the best, for --from and --warm-start.", show_default="8"),
    ] = None,
    checkpoint_every: CheckpointEvery = 30.0,
    keep: Keep = "best",
    with_tf: WithTf = False,
    replay: Annotated[
        Path | None,
        typer.Option(
            parser=as_path,
            metavar="PATH",
            help="Recorded curves that stand in for training.",
            show_default="none, it trains",
        ),
    ] = None,
    debug: Debug = False,
) -> None:
    """Search a space, or train the published tables; the same command again continues.

    Every trial of a search is a training run on the training part, measured on the validation
    part; the test part is not touched. Ctrl-C ends cleanly: the running trial is run again.
    """
    from ecg.record_lists import read_record_lists
    from study.run.command import run_study
    from study.run.output import lasting_output
    from study.run.setting import continue_settings
    from study.trials.task import Machine

    machine = Machine(
        storage=storage,
        data=data,
        device=device,
        precision=precision,
        jobs=_as_jobs(jobs),
        threads=threads,
        checkpoint_seconds=checkpoint_every,
        keep=keep,
        debug=debug,
    )
    typed = {
        "space": space,
        "trials": trials,
        "seeds": seeds,
        "timeout": timeout,
        "study": study,
        "split": split,
        "resplit": resplit or None,
        "budget": budget,
        "seed": seed,
        "sampler": sampler,
        "pruner": pruner,
        "prune_patience": prune_patience,
        "prune_warm_up": prune_warm_up,
        "prune_startup": prune_startup,
        "repeats": repeats,
        "stop_after": stop_after,
        "from_study": from_study,
        "warm_start": warm_start,
        "top": top,
        "replay": replay,
        "with_tf": with_tf or None,
        "records": read_record_lists(records_file) if records_file else None,
    }
    machine, options = continue_settings(machine, typed)
    console = _console()
    with lasting_output():
        with _interruptible(console):
            name = run_study(machine, options, console)
        _print_study(storage, name, trials=5)
        _print_next(console, storage, name, is_table=bool(options.tables))


@app.command()
def spaces() -> None:
    """List the spaces: parameters, objective and baseline."""
    from search_spaces import all_spaces
    from search_spaces.tables import TABLES
    from study.show.spaces import list_spaces

    console = _console()
    console.print(list_spaces(list(all_spaces().values())))
    for table in TABLES.values():
        console.print(f"{table.name}: {table.title}", markup=False, highlight=False)
    console.print("tables: all five tables", highlight=False)


@app.command()
def retry(
    study: Annotated[str, typer.Argument(help="Name of the study, see `list`.")],
    storage: Storage = DEFAULT_STORAGE,
    debug: Debug = False,
) -> None:
    """Queue the failed trials of a study again; then type its `run` command."""
    from study.run.queue import queue_failed
    from study.storage.studies import load_study, open_storage, study_lock

    opened = open_storage(storage, create=False)
    found = load_study(opened, study)
    with study_lock(opened, study):
        queued = queue_failed(found)
    print(f"{queued} failed trials of '{study}' are queued again" if queued else "none failed")


@app.command()
def record(
    study: Annotated[str, typer.Argument(help="Name of the study, see `list`.")],
    file: Annotated[Path, typer.Argument(parser=as_path, help="Where to write the recording.")],
    storage: Storage = DEFAULT_STORAGE,
    debug: Debug = False,
) -> None:
    """Write the curves of a study's complete trials, for `run --replay`."""
    from study.storage.recordings import write_recording
    from study.storage.studies import load_study, open_storage

    opened = open_storage(storage, create=False, write=False)
    number = write_recording(load_study(opened, study), file)
    print(f"{number} trials of '{study}' are recorded in {file}")


@app.command()
def enqueue(
    study: Annotated[str, typer.Argument(help="Name of the study, see `list`.")],
    parameters: Annotated[
        list[str] | None,
        typer.Argument(
            help="Values, such as model=coupled ratio=0.1.", show_default="the baseline's"
        ),
    ] = None,
    space: SpaceFile = None,
    storage: Storage = DEFAULT_STORAGE,
    debug: Debug = False,
) -> None:
    """Queue a configuration of your own in a search, to be trained next."""
    from study.run.enqueue import enqueue as queue

    print(queue(storage, study, parameters or (), space))


@app.command()
def confirm(
    study: Annotated[str, typer.Argument(help="Name of the study, see `list`.")],
    top: Annotated[int, typer.Option(help="So many of the best configurations.")] = 3,
    seeds: Annotated[int, typer.Option(help="Fresh seeds of each.")] = 10,
    budget: Annotated[
        str | None,
        typer.Option(
            help="smoke, quick, short or paper; checkpoints do not carry over.",
            show_default="that of the study",
        ),
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
    data: Data = "auto",
    device: Device = "auto",
    precision: Precision = "auto",
    jobs: Jobs = "auto",
    threads: Threads = 1,
    checkpoint_every: CheckpointEvery = 30.0,
    keep: Keep = "best",
    space: SpaceFile = None,
    debug: Debug = False,
) -> None:
    """Train the winners and the baseline on fresh seeds and measure them on the test part.

    This is the one place where a search meets the test part: each run reads it once, and
    every reading is put on record.
    """
    from study.run.confirm import confirm_study
    from study.run.output import lasting_output
    from study.show.confirmation import show_confirmation
    from study.trials.task import Machine
    from study.wording import caution_of_budget

    console = _console()
    machine = Machine(
        storage=storage,
        data=data,
        device=device,
        precision=precision,
        jobs=_as_jobs(jobs),
        threads=threads,
        checkpoint_seconds=checkpoint_every,
        keep=keep,
        debug=debug,
    )
    with lasting_output(), _interruptible(console):
        found = confirm_study(machine, study, top, seeds, console, budget, space)
    console.print(show_confirmation(found))
    if caution := caution_of_budget(found.identity.get("budget", "paper")):
        _say(console, caution)


Output = Annotated[
    Path,
    typer.Option(parser=as_path, help="Folder; one folder a study is made in it."),
]


@app.command("export-results")
def export_results(
    studies: Annotated[
        list[str] | None, typer.Argument(help="Studies of the tables.", show_default="all")
    ] = None,
    output: Output = Path("results/tables"),
    storage: Storage = DEFAULT_STORAGE,
    debug: Debug = False,
) -> None:
    """Write the results of the published tables as CSV, one row per run, with their curves."""
    from study.tables.export import export_result_files, find_studies

    for path in export_result_files(find_studies(storage, studies or []), output):
        print(path)


@app.command("import-results")
def import_results(
    files: Annotated[
        list[Path],
        typer.Argument(parser=as_path, metavar="FILE...", help="What `export-results` wrote."),
    ],
    study: Annotated[
        str | None,
        typer.Option(help="Name of the study.", show_default="as `run --space tables` names it"),
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
    debug: Debug = False,
) -> None:
    """Take the runs of results files into a study, so that `run` trains only what is missing.

    The study is created where there is none. Runs that are complete in it are not taken again.
    """
    from study.run.importing import import_files

    for line in import_files(files, storage, study):
        print(line)


@app.command("export-tables")
def export_tables(
    studies: Annotated[
        list[str] | None,
        typer.Argument(help="Studies of the tables, or confirmed ones.", show_default="all tables"),
    ] = None,
    results: Annotated[
        list[Path] | None,
        typer.Option(
            parser=as_path,
            metavar="PATH",
            help="Results files to render from, without a database.",
            show_default="the database",
        ),
    ] = None,
    output: Output = Path("results/tables"),
    format_: Annotated[
        list[str] | None,
        typer.Option("--format", help="markdown, csv, latex or html.", show_default="markdown"),
    ] = None,
    with_tf: WithTf = False,
    published: Annotated[bool, typer.Option(help="Set the published figures beside.")] = True,
    metric_digits: Annotated[int, typer.Option(help="Digits behind the point.")] = 4,
    spread: Annotated[bool, typer.Option(help="Print standard deviations.")] = True,
    storage: Storage = DEFAULT_STORAGE,
    debug: Debug = False,
) -> None:
    """Write the five published tables, ours beside theirs, from the cells trained so far.

    Of a study that was confirmed, or that confirms one, write what `confirm` found.
    """
    from study.tables.export import (
        collect_cells,
        export_confirmations,
        export_table_files,
        read_cells,
    )

    formats = format_ or ["markdown"]
    paths, others = export_confirmations(
        storage, () if results else studies or (), output, formats=formats, digits=metric_digits
    )
    if results or others or not studies:
        cells = read_cells(results) if results else collect_cells(storage, others)
        paths += export_table_files(
            cells,
            output,
            published=published,
            formats=formats,
            digits=metric_digits,
            spread=spread,
            with_tf=with_tf,
        )
    for path in paths:
        print(path)


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@app.command("list")
def list_command(
    storage: Storage = DEFAULT_STORAGE, as_json: AsJson = False, debug: Debug = False
) -> None:
    """List the studies of a storage."""
    from study.show import terminal
    from study.storage.reading import read_studies

    studies = read_studies(storage, terminal.LISTED)
    if as_json:
        print(terminal.as_json([terminal.study_facts(study) for study in studies]))
        return
    # Names stay whole, to be copied: a terminal wraps long lines, and a pipe has no width.
    console = _console(width=WIDEST)
    console.print(
        terminal.list_studies(studies) if studies else "no study yet: python -m study run"
    )
    for damage in (study.damage for study in studies if study.damage):
        print(f"warning: {damage}", file=sys.stderr)


@app.command()
def show(
    study: Annotated[str, typer.Argument(help="Name of the study, see `list`.")],
    trials: Annotated[int, typer.Option(help="So many of the best trials.")] = 10,
    storage: Storage = DEFAULT_STORAGE,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Show what a study found: the best configuration beside the baseline."""
    if not as_json:
        _print_study(storage, study, trials=trials)
        _print_to_continue(storage, study)
        return
    from study.show import terminal
    from study.storage.reading import read_study

    found = read_study(storage, study, terminal.SHOWN)
    print(terminal.as_json(terminal.shown_facts(found, trials=trials)))


@app.command()
def delete(
    study: Annotated[str, typer.Argument(help="Name of the study, see `list`.")],
    storage: Storage = DEFAULT_STORAGE,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    debug: Debug = False,
) -> None:
    """Delete a study, its trials and their files; asks first."""
    from ecg.errors import UsageError
    from study.storage.deleting import delete_study
    from study.storage.reading import read_study
    from study.storage.studies import open_storage
    from study.wording import counted

    found = read_study(storage, study, ())
    trials = counted(len(found.rows), "trial")
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError(
                f"'{study}' has {trials}. Nothing was deleted. Give --yes to delete it."
            )
        typer.confirm(f"Delete '{study}' with {trials}? This cannot be undone.", abort=True)
    files = delete_study(open_storage(storage, create=False), found)
    print(f"deleted '{study}': {trials}, {counted(files, 'file')}")


@app.command()
def dashboard(
    storage: Storage = DEFAULT_STORAGE,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(help="Port to listen on.", show_default="8080, or a free one if it is taken"),
    ] = None,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page.")] = False,
    debug: Debug = False,
) -> None:
    """Open optuna-dashboard on the studies, with their notes, files and figures."""
    from study.show.dashboard import serve_dashboard

    def say(line: str) -> None:
        print(line, file=sys.stderr if line.startswith("warning") else sys.stdout, flush=True)

    serve_dashboard(storage, host=host, port=port, open_browser=open_browser, say=say)


@app.command()
def report(
    studies: Annotated[
        list[str] | None, typer.Argument(help="Names, see `list`.", show_default="all")
    ] = None,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", parser=as_path, help="HTML file to write."),
    ] = Path("results/report.html"),
    storage: Storage = DEFAULT_STORAGE,
    debug: Debug = False,
) -> None:
    """Write one HTML file with the story, the figures and the trials of studies."""
    from study.show.report import write_report
    from study.storage.trials_table import load_all_records, load_records

    records = [load_records(storage, name) for name in dict.fromkeys(studies or ())]
    write_report(records or load_all_records(storage), output)
    print(f"the report is in {output}")


@app.command()
def plots(
    study: Annotated[str, typer.Argument(help="Name of the study, see `list`.")],
    fmt: Annotated[str, typer.Option("--format", help="svg or png.")] = "svg",
    folder: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            parser=as_path,
            metavar="PATH",
            help="Folder.",
            show_default="results/plots/STUDY",
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Name of a figure; more than once for several.", show_default="all"),
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
    debug: Debug = False,
) -> None:
    """Write the figures of a study as files (needs the extra 'plots' and Chromium)."""
    from study.show.plot_files import write_plots
    from study.storage.files import file_name
    from study.storage.trials_table import load_records

    records = load_records(storage, study)
    place = folder or Path("results/plots") / file_name(study)
    for path in write_plots(records, place, fmt, only or ()):
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
            help="Take the winner of `confirm`: the configuration with the best mean on "
            "validation, and of its runs the best on validation.",
        ),
    ] = False,
    format_: Annotated[
        str,
        typer.Option(
            "--format", help="safetensors, onnx (extra 'onnx') or keras (extra 'tensorflow')."
        ),
    ] = "safetensors",
    space: SpaceFile = None,
    storage: Storage = DEFAULT_STORAGE,
    debug: Debug = False,
) -> None:
    """Write the network of a trial as a file for `python -m ecg predict` and other programs."""
    from study.models.export import export_model

    print(
        export_model(
            storage, study, output, trial=trial, confirmed=confirmed, kind=format_, space=space
        )
    )
    if format_ == "safetensors":
        print(f"next: python -m ecg predict {output} DATA -o beats.csv")


@app.command()
def clean(
    study: Annotated[str, typer.Argument(help="Name of the study, see `list`.")],
    keep: Annotated[
        str | None,
        typer.Option(
            help="best (ten and the baseline) or all.", show_default="as the study was last run"
        ),
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
    debug: Debug = False,
) -> None:
    """Remove the weights of trials that the study does not keep."""
    from study.storage.weights import clean_study, say_cleaned

    print(say_cleaned(study, clean_study(storage, study, keep)))


@contextmanager
def _interruptible(console: "Console") -> Iterator[None]:
    """Say how to go on when Ctrl-C ends a study."""
    try:
        yield
    except KeyboardInterrupt:
        _say(
            console,
            "interrupted: finished trials are kept, the running one will be run again; go on "
            f"with the same command:\n  {_retyped()}",
        )
        raise


def _print_study(storage: str, name: str, *, trials: int) -> None:
    from ecg.test_part_log import NAME, readings_of
    from study.show.terminal import SHOWN, show_study
    from study.storage.artifacts import artifact_folder
    from study.storage.reading import read_study

    study = read_study(storage, name, SHOWN)
    readings = readings_of(artifact_folder(storage).parent / NAME, name)
    _console().print(show_study(study, trials=trials, readings=len(readings)))


def _print_next(console: "Console", storage: str, name: str, *, is_table: bool) -> None:
    import shlex

    from study.storage.reading import read_identity
    from study.wording import words_of_study

    at = _words_of_storage(storage)
    last = "export-tables" if is_table else "confirm"
    of_study = words_of_study(name, at)
    commands = [["show", *of_study], ["dashboard", *at], ["report", *of_study], [last, *of_study]]
    identity = read_identity(storage, name)
    if not is_table and identity["budget"] != "paper" and "replay" not in identity["source"]:
        earlier = [f"--from={name}"] if name.startswith("-") else ["--from", name]
        commands.insert(3, ["run", *earlier, "--budget", "paper", *at])
    lines = (f"  {_program()} {shlex.join(command)}" for command in commands)
    _say(console, "\n".join(("\nnext:", *lines)))


def _print_to_continue(storage: str, name: str) -> None:
    import shlex

    from study.storage.reading import read_settings
    from study.wording import words_to_continue

    words = words_to_continue(name, *read_settings(storage, name), _words_of_storage(storage))
    _say(_console(), f"\nto continue: {_program()} {shlex.join(words)}")


def _words_of_storage(storage: str) -> list[str]:
    """Return the option that names the database, a password hidden."""
    from study.storage.database import hide_password

    return [] if storage == DEFAULT_STORAGE else ["--storage", hide_password(storage)]


def _retyped() -> str:
    """Return the command as typed, a password in its URL hidden."""
    import shlex

    from study.storage.database import hide_password

    words = [hide_password(word) if "://" in word else word for word in sys.argv[1:]]
    return f"{_program()} {shlex.join(words)}"


def _console(width: int | None = None) -> "Console":
    """Return the terminal; names and other text from outside are shown as they are."""
    from rich.console import Console

    return Console(width=width, markup=False, highlight=False, emoji=False)


def _program() -> str:
    """Return how the person called this program."""
    script = Path(sys.argv[0]).stem
    return script if script == DISTRIBUTION else "python -m study"


def _say(console: "Console", text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
