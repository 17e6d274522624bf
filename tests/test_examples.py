"""The examples run as they stand, at the smallest budget and on simulated beats."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from study import cli
from tests.conftest import REPOSITORY

EXAMPLES = REPOSITORY / "examples"
TESTED = {
    *(
        "own_space.py",
        "own_network.py",
        "train_one_network.py",
        "compare_trials.py",
        "slurm_array.sh",
    ),
    *("compose.yaml", "kubernetes.yaml", "Dockerfile"),  # their schemas: `make lint`
    "explore.ipynb",  # in tests/study/show/test_notebook.py
}


def run_python(*words: str, cwd: Path) -> str:
    """Run Python as a stranger does in the repository, and return what it prints."""
    done = subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        env={**os.environ, "ECG_DATA": "synthetic", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_tested() -> None:
    found = {path.name for path in EXAMPLES.iterdir() if path.is_file()}
    assert found == TESTED


def test_an_own_space_is_searched_and_its_trials_compared(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/study.db"
    run_python(
        "-m", "study", "run", "--space", str(EXAMPLES / "own_space.py"), "--study", "sizes",
        "--budget", "smoke", "--trials", "2", "--jobs", "1", "--pruner", "none",
        "--storage", storage, cwd=tmp_path,
    )  # fmt: skip
    printed = run_python(
        str(EXAMPLES / "compare_trials.py"), "sizes", "0", "1", storage, cwd=tmp_path
    )
    assert "budget smoke" in printed
    for word in ("trial 0", "trial 1", "param_width_multiplier", "validation_f1_macro"):
        assert word in printed


def test_one_network_is_trained_and_measured_once(tmp_path: Path) -> None:
    printed = run_python(str(EXAMPLES / "train_one_network.py"), "smoke", cwd=tmp_path)
    assert "epoch 2: validation loss" in printed
    assert printed.count("test f1_nsv") == 1


def find_commands(file: str) -> list[list[str]]:
    """Return what the containers of a file run, as words after `python -m study`."""
    content = yaml.safe_load((EXAMPLES / file).read_text(encoding="utf-8"))
    if "services" in content:
        return [
            service["command"] for service in content["services"].values() if "build" in service
        ]
    return [container["args"] for container in content["spec"]["template"]["spec"]["containers"]]


@pytest.mark.parametrize("file", ["compose.yaml", "kubernetes.yaml"])
def test_what_containers_run_is_a_command_of_this_version(file: str) -> None:
    # Rule: the words parse as typed ones do: no option that is unknown or of the wrong kind.
    commands = find_commands(file)
    assert commands
    group: Any = typer.main.get_command(cli.app)
    for name, *words in commands:
        group.commands[name].make_context(name, list(words))


def test_the_image_runs_the_console_script() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    entry = re.search(r'ENTRYPOINT \["([^"]+)"\]', (EXAMPLES / "Dockerfile").read_text())
    assert entry is not None
    assert entry.group(1) in project["scripts"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_the_slurm_script_is_valid_bash_and_stops_at_an_error() -> None:
    script = EXAMPLES / "slurm_array.sh"
    subprocess.run(["bash", "-n", str(script)], check=True)
    assert "set -euo pipefail" in script.read_text(encoding="utf-8")
