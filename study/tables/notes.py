"""What stands above and below the figures of a table, in words."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from ecg.statistics import MIN_PAIRS, SIGNIFICANCE, holm, paired_p_value, smallest_p_value
from ecg.training.config import PROTOCOL
from search_spaces.tables import COLUMN_TITLES, Table
from study.storage.results_checks import shared_value
from study.tables.formats import NOTHING, Cell, Figure, Grid
from study.tables.rows import RowCells

COMPARED = ("f1_macro", "f1_weighted")
REAL_SOURCES = ("mitdb", "kaggle")
LONGEST_FAILURE = 160
PUBLISHED_DIGITS = 4
OUTSIDE = "†"


@dataclass(frozen=True)
class Comparison:
    """One row against the baseline row, by one figure.

    Attributes:
        label: of the row.
        score: the figure.
        pairs: repeats that both rows have finished.
        difference: mean of the paired differences, None without a pair.
        p_value: corrected by Holm's method, None where there was no test.
    """

    label: str
    score: str
    pairs: int
    difference: float | None
    p_value: float | None


def differences_from_protocol(records: pd.DataFrame) -> list[str]:
    """Say why the figures may not be set beside the published ones; empty where they may."""
    source, split, budget = (shared_value(records, c) for c in ("source", "split", "budget"))
    protocol = shared_value(records, "protocol")
    if source is None and split is None and budget is None:
        return ["nothing has been trained yet"]
    reasons = []
    if source not in REAL_SOURCES:
        reasons.append(f"the data source is '{source}', not MIT-BIH")
    if split != "intra-patient":
        reasons.append(f"the split is '{split}', not 'intra-patient'")
    if budget != "paper":
        reasons.append(f"the budget is '{budget}', not 'paper'")
    if protocol != str(PROTOCOL):
        reasons.append(f"the runs are of protocol {protocol}, not {PROTOCOL}")
    return reasons


def warn(reasons: Sequence[str]) -> tuple[str, ...]:
    """Return what stands above figures that are not to be compared with published ones."""
    if not reasons:
        return ()
    return (f"NOT COMPARABLE WITH THE PUBLISHED FIGURES: {'; '.join(reasons)}.",)


def compare_with_baseline(rows: Sequence[RowCells], baseline: RowCells) -> list[Comparison]:
    """Test every row against the baseline row, Holm's correction over all tests of the table."""
    found: list[Comparison] = []
    tested: list[float] = []
    for row in rows:
        if row is baseline:
            continue
        for score in COMPARED:
            both = pd.concat([row.values(score), baseline.values(score)], axis=1, join="inner")
            pairs = both.to_numpy()
            p_value = paired_p_value(pairs[:, 0], pairs[:, 1])
            tested += [] if p_value is None else [p_value]
            mean = float((pairs[:, 0] - pairs[:, 1]).mean()) if len(pairs) else None
            found.append(Comparison(row.row.label, score, len(pairs), mean, p_value))
    corrected = iter(holm(tested))
    return [
        Comparison(c.label, c.score, c.pairs, c.difference, next(corrected))
        if c.p_value is not None
        else c
        for c in found
    ]


def comparison_grid(
    table: Table, comparisons: Sequence[Comparison], digits: int
) -> tuple[Grid, ...]:
    """Return the tests as a grid; nothing where no row has enough seeds to be tested."""
    if all(c.p_value is None for c in comparisons):
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
            line += [mean, describe_p_value(c.p_value)]
        body.append(tuple(line))
    caption = f"Each row less the baseline ({_baseline(table)}), over the seeds both have"
    return (Grid(caption, tuple(header), tuple(body)),)


def describe_p_value(p_value: float | None) -> str:
    """Return "0.0117", "<0.0001", or that there was no test."""
    if p_value is None:
        return f"no test below {MIN_PAIRS} seeds"
    return "<0.0001" if p_value < 0.0001 else f"{p_value:.4f}"


def comparison_note(table: Table, comparisons: Sequence[Comparison]) -> str:
    """Say which rows differ from the baseline row."""
    tested = [c for c in comparisons if c.p_value is not None]
    against = f"Against the baseline ({_baseline(table)})"
    if not tested:
        pairs = max((c.pairs for c in comparisons), default=0)
        runs = "one paired run" if pairs == 1 else f"{pairs} paired runs"
        reach = f" ({runs} can at best reach p = {smallest_p_value(pairs):.4g})" if pairs else ""
        return (
            f"{against}: no test below {MIN_PAIRS} seeds{reach}, so no difference between rows is "
            "claimed."
        )
    told = []
    for score in COMPARED:
        labels = [
            c.label
            for c in tested
            if c.score == score and c.p_value is not None and c.p_value < SIGNIFICANCE
        ]
        told.append(f"{COLUMN_TITLES[score]}: {', '.join(labels) or 'none'}")
    return (
        f"{against}, rows that differ at the {SIGNIFICANCE:.0%} level: {'; '.join(told)} (paired "
        f"two-sided Wilcoxon signed-rank test over seeds, Holm's correction over the "
        f"{len(tested)} tests of this table)."
    )


def interval_note(rows: Sequence[RowCells]) -> str:
    """Say what the intervals are."""
    counts = sorted({len(row.confusions) for row in rows} - {0})
    told = []
    if counts and counts[-1] > 1:
        few = f", too narrow for as few as {counts[0]} seeds" if counts[0] < MIN_PAIRS else ""
        told.append(f"of the mean over seeds (percentile bootstrap{few})")
    if 1 in counts:
        told.append("of one run where n = 1 (bootstrap of its test beats)")
    return f"95% interval: {', and '.join(told)}."


def is_outside(published: float, bounds: tuple[float, float] | None) -> bool:
    """Whether a published figure lies outside our interval, whatever it was before rounding."""
    half = 0.5 * 10.0**-PUBLISHED_DIGITS
    return bounds is not None and not bounds[0] - half <= published <= bounds[1] + half


def published_note(table: Table, rows: Sequence[RowCells]) -> str:
    """Say how many published figures lie inside our 95% intervals."""
    half = 0.5 * 10.0**-PUBLISHED_DIGITS
    held, between = [], 0
    for row in rows:
        if row.finished.empty:
            continue
        figures = table.published.get(row.row.label, ())
        for score, figure in zip(table.columns, figures, strict=False):
            held.append(is_outside(figure, row.bounds(score)))
            runs = row.values(score)
            between += bool(runs.min() - half <= figure <= runs.max() + half)
    if not held:
        return "No seed is finished, so no published figure can be held against an interval."
    marked = f"; those outside are marked {OUTSIDE}" if any(held) else ""
    told = (
        f"{len(held) - sum(held)} of {len(held)} published figures lie inside our 95% interval"
        f"{marked}."
    )
    if all(len(row.finished) <= 1 for row in rows):
        return f"{told} The interval of one run leaves out how much runs scatter with their seed."
    return (
        f"{told} Each is one run, which scatters more than a mean over seeds: {between} lie "
        "between our lowest and our highest run."
    )


def failure_notes(rows: Sequence[RowCells]) -> list[str]:
    """Say why cells failed."""
    notes = []
    for row in rows:
        failed = row.cells[row.cells["state"] == "fail"]
        for repeat, failure in zip(failed["repeat"], failed["failure"], strict=True):
            reason = failure or "no reason is known"
            if len(reason) > LONGEST_FAILURE:
                reason = f"{reason[:LONGEST_FAILURE]}..."
            notes.append(f"Failed: {row.row.label}, repeat {repeat}: {reason}")
    return notes


def provenance_notes(rows: Sequence[RowCells]) -> list[str]:
    """Say from which data, protocol, devices and versions the figures are."""
    cells = pd.concat([row.cells for row in rows])
    finished = pd.concat([row.finished for row in rows])
    data = shared_value(cells, "data")
    facts = [
        f"data {shared_value(cells, 'source') or 'unknown'}"
        + (f" (fingerprint {data[:12]})" if data else ""),
        f"split {shared_value(cells, 'split') or 'unknown'}",
        f"budget {shared_value(cells, 'budget') or 'unknown'}",
        f"device {shared_value(cells, 'device') or 'unknown'} "
        f"({shared_value(cells, 'precision') or 'unknown'})",
        f"{rows[0].planned} seed{'' if rows[0].planned == 1 else 's'} planned",
        f"{len(finished)} of {len(rows) * rows[0].planned} cells finished",
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
