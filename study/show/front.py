"""The front of a study with several objectives, in words and as tables."""

from collections.abc import Mapping, Sequence
from typing import Any

from study.show.text_tables import FittingTable, html_table
from study.storage.rows import values_of
from study.wording import (
    counted,
    objective_label,
    one_line,
    parameters_of,
    say_objective_value,
    say_objective_values,
    say_parameters,
    score_title,
)

Rows = Sequence[Mapping[Any, Any]]


def say_front(
    front: Rows, baseline: Mapping[Any, Any] | None, complete: int, objectives: Sequence[str]
) -> str:
    """Say how large the front is, what it spans, and where the baseline stands.

    Args:
        front: trials on it, see `StudyRows.front`.
        baseline: the complete baseline trial, None for none.
        complete: number of complete trials.
        objectives: objectives of the study.
    """
    if not front:
        return "No trial is complete yet, so there is no front."
    spans = []
    for name, values in zip(
        objectives, zip(*(values_of(row, objectives) for row in front), strict=True), strict=True
    ):
        ends = dict.fromkeys(say_objective_value(name, f(values)) for f in (min, max))
        spans.append(f"{objective_label(name)} {' to '.join(ends)}")
    *before, last = spans
    trials = counted(complete, "complete trial")
    said = (
        f"{len(front)} of {trials} {'is' if len(front) == 1 else 'are'} on the front: a trial "
        f"better in one objective is worse in another. It spans {', '.join(before)} and {last}."
    )
    if baseline is None:
        return f"{said} The baseline is not complete, so it cannot be compared with the front."
    if baseline["number"] in [row["number"] for row in front]:
        return f"{said} The baseline (trial {baseline['number']}) is on it."
    reached = say_objective_values(zip(objectives, values_of(baseline, objectives), strict=True))
    return f"{said} The baseline (trial {baseline['number']}: {reached}) is not on it."


def front_table(
    front: Rows, baseline: Mapping[Any, Any] | None, objectives: Sequence[str]
) -> FittingTable:
    """Return the trials on the front, and the baseline below where it is not one of them."""
    return FittingTable(
        "the front (validation)",
        ("trial", *map(score_title, objectives), "parameters"),
        [[*map(one_line, cells)] for cells in _cells(front, baseline, objectives)],
        wraps="parameters",
    )


def front_section(
    front: Rows, baseline: Mapping[Any, Any] | None, objectives: Sequence[str]
) -> str:
    """Return the same table as HTML."""
    table = html_table(
        ("trial", *map(objective_label, objectives), "parameters"),
        _cells(front, baseline, objectives),
        numbers=range(1, 1 + len(objectives)),
    )
    return f'<div class="table fitting">{table}</div>'


def _cells(
    front: Rows, baseline: Mapping[Any, Any] | None, objectives: Sequence[str]
) -> list[list[str]]:
    """Return a row per trial of the front, then the baseline where it is not on it."""
    known = None if baseline is None else baseline["number"]
    shown = {row["number"]: (f"{row['number']}", row) for row in front}
    if baseline is not None:
        shown[known] = (f"{known} (baseline)", baseline)
    return [
        [
            title,
            *map(say_objective_value, objectives, values_of(row, objectives)),
            say_parameters(parameters_of(row.items())),
        ]
        for title, row in shown.values()
    ]
