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
    descriptions,
    finished,
    log_ticks,
    marked,
    markers,
    objective_of,
    objective_title,
    styled,
)

FALLBACK = "f1_macro"  # drawn where the objective itself was not kept epoch by epoch
MANY = 50  # trials, above which their lines are thin


@marked
def learning_curves(records: pd.DataFrame) -> go.Figure:
    """Draw validation loss and objective of all trials, epoch by epoch.

    All trials of one kind are one line with gaps: thousands of lines stay quick.
    The validation loss is unweighted, so the losses of all trials are on one scale.

    Args:
        records: of one study, curves included.

    Raises:
        NothingToDrawError: no finished trial has curves.
    """
    ended = finished(records)
    if "curves" not in ended or (ended := ended[ended["curves"].notna()]).empty:
        raise NothingToDrawError("no finished trial has learning curves")
    objective = objective_of(records)
    if objective not in ended.iloc[0]["curves"]:
        objective = FALLBACK
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.06)
    for place, curve in enumerate((objective, "validation_loss"), start=1):
        for kind, trials in by_kind(records, ended):
            epochs, values = _joined([record[curve] for record in trials["curves"]])
            shared = {"legendgroup": kind.title, "row": place, "col": 1}
            figure.add_scatter(
                x=epochs, y=values, mode="lines", hoverinfo="skip", showlegend=place == 1,
                line={"color": kind.colour, "width": 1 if len(ended) <= MANY else 0.5},
                name=f"{kind.title} ({len(trials)})", **shared,
            )  # fmt: skip
            figure.add_scatter(
                x=[len(record[curve]) for record in trials["curves"]],
                y=[record[curve][-1] for record in trials["curves"]],
                mode="markers", showlegend=False, marker=markers(trials, kind.colour, 7),
                text=descriptions(trials), hovertemplate="%{text}<br>%{y:.4f}<extra></extra>",
                **shared,
            )  # fmt: skip
        _add_highlights(figure, records, ended, curve, place)
    add_stops(figure, ended, row=1, col=1)
    title = objective_title(records) if objective != FALLBACK else "validation F1(M)"
    figure.update_yaxes(title_text=title, row=1, col=1)
    losses = [loss for record in ended["curves"] for loss in record["validation_loss"]]
    figure.update_yaxes(
        title_text="validation loss (cross-entropy)", **log_ticks(losses), row=2, col=1
    )
    figure.update_xaxes(title_text="epoch", row=2, col=1)
    return styled(figure, height=720)


def _joined(curves: Sequence[Sequence[float]]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return epochs and values of several curves as one line each, NaN between two curves."""
    gap = [np.nan]
    epochs = [np.append(np.arange(1, len(curve) + 1), gap) for curve in curves]
    values = [np.append(curve, gap) for curve in curves]
    return np.concatenate(epochs).astype("float32"), np.concatenate(values).astype("float32")


def _add_highlights(
    figure: go.Figure, records: pd.DataFrame, ended: pd.DataFrame, curve: str, place: int
) -> None:
    """Draw the curves of the best trial and the baseline again, thick."""
    if (ended["state"] != "complete").all():
        return
    best, baseline = best_of(ended), baseline_of(ended)
    chosen = [("best", best, "solid")]
    if baseline is not None and baseline["number"] != best["number"]:
        chosen.append(("baseline", baseline, "dash"))
    for title, record, dash in chosen:
        values = record["curves"][curve]
        figure.add_scatter(
            x=list(range(1, len(values) + 1)), y=values, mode="lines", row=place, col=1,
            line={"color": colour_of(records, record), "width": 4, "dash": dash},
            legendgroup=title, showlegend=place == 1, name=f"{title} (trial {record['number']})",
        )  # fmt: skip
