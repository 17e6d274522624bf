"""What class weights (alpha) and the sampler (ratio) do to F1(M) and F1(W)."""

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from study.plots.style import (
    NothingToDrawError,
    by_group,
    descriptions,
    finished,
    marked,
    styled,
)
from study.wording import score_title

MEANS = {"alpha": ("alpha (class weights)", 0.0), "ratio": ("ratio (sampler)", 0.0)}
SCORES = ("f1_macro", "f1_weighted")


@marked
def imbalance_answers(records: pd.DataFrame) -> go.Figure:
    """Draw F1(M) and F1(W) against alpha and ratio; 0 stands for "not used".

    Args:
        records: of one study.

    Raises:
        NothingToDrawError: neither alpha nor ratio varies.
    """
    ended = finished(records)
    settings = {name: _setting(ended, name) for name in MEANS}
    used = [name for name, values in settings.items() if values.nunique() > 1]
    if not used:
        raise NothingToDrawError("neither alpha nor ratio varies")
    figure = make_subplots(
        rows=2, cols=len(used), shared_xaxes=True, shared_yaxes="rows",
        vertical_spacing=0.06, horizontal_spacing=0.05,
    )  # fmt: skip
    for row, score in enumerate(SCORES, start=1):
        for column, name in enumerate(used, start=1):
            for group, rows in by_group(ended):
                figure.add_scatter(
                    x=settings[name].loc[rows.index], y=rows[f"validation_{score}"],
                    mode="markers", row=row, col=column, name=group.title,
                    legendgroup=group.title, showlegend=(row, column) == (1, 1),
                    marker={"color": group.colour, "symbol": group.symbol, "size": 8,
                            "opacity": 0.75},
                    text=descriptions(rows),
                    hovertemplate="%{text}<br>%{y:.4f}<extra></extra>",
                )  # fmt: skip
            if row == len(SCORES):
                figure.update_xaxes(title_text=MEANS[name][0], row=row, col=column)
        figure.update_yaxes(title_text=f"validation {score_title(score)}", row=row, col=1)
    return styled(figure, height=560, min_width=200 + 160 * len(used))


def _setting(ended: pd.DataFrame, name: str) -> "pd.Series[float]":
    absent = MEANS[name][1]
    values = [absent if (v := config.get(name)) is None else float(v) for config in ended["config"]]
    return pd.Series(values, index=ended.index)
