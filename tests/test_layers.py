"""Which part may import which, read from the source: nothing is imported.

docs/architecture.md draws the plan.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

# What a part may import from this project, apart from itself: the arrows of the plan.
ARROWS = {
    "ecg": set(),
    "search_spaces": {"ecg"},
    "study.wording": set(),
    "study.storage": {"ecg", "search_spaces", "study.wording"},
    "study.comparison": {"ecg", "study.wording", "study.storage"},
    "study.trials": {"ecg", "search_spaces", "study.wording", "study.storage"},
    "study.plots": {"ecg", "search_spaces", "study.wording", "study.storage", "study.comparison"},
    "study.run": {"ecg", "search_spaces", "study.wording", "study.storage", "study.trials"},
    "study.tables": {"ecg", "search_spaces", "study.wording", "study.storage", "study.comparison"},
    "study.models": {"ecg", "search_spaces", "study.wording", "study.storage"},
    "study.show": {
        *("ecg", "search_spaces", "study.wording", "study.storage", "study.comparison"),
        "study.plots",
    },
    "study.commands": {
        *("ecg", "search_spaces", "study.wording", "study.storage", "study.comparison"),
        *("study.trials", "study.plots", "study.run", "study.tables", "study.models", "study.show"),
    },
}
ROOF = ("study", "study.__main__", "study.cli")  # what is typed, and the public names: on top
TERMINAL = {"rich", "typer", "click"}
WITH_TERMINAL = {"ecg.cli", "ecg.console", "ecg.__main__"}
PRIVATE = {  # Optuna's
    *("_trial_id", "_study_id", "_storage", "_backend", "_cached_frozen_trial", "_contains"),
}
SQL = r"\s*(SELECT .* FROM|UPDATE .* SET|INSERT INTO|DELETE FROM) "
Problem = str


def module_of(path: Path) -> str:
    """Return the dotted name of a file of this project."""
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part_of(module: str) -> str:
    """Return the part of the plan that a module of this project belongs to."""
    words = module.split(".")
    return ".".join(words[:2] if words[0] == "study" else words[:1])


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield every module that is imported, in functions and for types too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def problems(module: str, source: str) -> list[Problem]:
    """Return what in a module breaks the plan."""
    tree = ast.parse(source)
    part, found = part_of(module), []
    named = set(imports(tree))
    for name in sorted(named):
        root = name.split(".")[0]
        if root in ("ecg", "search_spaces", "study") and module not in ROOF:
            other = part_of(name)
            if other not in (part, "study") and other not in ARROWS[part] and other in ARROWS:
                found.append(f"{module} imports {name}")
            if other in ("study.cli", "study.__main__"):
                found.append(f"{module} imports {name}")
        if part == "ecg" and root == "optuna":
            found.append(f"{module} knows Optuna")
        if part == "ecg" and root in TERMINAL and module not in WITH_TERMINAL:
            found.append(f"{module} knows a terminal")
        if part != "study.storage" and ("._" in name and root.startswith("optuna")):
            found.append(f"{module} imports a private part of Optuna")
    if part != "study.storage":
        found += [
            f"{module} uses a private name of Optuna: {node.attr}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and node.attr in PRIVATE
            and not (isinstance(node.value, ast.Name) and node.value.id == "self")
        ]  # fmt: skip
        found += [
            f"{module} reads the database with SQL: {node.value!r:.60}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and re.match(SQL, str(node.value))
        ]
    if part == "ecg" and module != "ecg.cli":
        found += [
            f"{module} names an option in a message: {text.value!r:.60}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Raise)
            for text in ast.walk(node)
            if isinstance(text, ast.Constant)
            and "--" in str(text.value)
            and "python -m" not in str(text.value)
        ]
    return found


FILES = sorted(
    path
    for package in ("ecg", "search_spaces", "study")
    for path in (REPOSITORY / package).rglob("*.py")
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_a_module_imports_only_what_lies_below_it(path: Path) -> None:
    assert problems(module_of(path), path.read_text(encoding="utf-8")) == []


def test_the_page_on_architecture_shows_these_arrows() -> None:
    page = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page.partition("| part | may import |\n|---|---|\n")[2].partition("\n\n")[0]
    shown: dict[str, set[str]] = {}
    for row in table.splitlines():
        part, *others = (
            name.removesuffix(".py").replace("/", ".") for name in re.findall(r"`([^`]+)`", row)
        )
        shown[part] = set(shown) if "all of the above" in row else set(others)
    assert shown == ARROWS


def test_every_folder_of_study_is_on_the_plan() -> None:
    parts = {part_of(module_of(path)) for path in FILES}
    assert parts - set(ROOF) == set(ARROWS)


@pytest.mark.parametrize(
    ("module", "source", "problem"),
    [
        ("ecg.splits", "import optuna", "knows Optuna"),
        ("ecg.splits", "from rich.console import Console", "knows a terminal"),
        ("ecg.splits", "from study.wording import counted", "imports study.wording"),
        ("ecg.splits", 'raise UsageError("use --split x")', "names an option"),
        ("search_spaces.full", "from study.storage import ids", "imports study.storage"),
        ("study.run.queue", "from study.show.report import write_report", "imports study.show"),
        ("study.show.report", "def f():\n    from study.run import queue", "imports study.run"),
        ("study.tables.render", "from study.trials.trial import run_trial", "imports study.trials"),
        ("study.storage.ids", "from study.trials import pruning", "imports study.trials"),
        ("study.run.queue", "from study.cli import app", "imports study.cli"),
        ("study.run.queue", "key = trial._trial_id", "private name of Optuna"),
        (
            "study.run.queue",
            "SQL = 'SELECT key FROM trials WHERE x'",
            "reads the database with SQL",
        ),
        ("study.plots.curves", "ok = known._contains(1)", "private name of Optuna"),
        ("study.run.queue", "from optuna.storages._rdb import models", "private part of Optuna"),
    ],
)
def test_what_is_against_the_plan_is_seen(module: str, source: str, problem: str) -> None:
    assert any(problem in found for found in problems(module, source))


def test_no_modules_import_each_other_in_a_circle() -> None:
    # Of imports at the top of modules: those are what Python cannot untangle.
    known = {module_of(path): path for path in FILES}
    arrows = {}
    for module, path in known.items():
        top = ast.parse(path.read_text(encoding="utf-8")).body
        named = {name for node in top for name in imports(node) if isinstance(node, ast.stmt)}
        arrows[module] = {name for name in named if name in known and name != module}
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " -> ".join((*way, module))
        if module in done:
            return
        for other in sorted(arrows[module]):
            # A package's own face imports its parts, and they import one another by its name.
            if not module.startswith(f"{other}."):
                visit(other, (*way, module))
        done.add(module)

    for module in known:
        visit(module, ())
