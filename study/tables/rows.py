"""The runs of each row of a table, and their statistics."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecg.errors import DataError
from ecg.statistics import interval_of_next_run, interval_of_runs
from search_spaces.tables import TableRow
from study.comparison import interval_over_records
from study.storage.results import rows_of_results
from study.tables.formats import NOTHING, Cell, Interval, Score
from study.wording import STATES, counted

# In the order in which they are printed; "complete" is not printed.
STATE_WORDS = {state: STATES[state] for state in ("fail", "running", "waiting")} | {
    "missing": "missing"
}


@dataclass(frozen=True, eq=False)
class RowRuns:
    """The runs of one row.

    Attributes:
        row: the row of the table.
        runs: all its runs, ordered by repeat.
        planned: number of planned seeds.
    """

    row: TableRow
    runs: pd.DataFrame
    planned: int
    _bounds: dict[str, tuple[float, float]] = field(default_factory=dict, repr=False)

    @cached_property
    def finished(self) -> pd.DataFrame:
        """The complete runs."""
        return self.runs[self.runs["state"] == "complete"]

    @cached_property
    def confusions(self) -> list[list[list[int]]]:
        """The test confusion matrix of each complete run."""
        return list(self.finished["test_confusion"])

    @property
    def by_record(self) -> list[dict[str, Any] | None]:
        """The test confusion matrices by record of each complete run, None where not kept."""
        if "test_by_record" not in self.finished:
            return [None] * len(self.finished)
        return list(self.finished["test_by_record"])

    def values(self, score: str) -> "pd.Series[float]":
        """Return the test score of each complete run as a series indexed by repeat."""
        return pd.Series(self.finished[f"test_{score}"].to_numpy(), self.finished["repeat"])

    def by_repeat(self, score: str) -> dict[int, float]:
        """Return the test score of each complete run by repeat."""
        repeats = self.finished["repeat"].tolist()
        return dict(zip(repeats, self.finished[f"test_{score}"].tolist(), strict=True))

    def mean(self, score: str) -> float:
        """Return the mean test score of the complete runs; there must be at least one."""
        return float(self.values(score).mean())

    def mean_and_spread(self, score: str, digits: int) -> Cell:
        """Return mean and standard deviation over the seeds, a dash if no run is complete."""
        return mean_and_spread(self.values(score).to_numpy(), digits)

    def bounds(self, score: str) -> tuple[float, float] | None:
        """Return the 95% interval, None if no run is complete."""
        if score not in self._bounds and self.confusions:
            self._bounds[score] = interval_of_runs(self.values(score), self.confusions, score)
        return self._bounds.get(score)

    def interval(self, score: str, digits: int) -> Cell:
        """Return the 95% interval as a table prints it."""
        bounds = self.bounds(score)
        return NOTHING if bounds is None else Interval(*bounds, digits)

    def record_interval(self, score: str, digits: int) -> Cell:
        """Return the 95% interval over records as a table prints it, a dash if not kept."""
        bounds = interval_over_records(self.by_record, score)
        return NOTHING if bounds is None else Interval(*bounds, digits)

    def next_run(self, score: str) -> tuple[float, float] | None:
        """Return the 95% prediction interval of one more run, None below two complete runs."""
        if len(self.confusions) < 2:
            return None
        return interval_of_next_run(self.values(score))

    def prediction(self, score: str, digits: int) -> Cell:
        """Return the prediction interval of one more run as a table prints it."""
        bounds = self.next_run(score)
        return NOTHING if bounds is None else Interval(*bounds, digits)

    def difference(self, score: str, published: float, digits: int) -> Cell:
        """Return the mean minus a published score."""
        if self.finished.empty:
            return NOTHING
        return Score(self.mean(score) - published, digits, signed=True)

    def seeds(self) -> str:
        """Return "10" if all runs are complete, else "3 of 10 seeds, 1 failed, 6 missing"."""
        counts = Counter(self.runs["state"])
        counts["missing"] += self.planned - len(self.runs)
        if counts["complete"] == self.planned:
            return str(self.planned)
        others = [f"{counts[state]} {word}" for state, word in STATE_WORDS.items() if counts[state]]
        finished = f"{counts['complete']} of {counted(self.planned, 'seed')}"
        return ", ".join([finished, *others])


def mean_and_spread(values: NDArray[np.floating[Any]], digits: int) -> Cell:
    """Return mean and sample standard deviation as a table prints them."""
    if len(values) == 0:
        return NOTHING
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Score(float(np.mean(values)), digits, spread)


def planned_seeds(results: pd.DataFrame) -> int:
    """Return the number of planned seeds, the largest one of all configurations."""
    return 0 if results.empty else int(results["repeat"].max()) + 1


def runs_by_row(results: pd.DataFrame, rows: Sequence[TableRow]) -> list[RowRuns]:
    """Find the runs of each row.

    Args:
        results: runs that share their settings, see `study.storage.results.results_of_rows`.
        rows: rows of a table.

    Raises:
        DataError: two different configurations fit one row.
    """
    planned = planned_seeds(results)
    configs = [
        {
            name.removeprefix("config_"): value
            for name, value in run.items()
            if name.startswith("config_")
        }
        for run in rows_of_results(results)
    ]
    found = []
    for row in rows:
        fits = np.array([row.matches(config) for config in configs], dtype=np.bool_)
        runs = results[fits].sort_values("repeat")
        if runs["repeat"].duplicated().any():
            digests = ", ".join(sorted(set(runs["configuration"])))
            raise DataError(
                f"Several runs with the same repeat fit the row '{row.label}' (configurations "
                f"{digests}). Put runs that differ in other fields in separate files."
            )
        found.append(RowRuns(row, runs, planned))
    return found
