"""The findings of `confirm`, for a terminal and for the report."""

import html
from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.text import Text

from study.comparison import (
    CONFIRMED_COLUMNS,
    ENSEMBLE_CAPTION,
    ConfirmedScore,
    confirmation_notes,
    confirmed_scores,
    describe_chosen,
    ensemble_scores,
)
from study.show.text_tables import FittingTable, html_table
from study.storage.confirmation import Confirmation

FIRST = CONFIRMED_COLUMNS[0]
ALONE = CONFIRMED_COLUMNS.index("difference")  # columns of what is compared with nothing


def show_confirmation(confirmation: Confirmation) -> RenderableType:
    """Return the findings of `confirm` for a terminal."""
    parts: list[RenderableType] = [Text(line) for line in describe_chosen(confirmation)]
    title = f"confirmed on {confirmation.measured_on} (study {confirmation.study})"
    parts.append(_table(title, confirmed_scores(confirmation)))
    if confirmation.ensembles:
        rows = [one.cells()[:ALONE] for one in ensemble_scores(confirmation)]
        parts.append(FittingTable("ensembles", CONFIRMED_COLUMNS[:ALONE], rows, wraps=FIRST))
        parts.append(Text(f"{ENSEMBLE_CAPTION}."))
    return Group(*parts, *map(Text, confirmation_notes(confirmation)))


def confirmation_section(confirmation: Confirmation) -> str:
    """Return the findings of `confirm` as HTML; every text of a user is escaped."""
    parts = [f"<p>{html.escape(line)}</p>" for line in describe_chosen(confirmation)]
    parts.append(_html_table(confirmed_scores(confirmation)))
    if confirmation.ensembles:
        parts.append(f"<p>{html.escape(ENSEMBLE_CAPTION)}.</p>")
        parts.append(_html_table(ensemble_scores(confirmation), ALONE))
    parts += [f'<p class="soft">{html.escape(n)}</p>' for n in confirmation_notes(confirmation)]
    return "".join(parts)


def _table(title: str, found: Iterable[ConfirmedScore]) -> FittingTable:
    rows = [one.cells() for one in found]
    return FittingTable(title, CONFIRMED_COLUMNS, rows, wraps=FIRST)


def _html_table(found: Iterable[ConfirmedScore], columns: int | None = None) -> str:
    table = html_table(CONFIRMED_COLUMNS[:columns], [one.cells()[:columns] for one in found])
    return f'<div class="table">{table}</div>'
