"""Checks of planned runs before tables are rendered from them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ecg.errors import DataError, use_one_of
from ecg.heartbeats import CLASSES
from ecg.metrics import SCORES, scores
from study.storage.results_values import is_missing

if TYPE_CHECKING:  # workers check recorded matrices and do not need pandas
    import pandas as pd

STATES = ("complete", "fail", "running", "waiting", "missing")
# What all runs of one file share, since one table cannot mix their scores.
SHARED = {"space": "spaces", "study_seed": "study seeds", "source": "data sources",
          "data": "data fingerprints", "split": "splits", "budget": "budgets",
          "device": "devices", "precision": "precisions", "protocol": "protocols"}  # fmt: skip
TOLERANCE = 1e-9
MATRICES = {"validation": "confusion", "test": "test_confusion"}
MAX_COUNT = 2**53  # larger counts are not exact as floats


def check_runs(table: "pd.DataFrame", origin: str, names: Sequence[str]) -> None:
    """Check each run, and that all runs fit together.

    Args:
        table: see `study.storage.results.results_of_rows`.
        origin: where the runs come from, for the messages.
        names: names of the runs, for the messages.

    Raises:
        DataError: a check failed; the message names the run, or what is mixed.
    """
    columns = [str(name) for name in table.columns]
    for name, values in zip(
        names, zip(*(table[column].tolist() for column in columns), strict=True), strict=True
    ):
        try:
            _check_run(dict(zip(columns, values, strict=True)))
        except ValueError as error:
            raise DataError(f"{name}: {error}") from None
    check_one_kind(table, origin)


def check_one_kind(table: "pd.DataFrame", origin: str) -> None:
    """Refuse runs that differ in a column of `SHARED`.

    Raises:
        DataError: runs differ; the message names the column and its values.
    """
    for column, title in SHARED.items():
        found = sorted({str(value) for value in table[column].dropna()})
        if len(found) > 1:
            raise DataError(
                f"{origin}: several {title} ({', '.join(found)}). One table cannot mix them. Put "
                "each in a separate file."
            )


def shared_value(table: "pd.DataFrame", column: str) -> str | None:
    """Return the value of a column of `SHARED`, None if no run has one."""
    found = table[column].dropna()
    return None if found.empty else str(found.iloc[0])


def shared_identity(table: "pd.DataFrame") -> dict[str, str | None]:
    """Return the values of all columns of `SHARED`."""
    return {column: shared_value(table, column) for column in SHARED}


def _check_run(run: dict[str, Any]) -> None:
    if run["configuration"] is None or run["repeat"] is None:
        raise ValueError("a run needs a configuration and a repeat")
    if run["repeat"] < 0:
        raise ValueError(f"repeat must be 0 or more, not {run['repeat']}")
    if run["state"] not in STATES:
        raise ValueError(f"unknown state '{run['state']}'. {use_one_of(STATES)}")
    if run["versions"] is not None and not isinstance(run["versions"], dict):
        raise ValueError("versions must be a mapping from package to version")
    complete = run["state"] == "complete"
    if complete:
        for column in SHARED:
            if run[column] is None:
                raise ValueError(f"the run is complete but has no {column}")
    for part, column in MATRICES.items():
        if run[column] is None and complete:
            raise ValueError(f"the run is complete but has no {column}")
        if run[column] is not None:
            check_confusion(run[column], column)
            _check_scores(run, part, complete=complete)
    if (by_record := run.get("test_by_record")) is not None:
        check_by_record(by_record, "test_by_record")
        whole = run["test_confusion"]
        if whole is not None and np.sum(list(by_record.values()), axis=0).tolist() != whole:
            raise ValueError(
                "test_by_record does not add up to test_confusion: one of them was changed"
            )


def check_by_record(value: Any, column: str) -> None:
    """Check that a value has a confusion matrix for each record.

    Args:
        value: a value from JSON.
        column: name of the value, for the message.

    Raises:
        ValueError: if it does not; the message says what must be there.
    """
    if not isinstance(value, dict) or not value:
        raise ValueError(f"{column} must have a confusion matrix for each record")
    for record, matrix in value.items():
        check_confusion(matrix, f"{column}, of record {record},")


def check_confusion(matrix: Any, column: str) -> None:
    """Check that a value is a (5, 5) confusion matrix with at least one beat.

    Args:
        matrix: a value from JSON.
        column: name of the value, for the message.

    Raises:
        ValueError: if it is not; the message says what must be there.
    """
    size = len(CLASSES)
    rows = matrix if isinstance(matrix, list) else []
    if len(rows) != size or any(not isinstance(row, list) or len(row) != size for row in rows):
        raise ValueError(f"{column} must be {size} rows of {size} counts")
    for count in (count for row in rows for count in row):
        if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count < MAX_COUNT:
            raise ValueError(f"{column} must be whole numbers of 0 or more, not {count!r}")
    if not any(map(any, rows)):
        raise ValueError(f"{column} has no beats")


def _check_scores(run: dict[str, Any], part: str, *, complete: bool) -> None:
    expected = scores(run[MATRICES[part]])
    for score in SCORES:
        stored = run[f"{part}_{score}"]
        if is_missing(stored):
            if complete:
                raise ValueError(f"the run is complete but has no {part}_{score}")
        elif abs(stored - expected[score]) > TOLERANCE:
            raise ValueError(
                f"{part}_{score} is {stored!r}, but its {MATRICES[part]} gives "
                f"{expected[score]!r}: one of them was changed"
            )
