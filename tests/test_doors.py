"""No data is executed as code."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

PACKAGES = ("ecg", "search_spaces", "study")
# Modules and functions that can run what they read.
MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
CALLS = {"eval", "exec", "compile", "__import__", "read_pickle", "full_load", "unsafe_load"}
LOADERS = {"pickle", "torch", "yaml", "np", "numpy", "joblib"}  # their `load` is looked at
SAFE = {"torch": ("weights_only", True), "np": ("allow_pickle", False)}


def opened(source: str) -> Iterator[str]:
    """Yield whatever in a module could execute data, with its line."""
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            if name.split(".")[0] in MODULES or name in ("torch.load", "yaml.load", "numpy.load"):
                yield f"line {node.lineno}: import of {name}"
        if not isinstance(node, ast.Call):
            continue
        for keyword in node.keywords:
            if keyword.arg == "allow_pickle" and _value(keyword) is not False:
                yield f"line {node.lineno}: allow_pickle"
            if keyword.arg == "shell" and _value(keyword) is not False:
                yield f"line {node.lineno}: shell"
        owner, name = _called(node.func)
        is_method = owner not in ("", "builtins", "pd", "pandas", "yaml")
        if name in CALLS and not is_method:
            yield f"line {node.lineno}: {name}"
        if name == "load" and owner in LOADERS:
            wanted = SAFE.get(owner)
            given = {keyword.arg: _value(keyword) for keyword in node.keywords}
            if wanted is None or given.get(wanted[0]) is not wanted[1]:
                yield f"line {node.lineno}: {owner}.load"


def _value(keyword: ast.keyword) -> object:
    return keyword.value.value if isinstance(keyword.value, ast.Constant) else None


def _called(function: ast.expr) -> tuple[str, str]:
    if isinstance(function, ast.Name):
        return "", function.id
    if isinstance(function, ast.Attribute):
        return ast.unparse(function.value), function.attr
    return "?", ""


FILES = sorted(path for package in PACKAGES for path in (REPOSITORY / package).rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_nothing_that_is_read_is_run(path: Path) -> None:
    # A user's space file is a program and is imported as one; everything else is data.
    assert list(opened(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import load",
        "import joblib",
        "from torch import load",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "np.lib.format.read_array(file, allow_pickle=flag)",
        "pd.read_pickle(path)",
        "yaml.load(text)",
        "eval(text)",
        "exec(text)",
        "subprocess.run(text, shell=True)",
    ],
)
def test_an_open_door_is_seen(source: str) -> None:
    assert list(opened(source))


@pytest.mark.parametrize(
    "source",
    [
        "torch.load(path, weights_only=True)",
        "np.load(path, allow_pickle=False)",
        "re.compile(pattern)",
        "spec.loader.exec_module(module)",
        "json.load(file)",
        "model.eval()",
    ],
)
def test_a_shut_door_is_left_alone(source: str) -> None:
    assert list(opened(source)) == []
