"""Learning curves of all trials, with the points where pruning and early stopping ended them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from study.plots.style import (
    NothingToDrawError,
    add_stops,
    baseline_of,
    best_of,
    by_kind,
    colour_of,
    finished,
    log_ticks,
    marked,
    objective_of,
    plain,
    points,
    styled,
)
from study.wording import objective_label

FALLBACK = "f1_macro"  # drawn where the objective was not recorded epoch by epoch
MANY = 50  # trials, above which their lines are thin


@marked
def learning_curves(trials: pd.DataFrame) -> go.Figure:
    """Draw validation loss and objective of all trials, epoch by epoch.

    All trials of one kind are one line with gaps, so that thousands of them draw quickly.
    The validation loss is unweighted, so the losses of all trials share one scale.

    Args:
        trials: trials of one study, curves included.

    Raises:
        NothingToDrawError: no finished trial has curves.
    """
    ended = finished(trials)
    if "curves" not in ended or (ended := ended[ended["curves"].notna()]).empty:
        raise NothingToDrawError("no finished trial has learning curves")
    objective = objective_of(trials)
    if objective not in ended.iloc[0]["curves"]:
        objective = FALLBACK
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.06)
    for place, curve in enumerate((objective, "validation_loss"), start=1):
        for kind, rows in by_kind(trials, ended):
            epochs, values = _joined([curves[curve] for curves in rows["curves"]])
            figure.add_scatter(
                x=epochs, y=values, mode="lines", hoverinfo="skip", showlegend=place == 1,
                line={"color": kind.colour, "width": 1 if len(ended) <= MANY else 0.5},
                name=f"{kind.title} ({len(rows)})", legendgroup=kind.title, row=place, col=1,
            )  # fmt: skip
            figure.add_scatter(
                x=[len(curves[curve]) for curves in rows["curves"]],
                y=[curves[curve][-1] for curves in rows["curves"]],
                **points(rows, kind, size=7), showlegend=False, row=place, col=1,
            )  # fmt: skip
        _add_highlights(figure, trials, ended, curve, place)
    add_stops(figure, ended)
    figure.update_yaxes(title_text=plain(objective_label(objective)), row=1, col=1)
    losses = [loss for curves in ended["curves"] for loss in curves["validation_loss"]]
    figure.update_yaxes(
        title_text="validation loss (cross-entropy)", **log_ticks(losses), row=2, col=1
    )
    figure.update_xaxes(title_text="epoch", row=2, col=1)
    if ended["last_epoch"].max() <= 10:
        figure.update_xaxes(dtick=1)  # no half epochs
    return styled(figure, height=720)


def _joined(curves: Sequence[Sequence[float]]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return epochs and values of several curves as one line each, NaN between two curves."""
    gap = [np.nan]
    epochs = [np.append(np.arange(1, len(curve) + 1), gap) for curve in curves]
    values = [np.append(curve, gap) for curve in curves]
    return np.concatenate(epochs).astype("float32"), np.concatenate(values).astype("float32")


def _add_highlights(
    figure: go.Figure, trials: pd.DataFrame, ended: pd.DataFrame, curve: str, place: int
) -> None:
    """Draw the curves of the best trial and the baseline again, thick."""
    if (ended["state"] != "complete").all():
        return
    best, baseline = best_of(ended), baseline_of(ended)
    chosen = [("best", best, "solid")]
    if baseline is not None and baseline["number"] != best["number"]:
        chosen.append(("baseline", baseline, "dash"))
    for title, trial, dash in chosen:
        values = trial["curves"][curve]
        figure.add_scatter(
            x=list(range(1, len(values) + 1)), y=values, mode="lines", row=place, col=1,
            line={"color": colour_of(trials, trial), "width": 4, "dash": dash},
            legendgroup=title, showlegend=place == 1, name=f"{title} (trial {trial['number']})",
        )  # fmt: skip
