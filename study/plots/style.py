"""What all figures share: colours, titles, and text that is shown as it is."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar, cast

import pandas as pd
import plotly.graph_objects as go

from ecg.errors import EcgError
from study.storage.reading import Row, baseline_row, best_row, finished_rows
from study.wording import say_limits, score_title

# Okabe & Ito 2008, "Color Universal Design": told apart with any kind of colour vision.
BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9",
)  # fmt: skip
GREY = "#808080"
CLASS_COLOURS = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE)
CLASS_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross")

MARK_HEIGHT = 20  # pixels that a mark adds to a figure
Drawn = TypeVar("Drawn", bound=Callable[..., go.Figure])

SCALE = "Cividis"  # readable with any kind of colour vision, and in print


class NothingToDrawError(EcgError):
    """The records do not hold what a figure needs; the message says what is missing."""


@dataclass(frozen=True)
class Group:
    """How the trials that ended in one way are drawn."""

    title: str
    colour: str
    symbol: str


# The colours of classes are not used again: a colour means one thing in the whole report.
GROUPS: Mapping[str, Group] = {
    "early-stopping": Group("early-stopped", SKY, "circle"),
    "max-epochs": Group("all epochs", "#999933", "square"),
    "pruned": Group("pruned", GREY, "x"),
}
BEST, BASELINE = "#AA4499", "#CC6677"
DASHBOARD_HEIGHT = 440  # pixels; the dashboard cuts off what is below
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


def by_group(records: pd.DataFrame) -> list[tuple[Group, pd.DataFrame]]:
    """Return finished trials by the way they ended, pruned ones first (so drawn below)."""
    reasons = records["stop_reason"].where(records["state"] != "pruned", "pruned")
    found = [(group, records[reasons == name]) for name, group in GROUPS.items()]
    return [(group, rows) for group, rows in reversed(found) if not rows.empty]


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
    figure: go.Figure, *, x: str = "", y: str = "", height: int = 420, min_width: int = 300
) -> go.Figure:
    """Give a figure the house style: light, without a title (the text around it has one).

    Args:
        figure: is changed.
        x: title of the horizontal axis, with its unit.
        y: title of the vertical axis.
        height: in pixels.
        min_width: narrower than so many pixels it cannot be read.
    """
    axis = {"gridcolor": "#dddddd", "zerolinecolor": "#dddddd", "linecolor": "#888888",
            "automargin": True}  # fmt: skip
    figure.update_layout(
        template="none",
        paper_bgcolor="white",
        plot_bgcolor="white",
        font={"family": "system-ui, sans-serif", "size": 13, "color": "#222222"},
        height=height,
        margin={"l": 60, "r": 20, "t": 40, "b": 50},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0},
        hoverlabel={"align": "left"},
        meta={"min_width": min_width},
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
    figure.update_layout(height=DASHBOARD_HEIGHT, margin={"t": 90, "b": 60})
    figure.update_layout(
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)", font_color="#808080"
    )
    figure.update_xaxes(gridcolor=grid, zerolinecolor=grid)
    figure.update_yaxes(gridcolor=grid, zerolinecolor=grid)
    return figure
