"""The result of `confirm` as a document: a grid of single runs, and one of ensembles."""

from collections.abc import Iterable

from study.comparison import (
    CONFIRMED_COLUMNS,
    ENSEMBLE_CAPTION,
    ConfirmedScore,
    confirmation_notes,
    confirmed_scores,
    describe_chosen,
    differences_from_protocol,
    ensemble_scores,
    say_not_comparable,
    say_p_value,
)
from study.storage.confirmation import Confirmation
from study.tables.formats import NOTHING, Cell, Document, Grid, Interval, Score, write
from study.wording import SCORE_TITLES, say_identity


def render_confirmation(
    confirmation: Confirmation, *, fmt: str = "markdown", digits: int = 4
) -> str:
    """Render the result of `confirm`; the same runs give the same bytes.

    Args:
        confirmation: confirmation of one search.
        fmt: one of `study.tables.formats.FORMATS`.
        digits: digits after the decimal point.

    Raises:
        UsageError: the format is unknown.
    """
    caution = say_not_comparable(differences_from_protocol(confirmation.identity))
    grids = [_grid("", confirmed_scores(confirmation), digits)]
    if confirmation.ensembles:
        grids.append(_grid(ENSEMBLE_CAPTION, ensemble_scores(confirmation), digits))
    document = Document(
        title=f"Confirmation '{confirmation.study}': scores on {confirmation.measured_on}",
        warnings=(caution,) if caution else (),
        grids=tuple(grids),
        notes=(
            *confirmation_notes(confirmation),
            *describe_chosen(confirmation),
            f"Runs: {say_identity(confirmation.identity)}.",
        ),
    )
    return write(document, fmt)


def _grid(caption: str, found: Iterable[ConfirmedScore], digits: int) -> Grid:
    return Grid(caption, CONFIRMED_COLUMNS, tuple(_line(one, digits) for one in found))


def _line(one: ConfirmedScore, digits: int) -> tuple[Cell, ...]:
    difference = one.difference
    return (
        one.label,
        str(one.runs),
        SCORE_TITLES[one.score],
        Score(one.mean, digits, one.spread),
        Interval(*one.interval, digits),
        NOTHING if difference is None else Score(difference, digits, signed=True),
        NOTHING if one.p_value is None else say_p_value(one.p_value),
    )
