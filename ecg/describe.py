"""Text tables of the number of heartbeats per class, record and split."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ecg.errors import EcgError
from ecg.heartbeats import CLASS_NAMES, CLASSES, UNKNOWN, Heartbeats
from ecg.metrics import F1_NSV, say_ceilings
from ecg.record_lists import RecordLists
from ecg.splits import SPLITS, Split, make_split

SHOWN = 5  # at most this many names are listed


def per_class(beats: Heartbeats) -> str:
    """Return a table of the number and share of beats per class."""
    counts = beats.class_counts()
    rows = [
        (f"{name} {title}", f"{count:,}", f"{count / len(beats):.2%}")
        for name, title, count in zip(CLASSES, CLASS_NAMES, counts, strict=True)
    ]
    return table(("class", "beats", "share"), [*rows, ("all", f"{len(beats):,}", "")])


def per_record(beats: Heartbeats) -> str:
    """Return a table of the number of beats per record and class."""
    if (beats.record == UNKNOWN).all():
        return f"the source '{beats.source}' has no record numbers"
    rows = []
    for record in np.unique(beats.record):
        labels = beats.labels[beats.record == record]
        counts = np.bincount(labels, minlength=len(CLASSES))
        rows.append((beats.record_name(record), *(f"{n:,}" for n in counts), f"{len(labels):,}"))
    return table(("record", *CLASSES, "all"), rows)


def splits(beats: Heartbeats, lists: RecordLists | None = None) -> str:
    """Return a table of the number of records and of beats per class, for each part of each split.

    Lines below the table say why a split is impossible and what limits the scores of a split.

    Args:
        beats: the whole set.
        lists: records of each part of an additional split.
    """
    rows, reasons = [], []
    for name in (*SPLITS, *([lists.split] if lists else [])):
        try:
            split = make_split(name, beats, lists if lists and name == lists.split else None)
        except EcgError as error:
            reasons.append(f"\nno split '{name}': {error}")
            continue
        reasons += (f"\nsplit '{name}': {caution}" for caution in cautions(beats, split))
        for part, indices in split.parts():
            records = np.unique(beats.record[indices])
            known = "-" if UNKNOWN in records else str(len(records))
            counts = np.bincount(beats.labels[indices], minlength=len(CLASSES))
            numbers = (f"{n:,}" for n in (*counts, len(indices)))
            rows.append((f"{name} {part}", known, *numbers))
    tables = [table(("split and part", "records", *CLASSES, "all"), rows)] if rows else []
    return "\n".join([*tables, *reasons]).lstrip("\n")


def cautions(beats: Heartbeats, split: Split) -> list[str]:
    """Return a sentence per part that lacks beats of some class and so limits the scores."""
    titles = {"f1_macro": "F1(M)"} | ({F1_NSV: "F1(N, S, V)"} if split.by_patient else {})
    found = (
        say_ceilings(
            np.bincount(beats.labels[rows], minlength=len(CLASSES)),
            part,
            {} if part == "train" else titles,
        )
        for part, rows in split.parts()
        if len(rows)  # folds have no test part
    )
    return [caution for caution in found if caution]


def origin(beats: Heartbeats) -> str:
    """Return leads and rates of the records, and what was left out; "" if unknown."""
    if not any(one.lead for one in beats.records.values()):
        return ""
    leads = Counter((one.lead, one.rate) for one in beats.records.values())
    said = [f"{count} with {lead} at {rate:g} Hz" for (lead, rate), count in leads.most_common()]
    found = [f"records by lead and sampling rate: {_first(said)}"]
    if lost := {one.name: one.lost for one in beats.records.values() if one.lost}:
        found.append(
            f"{sum(lost.values()):,} beats were left out because of gaps in the signal: record "
            f"{_first(list(lost))}"
        )
    with_beats = set(np.unique(beats.record).tolist())
    if empty := [one.name for number, one in beats.records.items() if number not in with_beats]:
        found.append(f"records without a beat: {_first(empty)}")
    return "; ".join(found)


def _first(names: Sequence[str]) -> str:
    return ", ".join([*names[:SHOWN], *(["..."] if len(names) > SHOWN else [])])


def notes(location: str | Path) -> list[str]:
    """Return notes on a location, such as files that differ from PhysioNet's."""
    from ecg.sources import SYNTHETIC
    from ecg.sources.locate import locate
    from ecg.sources.mitdb_files import FILES, differing_files

    if location == SYNTHETIC:
        return ["simulated heartbeats, not ECG recordings; results say nothing about patients"]
    found = locate(Path(location).expanduser())
    if found is None or found.kind != "mitdb":
        return [found.note] if found and found.note else []
    differing = differing_files(found.path)
    if not differing:
        return ["all files are identical to PhysioNet's (SHA-256)"]
    return [
        f"{len(differing)} of {len(FILES)} files differ from PhysioNet's (SHA-256): "
        f"{_first(differing)}"
    ]


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table whose first column is left-aligned and the others right-aligned."""
    lines = [header, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
