"""How a study went: the objective trial by trial, and what it cost."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from study.plots.style import (
    BASELINE,
    BEST,
    baseline_of,
    by_group,
    descriptions,
    finished,
    marked,
    objective_title,
    styled,
)


@marked
def optimisation_history(records: pd.DataFrame) -> go.Figure:
    """Draw the objective of every finished trial, and the best so far.

    Args:
        records: of one study, see `study.storage.trials_table.study_records`.

    Raises:
        NothingToDrawError: no trial is finished.
    """
    ended = finished(records)
    figure = _objective_by(ended, "number")
    whole = ended[ended["state"] == "complete"].sort_values("number")
    if not whole.empty:
        figure.add_scatter(
            x=whole["number"],
            y=np.maximum.accumulate(whole["value"].to_numpy(dtype=float)),
            mode="lines",
            line={"color": BEST, "shape": "hv", "width": 2},
            name="best so far",
        )
    _add_baseline(figure, records)
    return styled(figure, x="trial number", y=objective_title(records))


@marked
def objective_by_epochs(records: pd.DataFrame) -> go.Figure:
    """Draw the objective against the epochs a trial was trained, by the way it ended.

    Args:
        records: of one study.

    Raises:
        NothingToDrawError: no trial is finished.
    """
    ended = finished(records)
    figure = _objective_by(ended, "last_epoch")
    if ended["last_epoch"].max() - ended["last_epoch"].min() < 10:
        figure.update_xaxes(dtick=1)  # there are no half epochs
    return styled(figure, x="epochs trained", y=objective_title(records))


@marked
def objective_by_time(records: pd.DataFrame) -> go.Figure:
    """Draw the objective against the seconds a trial took.

    Args:
        records: of one study.

    Raises:
        NothingToDrawError: no trial is finished.
    """
    figure = _objective_by(finished(records), "seconds")
    return styled(figure, x="training and validation (s)", y=objective_title(records))


def _objective_by(ended: pd.DataFrame, column: str) -> go.Figure:
    figure = go.Figure()
    for group, rows in by_group(ended):
        figure.add_scatter(
            x=rows[column],
            y=rows["value"],
            mode="markers",
            marker={"color": group.colour, "symbol": group.symbol, "size": 8, "opacity": 0.8},
            name=f"{group.title} ({len(rows)})",
            text=descriptions(rows),
            hovertemplate="%{text}<br>%{y:.4f}<extra></extra>",
        )
    return figure


def _add_baseline(figure: go.Figure, records: pd.DataFrame) -> None:
    baseline = baseline_of(records)
    if baseline is not None:
        figure.add_hline(
            y=float(baseline["value"]),
            line={"color": BASELINE, "dash": "dash", "width": 1.5},
            annotation_text="baseline",
            annotation_position="bottom right",
        )
