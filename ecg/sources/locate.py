"""Finds the data at a path: records, ZIPs of them, the Kaggle files, prepared beats, tables.

Folders are searched a few levels deep, by content and not by name. Whatever looks like data but
is not used is reported with the reason.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ecg.sources import csv_files
from ecg.sources.classify import SHOWN, classify, single_csv
from ecg.sources.found import DESCRIPTIONS, Found

__all__ = ["DESCRIPTIONS", "Found", "Survey", "locate", "survey"]

DEEPEST = 6  # levels of folders; `wget -r` and "Extract all" of PhysioNet create four
MOST_FILES = 20_000  # once this many files were looked at, no further folder is searched


@dataclass(frozen=True)
class Survey:
    """All data below a path.

    Attributes:
        found: data sets, the preferred one first.
        unused: path and reason of everything that looks like data but is unusable.
    """

    found: tuple[Found, ...]
    unused: tuple[tuple[Path, str], ...]

    def say_unused(self) -> str:
        """Return what is not used and why, or ""."""
        reasons = [f"{one.path} ({DESCRIPTIONS[one.kind]})" for one in self.found[1:]]
        reasons += [f"{path} ({reason})" for path, reason in self.unused]
        more = f" and {len(reasons) - SHOWN} more" if len(reasons) > SHOWN else ""
        return ", ".join(reasons[:SHOWN]) + more


def locate(path: Path) -> Found | None:
    """Return the preferred data set at a path or, for a folder, a few levels below it."""
    return next(iter(survey(path).found), None)


def survey(path: Path) -> Survey:
    """Look at a file, or search a folder, ignoring hidden files and folders.

    Raises:
        OSError: the path itself cannot be read.
    """
    found: list[tuple[int, Found]] = []
    unused: list[tuple[Path, str]] = []
    if path.is_file():
        # Look at its neighbours too, so that one of Kaggle's files leads to both.
        names = [path.name] if _holds_all(path) else _names(path.parent)
        here, why = classify(path.parent, names, only=path)
        return Survey(tuple(here), tuple(why))
    looked_at = 0
    for depth, folder, names in _walk(path):
        if looked_at > MOST_FILES:
            unused.append((folder, f"not searched, because {looked_at:,} files came before it"))
            break
        looked_at += len(names)
        here, why = classify(folder, names)
        found += ((depth, one) for one in here)
        unused += why
    order = list(DESCRIPTIONS)
    found.sort(key=lambda one: (order.index(one[1].kind), one[0], str(one[1].path)))
    return Survey(tuple(one for _, one in found), tuple(unused))


def _holds_all(path: Path) -> bool:
    return csv_files.magic(path) == csv_files.ZIP_MAGIC and not single_csv(path)


def _names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.name[0] != ".")


def _walk(top: Path) -> Iterator[tuple[int, Path, list[str]]]:
    """Yield depth, folder and names of its files from the top down, visiting each folder once."""
    seen: set[str] = set()
    level = [top] if top.is_dir() else []
    for depth in range(DEEPEST + 1):
        below: list[Path] = []
        for folder in level:
            if os.path.realpath(folder) in seen:
                continue
            seen.add(os.path.realpath(folder))
            try:
                names = _names(folder)
            except OSError:
                if folder == top:
                    raise
                continue
            inner = [name for name in names if (folder / name).is_dir()]
            below += (folder / name for name in inner)
            yield depth, folder, sorted(set(names) - set(inner))
        level = below
