"""The pages name only what exists: links, commands, options, messages, modules, Python."""

import ast
import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from ecg.cli import app as ecg_app
from study.cli import app as study_app
from tests.conftest import REPOSITORY

PAGES = sorted(
    [
        *REPOSITORY.glob("*.md"),
        *(REPOSITORY / "docs").glob("*.md"),
        REPOSITORY / "results/README.md",
    ]
)
PROGRAMS = {"study": study_app, "ecg": ecg_app}
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"python3? -m (study|ecg)\b(.*)")
INLINE = re.compile(r"`(python -m [^`]+)`")
NO_ANCHOR = re.compile(r"[^\w\- ]")


def fenced(path: Path, language: str) -> list[str]:
    """Return the blocks of a page in one language."""
    return [text for kind, text in FENCE.findall(path.read_text("utf-8")) if kind == language]


def anchors(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = FENCE.sub("", path.read_text("utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {NO_ANCHOR.sub("", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(path: Path) -> Iterator[str]:
    """Yield the relative links of a page that lead nowhere."""
    for link in LINK.findall(FENCE.sub("", path.read_text("utf-8"))):
        if "://" in link or link.startswith("mailto:"):
            continue
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield link


def commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield program and words of every `python -m study` and `python -m ecg` in shell text."""
    for line in text.replace("\\\n", " ").splitlines():
        for part in re.split(r"&&|\|\||[;|]", line.partition("  #")[0]):
            if found := COMMAND.search(part):
                yield found[1], shlex.split(found[2], comments=True)


def check_command(program: str, words: list[str]) -> None:
    """Let the program parse the words without running anything; wrong words raise an error."""
    group = typer.main.get_group(PROGRAMS[program])
    if not words or words[0].startswith("-"):
        group.make_context(program, words, resilient_parsing=True)
        return
    context = group.make_context(program, list(words))
    name, command, rest = group.resolve_command(context, list(words))
    assert command is not None
    command.make_context(name, rest, parent=context)


DOCUMENTED = [
    (path, program, words)
    for path in PAGES
    for text in (*fenced(path, "sh"), *INLINE.findall(FENCE.sub("", path.read_text("utf-8"))))
    for program, words in commands(text)
]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    assert list(broken_links(path)) == []


def test_a_broken_link_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A heading\n[a](no.md) [b](#a-heading) [c](#other) [d](https://x.org/no.md)")
    assert list(broken_links(page)) == ["no.md", "#other"]


@pytest.mark.parametrize(
    ("path", "program", "words"),
    DOCUMENTED,
    ids=[f"{path.stem}-{program} {' '.join(words)}" for path, program, words in DOCUMENTED],
)
def test_every_documented_command_is_accepted(path: Path, program: str, words: list[str]) -> None:
    check_command(program, words)


@pytest.mark.parametrize(
    "line",
    [
        "python -m study runs",
        "python -m study run --sapce full",
        "python -m ecg fetch",
        "python -m study run --trials many",
    ],
)
def test_a_wrong_command_is_seen(line: str) -> None:
    [(program, words)] = commands(line)
    with pytest.raises(Exception, match=r"No such|Missing|valid integer"):
        check_command(program, words)


@pytest.mark.parametrize(
    ("path", "code"),
    [(path, code) for path in PAGES for code in fenced(path, "python")],
    ids=lambda value: value.stem if isinstance(value, Path) else "",
)
def test_documented_python_runs_as_it_stands(path: Path, code: str, tmp_path: Path) -> None:
    (tmp_path / "results").symlink_to(REPOSITORY / "results")
    file = tmp_path / "page.py"  # networks must be defined in a file
    file.write_text(code)
    done = subprocess.run(
        [sys.executable, file.name], cwd=tmp_path, env={**os.environ, "ECG_DATA": "synthetic"},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_page_of_plots_is_that_of_the_gallery() -> None:
    # After a change of a plot or of what is said about it, run `python docs/gallery.py`.
    gallery = runpy.run_path(str(REPOSITORY / "docs" / "gallery.py"))
    assert (REPOSITORY / "docs" / "plots.md").read_text("utf-8") == gallery["page"]()
    assert {entry.part for entry in gallery["ENTRIES"]} == set(gallery["PARTS"])
    thumbnails = {path.stem: path for path in (REPOSITORY / "docs" / "plots").iterdir()}
    assert set(thumbnails) == {entry.name for entry in gallery["ENTRIES"]}
    assert sum(path.stat().st_size for path in thumbnails.values()) < 500_000


def texts_of_the_program() -> str:
    """Return every text in the code, docstrings left out, with {} for each value put into it."""
    found = []
    for package in ("ecg", "search_spaces", "study"):
        for path in (REPOSITORY / package).rglob("*.py"):
            nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
            docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
            for node in nodes:
                if isinstance(node, ast.Constant) and id(node) not in docstrings:
                    found.append(str(node.value))
                elif isinstance(node, ast.JoinedStr):
                    parts = (p.value if isinstance(p, ast.Constant) else "{}" for p in node.values)
                    found.append("".join(map(str, parts)))
    return "\n".join(found)


def test_every_message_in_troubleshooting_is_one_of_the_program() -> None:
    # A heading quotes the fixed words of a message, with "..." for the others.
    page = (REPOSITORY / "docs" / "troubleshooting.md").read_text("utf-8")
    quoted = re.findall(r"^### `(.+)`$", page, re.MULTILINE)
    pieces = [piece.strip() for line in quoted for piece in line.split("...")]
    said = texts_of_the_program()
    assert pieces
    assert [piece for piece in pieces if piece not in said] == []


ARCHITECTURE = (REPOSITORY / "docs" / "architecture.md").read_text("utf-8")
MODULE = re.compile(r"`([\w/]+\.py)`")
# The sections of the code map: the folders in the heading, and the text below it.
SECTIONS = {
    folder: body
    for heading, body in re.findall(r"^### (.+)\n((?:(?!#).*\n)*)", ARCHITECTURE, re.MULTILINE)
    for folder in re.findall(r"`([\w/]+)/`", heading)
}
FOLDERS = sorted(
    path.parent.relative_to(REPOSITORY).as_posix()
    for package in ("ecg", "search_spaces", "study")
    for path in (REPOSITORY / package).rglob("__init__.py")
)


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_code_map_names_every_module(folder: str) -> None:
    # A new module belongs in a table of docs/architecture.md, in the section of its folder.
    there = {path.name for path in (REPOSITORY / folder).glob("[!_]*.py")}
    if folder == "study":
        assert {name for name in MODULE.findall(ARCHITECTURE) if name.count("/") == 1} >= {
            f"study/{name}" for name in there
        }
        return
    named = {name.rpartition("/")[2] for name in MODULE.findall(SECTIONS[folder])}
    assert there - named == set(), "add it to the code map in docs/architecture.md"


def test_every_module_in_architecture_is_there() -> None:
    page = ARCHITECTURE
    there = {path.relative_to(REPOSITORY).as_posix() for path in REPOSITORY.glob("[a-z]*/**/*.py")}
    named = set(MODULE.findall(page))
    assert named
    assert {
        name for name in named if not any(f"/{path}".endswith(f"/{name}") for path in there)
    } == set()
