"""How a study went: the objective trial by trial, and what it cost."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from study.plots.style import (
    INK,
    NothingToDrawError,
    add_stops,
    baseline_of,
    by_kind,
    descriptions,
    finished,
    marked,
    markers,
    objective_title,
    styled,
)


@marked
def optimisation_history(records: pd.DataFrame) -> go.Figure:
    """Draw the objective of every finished trial, and the best so far.

    Args:
        records: of one study, see `study.storage.trials_table.study_trials`.

    Raises:
        NothingToDrawError: no trial is finished.
    """
    ended = finished(records)
    figure = _objective_by(records, ended, "number")
    whole = ended[ended["state"] == "complete"].sort_values("number")
    if not whole.empty:
        figure.add_scatter(
            x=whole["number"],
            y=np.maximum.accumulate(whole["value"].to_numpy(dtype=float)),
            mode="lines",
            line={"color": INK, "shape": "hv", "width": 1.5},
            name="best so far",
        )
    baseline = baseline_of(records)
    if baseline is not None:
        figure.add_scatter(
            x=[int(ended["number"].min()), int(ended["number"].max())],
            y=[float(baseline["value"])] * 2,
            mode="lines",
            line={"color": INK, "dash": "dash", "width": 1.5},
            name="baseline",
        )
    if len(ended) <= 10:
        figure.update_xaxes(dtick=1)  # there are no half trials
    return styled(figure, x="trial number", y=objective_title(records))


@marked
def objective_by_epochs(records: pd.DataFrame) -> go.Figure:
    """Draw the objective against the epochs a trial was trained.

    Args:
        records: of one study.

    Raises:
        NothingToDrawError: no trial is finished, or all were trained for as many epochs.
    """
    ended = finished(records)
    epochs = ended["last_epoch"]
    if epochs.nunique() < 2:
        raise NothingToDrawError(
            f"needs trials of different length; all have {epochs.iloc[0]:.0f} epochs"
        )
    figure = _objective_by(records, ended, "last_epoch")
    if epochs.max() - epochs.min() < 10:
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
    ended = finished(records)
    if "seconds" not in ended:
        raise NothingToDrawError("needs trials that kept their time")
    figure = _objective_by(records, ended, "seconds")
    return styled(figure, x="training and validation (s)", y=objective_title(records))


def _objective_by(records: pd.DataFrame, ended: pd.DataFrame, column: str) -> go.Figure:
    figure = go.Figure()
    for kind, rows in by_kind(records, ended):
        figure.add_scatter(
            x=rows[column],
            y=rows["value"],
            mode="markers",
            marker=markers(rows, kind.colour),
            name=f"{kind.title} ({len(rows)})",
            text=descriptions(rows),
            hovertemplate="%{text}<br>%{y:.4f}<extra></extra>",
        )
    add_stops(figure, ended)
    return figure
