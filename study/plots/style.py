"""What all figures share: colours, titles, and text that is shown as it is."""

import itertools
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from ecg.errors import EcgError
from study.storage.rows import Row, baseline_row, best_row, finished_rows
from study.wording import say_limits, score_title

# After Okabe & Ito 2008, "Color Universal Design": told apart with any kind of colour vision. The
# light ones are darker here, so that each has a contrast of 3:1 or more on white and on near black.
BLUE, VERMILLION, GREEN, PURPLE, OCHRE, GREY = (
    "#0072B2", "#D55E00", "#009E73", "#B8578F", "#A07800", "#808080",
)  # fmt: skip
MARK_HEIGHT = 20  # pixels that a mark adds to a figure
Drawn = TypeVar("Drawn", bound=Callable[..., go.Figure])
INK = "#222222"  # drawn in the colour of the text, on a dark page too
SCALE = "Cividis"  # readable with any kind of colour vision, and in print


class NothingToDrawError(EcgError):
    """The records do not hold what a figure needs; the message says what is missing."""


# What colour means is the first of these that varies, else the first category that does.
KINDS = ("strategy", "model", "optimizer")
COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, OCHRE)  # of kinds; that of the baseline is grey
STOPS = {
    "max-epochs": ("all epochs", "circle"),
    "early-stopping": ("early-stopped", "diamond"),
    "pruned": ("pruned", "x"),
}


@dataclass(frozen=True)
class Kind:
    """Trials that share a strategy or a network, and the colour that means it."""

    title: str
    colour: str


DASHBOARD_HEIGHT = 460  # pixels; the dashboard cuts off what is below
_TAG = re.compile(r"<(?!(?:/?(?:b|i|sub|sup)|br|extra|/extra)\s*/?>)")


def plain(text: object) -> str:
    """Return text of a user so that Plotly shows it as it is, tags and all."""
    return str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def without_tags(value: Any) -> Any:
    """Return a figure's mapping with every foreign tag shown as text; Plotly's few are kept."""
    if isinstance(value, str):
        return _TAG.sub("&lt;", value)
    if isinstance(value, dict):
        return {without_tags(name): without_tags(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_tags(item) for item in value]
    return value


def finished(records: pd.DataFrame) -> pd.DataFrame:
    """Return the complete and pruned trials that have scores.

    Raises:
        NothingToDrawError: there is none.
    """
    if "stop_reason" in records:
        numbers = {row["number"] for row in finished_rows(_selected(records))}
        ended = records[records["number"].isin(numbers) & records["stop_reason"].notna()]
        if not ended.empty:
            return ended
    raise NothingToDrawError("no trial is finished yet")


def complete(records: pd.DataFrame) -> pd.DataFrame:
    """Return the complete trials.

    Raises:
        NothingToDrawError: there is none.
    """
    ended = finished(records)
    ended = ended[ended["state"] == "complete"]
    if ended.empty:
        raise NothingToDrawError("no trial is complete yet")
    return ended


def best_of(records: pd.DataFrame) -> pd.Series:
    """Return the complete trial with the best objective.

    Raises:
        NothingToDrawError: no trial is complete.
    """
    ended = complete(records)
    best = best_row(_selected(ended))
    assert best is not None
    return _trial(ended, best)


def baseline_of(records: pd.DataFrame) -> pd.Series | None:
    """Return the complete baseline trial, None where there is none."""
    found = baseline_row(_selected(records))
    return None if found is None else _trial(records, found)


def _selected(records: pd.DataFrame) -> list[Row]:
    """Return what trials are selected by, one mapping each; none that somebody added by hand."""
    if "best_epoch" in records:
        records = records[records["best_epoch"].notna()]
    columns = ("number", "state", "value", "baseline")
    values = zip(*(records[column].tolist() for column in columns), strict=True)
    return [dict(zip(columns, those, strict=True)) for those in values]


def _trial(records: pd.DataFrame, row: Row) -> pd.Series:
    found: pd.Series = records[records["number"] == row["number"]].iloc[0]
    return found


def kind_parameter(records: pd.DataFrame) -> str | None:
    """Return the parameter that colours mean, None where no category varies.

    Args:
        records: of one study.
    """
    choices = [
        name
        for name in parameters_of(records)
        if not pd.api.types.is_numeric_dtype(values := records[f"param_{name}"])
        and values.nunique() <= len(COLOURS)
    ]
    return next((name for name in KINDS if name in choices), choices[0] if choices else None)


def by_kind(records: pd.DataFrame, ended: pd.DataFrame) -> list[tuple[Kind, pd.DataFrame]]:
    """Return trials by what colours mean; the kind of the baseline comes first, in grey.

    Args:
        records: of one study, all of them: they fix the colours, which all plots share.
        ended: those of them that are drawn.
    """
    name = kind_parameter(records)
    if name is None:
        return [(Kind("trials", BLUE), ended)]
    column = f"param_{name}"
    stored = records.attrs.get("distributions", {}).get(name)
    listed = json.loads(stored)["attributes"].get("choices", ()) if stored else ()
    order = [*listed, *sorted(set(records[column].dropna()) - {*listed}, key=str)]
    baseline = records[records["baseline"].astype(bool)]
    grey = None if baseline.empty else baseline.iloc[0][column]
    others = [value for value in order if value != grey]
    kinds = [(grey, GREY), *zip(others, itertools.cycle(COLOURS), strict=False)]
    found = [(Kind(plain(v), c), ended[ended[column] == v]) for v, c in kinds if not pd.isna(v)]
    found.append((Kind(f"no {plain(name)}", INK), ended[ended[column].isna()]))
    return [(kind, rows) for kind, rows in found if not rows.empty]


def colour_of(records: pd.DataFrame, record: pd.Series) -> str:
    """Return the colour of the kind of one trial."""
    one = records[records["number"] == record["number"]]
    found = by_kind(records, one)
    return found[0][0].colour if found else INK


def markers(rows: pd.DataFrame, colour: str, size: int = 8) -> dict[str, Any]:
    """Return the markers of trials: colour means the kind, shape how the trial ended."""
    reasons = rows["stop_reason"].where(rows["state"] != "pruned", "pruned")
    symbols = [STOPS.get(reason, ("", "circle"))[1] for reason in reasons]
    return {"color": colour, "symbol": symbols, "size": size}


def add_stops(figure: go.Figure, ended: pd.DataFrame, **place: Any) -> None:
    """Say in the legend what the shapes of markers mean, where there is more than one."""
    reasons = set(ended["stop_reason"].where(ended["state"] != "pruned", "pruned"))
    for reason, (title, symbol) in STOPS.items():
        if reason in reasons and len(reasons) > 1:
            figure.add_scatter(
                x=[None], y=[None], mode="markers", name=title, hoverinfo="skip",
                marker={"symbol": symbol, "color": INK, "size": 8}, **place,
            )  # fmt: skip


def log_ticks(values: Iterable[float]) -> dict[str, Any]:
    """Return a logarithmic axis with numbers at 1, 2 and 5, or at powers of ten where it is long.

    Args:
        values: that the axis shows, positive ones count.
    """
    known = np.asarray([v for v in values if v is not None and v > 0], dtype=np.float64)
    if not len(known):
        return {"type": "log"}
    low, high = (float(np.log10(f(known))) for f in (np.min, np.max))
    pad = 0.05 * (high - low) + 0.02
    shown: list[float] = []
    for steps in ((1,), (1, 2, 5), range(1, 10)):
        if len(shown) < 3:
            powers = range(math.floor(low) - 1, math.ceil(high) + 1)
            ticks = [step * 10.0**power for power in powers for step in steps]
            shown = [tick for tick in ticks if low - pad <= math.log10(tick) <= high + pad]
    return {
        "type": "log", "tickvals": shown, "ticktext": [f"{tick:g}" for tick in shown],
        "range": [low - pad, high + pad],
    }  # fmt: skip


def objective_of(records: pd.DataFrame) -> str:
    """Return the score that the study maximises."""
    objective: str = records.attrs.get("identity", {}).get("objective", "f1_macro")
    return objective


def objective_title(records: pd.DataFrame) -> str:
    """Return the objective as an axis title."""
    objective = objective_of(records)
    return f"validation {plain(score_title(objective))}"


def parameters_of(records: pd.DataFrame) -> list[str]:
    """Return the names of the parameters that take more than one value (or come and go)."""
    columns = [str(name) for name in records.columns if str(name).startswith("param_")]
    return [
        name.removeprefix("param_") for name in columns if records[name].nunique(dropna=False) > 1
    ]


def describe(record: Mapping[Any, Any]) -> str:
    """Return trial number and parameters for a hover label."""
    params = [
        f"{plain(str(name).removeprefix('param_'))}={_shown(value)}"
        for name, value in record.items()
        if str(name).startswith("param_") and not pd.isna(value)
    ]
    return "<br>".join([f"trial {record['number']}", *params])


def descriptions(records: pd.DataFrame) -> list[str]:
    """Return `describe` of every trial."""
    columns = ["number", *(name for name in records.columns if str(name).startswith("param_"))]
    return [describe(row) for row in records[columns].to_dict("records")]


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else plain(value)


def styled(
    figure: go.Figure, *, x: str = "", y: str = "", height: int = 420, columns: int = 1
) -> go.Figure:
    """Give a figure the house style: light, without a title (the text around it has one).

    Args:
        figure: is changed.
        x: title of the horizontal axis, with its unit.
        y: title of the vertical axis.
        height: in pixels.
        columns: of small plots side by side, which a narrow page sets below one another.
    """
    axis = {"gridcolor": "#dddddd", "zerolinecolor": "#dddddd", "linecolor": "#888888",
            "automargin": True}  # fmt: skip
    figure.update_layout(
        template="none",
        paper_bgcolor="white",
        plot_bgcolor="white",
        font={"family": "system-ui, sans-serif", "size": 13, "color": INK},
        height=height,
        margin={"l": 60, "r": 20, "t": 40, "b": 50},
        legend={
            "orientation": "h",
            "yanchor": "bottom",
            "y": 1.02,
            "x": 0,
            "bgcolor": "rgba(0,0,0,0)",
        },
        hoverlabel={"align": "left"},
        meta={"columns": columns},
    )
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
    if x:
        figure.update_xaxes(title_text=x)
    if y:
        figure.update_yaxes(title_text=y)
    return figure


def marked(draw: Drawn) -> Drawn:
    """Let a plot of simulated beats or a reduced budget say so in itself, wherever it goes."""

    @wraps(draw)
    def drawn(records: pd.DataFrame, *args: Any, **kwargs: Any) -> go.Figure:
        figure = draw(records, *args, **kwargs)
        if limits := say_limits(records.attrs.get("identity", {})):
            mark(figure, limits)
        return figure

    return cast(Drawn, drawn)


def mark(figure: go.Figure, text: str) -> None:
    """Write what a reader must know into the upper edge of a figure.

    Args:
        figure: styled; is changed.
        text: one line, any text.
    """
    if before := figure.layout.title.text:
        figure.update_layout(title_text=f"{before}; {plain(text)}")
        return
    figure.update_layout(
        title={
            "text": plain(text),
            **{"x": 0.99, "xanchor": "right", "y": 1, "yanchor": "top", "pad": {"t": 6}},
            **{"xref": "container", "yref": "container", "font": {"size": 12, "color": VERMILLION}},
        },
        height=figure.layout.height + MARK_HEIGHT,
        margin_t=figure.layout.margin.t + MARK_HEIGHT,
    )


def on_any_background(figure: go.Figure) -> go.Figure:
    """Make a figure readable on light and dark pages that do not restyle it."""
    grid = "rgba(128,128,128,0.3)"
    figure = go.Figure(
        json.loads(
            figure.to_json().replace(INK, GREY).replace("rgba(255,255,255,0.75)", "rgba(0,0,0,0)")
        )
    )
    # Below the mode bar and a title of two lines, which the dashboard's card puts above.
    figure.update_layout(
        height=DASHBOARD_HEIGHT, margin={"t": 160, "b": 60},
        legend={"yref": "container", "yanchor": "top", "y": 0.86},
    )  # fmt: skip
    figure.update_layout(
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)",
        font={"color": GREY, "size": 11},
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": GREY, "activecolor": BLUE},
    )  # fmt: skip
    figure.update_xaxes(gridcolor=grid, zerolinecolor=grid)
    figure.update_yaxes(gridcolor=grid, zerolinecolor=grid)
    return figure
