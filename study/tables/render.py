"""The published tables, rendered from the records of trained cells, never from a new run."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ecg.errors import DataError, UsageError
from ecg.inter_patient import inter_patient_scores
from ecg.metrics import F1_NSV
from search_spaces.tables import COLUMN_TITLES, CONTRADICTION, TABLES, Table, configurations
from search_spaces.tables import find_table as find_published
from study.comparison import COMPARED, differences_from_protocol, say_caution
from study.storage.files import write_text
from study.storage.results_checks import check_one_kind, shared_identity, shared_value
from study.tables.formats import NOTHING, Again, Cell, Document, Figure, Grid, suffix, write
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
from study.tables.rows import RowRuns, figure_of, runs_by_row

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
    records: pd.DataFrame,
    table: Table | str,
    *,
    published: bool = True,
    fmt: str = "markdown",
    digits: int = 4,
    spread: bool = True,
) -> str:
    """Render one published table from records; equal records give equal bytes.

    Published figures stand beside ours only where both follow one protocol: MIT-BIH data,
    intra-patient split, paper budget. Else a warning stands above ours, and the published figures
    in a block of their own.

    Args:
        records: cells, see `study.storage.results.results_of_rows`. Cells of no row are not
            looked at.
        table: or its name.
        published: set the published figures beside or below.
        fmt: one of `study.tables.formats.FORMATS`.
        digits: behind the point.
        spread: print standard deviations.

    Raises:
        UsageError: table, format or digits are not known.
        DataError: the records are of several kinds.
    """
    table = find_published(table) if isinstance(table, str) else table
    _check_digits(digits)
    check_one_kind(records, "the records")
    document = _document(records, table, published=published, digits=digits)
    return write(document, fmt, spread=spread)


def export_tables(
    records: pd.DataFrame,
    folder: Path,
    names: Sequence[str] = tuple(TABLES),
    *,
    published: bool = True,
    formats: Sequence[str] = ("markdown",),
    digits: int = 4,
    spread: bool = True,
    with_tf: bool = False,
) -> list[Path]:
    """Write tables into a folder as `table1.md` and so on, each file as a whole or not at all.

    Args:
        records: see `render`.
        folder: made where there is none.
        names: of the tables.
        published: see `render`.
        formats: of `study.tables.formats.FORMATS`.
        digits: see `render`.
        spread: see `render`.
        with_tf: see `search_spaces.tables.find_table`.

    Returns:
        The files, in the order of names and formats.

    Raises:
        UsageError: a name, a format or the digits are not known; nothing was written.
        DataError: the records are of several kinds; nothing was written.
        OutputError: a file cannot be written.
    """
    endings = {fmt: suffix(fmt) for fmt in formats}
    texts = {
        folder / f"{table.name}{ending}": render(
            records, table, published=published, fmt=fmt, digits=digits, spread=spread
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
    """Render both splits side by side: how much a configuration loses on unseen patients.

    Args:
        intra_patient: cells of the intra-patient split.
        inter_patient: cells of the inter-patient split.
        fmt: see `render`.
        digits: see `render`.
        spread: see `render`.

    Raises:
        UsageError: format or digits are not known.
        DataError: the records are not of these splits, or differ in data or budget.
    """
    _check_digits(digits)
    sides = {"intra-patient": intra_patient, "inter-patient": inter_patient}
    for split, records in sides.items():
        check_one_kind(records, f"the {split} records")
        if shared_value(records, "split") not in (split, None):
            found = shared_value(records, "split")
            raise DataError(f"the {split} records are of the split '{found}'; give those of it")
    kinds = pd.concat(list(sides.values())).assign(split=None, study_seed=None)
    check_one_kind(kinds, "the comparison of both splits")

    rows = configurations()
    intra, inter = (runs_by_row(records, rows) for records in sides.values())
    header = ["configuration", "n intra-patient", "n inter-patient"]
    for score in COMPARED:
        title = COLUMN_TITLES[score]
        header += [f"{title} intra-patient", f"{title} inter-patient", f"{title} drop"]
    body = []
    for ours, theirs in zip(intra, inter, strict=True):
        line: list[Cell] = [ours.row.label, ours.seeds(), theirs.seeds()]
        for score in COMPARED:
            drop: Cell = NOTHING
            if not ours.finished.empty and not theirs.finished.empty:
                drop = Figure(ours.mean(score) - theirs.mean(score), digits)
            line += [ours.figure(score, digits), theirs.figure(score, digits), drop]
        body.append(tuple(line))
    reasons = [
        reason
        for reason in differences_from_protocol(shared_identity(intra_patient))
        if "split" not in reason
    ]
    notes = [
        "drop: mean of the intra-patient split less mean of the inter-patient split. In the "
        "intra-patient split beats of one patient stand in training and in test; in the "
        "inter-patient split no patient does.",
        *(f"{split}: {note}" for split, side in zip(sides, (intra, inter), strict=True)
          for note in (*failure_notes(side), *provenance_notes(side))),
    ]  # fmt: skip
    document = Document(
        title="Both splits side by side",
        warnings=_warnings(reasons),
        grids=(Grid("", tuple(header), tuple(body)),),
        notes=tuple(notes),
    )
    return write(document, fmt, spread=spread)


def _document(records: pd.DataFrame, table: Table, *, published: bool, digits: int) -> Document:
    rows = runs_by_row(records, table.rows)
    baseline = next(row for row in rows if row.row is table.baseline)
    reasons = differences_from_protocol(shared_identity(records))
    beside = published and not reasons
    comparisons = compare_rows(rows, baseline)

    grids = [_figures(table, rows, beside=beside, digits=digits)]
    grids += [_published_figures(table)] if published and not beside else []
    if shared_value(records, "split") == "inter-patient":
        grids.append(_inter_patient_scores(table, rows, digits))
    grids += comparison_grid(table, comparisons, digits)
    notes = ["n: seeds; mean ± standard deviation over them, no ± for one seed."]
    if beside:
        notes += [interval_note(rows)] if any(row.confusions for row in rows) else []
        notes.append(published_note(table, rows))
    notes += comparison_notes(table, rows, comparisons, published=beside)
    notes += failure_notes(rows) + provenance_notes(rows)
    if published:
        notes.append(CONTRADICTION)
    return Document(table.title, _warnings(reasons), tuple(grids), tuple(notes))


def _figures(table: Table, rows: Sequence[RowRuns], *, beside: bool, digits: int) -> Grid:
    header = (*_label_headings(table), *(("figures",) if beside else ()), *_titles(table), "n")
    body: list[tuple[Cell, ...]] = []
    for row in rows:
        label = _label_cells(table, row.row.label)
        ours = tuple(row.figure(score, digits) for score in table.columns)
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
            body.append((*again, "95% of one more run", *next_run, ""))
        if theirs:
            body.append((*again, "published", *_published_cells(theirs, row), "1"))
        if theirs and not row.finished.empty:
            less = (row.difference(score, value, digits) for score, value in theirs.items())
            body.append((*again, "difference", *less, ""))
    return Grid("", header, tuple(body))


def _published_figures(table: Table) -> Grid:
    body: list[tuple[Cell, ...]] = [
        (*_label_cells(table, label), *map(Figure, figures), "1")
        for label, figures in table.published.items()
    ]
    caption = "Published, full protocol: not comparable with the figures above"
    return Grid(caption, (*_label_headings(table), *_titles(table), "n"), tuple(body))


def _inter_patient_scores(table: Table, rows: Sequence[RowRuns], digits: int) -> Grid:
    body: list[tuple[Cell, ...]] = []
    for row in rows:
        found = [inter_patient_scores(matrix) for matrix in row.confusions]
        figures = (
            figure_of(np.array([scores[name] for scores in found]), digits)
            for name in INTER_PATIENT
        )
        interval = row.record_interval(F1_NSV, digits)
        body.append((row.row.label, *figures, interval, row.seeds()))
    caption = (
        "Supraventricular (S) and ventricular (V) beats of unseen patients: sensitivity Se, "
        "positive predictivity P+, Cohen's kappa, jk index (Mar et al. 2011). 95% interval of "
        "F1(N, S, V): mean over seeds, test records resampled"
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
        Figure(value, mark=OUTSIDE if is_outside(value, row.next_run(score)) else "")
        for score, value in theirs.items()
    )


def _warnings(reasons: Sequence[str]) -> tuple[str, ...]:
    return (say_caution(reasons),) if reasons else ()


def _check_digits(digits: int) -> None:
    if not 1 <= digits <= MAX_DIGITS:
        raise UsageError(f"digits must be from 1 to {MAX_DIGITS}, not {digits}")
