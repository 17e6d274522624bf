"""How a study went: the objective trial by trial, by epochs and by time."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from study.plots.style import (
    INK,
    NothingToDrawError,
    add_stops,
    baseline_of,
    by_kind,
    finished,
    marked,
    objective_title,
    points,
    styled,
)


@marked
def optimisation_history(trials: pd.DataFrame) -> go.Figure:
    """Draw the objective of every finished trial, and the best so far.

    Args:
        trials: trials of one study, see `study.storage.trials_table.study_trials`.

    Raises:
        NothingToDrawError: no trial is finished.
    """
    ended = finished(trials)
    figure = _objective_by(trials, ended, "number")
    whole = ended[ended["state"] == "complete"].sort_values("number")
    if not whole.empty:
        figure.add_scatter(
            x=whole["number"],
            y=np.maximum.accumulate(whole["value"].to_numpy(dtype=float)),
            mode="lines",
            line={"color": INK, "shape": "hv", "width": 1.5},
            name="best so far",
        )
    baseline = baseline_of(trials)
    if baseline is not None:
        figure.add_scatter(
            x=[int(ended["number"].min()), int(ended["number"].max())],
            y=[float(baseline["value"])] * 2,
            mode="lines",
            line={"color": INK, "dash": "dash", "width": 1.5},
            name="baseline",
        )
    if len(ended) <= 10:
        figure.update_xaxes(dtick=1)  # no half trials
    return styled(figure, x="trial number", y=objective_title(trials))


@marked
def objective_by_epochs(trials: pd.DataFrame) -> go.Figure:
    """Draw the objective against the number of epochs that each trial was trained.

    Args:
        trials: trials of one study.

    Raises:
        NothingToDrawError: no trial is finished, or all were trained for the same number of epochs.
    """
    ended = finished(trials)
    epochs = ended["last_epoch"]
    if epochs.nunique() < 2:
        raise NothingToDrawError(
            f"needs trials of different lengths; all have {epochs.iloc[0]:.0f} epochs"
        )
    figure = _objective_by(trials, ended, "last_epoch")
    if epochs.max() - epochs.min() < 10:
        figure.update_xaxes(dtick=1)  # no half epochs
    return styled(figure, x="epochs trained", y=objective_title(trials))


@marked
def objective_by_time(trials: pd.DataFrame) -> go.Figure:
    """Draw the objective against the seconds that each trial took.

    Args:
        trials: trials of one study.

    Raises:
        NothingToDrawError: no trial is finished.
    """
    ended = finished(trials)
    if "seconds" not in ended:
        raise NothingToDrawError("needs trials whose time was stored")
    figure = _objective_by(trials, ended, "seconds")
    return styled(figure, x="training and validation (s)", y=objective_title(trials))


def _objective_by(trials: pd.DataFrame, ended: pd.DataFrame, column: str) -> go.Figure:
    figure = go.Figure()
    for kind, rows in by_kind(trials, ended):
        look = points(rows, kind) | {"name": f"{kind.title} ({len(rows)})"}
        figure.add_scatter(x=rows[column], y=rows["value"], **look)
    add_stops(figure, ended)
    return figure
