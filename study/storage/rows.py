"""The trials of a study as rows, and which of them are finished, best, and the baseline."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from study.storage.attributes import BASELINE, PLANNED
from study.storage.confirmation import Confirmation
from study.storage.front import find_front
from study.wording import objectives_of

CURVES = "curves"
EXAMPLES = "examples"  # the largest attribute, read only for the best trial, which is plotted
NONE = "none"  # how a choice of None is shown
MAPPINGS = ("validation", "test")  # attributes whose items become separate keys
# Attributes that keep their names.
PLAIN = (
    "seed", "data", "source", "split", "budget", "device", "precision", "protocol", "best_epoch",
    "last_epoch", "pruned_epoch", "stop_reason", "seconds", "device_name", "versions", "failure",
    "confusion", CURVES, "per_class", "finished_at", "config", PLANNED, "validation_by_record",
    "test_confusion", "test_by_record", "test_read", "same_as", "imported", "weights",
)  # fmt: skip
ATTRIBUTES = frozenset({BASELINE, *MAPPINGS, *PLAIN})  # all attributes in rows
Row = dict[str, Any]


@dataclass(frozen=True)
class StudyRows:
    """The trials of a study, one mapping each, ordered by number.

    Attributes:
        name: name of the study.
        identity: see `study.storage.studies.Identity`; empty for a study of another tool.
        distributions: distributions of the parameters (JSON).
        rows: `number`, `state` (lower case), `value` (the objective, the first of several),
            `value_*` (the others, by name), `baseline`, `param_*`, `validation_*` and `test_*`
            scores, and the attributes that were asked for; a trial has no keys for values that it
            does not have.
        directions: "maximize" or "minimize" for each objective.
        active: time at which a trial last started or ended, None if there is no trial.
        workers: number of workers that run a trial and have sent a heartbeat recently.
        damage: what is wrong with the identity, in which case nothing else is known; "" if
            nothing is.
        confirmation: the confirmation of this search, or the one that this study is; None if
            there is none. Only read if `CONFIRMATION` is asked for.
    """

    name: str
    identity: Mapping[str, Any]
    distributions: Mapping[str, str]
    rows: list[Row]
    directions: Sequence[str] = ("maximize",)
    active: datetime | None = None
    workers: int = 0
    damage: str = ""
    confirmation: Confirmation | None = None

    @property
    def is_ours(self) -> bool:
        """Whether this project made the study and trained its trials."""
        return bool(self.identity)

    @property
    def best(self) -> Row | None:
        """The complete trial with the best objective, the first one of equals; None if none is.

        In a study of this project only trained trials count: a value added by hand was not
        measured. With several objectives the first one decides, a score; in a study of another
        tool no trial is the best then.
        """
        if len(self.directions) != 1 and not self.is_ours:
            return None
        return best_row(self._eligible, minimize=self.directions[0] == "minimize")

    @property
    def objectives(self) -> tuple[str, ...]:
        """The names of the objectives; numbers in a study of another tool."""
        return objective_names(self.identity, self.directions)

    @property
    def front(self) -> list[Row]:
        """The complete trials on the front, by their first objective; none with one objective."""
        return front_rows(self._eligible, self.objectives, self.directions)

    @property
    def _eligible(self) -> list[Row]:
        return [row for row in self.rows if is_trained(row) or not self.is_ours]

    @property
    def baseline(self) -> Row | None:
        """The complete baseline trial, None if there is none."""
        return baseline_row(filter(is_trained, self.rows))


def is_trained(row: Row) -> bool:
    """Whether this project trained a trial, rather than somebody adding it by hand."""
    return "best_epoch" in row


def make_row(
    number: int,
    state: str,
    values: Mapping[str, float | None],
    params: Mapping[str, Any],
    attributes: Mapping[str, Any],
) -> Row:
    """Return the row of a trial, see `StudyRows`; its values are by objective, in their order."""
    row: Row = {"number": number, "state": state, "value": next(iter(values.values()), None)}
    row |= {value_column(name): value for name, value in list(values.items())[1:]}
    row[BASELINE] = bool(attributes.get(BASELINE, False))
    row |= parameter_columns(params)
    for mapping in MAPPINGS:
        row |= {f"{mapping}_{name}": v for name, v in attributes.get(mapping, {}).items()}
    return row | {name: attributes[name] for name in PLAIN if name in attributes}


def parameter_columns(params: Mapping[str, Any]) -> Row:
    """Return the parameters of a trial as `param_*`.

    A choice of None becomes the text "none", which is a value like any other; a parameter that
    the trial does not have gets no column.
    """
    return {f"param_{name}": NONE if value is None else value for name, value in params.items()}


def finished_rows(rows: Iterable[Row]) -> list[Row]:
    """Return the complete and pruned trials that have a value."""
    ended = [row for row in rows if row["state"] in ("complete", "pruned")]
    return [row for row in ended if not _is_nothing(row["value"])]


def best_row(rows: Iterable[Row], *, minimize: bool = False) -> Row | None:
    """Return the complete trial with the best objective, the first one of equals, or None."""
    complete = [row for row in finished_rows(rows) if row["state"] == "complete"]
    sign = -1 if minimize else 1
    return max(complete, key=lambda row: sign * row["value"], default=None)


def objective_names(identity: Mapping[str, Any], directions: Sequence[str]) -> tuple[str, ...]:
    """Return the names of a study's objectives; numbers in a study of another tool."""
    return objectives_of(identity) or tuple(map(str, range(len(directions))))


def value_column(objective: str) -> str:
    """Return the column of a further objective, in addition to the first."""
    return f"value_{objective}"


def values_of(row: Mapping[str, Any], objectives: Sequence[str]) -> list[float]:
    """Return the values of a trial by all objectives; NaN for one that it does not have."""
    found = [row.get(name) for name in ("value", *map(value_column, objectives[1:]))]
    return [math.nan if value is None else value for value in found]


def front_rows(
    rows: Iterable[Row], objectives: Sequence[str], directions: Sequence[str]
) -> list[Row]:
    """Return the complete trials on the front, see `StudyRows.front`."""
    if len(objectives) < 2 or len(objectives) != len(directions):
        return []
    complete = [row for row in rows if row["state"] == "complete"]
    on_front = find_front([values_of(row, objectives) for row in complete], directions)
    front = [row for row, is_on in zip(complete, on_front, strict=True) if is_on]
    sign = 1 if directions[0] == "minimize" else -1
    return sorted(front, key=lambda row: sign * row["value"])


def baseline_row(rows: Iterable[Row]) -> Row | None:
    """Return the complete baseline trial, None if there is none."""
    return next((row for row in rows if row[BASELINE] and row["state"] == "complete"), None)


def _is_nothing(value: float | None) -> bool:
    return value is None or math.isnan(value)


def number_of_training(row: Row) -> int:
    """Return the number of the trained trial: this one, or the one that it repeats."""
    return int(row["same_as"] if "same_as" in row else row["number"])
