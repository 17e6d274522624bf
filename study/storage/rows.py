"""The trials of a study as rows, and which of them are finished, best, and the baseline."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from study.storage.attributes import PLANNED
from study.storage.confirmation import Confirmation

BASELINE = "baseline"
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
        rows: `number`, `state` (lower case), `value` (the objective), `baseline`, `param_*`,
            `validation_*` and `test_*` scores, and the attributes that were asked for; a trial
            has no keys for values that it does not have.
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
        measured. With several objectives no trial is the best.
        """
        if len(self.directions) != 1:
            return None
        rows = [row for row in self.rows if is_trained(row) or not self.is_ours]
        return best_row(rows, minimize=self.directions[0] == "minimize")

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
    value: float | None,
    params: Mapping[str, Any],
    attributes: Mapping[str, Any],
) -> Row:
    """Return the row of a trial, see `StudyRows`."""
    row: Row = {"number": number, "state": state, "value": value}
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


def baseline_row(rows: Iterable[Row]) -> Row | None:
    """Return the complete baseline trial, None if there is none."""
    return next((row for row in rows if row[BASELINE] and row["state"] == "complete"), None)


def _is_nothing(value: float | None) -> bool:
    return value is None or math.isnan(value)


def number_of_training(row: Row) -> int:
    """Return the number of the trained trial: this one, or the one that it repeats."""
    return int(row["same_as"] if "same_as" in row else row["number"])
