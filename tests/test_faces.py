"""Public faces: the names that packages offer, what they cost to import, and examples that run."""

import doctest
import inspect
import subprocess
import sys
import tomllib
import types
from importlib import import_module
from pathlib import Path

import pytest

import ecg
import ecg.training
import search_spaces
import study
from tests.conftest import REPOSITORY

FACES = {
    "ecg": ecg.__all__,
    "ecg.training": ecg.training.__all__,
    "search_spaces": search_spaces.__all__,
    "study": study.__all__,
}
HEAVY = {"torch", "optuna", "pandas", "sqlalchemy", "scipy", "numpy", "plotly", "matplotlib"}
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def examples() -> dict[str, Path]:
    """Return the modules of the three packages that have examples, with their files."""
    found = {}
    for package in ("ecg", "search_spaces", "study"):
        for path in sorted((REPOSITORY / package).rglob("*.py")):
            if ">>> " in path.read_text(encoding="utf-8"):
                words = path.relative_to(REPOSITORY).with_suffix("").parts
                found[".".join(words).removesuffix(".__init__")] = path
    return found


@pytest.mark.parametrize("package", FACES)
def test_every_exported_name_is_there_and_explained(package: str) -> None:
    # Rule: `__all__` is sorted and without twins, and every name is an object of this project
    # with a docstring, or a value (such as the version).
    names = FACES[package]
    assert list(names) == sorted(set(names))
    for name in names:
        found = getattr(import_module(package), name)
        if inspect.isclass(found) or inspect.isfunction(found):
            assert found.__module__.split(".")[0] in ("ecg", "search_spaces", "study")
            assert inspect.getdoc(found), f"{package}.{name} has no docstring"


@pytest.mark.parametrize("package", ["ecg", "ecg.training", "study"])
def test_nothing_else_is_offered(package: str) -> None:
    # Rule: what a face shows is `__all__`; what it holds besides are its own modules.
    module = import_module(package)
    assert dir(module) == sorted(FACES[package])
    held = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    others = {
        name
        for name, value in held.items()
        if not (isinstance(value, types.ModuleType) and value.__name__.startswith(f"{package}."))
    }
    assert others - set(FACES[package]) == {"TYPE_CHECKING", "on_demand"}
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'no_such'"):
        module.no_such  # noqa: B018


@pytest.mark.parametrize("package", ["ecg", "ecg.training", "study"])
def test_a_face_is_quick_to_import(package: str) -> None:
    # Rule: importing a face, or asking for a configuration, loads no heavy package.
    more = "; ecg.TrainConfig" if package == "ecg" else ""
    code = f"import sys, {package}{more}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.split()
    assert package in loaded
    assert not HEAVY & set(loaded)


def test_the_version_is_that_of_pyproject() -> None:
    assert ecg.__version__ == study.__version__ == PROJECT["version"]


@pytest.mark.parametrize("name", examples())
def test_examples_run(name: str) -> None:
    # Rule: every example in a docstring prints what it says.
    failed, attempted = doctest.testmod(import_module(name))
    assert attempted
    assert not failed  # the differences are on the output


def test_every_public_function_has_an_example() -> None:
    # Rule: each function that `ecg` offers is used in an example.
    typed = [
        line
        for path in examples().values()
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.lstrip().startswith((">>> ", "... ")) and " import " not in line
    ]
    functions = [name for name in ecg.__all__ if inspect.isfunction(getattr(ecg, name))]
    assert len(functions) >= 10
    for name in functions:
        assert any(f"{name}(" in line for line in typed), f"no example calls ecg.{name}"
