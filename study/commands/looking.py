"""Commands that show and manage studies."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ecg.console import as_path
from study.commands.base import (
    Debug,
    Storage,
    app,
    make_console,
    print_study,
    program,
    words_of_storage,
)
from study.run.output import print_line
from study.storage import DEFAULT_URL

WIDEST = 1000  # characters of a line of `list`
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def print_to_continue(storage: str, name: str) -> None:
    """Print the command that continues a study."""
    import shlex

    from study.storage.reading import read_settings
    from study.wording import words_to_continue

    words = words_to_continue(name, *read_settings(storage, name), words_of_storage(storage))
    print_line(make_console(), f"\nto continue: {program()} {shlex.join(words)}")


@app.command()
def retry(
    study: Annotated[str, typer.Argument(help="Name of the study, see `list`.")],
    storage: Storage = DEFAULT_URL,
    debug: Debug = False,
) -> None:
    """Requeue the failed trials of a study; its `run` command then trains them again."""
    from study.run.requeue import requeue_failed
    from study.storage.studies import load_study, open_storage, study_lock
    from study.wording import counted

    opened = open_storage(storage, create=False)
    found = load_study(opened, study)
    with study_lock(opened, study):
        queued = requeue_failed(found)
    print(
        f"requeued {counted(queued, 'failed trial')} of '{study}'"
        if queued
        else f"no failed trials in '{study}'"
    )


@app.command("list")
def list_command(
    storage: Storage = DEFAULT_URL, as_json: AsJson = False, debug: Debug = False
) -> None:
    """List the studies in the database."""
    from study.show import terminal
    from study.storage.reading import read_studies

    studies = read_studies(storage, terminal.LISTED)
    if as_json:
        print(terminal.as_json([terminal.study_facts(study) for study in studies]))
        return
    # Names stay whole so that they can be copied, and a pipe has no width.
    console = make_console(width=None if sys.stdout.isatty() else WIDEST)
    console.print(
        terminal.list_studies(studies)
        if studies
        else f"no studies yet. Start one with: {program()} run"
    )
    for damage in (study.damage for study in studies if study.damage):
        print(f"warning: {damage}", file=sys.stderr)


@app.command()
def show(
    study: Annotated[str, typer.Argument(help="Name of the study, see `list`.")],
    trials: Annotated[int, typer.Option(help="Number of best trials to show.")] = 10,
    storage: Storage = DEFAULT_URL,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Show what a study found: the best configuration and the baseline."""
    if not as_json:
        print_study(storage, study, trials=trials)
        print_to_continue(storage, study)
        return
    from study.show import terminal
    from study.storage.reading import read_study

    found = read_study(storage, study, terminal.SHOWN)
    print(terminal.as_json(terminal.shown_facts(found, trials=trials)))


@app.command()
def delete(
    study: Annotated[str, typer.Argument(help="Name of the study, see `list`.")],
    storage: Storage = DEFAULT_URL,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
    debug: Debug = False,
) -> None:
    """Delete a study with its trials and their files, after asking."""
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
                f"'{study}' has {trials}. Nothing was deleted. Pass --yes to delete it."
            )
        typer.confirm(f"Delete '{study}' with {trials}? This cannot be undone.", abort=True)
    files = delete_study(open_storage(storage, create=False), found)
    print(f"deleted '{study}': {trials}, {counted(files, 'file')}")


@app.command()
def dashboard(
    storage: Storage = DEFAULT_URL,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(help="Port to listen on.", show_default="8080, or a free one if it is taken"),
    ] = None,
    open_browser: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
    debug: Debug = False,
) -> None:
    """Serve optuna-dashboard with the studies, their notes, files and plots."""
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
    storage: Storage = DEFAULT_URL,
    debug: Debug = False,
) -> None:
    """Write an HTML report of studies: what they found, their plots and their trials."""
    from study.show.report import write_report
    from study.storage.trials_table import load_all_trials, load_trials

    trials = [load_trials(storage, name) for name in dict.fromkeys(studies or ())]
    write_report(trials or load_all_trials(storage), output)
    print(f"wrote {output}")


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
            help="Folder to write to.",
            show_default="results/plots/STUDY",
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Name of a plot; repeat it for several.", show_default="all"),
    ] = None,
    storage: Storage = DEFAULT_URL,
    debug: Debug = False,
) -> None:
    """Write the plots of a study to files (needs the extra 'plots' and Chromium)."""
    from study.show.plot_files import write_plots
    from study.storage.files import file_name
    from study.storage.trials_table import load_trials

    place = folder or Path("results/plots") / file_name(study)
    for path in write_plots(load_trials(storage, study), place, fmt, only or ()):
        print(path)
