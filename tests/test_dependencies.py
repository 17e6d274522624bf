"""pyproject requires what the packages import; read from the source."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterable

from tests.conftest import REPOSITORY

PACKAGES = ("ecg", "search_spaces", "study")
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Extras that packages may import; others are tools.
FOR_PEOPLE = ("kaggle", "postgres", "plots", "onnx", "tensorflow")


def modules_of(requirements: Iterable[str]) -> set[str]:
    """Return the modules of requirements, which here are named as their distributions."""
    return {re.split(r"[^\w-]", text)[0].replace("-", "_") for text in requirements}


def imported() -> set[str]:
    """Return every foreign module that a package imports, also inside functions."""
    found = set()
    for package in PACKAGES:
        for path in (REPOSITORY / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    found |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom):
                    found.add(str(node.module).split(".")[0])
    return found - set(sys.stdlib_module_names) - set(PACKAGES)


def test_every_dependency_is_imported() -> None:
    # Rule: nobody installs anything that no study uses.
    assert modules_of(PROJECT["dependencies"]) <= imported()


def test_every_import_is_a_dependency() -> None:
    # Rule: no import relies on what another package happens to require.
    extras = [text for name in FOR_PEOPLE for text in PROJECT["optional-dependencies"][name]]
    assert imported() <= modules_of([*PROJECT["dependencies"], *extras])
