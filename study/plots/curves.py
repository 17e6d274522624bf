"""Learning curves of all trials, with the points where pruning and early stopping ended them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from study.plots.style import (
    BASELINE,
    BEST,
    NothingToDrawError,
    baseline_of,
    by_group,
    descriptions,
    finished,
    marked,
    objective_of,
    objective_title,
    styled,
)

FALLBACK = "f1_macro"  # drawn where the objective itself was not kept epoch by epoch


@marked
def learning_curves(records: pd.DataFrame) -> go.Figure:
    """Draw validation loss and objective of all trials, epoch by epoch.

    All trials that ended in one way are one line with gaps: thousands of lines stay quick.
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
    rows = ("validation_loss", objective)
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.06)
    for place, curve in enumerate(rows, start=1):
        for group, trials in by_group(ended):
            epochs, values = _joined([record[curve] for record in trials["curves"]])
            shared = {"legendgroup": group.title, "showlegend": place == 1}
            figure.add_scatter(
                x=epochs, y=values, mode="lines", row=place, col=1, hoverinfo="skip",
                line={"color": group.colour, "width": 1}, opacity=_opacity(len(ended)),
                name=f"{group.title} ({len(trials)})", **shared,
            )  # fmt: skip
            _add_ends(figure, trials, curve, place)
        _add_highlights(figure, ended, records, curve, place)
    figure.update_yaxes(title_text="validation loss (cross-entropy)", row=1, col=1)
    figure.update_yaxes(type="log", dtick="D2", tickformat="~g", row=1, col=1)
    title = objective_title(records) if objective != FALLBACK else "validation F1(M)"
    figure.update_yaxes(title_text=title, row=2, col=1)
    figure.update_xaxes(title_text="epoch", row=2, col=1)
    return styled(figure, height=720)


def _joined(curves: Sequence[Sequence[float]]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return epochs and values of several curves as one line each, NaN between two curves."""
    gap = [np.nan]
    epochs = [np.append(np.arange(1, len(curve) + 1), gap) for curve in curves]
    values = [np.append(curve, gap) for curve in curves]
    return np.concatenate(epochs).astype("float32"), np.concatenate(values).astype("float32")


def _add_ends(figure: go.Figure, trials: pd.DataFrame, curve: str, place: int) -> None:
    """Mark the last epoch of every trial by the way it ended."""
    (group, _), *_ = by_group(trials)
    figure.add_scatter(
        x=[len(record[curve]) for record in trials["curves"]],
        y=[record[curve][-1] for record in trials["curves"]],
        mode="markers", row=place, col=1, legendgroup=group.title, showlegend=False,
        marker={"color": group.colour, "symbol": group.symbol, "size": 7},
        text=descriptions(trials), hovertemplate="%{text}<br>%{y:.4f}<extra></extra>",
        name=group.title,
    )  # fmt: skip


def _add_highlights(
    figure: go.Figure, ended: pd.DataFrame, records: pd.DataFrame, curve: str, place: int
) -> None:
    whole = ended[ended["state"] == "complete"]
    if whole.empty:
        return
    best = whole.iloc[int(whole["value"].astype(float).argmax())]
    chosen: list[tuple[str, pd.Series, str, str]] = [("best", best, BEST, "solid")]
    if (baseline := baseline_of(records)) is not None:
        chosen.append(("baseline", baseline, BASELINE, "dash"))
    for title, record, colour, dash in chosen:
        values = record["curves"][curve]
        figure.add_scatter(
            x=list(range(1, len(values) + 1)), y=values, mode="lines", row=place, col=1,
            line={"color": colour, "width": 3, "dash": dash}, legendgroup=title,
            showlegend=place == 1, name=f"{title} (trial {record['number']})",
        )  # fmt: skip


def _opacity(trials: int) -> float:
    return 0.75 if trials <= 50 else 0.35
