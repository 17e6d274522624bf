"""Sections of a report on planned runs: tables, differences, splits, and what is missing."""

import html
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

import pandas as pd
import plotly.graph_objects as go

from study.comparison import differences_from_protocol, say_not_comparable
from study.plots.grid import (
    both_splits,
    differences_from_baseline,
    per_class_of_rows,
    runs_of_rows,
)
from study.plots.published import published_tables
from study.plots.style import NothingToDrawError
from study.storage.attributes import PLANNED
from study.wording import counted, format_seconds

SAME = ("source", "data", "budget", "protocol")  # must agree before two splits are compared


class Places(Protocol):
    """A store of plots; see `study.show.report.PlotStore`."""

    def place(self, figure: go.Figure, title: str, says: str) -> str:
        """Store a plot and return its HTML."""


def grid_sections(
    trials: pd.DataFrame, studies: Sequence[pd.DataFrame], store: Places
) -> dict[str, str]:
    """Return the sections of a study of planned runs by their titles.

    Args:
        trials: trials of one study of planned runs.
        studies: all studies of the report, among which may be one of the other split.
        store: stores the plots.
    """
    from search_spaces.tables import ALL_TABLES, TABLES

    if trials.attrs.get("identity", {}).get("space") != ALL_TABLES:
        return {}
    drawn = published_tables(trials)
    says = say_not_comparable(differences_from_protocol(trials.attrs["identity"])) or (
        "Open marks are the published values; dots are our means with a 95% interval over seeds, "
        "or over the test beats of a single seed. A single seed does not show how runs differ."
    )
    tables = ""
    for table in TABLES.values():
        if table.title in drawn:
            tables += store.place(drawn[table.title], table.title, says)
        tables += _missing(trials, table)
    sections = {"The published tables": tables, "Classes and differences": ""}
    plots = (
        ("Recall and precision per class, test part", per_class_of_rows,
         "Each row is a configuration, with means over its seeds. Rare classes rest on few "
         "beats."),
        ("Differences from the baseline, test part", differences_from_baseline,
         "Paired by seed: mean and 95% interval, which needs two seeds or more. An interval that "
         "includes 0 shows no difference, but it does not show that there is none."),
    )  # fmt: skip
    for title, draw, says in plots:
        try:
            sections["Classes and differences"] += store.place(draw(trials), title, says)
        except NothingToDrawError as error:
            reason = html.escape(f"{title}: {error}.")
            sections["Classes and differences"] += f'<p class="soft">Not drawn. {reason}</p>'
    if (other := _other_split(trials, studies)) is not None:
        with suppress(NothingToDrawError):
            sections["Both splits"] = store.place(
                both_splits(trials, other), "Both splits, test part",
                "Each line joins the scores of one configuration on both splits. The intra-patient "
                "split puts beats of the same patient into training and test, so it is optimistic.",
            )  # fmt: skip
    return sections


def _missing(trials: pd.DataFrame, table: Any) -> str:
    """Return the rows of a table that have no run yet, and how long they would take."""
    runs = runs_of_rows(trials, table.rows)
    absent = [row.label for row in table.rows if runs[row.label].empty]
    if not absent:
        return ""
    which = "any row" if len(absent) == len(table.rows) else ", ".join(absent)
    said = f"{table.title}: no run yet of {which}."
    done = trials[trials["state"] == "complete"]
    if "seconds" in done and done["seconds"].notna().any():
        mean = float(done["seconds"].mean())
        said += (
            f" One seed of each takes about {format_seconds(mean * len(absent))} in one worker, "
            f"judging by {counted(len(done), 'complete run')} on the hardware that trained them."
        )
    return f'<p class="soft">{html.escape(said)}</p>'


def _other_split(trials: pd.DataFrame, studies: Sequence[pd.DataFrame]) -> pd.DataFrame | None:
    def kind(study: pd.DataFrame) -> Mapping[str, Any]:
        return dict(study.attrs.get("identity", {}))

    mine = kind(trials)
    found = [
        study
        for study in studies
        if PLANNED in study
        and kind(study).get("split") != mine.get("split")
        and all(kind(study).get(name) == mine.get(name) for name in SAME)
    ]
    return found[0] if len(found) == 1 else None
