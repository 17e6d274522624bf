"""The published tables: their scores next to the ones measured here."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ecg.statistics import interval_of_runs
from study.comparison import differences_from_protocol
from study.plots.grid import runs_of_rows
from study.plots.style import (
    BLUE,
    VERMILLION,
    NothingToDrawError,
    mark,
    marked,
    styled,
)
from study.wording import SCORE_TITLES

if TYPE_CHECKING:
    from search_spaces.tables import Table

COLUMNS = 2  # of small plots
GAP = 65  # pixels between two rows of them
MARGINS = 140  # pixels above and below all of them


def published_tables(trials: pd.DataFrame) -> dict[str, go.Figure]:
    """Draw every published table with at least one measured row.

    Args:
        trials: trials of a study of planned runs.

    Returns:
        Figures by the titles of the tables, none for a study of another kind.
    """
    from search_spaces.tables import TABLES

    figures = {}
    for table in TABLES.values():
        try:
            figures[table.title] = published_table(trials, table)
        except NothingToDrawError:
            continue
    return figures


@marked
def published_table(trials: pd.DataFrame, table: "Table") -> go.Figure:
    """Draw a published table: our scores with 95% intervals next to the published ones.

    The interval is over seeds, or over the test beats of a single seed. Published scores appear
    only with runs of the full protocol on MIT-BIH; otherwise the plot says that they are absent.

    Args:
        trials: trials of a study of planned runs.
        table: one of `search_spaces.tables.TABLES`.

    Raises:
        NothingToDrawError: none of its rows has been measured on the test part.
    """
    runs = runs_of_rows(trials, table.rows)
    if not any(map(len, runs.values())):
        raise NothingToDrawError(f"no row of '{table.title}' has been measured yet")
    rows = -(-len(table.columns) // COLUMNS)
    height = MARGINS + rows * (30 + 30 * len(table.rows)) + (rows - 1) * GAP
    figure = make_subplots(
        rows=rows, cols=COLUMNS, shared_yaxes=True, vertical_spacing=GAP / (height - MARGINS),
        horizontal_spacing=0.04, subplot_titles=[SCORE_TITLES[c] for c in table.columns],
    )  # fmt: skip
    reasons = differences_from_protocol(trials.attrs.get("identity", {}))
    for index, score in enumerate(table.columns):
        place: dict[str, Any] = {"row": index // COLUMNS + 1, "col": index % COLUMNS + 1}
        means, above, below, seeds = _measured(runs, score)
        if not reasons:
            figure.add_scatter(
                x=[figures[index] for figures in table.published.values()],
                y=list(table.published), mode="markers", name="published (one run)",
                marker={"color": VERMILLION, "symbol": "diamond-open", "size": 11,
                        "line": {"width": 2}},
                legendgroup="published", showlegend=index == 0,
                hovertemplate="%{y}: %{x:.4f}<extra>published</extra>", **place,
            )  # fmt: skip
        figure.add_scatter(
            x=list(means.values()), y=list(means), mode="markers", name="ours, 95% interval",
            marker={"color": BLUE, "size": 9}, legendgroup="ours", showlegend=index == 0,
            error_x={"type": "data", "symmetric": False, "array": above, "arrayminus": below,
                     "color": BLUE},
            text=seeds, hovertemplate="%{y}: %{x:.4f}, %{text}<extra>ours</extra>", **place,
        )  # fmt: skip
    styled(figure, height=height, columns=COLUMNS)
    figure.update_yaxes(
        type="category", categoryorder="array", categoryarray=[r.label for r in table.rows][::-1]
    )
    figure.update_xaxes(nticks=5)
    for row in range(1, rows + 1):
        figure.update_yaxes(title_text=table.header, row=row, col=1)
    figure.update_layout(margin_t=90, legend={"y": 0.99, "yref": "container", "yanchor": "top"})
    if reasons:
        mark(figure, "not comparable with published scores, which are left out")
    return figure


def _measured(
    runs: dict[str, pd.DataFrame], score: str
) -> tuple[dict[str, float], list[float], list[float], list[str]]:
    means: dict[str, float] = {}
    above, below, seeds = [], [], []
    for label, found in runs.items():
        if found.empty:
            continue
        values = found[f"test_{score}"].to_numpy(dtype=np.float64)
        low, high = interval_of_runs(values, list(found["test_confusion"]), score)
        means[label] = float(values.mean())
        above.append(high - means[label])
        below.append(means[label] - low)
        seeds.append("1 seed" if len(values) == 1 else f"{len(values)} seeds")
    return means, above, below, seeds
