"""Rules of the help of both command lines: every default is in it, and it is there at once."""

import re
import subprocess
import sys
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import ecg.cli
import study.cli
from tests.conftest import REPOSITORY
from tests.test_faces import HEAVY

PROGRAMS = {"ecg": ecg.cli.app, "study": study.cli.app}
COMMANDS = [
    (program, name)
    for program, app in PROGRAMS.items()
    for name in typer.main.get_command(app).commands  # type: ignore[attr-defined]
]


def ask(program: str, *words: str) -> str:
    """Return what a program prints on a terminal wide enough for one line an option."""
    ended = CliRunner().invoke(PROGRAMS[program], words, env={"COLUMNS": "400", "NO_COLOR": "1"})
    assert ended.exit_code == 0
    return ended.output


def shown_default(parameter: Any) -> str | None:
    """Return what the help must say of a default; None where there is none to say."""
    if isinstance(parameter.show_default, str):
        return f"[default: ({parameter.show_default})]"
    if parameter.required or (isinstance(parameter.default, bool) and not parameter.default):
        return None  # needed, or a flag that is off
    if isinstance(parameter.default, bool):
        return f"[default: {parameter.name}]"
    return f"[default: {parameter.default}]"


@pytest.mark.parametrize(("program", "command"), COMMANDS)
def test_the_help_shows_every_default(program: str, command: str) -> None:
    # Rule: the help has the default of every option and argument; where it depends on other
    # things, the words that say so. None is never one of them.
    text = ask(program, command, "--help")
    found = typer.main.get_command(PROGRAMS[program]).commands[command]  # type: ignore[attr-defined]
    for parameter in found.params:
        expected = shown_default(parameter)
        if expected is not None:
            assert expected != "[default: None]", f"{parameter.name} has no words for its default"
            (line,) = re.findall(rf"^\W+ {parameter.opts[0]}[ .].*", text, re.MULTILINE)
            assert f" {parameter.help} " in line  # with its brackets, if any
            assert expected in line


@pytest.mark.parametrize("words", [("ecg",), ("study",), ("study", "run"), ("ecg", "prepare")])
def test_help_loads_nothing_heavy(words: tuple[str, ...]) -> None:
    # Rule: help does without PyTorch, Optuna and their like, so that it is there at once.
    code = (
        "import sys, runpy\n"
        f"sys.argv[1:] = {[*words[1:], '--help']!r}\n"
        "try:\n"
        f"    runpy.run_module({words[0]!r}, run_name='__main__', alter_sys=True)\n"
        "finally:\n"
        "    print('loaded:', *sys.modules)\n"
    )
    text = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout
    shown, _, loaded = text.rpartition("loaded:")
    assert "Usage:" in shown
    assert "typer" in loaded.split()
    assert not HEAVY & set(loaded.split())
