"""The findings of the audit: a text, a plot, and the rows of the CSV files as a table."""

import csv
import io
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ecg.audit import (
    TOLERANCE,
    Audit,
    class_counts,
    find_duplicates,
    of_trained_records,
    overlapping_trained_beats,
    records_by_part,
)
from ecg.describe import table
from ecg.files import write_bytes
from ecg.heartbeats import CLASSES, PUBLISHED_COUNTS, RAW_SAMPLING_RATE, UNKNOWN
from ecg.splits import HELD_OUT, has_mitdb_records

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TEXT_FILE, PLOT_FILE, ROWS_FILE = "audit.md", "audit.png", "audit_rows.csv"
WIDTH = 96  # characters per line
SHOWN = 5  # at most this many rows are named
PUBLISHED_RATE = 125.0  # Hz, according to every page on the CSV files
PARTS = ("train", "validation", "test")
# Okabe & Ito 2008: distinguishable with any colour vision deficiency, and by lightness alone.
COLOURS = {"train": "#0072B2", "validation": "#F0E442", "test": "#D55E00", "left out": "#DDDDDD"}


def write(found: Audit, folder: Path, notes: Sequence[str] = ()) -> tuple[str, list[Path]]:
    """Write the text, the plot and, with CSV files, the table of rows; each file is atomic.

    Args:
        found: the audit.
        folder: created if missing; files of an earlier audit are replaced.
        notes: sentences about the data for the top of the text.

    Returns:
        The text and the paths of the files.

    Raises:
        OutputError: a file cannot be written.
    """
    written = report(found, notes)
    contents = {TEXT_FILE: written.encode(), PLOT_FILE: draw(found)}
    if found.lookup is not None:
        contents[ROWS_FILE] = rows_table(found).encode()
    for name, content in contents.items():
        write_bytes(folder / name, content)
    return written, [folder / name for name in contents]


def report(found: Audit, notes: Sequence[str] = ()) -> str:
    """Return the text of the audit as Markdown. The same data gives the same text."""
    sections = [
        _head(found, notes),
        _found_rows(found),
        _shared_records(found),
        _sampling_rate(found),
        _duplicates(found),
        _every_record(found),
    ]
    return _lines(*filter(None, sections)) + "\n"


def rows_table(found: Audit) -> str:
    """Return part, row (from 1), record, sample, symbol and label of every CSV row, as CSV.

    Record, sample and symbol are empty for rows that were not found.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["part", "row", "record", "sample", "symbol", "label"])
    beats = found.beats
    for index, (record, label) in enumerate(zip(beats.record, beats.labels, strict=True)):
        origin = [int(record), int(beats.sample[index]), str(beats.symbol[index])]
        writer.writerow(
            [*_file_row(found, index), *(origin if record != UNKNOWN else ("", "", "")), int(label)]
        )
    return text.getvalue()


def draw(found: Audit) -> bytes:
    """Return a PNG: the share of each record's beats in each part, for both splits."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 9.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, gridspec_kw={"wspace": 0.08})
    own = "intra-patient split" if found.lookup is None else "split of the CSV files"
    name = found.rebuilt.record_name
    for axes, title, beats, split in (
        (left, own, found.beats, found.split),
        (right, "inter-patient split", found.rebuilt, found.by_patient),
    ):
        parts = records_by_part(beats, split)
        _draw_split(axes, title, {name(record): n for record, n in parts.items()})
    left.set_ylabel("record")
    handles, labels = right.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(COLOURS), frameon=False)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=130, metadata={"Software": None})
    return content.getvalue()


def _draw_split(axes: "Axes", title: str, parts: dict[str, tuple[int, int, int]]) -> None:
    counts = np.array(list(parts.values()), dtype=np.float64).reshape(-1, len(PARTS))
    total = counts.sum(axis=1)
    shares = np.divide(counts, total[:, None], out=np.zeros_like(counts), where=total[:, None] > 0)
    shares = np.column_stack([shares, total == 0])
    names = list(parts)
    begin = np.zeros(len(names))
    for (part, colour), share in zip(COLOURS.items(), 100 * shares.T, strict=True):
        axes.barh(names, share, left=begin, height=0.8, color=colour, label=part)
        begin += share
    axes.set(title=title, xlabel="share of the record's beats (%)", xlim=(0, 100))
    axes.set_ylim(len(names) - 0.4, -0.6)  # the first record on top
    axes.tick_params(axis="y", labelsize=7.5, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def _head(found: Audit, notes: Sequence[str]) -> str:
    rebuilt = found.rebuilt
    command = "python -m ecg audit" + (" --data KAGGLE_FOLDER" if found.lookup else "")
    counts = ", ".join(f"{c} {n:,}" for c, n in zip(CLASSES, rebuilt.class_counts(), strict=True))
    published = tuple(rebuilt.class_counts()) == PUBLISHED_COUNTS
    facts = [
        f"rebuilt from the records: {len(rebuilt):,} beats of {len(np.unique(rebuilt.record))} "
        f"records, fingerprint {rebuilt.fingerprint[:16]}",
        f"per class: {counts}" + (", as in the published CSV files" if published else ""),
        *notes,
    ]
    if found.beats.in_test is not None:
        test = int(found.beats.in_test.sum())
        facts.append(f"CSV files: {len(found.beats) - test:,} training and {test:,} test rows")
    else:
        drawn = "as many of each class" if published else f"{HELD_OUT:.0%} of each class"
        facts.append(
            "no CSV files were given; the records do not say which beats those files put into "
            f"test, so the audited intra-patient split draws {drawn} at random"
        )
    bullets = [textwrap.fill(f"- {fact}", WIDTH, subsequent_indent="  ") for fact in facts]
    return _lines("# Data audit", f"Made by `{command}`.", "\n".join(bullets))


def _found_rows(found: Audit) -> str:
    if found.lookup is None:
        return ""
    missing = found.lookup.beat < 0
    ambiguous = found.lookup.choices > 1
    other_label = ~missing & (found.rebuilt.labels[found.lookup.beat] != found.beats.labels)
    in_test = np.asarray(found.beats.in_test)
    rows = []
    for part, chosen in (("train", ~in_test), ("test", in_test)):
        flags = (~missing, missing, ambiguous, other_label)
        rows.append((part, f"{chosen.sum():,}", *(f"{(flag & chosen).sum():,}" for flag in flags)))
    return _lines(
        "## Rows of the CSV files in the rebuilt set",
        _paragraph(
            "A row counts as found if all its values agree with those of a rebuilt beat within "
            f"{TOLERANCE:g}. An ambiguous row matches several beats; such rows get these in order."
        ),
        _fenced(("file", "rows", "found", "not found", "ambiguous", "other label"), rows),
        *(
            f"{what}: {_name_rows(found, np.flatnonzero(flag))}"
            for what, flag in (("not found", missing), ("other label", other_label))
            if flag.any()
        ),
        f"Record, sample and symbol of every row: `{ROWS_FILE}`.",
    )


def _shared_records(found: Audit) -> str:
    labels = found.beats.labels[found.split.test]
    other_labels = found.rebuilt.labels[found.by_patient.test]
    shared = of_trained_records(found.beats, found.split)
    overlapping = overlapping_trained_beats(found.beats, found.split)
    columns = (
        class_counts(labels),
        class_counts(labels[shared]),
        class_counts(labels[overlapping]),
        class_counts(other_labels),
        class_counts(other_labels[of_trained_records(found.rebuilt, found.by_patient)]),
    )
    rows = [
        (name, f"{n:,}", f"{of:,}", _percent(of, n), f"{touching:,}", f"{m:,}", f"{by_patient:,}")
        for name, n, of, touching, m, by_patient in zip((*CLASSES, "all"), *columns, strict=True)
    ]
    known = "of trained records"
    return _lines(
        "## Records on both sides of the split",
        _paragraph(
            f"{shared.sum():,} of {len(shared):,} test beats "
            f"({_percent(shared.sum(), len(shared))}) come from records that are also in training. "
            f"{overlapping.sum():,} ({_percent(overlapping.sum(), len(overlapping))}) even overlap "
            "a training beat in time: a window includes a fifth of the next RR interval, so "
            "neighbours share signal. The last two columns show the inter-patient split."
        ),
        _fenced(
            ("class", "test", known, "share", "overlapping", "inter-patient test", known), rows
        ),
        f"![Share of each record's beats in each part]({PLOT_FILE})",
    )


def _sampling_rate(found: Audit) -> str:
    if not has_mitdb_records(found.rebuilt):  # only the headers give the rate of other data
        return ""
    head, rate = "## Sampling rate", found.rate
    if rate.windows == 0:
        return _lines(head, "No complete window has a known time, so the rate is unknown.")
    measured, published = rate.heart_rate_at(rate.slope), rate.heart_rate_at(PUBLISHED_RATE)
    return _lines(
        head,
        _paragraph(
            "A window spans one RR interval and a fifth of the next; the annotations of the raw "
            f"records ({RAW_SAMPLING_RATE} Hz) give their duration. Over {rate.windows:,} windows "
            f"that are not cropped, the number of values grows by {rate.slope:.2f} per second "
            f"(Theil-Sen slope). The median number of values per second is {rate.typical:.2f}, "
            "because a partial interval counts as a whole one. So the rate is "
            f"{rate.slope:.0f} Hz; the published pages say {PUBLISHED_RATE:.0f} Hz."
        ),
        _paragraph(
            f"According to the annotations, the median heart rate is {rate.heart_rate:.1f} beats "
            f"per minute. The windows give {measured:.1f} at {rate.slope:.0f} Hz and "
            f"{published:.1f} ({published / rate.heart_rate - 1:+.1%}) at {PUBLISHED_RATE:.0f} Hz."
        ),
        _paragraph(
            "The rebuilt windows are cut at this rate. To measure the rate of the CSV files "
            "themselves, run the audit with them."
            if found.lookup is None
            else "This was measured on the rows of the CSV files."
        ),
    )


def _duplicates(found: Audit) -> str:
    twice = find_duplicates(found.beats, found.split)
    rows = [
        (f"{b} rows that are also in {a}", f"{values:,}", f"{beat:,}")
        for (a, b), (values, beat) in twice.across.items()
    ]
    return _lines(
        "## Duplicates",
        _paragraph(
            f"{twice.rows:,} of {len(found.beats):,} rows have the values of another row (in "
            f"{twice.groups:,} groups). {twice.beats:,} beats, identified by record and sample, "
            "occur in more than one row."
        ),
        _fenced(("across the split", "same values", "same beat"), rows),
    )


def _every_record(found: Audit) -> str:
    by_patient = records_by_part(found.rebuilt, found.by_patient)
    parts = records_by_part(found.beats, found.split)
    rows = []
    for record, counts in by_patient.items():
        used = [part for part, n in zip(PARTS, counts, strict=True) if n] or ["left out"]
        own = (f"{n:,}" for n in parts.get(record, (0, 0, 0)))
        rows.append((found.rebuilt.record_name(record), *own, " and ".join(used)))
    return _lines("## Beats per record", _fenced(("record", *PARTS, "inter-patient"), rows))


def _lines(*blocks: str) -> str:
    return "\n\n".join(blocks)


def _paragraph(text: str) -> str:
    return textwrap.fill(text, WIDTH)


def _fenced(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return f"```\n{table(header, rows)}\n```"


def _percent(n: int, of: int) -> str:
    return f"{n / of:.1%}" if of else "-"


def _file_row(found: Audit, index: int) -> tuple[str, int]:
    """Return the part ("train" or "test") and the row number, from 1, in its CSV file."""
    in_test = np.asarray(found.beats.in_test)
    first = int(np.argmax(in_test)) if in_test[index] else 0
    return ("test" if in_test[index] else "train"), index - first + 1


def _name_rows(found: Audit, indices: NDArray[np.int64]) -> str:
    named = [f"{part} row {row}" for part, row in (_file_row(found, i) for i in indices[:SHOWN])]
    return ", ".join(named) + (", ..." if len(indices) > SHOWN else "")
