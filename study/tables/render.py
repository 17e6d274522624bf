"""The published tables, rendered from the results of planned runs, never from a new run."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ecg.errors import DataError, UsageError
from ecg.files import write_text
from ecg.inter_patient import inter_patient_scores
from ecg.metrics import F1_NSV
from search_spaces.tables import COLUMN_TITLES, CONTRADICTION, TABLES, Table, configurations
from search_spaces.tables import find_table as find_published
from study.comparison import COMPARED, differences_from_protocol, say_not_comparable
from study.storage.results_checks import check_one_kind, shared_identity, shared_value
from study.tables.formats import NOTHING, Again, Cell, Document, Grid, Score, suffix, write
from study.tables.notes import (
    OUTSIDE,
    compare_rows,
    comparison_grid,
    comparison_notes,
    failure_notes,
    interval_note,
    is_outside,
    provenance_notes,
    published_note,
)
from study.tables.rows import RowRuns, mean_and_spread, runs_by_row

MAX_DIGITS = 12
INTER_PATIENT = {
    "f1_nsv": "F1(N, S, V)",
    "f1_F": "F1(F)",
    "sensitivity_S": "Se(S)",
    "predictivity_S": "P+(S)",
    "sensitivity_V": "Se(V)",
    "predictivity_V": "P+(V)",
    "kappa": "kappa",
    "jk_index": "jk index",
}


def render(
    results: pd.DataFrame,
    table: Table | str,
    *,
    published: bool = True,
    fmt: str = "markdown",
    digits: int = 4,
    spread: bool = True,
) -> str:
    """Render one published table from results; equal results give equal bytes.

    Published scores are shown next to ours only if both follow the same protocol: MIT-BIH data,
    intra-patient split, paper budget. Otherwise a warning comes first, and the published scores
    follow in a separate block.

    Args:
        results: see `study.storage.results.results_of_rows`. Runs that fit no row are ignored.
        table: a table, or its name.
        published: include the published scores.
        fmt: one of `study.tables.formats.FORMATS`.
        digits: digits after the decimal point.
        spread: print standard deviations.

    Raises:
        UsageError: table, format or digits are not supported.
        DataError: the runs do not share their settings.
    """
    table = find_published(table) if isinstance(table, str) else table
    _check_digits(digits)
    check_one_kind(results, "the results")
    document = _document(results, table, published=published, digits=digits)
    return write(document, fmt, spread=spread)


def write_tables(
    results: pd.DataFrame,
    folder: Path,
    names: Sequence[str] = tuple(TABLES),
    *,
    published: bool = True,
    formats: Sequence[str] = ("markdown",),
    digits: int = 4,
    spread: bool = True,
    with_tf: bool = False,
) -> list[Path]:
    """Write tables to a folder as `table1.md` and so on; each file is written atomically.

    Args:
        results: see `render`.
        folder: folder of the files, created if it is missing.
        names: names of the tables.
        published: see `render`.
        formats: names in `study.tables.formats.FORMATS`.
        digits: see `render`.
        spread: see `render`.
        with_tf: see `search_spaces.tables.find_table`.

    Returns:
        The files, in the order of names and formats.

    Raises:
        UsageError: a name, a format or the digits are not supported; nothing was written.
        DataError: the runs do not share their settings; nothing was written.
        OutputError: a file cannot be written.
    """
    endings = {fmt: suffix(fmt) for fmt in formats}
    texts = {
        folder / f"{table.name}{ending}": render(
            results, table, published=published, fmt=fmt, digits=digits, spread=spread
        )
        for table in [find_published(name, with_tf=with_tf) for name in names]
        for fmt, ending in endings.items()
    }
    for path, text in texts.items():
        write_text(path, text)
    return list(texts)


def compare_splits(
    intra_patient: pd.DataFrame,
    inter_patient: pd.DataFrame,
    *,
    fmt: str = "markdown",
    digits: int = 4,
    spread: bool = True,
) -> str:
    """Render both splits side by side: how much each configuration loses on unseen patients.

    Args:
        intra_patient: results of the intra-patient split.
        inter_patient: results of the inter-patient split.
        fmt: see `render`.
        digits: see `render`.
        spread: see `render`.

    Raises:
        UsageError: format or digits are not supported.
        DataError: the results are of other splits, or differ in data or budget.
    """
    _check_digits(digits)
    sides = {"intra-patient": intra_patient, "inter-patient": inter_patient}
    _check_sides(sides)
    rows = configurations()
    intra, inter = (runs_by_row(results, rows) for results in sides.values())
    reasons = [
        reason
        for reason in differences_from_protocol(shared_identity(intra_patient))
        if "split" not in reason
    ]
    notes = [
        "Drop: mean of the intra-patient split minus mean of the inter-patient split. In the "
        "intra-patient split, training and test share patients; in the inter-patient split, they "
        "do not.",
        *(f"{split}: {note}" for split, side in zip(sides, (intra, inter), strict=True)
          for note in (*failure_notes(side), *provenance_notes(side))),
    ]  # fmt: skip
    document = Document(
        title="Both splits side by side",
        warnings=_warnings(reasons),
        grids=(_drops(intra, inter, digits),),
        notes=tuple(notes),
    )
    return write(document, fmt, spread=spread)


def _check_sides(sides: Mapping[str, pd.DataFrame]) -> None:
    """Check that the results of both splits differ only in their split.

    Raises:
        DataError: if they do not.
    """
    for split, results in sides.items():
        check_one_kind(results, f"the {split} results")
        if (found := shared_value(results, "split")) not in (split, None):
            raise DataError(
                f"The {split} results are of the split '{found}'. Pass results of the {split} "
                "split."
            )
    kinds = pd.concat(list(sides.values())).assign(split=None, study_seed=None)
    check_one_kind(kinds, "the comparison of both splits")


def _drops(intra: Sequence[RowRuns], inter: Sequence[RowRuns], digits: int) -> Grid:
    header = ["configuration", "n intra-patient", "n inter-patient"]
    for score in COMPARED:
        title = COLUMN_TITLES[score]
        header += [f"{title} intra-patient", f"{title} inter-patient", f"{title} drop"]
    body = []
    for one, other in zip(intra, inter, strict=True):
        line: list[Cell] = [one.row.label, one.seeds(), other.seeds()]
        for score in COMPARED:
            drop: Cell = NOTHING
            if not one.finished.empty and not other.finished.empty:
                drop = Score(one.mean(score) - other.mean(score), digits)
            means = (side.mean_and_spread(score, digits) for side in (one, other))
            line += [*means, drop]
        body.append(tuple(line))
    return Grid("", tuple(header), tuple(body))


def _document(results: pd.DataFrame, table: Table, *, published: bool, digits: int) -> Document:
    rows = runs_by_row(results, table.rows)
    baseline = next(row for row in rows if row.row is table.baseline)
    reasons = differences_from_protocol(shared_identity(results))
    beside = published and not reasons
    comparisons = compare_rows(rows, baseline)

    grids = [_scores(table, rows, beside=beside, digits=digits)]
    grids += [_published_scores(table)] if published and not beside else []
    if shared_value(results, "split") == "inter-patient":
        grids.append(_inter_patient_scores(table, rows, digits))
    grids += comparison_grid(table, comparisons, digits)
    notes = ["n: number of seeds. Scores: mean ± standard deviation over seeds, no ± for one seed."]
    if beside:
        notes += [interval_note(rows)] if any(row.confusions for row in rows) else []
        notes.append(published_note(table, rows))
    notes += comparison_notes(table, rows, comparisons, published=beside)
    notes += failure_notes(rows) + provenance_notes(rows)
    if published:
        notes.append(CONTRADICTION)
    return Document(table.title, _warnings(reasons), tuple(grids), tuple(notes))


def _scores(table: Table, rows: Sequence[RowRuns], *, beside: bool, digits: int) -> Grid:
    header = (*_label_headings(table), *(("scores",) if beside else ()), *_titles(table), "n")
    body: list[tuple[Cell, ...]] = []
    for row in rows:
        label = _label_cells(table, row.row.label)
        ours = tuple(row.mean_and_spread(score, digits) for score in table.columns)
        if not beside:
            body.append((*label, *ours, row.seeds()))
            continue
        again = tuple(Again(cell) for cell in label)
        theirs = dict(zip(table.columns, table.published.get(row.row.label, ()), strict=False))
        body.append((*label, "this study", *ours, row.seeds()))
        if not row.finished.empty:
            intervals = (row.interval(score, digits) for score in table.columns)
            body.append((*again, "95% interval", *intervals, ""))
        if len(row.finished) > 1:
            next_run = (row.prediction(score, digits) for score in table.columns)
            body.append((*again, "95% prediction interval", *next_run, ""))
        if theirs:
            body.append((*again, "published", *_published_cells(theirs, row), "1"))
        if theirs and not row.finished.empty:
            differences = (row.difference(score, value, digits) for score, value in theirs.items())
            body.append((*again, "difference", *differences, ""))
    return Grid("", header, tuple(body))


def _published_scores(table: Table) -> Grid:
    body: list[tuple[Cell, ...]] = [
        (*_label_cells(table, label), *map(Score, scores), "1")
        for label, scores in table.published.items()
    ]
    caption = "Published scores (full protocol), not comparable with the scores above"
    return Grid(caption, (*_label_headings(table), *_titles(table), "n"), tuple(body))


def _inter_patient_scores(table: Table, rows: Sequence[RowRuns], digits: int) -> Grid:
    body: list[tuple[Cell, ...]] = []
    for row in rows:
        found = [inter_patient_scores(matrix) for matrix in row.confusions]
        means = (
            mean_and_spread(np.array([scores[name] for scores in found]), digits)
            for name in INTER_PATIENT
        )
        interval = row.record_interval(F1_NSV, digits)
        body.append((row.row.label, *means, interval, row.seeds()))
    caption = (
        "Supraventricular (S) and ventricular (V) beats of unseen patients: sensitivity Se, "
        "positive predictivity P+, Cohen's kappa, jk index (Mar et al. 2011). 95% interval of the "
        "mean F1(N, S, V) over seeds, from resampled test records"
    )
    header = (table.header, *INTER_PATIENT.values(), "95% interval, records", "n")
    return Grid(caption, header, tuple(body))


def _label_headings(table: Table) -> tuple[str, ...]:
    return (table.header, "parameter") if table.parameters else (table.header,)


def _label_cells(table: Table, label: str) -> tuple[str, ...]:
    return (label, f"{table.parameters[label]:,}") if table.parameters else (label,)


def _titles(table: Table) -> tuple[str, ...]:
    return tuple(COLUMN_TITLES[score] for score in table.columns)


def _published_cells(theirs: Mapping[str, float], row: RowRuns) -> tuple[Cell, ...]:
    return tuple(
        Score(value, mark=OUTSIDE if is_outside(value, row.next_run(score)) else "")
        for score, value in theirs.items()
    )


def _warnings(reasons: Sequence[str]) -> tuple[str, ...]:
    return (say_not_comparable(reasons),) if reasons else ()


def _check_digits(digits: int) -> None:
    if not 1 <= digits <= MAX_DIGITS:
        raise UsageError(f"digits must be between 1 and {MAX_DIGITS}, not {digits}")
