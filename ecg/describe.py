"""Counts of heartbeats per class, record and split, as text tables."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ecg.errors import UsageError
from ecg.heartbeats import CLASS_NAMES, CLASSES, UNKNOWN, Heartbeats
from ecg.splits import SPLITS, make_split


def per_class(beats: Heartbeats) -> str:
    """Return a table of the beats and their share per class."""
    counts = beats.class_counts()
    rows = [
        (f"{name} {title}", f"{count:,}", f"{count / len(beats):.2%}")
        for name, title, count in zip(CLASSES, CLASS_NAMES, counts, strict=True)
    ]
    return table(("class", "beats", "share"), [*rows, ("all", f"{len(beats):,}", "")])


def per_record(beats: Heartbeats) -> str:
    """Return a table of the beats of every record per class."""
    if (beats.record == UNKNOWN).all():
        return f"the source '{beats.source}' does not tell the record of a beat"
    rows = []
    for record in np.unique(beats.record):
        labels = beats.labels[beats.record == record]
        counts = np.bincount(labels, minlength=len(CLASSES))
        rows.append((str(record), *(f"{n:,}" for n in counts), f"{len(labels):,}"))
    return table(("record", *CLASSES, "all"), rows)


def splits(beats: Heartbeats) -> str:
    """Return a table of the beats of every part of every split per class."""
    rows = []
    for name in SPLITS:
        try:
            split = make_split(name, beats)
        except UsageError as error:
            rows.append((name, f"not possible: {error}", *[""] * len(CLASSES)))
            continue
        for part, indices in split.parts():
            counts = np.bincount(beats.labels[indices], minlength=len(CLASSES))
            rows.append((name, part, *(f"{n:,}" for n in counts), f"{len(indices):,}"))
    return table(("split", "part", *CLASSES, "all"), rows)


def notes(location: str | Path) -> list[str]:
    """Return what a person should know of a folder of records: files unlike PhysioNet's."""
    from ecg.sources.mitdb_files import differing_files

    folder = Path(location)
    if not any(folder.glob("*.hea")):
        return []
    differing = differing_files(folder)
    if not differing:
        return ["all files are those of PhysioNet (SHA-256)"]
    return [f"{len(differing)} files differ from PhysioNet's: {', '.join(differing[:5])}"]


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return right-aligned columns, the first one left-aligned."""
    lines = [header, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
