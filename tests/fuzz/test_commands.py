"""Whatever is typed: `python -m study` and `python -m ecg` end with 0, 1 or 2 and a message.

The words are drawn from the commands' own options, so that a new option is tried too.
"""

import contextlib
import io
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

import ecg.cli
import study.cli
from ecg.sources.fetch import NetworkError
from study.plots import PLOTS
from study.tables.export import export_result_files
from tests.ecg.sources.tiny_records import write_record
from tests.fuzz.fuzzing import NUMBERS, WRONG, evil, fuzz, limited
from tests.support.fake_runs import fake_runs
from tests.support.fake_study import fill
from tests.support.setting import REPOSITORY, TINY
from tests.support.toy import toy_heartbeats

LONG = "a" * 300  # no file can have this name
NAMED = "one"  # a study in the database
# No place outside the folder: a command that is broken could write there.
PLAUSIBLE = {
    "--space": ("imbalance", "tiny.py", "table1", "tables", "folder.py", "mine.py", LONG + ".py"),
    "--trials": ("1", "12"),
    "--seeds": ("1", "3"),
    "--timeout": ("1", "0.5"),
    "--storage": (
        *["sqlite:///study.db"] * 30, "sqlite:///none.db", "sqlite:///folder", "sqlite:///mine.py",
        "sqlite:///none/none.db", "sqlite:///mine.py/none.db", "sqlite://", "study.db", "://",
        "postgresql+psycopg://user@127.0.0.1:1/x", "postgresql+psycopg://user@127.0.0.1:x/x",
        "sqlite:///study.db?nothing=1", "sqlite:///study.db?timeout=x", "mysql://x", "http://x",
        f"sqlite:///{LONG}", f"sqlite:///{LONG}/x.db", "sqlite:///./study.db",
        "sqlite+pysqlite:///folder/../study.db", "sqlite:///study.db?timeout=5", "sqlite://study.db",
        "sqlite:///file:study.db?uri=true", "postgres://x", "postgresql://user@127.0.0.1:1/x",
    ),
    "--data": ("synthetic", LONG, "record", "folder", "mine.py", "none", "auto"),
    "--records": ("synthetic", LONG, "record", "folder", "mine.py", "none", "auto"),
    "--results": ("planned/results.csv", LONG, "folder", "mine.py", "none"),
    "--split": ("intra-patient", "inter-patient"),
    "--budget": ("smoke", "quick", "short", "paper"),
    "--device": ("cpu", "auto", "cuda:99999999999999999999", "cuda:-1", "cpu:0", "meta", "mps"),
    "--sampler": ("tpe", "random", "gp", "grid"),
    "--pruner": ("median", "hyperband", "none"),
    "--replay": ("curves.jsonl", LONG, "mine.py", "folder"),
    "--format": ("markdown", "csv", "latex", "html", "svg", "png"),
    "--metric-digits": ("0", "4"),
    "--output": ("out", LONG, "mine.py", "folder", "mine.py/x", "pipe"),
    "--host": ("127.0.0.1", "localhost", "::1", "0.0.0.0", "::", "a" * 70, "é" * 70, "1", ""),
    "--port": ("0", "65535", "65536"),
    "--only": ("history", "curves"),
    "--target": ("out", LONG, "mine.py", "folder"),
    "STUDY": (NAMED, "two", "none"),
    "STUDIES": (NAMED, "two", "none"),
    "FILES": ("planned/results.csv", LONG, "folder", "mine.py", "none"),
    "FILE": ("out", LONG, "mine.py", "folder", "mine.py/x", "pipe"),
    "WHAT": ("mitdb", "kaggle"),
}  # fmt: skip
NEEDED = ("--storage", "--data", "STUDY", "FILE", "FILES", "WHAT")
PATHS = ("--output", "--target", "FILE")  # what is written there must stay in the folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one of everything; every case gets its own copy."""
    folder = tmp_path_factory.mktemp("typed")
    (folder / "folder").mkdir()
    (folder / "record").mkdir()
    (folder / "folder.py").mkdir()
    write_record(folder / "record", 100)
    (folder / "tiny.py").write_text(TINY)
    (folder / "mine.py").write_text("mine = 1\n")
    recording = REPOSITORY / "results" / "search" / "imbalance-quick.jsonl"
    (folder / "curves.jsonl").write_text("\n".join(recording.read_text().splitlines()[:3]))
    fill(f"sqlite:///{folder}/study.db", NAMED, trials=4)
    fill(f"sqlite:///{folder}/study.db", "[/b] [red]<b>\u202e", trials=4, evil=True)
    planned = fake_runs(
        f"sqlite:///{folder}/planned.db", "planned", seeds=1, budget="smoke", seed=0
    )
    export_result_files([planned], folder)
    return folder


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process in that folder, without network, training, browser and endless serving."""

    def offline(*_: object, **__: object) -> None:
        raise NetworkError("no network here")

    beats = toy_heartbeats(300)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("ECG_STORAGE", raising=False)
    monkeypatch.setattr("ecg.sources.synthetic.generate", lambda: beats)
    monkeypatch.setattr("ecg.sources.fetch_mitdb", offline)
    monkeypatch.setattr("ecg.sources.fetch._require_network", offline)
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    for page in ("report", "dashboard", "plot_files"):  # plots take most of the time
        monkeypatch.setattr(f"study.show.{page}.PLOTS", [p for p in PLOTS if p.name == "curves"])
    monkeypatch.setattr("study.run.command._work", lambda *_: None)
    monkeypatch.setattr("study.show.plot_files._draw", lambda figures, _: [b""] * len(figures))
    monkeypatch.setattr("study.show.dashboard._Server.serve_forever", lambda _: None)
    monkeypatch.setattr("webbrowser.open", lambda _: True)
    monkeypatch.setattr(socket, "getfqdn", lambda name: name)


@st.composite
def words(draw: st.DrawFn, app: typer.Typer) -> list[str]:
    """A command with some of its options, of which at most two are mistaken."""
    commands: Any = typer.main.get_command(app)
    name, command = draw(st.sampled_from(sorted(commands.commands.items())))
    # Not --debug: it prints tracebacks on purpose.
    options = {_key(one): one for one in command.params if "--debug" not in one.opts}
    mistaken = draw(st.lists(st.sampled_from([*options, ""]), max_size=2))
    found = [name]
    for key, option in options.items():
        known = PLAUSIBLE.get(key, ("1",))
        if key not in (*mistaken, *NEEDED) and draw(st.integers(0, 3)):
            continue
        if getattr(option, "is_flag", False):
            found.append(draw(st.sampled_from([*option.opts, *option.secondary_opts])))
            continue
        value = draw(st.sampled_from(known))
        if key in mistaken:
            value = draw(st.sampled_from(NUMBERS) if known[0].isdigit() else evil)
            value = f"out/{value.replace('..', '')}" if key in PATHS else value
        found += [key, value] if key.startswith("-") else [value]
    return found


def _key(option: Any) -> str:
    return str(option.opts[0] if option.param_type_name == "option" else option.name.upper())


def check(main: Callable[[], None], typed: list[str], place: Path) -> None:
    """Type the words in a copy of a folder, and look at how the command ends."""
    out = io.TextIOWrapper(io.BytesIO(), "utf-8")  # strict, as a terminal's
    err = io.TextIOWrapper(io.BytesIO(), "utf-8", errors="backslashreplace")
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name,
        contextlib.chdir(shutil.copytree(place, Path(name) / "typed")),
        pytest.MonkeyPatch.context() as patch,
        limited(),
    ):
        os.mkfifo("pipe")
        patch.setattr(sys, "argv", ["python -m study", *typed])
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        with pytest.raises(SystemExit) as ended:
            main()
    code = ended.value.code
    said = [read(stream) for stream in (out, err)]
    shown = f"{typed!r:.2000}\nended with {code!r}\n{said[0]:.2000}\n{said[1]:.2000}"
    assert code in (None, 0, 1, 2), shown
    assert not WRONG.search(said[1]), shown
    assert code in (None, 0) or "rror" in said[1] or "Usage" in said[1], shown


def read(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode("utf-8")


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")  # a warning for people too
@fuzz
@given(words(study.cli.app))
def test_whatever_is_typed_to_study_ends_with_a_message(
    world: None, place: Path, words: list[str]
) -> None:
    check(study.cli.main, words, place)


@fuzz
@given(words(ecg.cli.app))
def test_whatever_is_typed_to_ecg_ends_with_a_message(
    world: None, place: Path, words: list[str]
) -> None:
    check(ecg.cli.main, words, place)
