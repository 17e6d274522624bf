"""The comparison with the baseline row and the notes below a table."""

from collections.abc import Iterable, Sequence

import pandas as pd

from ecg.statistics import Comparison, compare_with_baseline
from search_spaces.tables import COLUMN_TITLES, Table
from study.comparison import COMPARED, conclude, say_p_value, say_test_draw
from study.storage.results_checks import shared_identity, shared_value
from study.tables.formats import NOTHING, Cell, Grid, Score
from study.tables.rows import RowRuns
from study.wording import counted

LONGEST_FAILURE = 160
PUBLISHED_DIGITS = 4
OUTSIDE = "†"


def compare_rows(rows: Sequence[RowRuns], baseline: RowRuns) -> list[Comparison]:
    """Test every row against the baseline row, with Holm's correction over the whole table."""
    runs = {row.row.label: {score: row.by_repeat(score) for score in COMPARED} for row in rows}
    return compare_with_baseline(runs, baseline.row.label)


def comparison_grid(
    table: Table, comparisons: Sequence[Comparison], digits: int
) -> tuple[Grid, ...]:
    """Return the tests as a grid, none if no row shares two seeds with the baseline."""
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
            mean = NOTHING if c.difference is None else Score(c.difference, digits, signed=True)
            line += [mean, say_p_value(c.p_value)]
        body.append(tuple(line))
    caption = f"Difference from the baseline ({_baseline(table)}), over the seeds that both have"
    return (Grid(caption, tuple(header), tuple(body)),)


def comparison_notes(
    table: Table, rows: Sequence[RowRuns], comparisons: Sequence[Comparison], *, published: bool
) -> list[str]:
    """Return which rows differ from the baseline row, and what the tests do not cover."""
    identity = shared_identity(pd.concat([row.runs for row in rows]))
    measured = [matrix for row in rows for matrix in row.confusions]
    notes = [conclude(comparisons, f"the baseline ({_baseline(table)})", what="rows")]
    if measured:
        notes.append(say_test_draw(identity, measured[0], published=published))
    return notes


def interval_note(rows: Sequence[RowRuns]) -> str:
    """Return what the intervals are."""
    counts = {len(row.confusions) for row in rows} - {0}
    kinds = []
    if counts - {1}:
        kinds.append("Student's t interval of the mean over seeds")
    if 1 in counts:
        kinds.append("bootstrap of the test beats where n = 1")
    return f"95% interval: {'; '.join(kinds)}."


def is_outside(published: float, bounds: tuple[float, float] | None) -> bool:
    """Whether a published score is outside an interval, for every value that rounds to it."""
    half = 0.5 * 10.0**-PUBLISHED_DIGITS
    return bounds is not None and not bounds[0] - half <= published <= bounds[1] + half


def published_note(table: Table, rows: Sequence[RowRuns]) -> str:
    """Return how many published scores are within the prediction intervals of one more run."""
    outside = [
        is_outside(published, bounds)
        for row in rows
        for score, published in zip(
            table.columns, table.published.get(row.row.label, ()), strict=False
        )
        if (bounds := row.next_run(score)) is not None
    ]
    if not outside:
        return (
            "Published scores are from single runs. Comparing them with ours takes a prediction "
            "interval, which needs at least two seeds."
        )
    marked = f" Scores outside are marked {OUTSIDE}." if any(outside) else ""
    return (
        f"Published scores are from single runs. {len(outside) - sum(outside)} of {len(outside)} "
        "are within the 95% prediction interval of one more run, mean ± t·s·√(1 + 1/n) (Student's "
        f"t).{marked}"
    )


def failure_notes(rows: Sequence[RowRuns]) -> list[str]:
    """Return why runs failed."""
    notes = []
    for row in rows:
        failed = row.runs[row.runs["state"] == "fail"]
        for repeat, failure in zip(failed["repeat"], failed["failure"], strict=True):
            reason = failure or "reason unknown"
            if len(reason) > LONGEST_FAILURE:
                reason = f"{reason[:LONGEST_FAILURE]}..."
            notes.append(f"Failed: {row.row.label}, repeat {repeat}: {reason}")
    return notes


def provenance_notes(rows: Sequence[RowRuns]) -> list[str]:
    """Return the data, settings, devices and versions behind the scores."""
    runs = pd.concat([row.runs for row in rows])
    finished = pd.concat([row.finished for row in rows])
    known = {name: value or "unknown" for name, value in shared_identity(runs).items()}
    data = shared_value(runs, "data")
    fingerprint = f" (fingerprint {data[:12]})" if data else ""
    planned = rows[0].planned
    notes = [
        f"Test scores: data {known['source']}{fingerprint}, split {known['split']}, budget "
        f"{known['budget']}, device {known['device']} ({known['precision']}). "
        f"{counted(planned, 'seed')} planned, {len(finished)} of "
        f"{counted(len(rows) * planned, 'run')} finished, {finished['seconds'].sum():,.0f} s of "
        "training."
    ]
    if not finished.empty:
        versions = list(finished["versions"].dropna())
        names = sorted({name for found in versions for name in found} - {"commit"})
        packages = [f"{name} {_distinct(found.get(name) for found in versions)}" for name in names]
        notes.append(
            f"Trained on {_distinct(finished['device_name']) or 'an unknown device'}; commit "
            f"{_distinct(found.get('commit') for found in versions) or 'unknown'}; "
            f"{', '.join(packages) or 'versions unknown'}."
        )
    return notes


def _baseline(table: Table) -> str:
    return f"{table.header} {table.baseline.label}"


def _distinct(values: Iterable[object]) -> str:
    return " / ".join(sorted({str(value) for value in values if isinstance(value, str) and value}))
