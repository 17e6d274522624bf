"""The front of a study with several objectives: which trials are on it, and its plot."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ecg.costs import COSTS
from study.plots.style import (
    INK,
    NothingToDrawError,
    add_stops,
    baseline_of,
    by_kind,
    complete,
    descriptions,
    log_ticks,
    marked,
    markers,
    plain,
    styled,
)
from study.storage.front import aims_of, find_front
from study.storage.rows import value_column
from study.wording import objective_label, objectives_of

LONG = 5.0  # largest by smallest cost, from which on its axis is logarithmic


def front_of(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the trials on the front, those best in the first objective first.

    Args:
        trials: trials of one study.

    Returns:
        Rows of the table; none where there is one objective, or no trial is complete.
    """
    names = objectives_of(trials.attrs.get("identity", {}))
    columns = ["value", *map(value_column, names[1:])]
    if len(names) < 2 or not {*columns, "best_epoch"} <= {*trials.columns}:
        return trials.iloc[:0]
    trained = trials[(trials["state"] == "complete") & trials["best_epoch"].notna()]
    values = trained[columns].to_numpy(dtype="float64")
    return trained[find_front(values, aims_of(names))].sort_values("value", ascending=False)


@marked
def pareto_front(trials: pd.DataFrame) -> go.Figure:
    """Draw the first objective against each of the others, the front marked.

    Args:
        trials: trials of one study with several objectives.

    Raises:
        NothingToDrawError: the study has one objective, or no trial is complete.
    """
    front = front_of(trials)
    if front.empty:
        complete(trials)
        raise NothingToDrawError("needs a study with several objectives")
    first, *others = objectives_of(trials.attrs["identity"])
    ended = complete(trials)
    baseline = baseline_of(trials)
    figure = make_subplots(rows=1, cols=len(others), shared_yaxes=True, horizontal_spacing=0.05)
    for number, name in enumerate(others, start=1):
        place = {"row": 1, "col": number}
        column, is_alone = value_column(name), len(others) == 1
        line = front.sort_values([column, "value"])
        figure.add_scatter(
            # In steps: at a cost between two trials only the score of the cheaper one is reached.
            x=line[column], y=line["value"], mode="lines+markers" if is_alone else "markers",
            line={"color": INK, "width": 1.5, "shape": "hv" if name in COSTS else "vh"},
            marker={"color": "rgba(0,0,0,0)", "size": 15, "line": {"color": INK, "width": 1.5}},
            name=f"front ({len(front)})", legendgroup="front", showlegend=number == 1,
            hoverinfo="skip", **place,
        )  # fmt: skip
        for kind, rows in by_kind(trials, ended):
            figure.add_scatter(
                x=rows[column], y=rows["value"], mode="markers", marker=markers(rows, kind.colour),
                name=f"{kind.title} ({len(rows)})", legendgroup=kind.title,
                showlegend=number == 1, text=descriptions(rows),
                hovertemplate="%{text}<br>%{y:.4f}, %{x:,.4~f}<extra></extra>", **place,
            )  # fmt: skip
        if baseline is not None:
            figure.add_scatter(
                x=[float(baseline[column])], y=[float(baseline["value"])], mode="markers",
                marker={"symbol": "square-open", "color": INK, "size": 15, "line": {"width": 1.5}},
                name="baseline", legendgroup="baseline", showlegend=number == 1,
                hoverinfo="skip", **place,
            )  # fmt: skip
        axis: dict[str, Any] = {"title_text": plain(objective_label(name))}
        if name in COSTS and ended[column].max() > LONG * ended[column].min() > 0:
            axis |= log_ticks(ended[column])
            axis["ticktext"] = [_short(float(text)) for text in axis["ticktext"]]
        elif name in COSTS and ended[column].nunique() == 1:
            value = float(ended[column].iloc[0])
            axis |= {"tickvals": [value], "ticktext": [_short(value)]}
        figure.update_xaxes(**axis, **place)
    add_stops(figure, ended)
    figure.update_yaxes(title_text=plain(objective_label(first)), row=1, col=1)
    return styled(figure, columns=len(others))


def _short(value: float) -> str:
    """Return a number as a tick, such as "200k" or "1.5M"."""
    for step, sign in ((1e6, "M"), (1e3, "k")):
        if value >= step:
            return f"{value / step:.4g}{sign}"
    return f"{value:g}"
