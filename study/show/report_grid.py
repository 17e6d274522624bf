"""What a report says of planned runs: published tables, differences, splits, what is missing."""

import html
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

import pandas as pd
import plotly.graph_objects as go

from study.comparison import differences_from_protocol, say_caution
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

SAME = ("source", "data", "budget", "protocol")  # of two studies whose splits are compared


class Places(Protocol):
    """Where figures are kept; see `study.show.report.Figures`."""

    def place(self, figure: go.Figure, title: str, says: str) -> str:
        """Keep a figure and return its HTML."""


def grid_sections(
    records: pd.DataFrame, studies: Sequence[pd.DataFrame], figures: Places
) -> dict[str, str]:
    """Return the sections of a study of planned runs by their titles.

    Args:
        records: of one study of planned runs.
        studies: all studies of the report: one of the other split may stand among them.
        figures: takes what is drawn.
    """
    from search_spaces.tables import ALL_TABLES, TABLES

    if records.attrs.get("identity", {}).get("space") != ALL_TABLES:
        return {}
    drawn = published_tables(records)
    says = say_caution(differences_from_protocol(records.attrs["identity"])) or (
        "Open marks are the published values, dots are ours with a 95% interval over seeds, or "
        "over the test beats of one seed. One seed says nothing of how runs differ."
    )
    tables = ""
    for table in TABLES.values():
        if table.title in drawn:
            tables += figures.place(drawn[table.title], table.title, says)
        tables += _missing(records, table)
    sections = {"The published tables": tables, "Classes and differences": ""}
    plots = (
        ("Recall and precision per class, test part", per_class_of_rows,
         "One line of marks per configuration, mean over its seeds. Rare classes rest on few "
         "beats."),
        ("Differences from the baseline, test part", differences_from_baseline,
         "Paired by seed, mean and 95% interval; an interval needs two seeds or more. One that "
         "includes 0 shows no difference, which is not the same as equality."),
    )  # fmt: skip
    for title, draw, says in plots:
        try:
            sections["Classes and differences"] += figures.place(draw(records), title, says)
        except NothingToDrawError as error:
            reason = html.escape(f"{title}: {error}.")
            sections["Classes and differences"] += f'<p class="soft">Not drawn. {reason}</p>'
    if (other := _other_split(records, studies)) is not None:
        with suppress(NothingToDrawError):
            sections["Both splits"] = figures.place(
                both_splits(records, other), "Both splits, test part",
                "Each line joins one configuration on both splits. In the intra-patient split, "
                "beats of one patient stand in training and in test, so it flatters.",
            )  # fmt: skip
    return sections


def _missing(records: pd.DataFrame, table: Any) -> str:
    """Return which rows of a table have no run yet, and how long they would take."""
    runs = runs_of_rows(records, table.rows)
    absent = [row.label for row in table.rows if runs[row.label].empty]
    if not absent:
        return ""
    which = "any row" if len(absent) == len(table.rows) else ", ".join(absent)
    said = f"{table.title}: no run yet of {which}."
    done = records[records["state"] == "complete"]
    if "seconds" in done and done["seconds"].notna().any():
        mean = float(done["seconds"].mean())
        said += (
            f" One seed of each takes about {format_seconds(mean * len(absent))} in one worker, by "
            f"the mean of {counted(len(done), 'complete run')} on the hardware that trained them."
        )
    return f'<p class="soft">{html.escape(said)}</p>'


def _other_split(records: pd.DataFrame, studies: Sequence[pd.DataFrame]) -> pd.DataFrame | None:
    def kind(study: pd.DataFrame) -> Mapping[str, Any]:
        return dict(study.attrs.get("identity", {}))

    mine = kind(records)
    found = [
        study
        for study in studies
        if PLANNED in study
        and kind(study).get("split") != mine.get("split")
        and all(kind(study).get(name) == mine.get(name) for name in SAME)
    ]
    return found[0] if len(found) == 1 else None
