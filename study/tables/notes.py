"""What stands above and below the figures of a table, in words."""

from collections.abc import Iterable, Sequence

import pandas as pd

from ecg.statistics import Comparison, compare_with_baseline
from search_spaces.tables import COLUMN_TITLES, Table
from study.comparison import COMPARED, conclude, say_p_value, say_test_draw
from study.storage.results_checks import shared_identity, shared_value
from study.tables.formats import NOTHING, Cell, Figure, Grid
from study.tables.rows import RowRuns

LONGEST_FAILURE = 160
PUBLISHED_DIGITS = 4
OUTSIDE = "†"


def compare_rows(rows: Sequence[RowRuns], baseline: RowRuns) -> list[Comparison]:
    """Test every row against the baseline row, Holm's correction over all tests of the table."""
    runs = {row.row.label: {score: row.by_repeat(score) for score in COMPARED} for row in rows}
    return compare_with_baseline(runs, baseline.row.label)


def comparison_grid(
    table: Table, comparisons: Sequence[Comparison], digits: int
) -> tuple[Grid, ...]:
    """Return the tests as a grid; nothing where no row shares two seeds with the baseline."""
    if all(c.pairs < 2 for c in comparisons):
        return ()
    header = [table.header, "seeds"]
    for score in COMPARED:
        header += [f"difference {COLUMN_TITLES[score]}", f"Holm p {COLUMN_TITLES[score]}"]
    body = []
    for label in dict.fromkeys(c.label for c in comparisons):
        of_row = [c for c in comparisons if c.label == label]
        line: list[Cell] = [label, str(of_row[0].pairs)]
        for c in of_row:
            mean = NOTHING if c.difference is None else Figure(c.difference, digits, signed=True)
            line += [mean, say_p_value(c.p_value)]
        body.append(tuple(line))
    caption = f"Each row less the baseline ({_baseline(table)}), over the seeds both have"
    return (Grid(caption, tuple(header), tuple(body)),)


def comparison_notes(
    table: Table, rows: Sequence[RowRuns], comparisons: Sequence[Comparison], *, published: bool
) -> list[str]:
    """Say which rows differ from the baseline row, and what the tests leave out."""
    identity = shared_identity(pd.concat([row.runs for row in rows]))
    measured = [matrix for row in rows for matrix in row.confusions]
    notes = [conclude(comparisons, f"the baseline ({_baseline(table)})", what="rows")]
    if measured:
        notes.append(say_test_draw(identity, measured[0], published=published))
    return notes


def interval_note(rows: Sequence[RowRuns]) -> str:
    """Say what the intervals are."""
    counts = {len(row.confusions) for row in rows} - {0}
    told = []
    if counts - {1}:
        told.append("of the mean over seeds (Student's t)")
    if 1 in counts:
        told.append("of one run where n = 1 (bootstrap of its test beats)")
    return f"95% interval: {', and '.join(told)}."


def is_outside(published: float, bounds: tuple[float, float] | None) -> bool:
    """Whether a published figure lies outside an interval, whatever it was before rounding."""
    half = 0.5 * 10.0**-PUBLISHED_DIGITS
    return bounds is not None and not bounds[0] - half <= published <= bounds[1] + half


def published_note(table: Table, rows: Sequence[RowRuns]) -> str:
    """Say how many published figures lie inside the prediction intervals of a run."""
    outside = [
        is_outside(figure, bounds)
        for row in rows
        for score, figure in zip(
            table.columns, table.published.get(row.row.label, ()), strict=False
        )
        if (bounds := row.next_run(score)) is not None
    ]
    if not outside:
        return (
            "A published figure is one run. Where one more run would lie (the prediction interval) "
            "takes two seeds or more to say, so no published figure is held against ours."
        )
    marked = f"; those outside are marked {OUTSIDE}" if any(outside) else ""
    return (
        f"A published figure is one run: {len(outside) - sum(outside)} of {len(outside)} lie "
        "inside the 95% prediction interval of one more run, mean ± t·s·√(1 + 1/n) (Student's "
        f"t){marked}."
    )


def failure_notes(rows: Sequence[RowRuns]) -> list[str]:
    """Say why runs failed."""
    notes = []
    for row in rows:
        failed = row.runs[row.runs["state"] == "fail"]
        for repeat, failure in zip(failed["repeat"], failed["failure"], strict=True):
            reason = failure or "no reason is known"
            if len(reason) > LONGEST_FAILURE:
                reason = f"{reason[:LONGEST_FAILURE]}..."
            notes.append(f"Failed: {row.row.label}, repeat {repeat}: {reason}")
    return notes


def provenance_notes(rows: Sequence[RowRuns]) -> list[str]:
    """Say from which data, protocol, devices and versions the figures are."""
    runs = pd.concat([row.runs for row in rows])
    finished = pd.concat([row.finished for row in rows])
    data = shared_value(runs, "data")
    facts = [
        f"data {shared_value(runs, 'source') or 'unknown'}"
        + (f" (fingerprint {data[:12]})" if data else ""),
        f"split {shared_value(runs, 'split') or 'unknown'}",
        f"budget {shared_value(runs, 'budget') or 'unknown'}",
        f"device {shared_value(runs, 'device') or 'unknown'} "
        f"({shared_value(runs, 'precision') or 'unknown'})",
        f"{rows[0].planned} seed{'' if rows[0].planned == 1 else 's'} planned",
        f"{len(finished)} of {len(rows) * rows[0].planned} runs finished",
        f"{finished['seconds'].sum():,.0f} s of training",
    ]
    notes = [f"Figures: test part; {'; '.join(facts)}."]
    if not finished.empty:
        versions = list(finished["versions"].dropna())
        packages = sorted({name for found in versions for name in found} - {"commit"})
        told = [f"{name} {_distinct(found.get(name) for found in versions)}" for name in packages]
        notes.append(
            f"Trained on {_distinct(finished['device_name']) or 'an unknown device'}; commit "
            f"{_distinct(found.get('commit') for found in versions) or 'unknown'}; "
            f"{', '.join(told) or 'versions unknown'}."
        )
    return notes


def _baseline(table: Table) -> str:
    return f"{table.header} {table.baseline.label}"


def _distinct(values: Iterable[object]) -> str:
    return " / ".join(sorted({str(value) for value in values if isinstance(value, str) and value}))
