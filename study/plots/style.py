"""What all plots share: which trials they draw, colours, titles, and text shown as it is."""

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
from study.wording import objective_label, say_limits

# After Okabe & Ito 2008, "Color Universal Design": distinct with any kind of colour vision. The
# light ones are darkened here: each has a contrast of 3:1 or more on white and on near black.
BLUE, VERMILLION, GREEN, PURPLE, OCHRE, GREY = (
    "#0072B2", "#D55E00", "#009E73", "#B8578F", "#A07800", "#808080",
)  # fmt: skip
MARK_HEIGHT = 20  # pixels that a mark adds to a plot
Drawn = TypeVar("Drawn", bound=Callable[..., go.Figure])
INK = "#222222"  # drawn in the colour of the text, on a dark page too
SCALE = "Cividis"  # readable with any kind of colour vision, and in print
BLACK_FROM = 0.47  # of that scale: black text has a contrast of 4.5:1 from here on, white before


class NothingToDrawError(EcgError):
    """The trials lack what a plot needs; the message says what is missing."""


# Colour stands for the first of these that varies, else for the first category that does.
KINDS = ("strategy", "model", "optimizer")
COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, OCHRE)  # of kinds; the kind of the baseline is grey
STOPS = {
    "max-epochs": ("all epochs", "circle"),
    "early-stopping": ("early-stopped", "diamond"),
    "pruned": ("pruned", "x"),
}


@dataclass(frozen=True)
class Kind:
    """A strategy or a network that trials share, and its colour."""

    title: str
    colour: str


DASHBOARD_HEIGHT = 460  # pixels; the dashboard cuts off anything taller
MODE_BAR = [  # its buttons
    *("zoom", "pan", "select", "lasso", "zoomin", "zoomout", "autoscale", "resetscale", "toimage"),
]
_TAG = re.compile(r"<(?!(?:/?(?:b|i|sub|sup)|br|extra|/extra)\s*/?>)")


def plain(text: object) -> str:
    """Return a user's text so that Plotly shows it as it is, tags included."""
    return str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def without_tags(value: Any) -> Any:
    """Return a figure's mapping with foreign tags shown as text; the few that Plotly uses stay."""
    if isinstance(value, str):
        return _TAG.sub("&lt;", value)
    if isinstance(value, dict):
        return {without_tags(name): without_tags(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_tags(item) for item in value]
    return value


def finished(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the complete and pruned trials that have scores.

    Raises:
        NothingToDrawError: there is none.
    """
    if "stop_reason" in trials:
        numbers = {row["number"] for row in finished_rows(_selected(trials))}
        ended = trials[trials["number"].isin(numbers) & trials["stop_reason"].notna()]
        if not ended.empty:
            return ended
    raise NothingToDrawError("no trial is finished yet")


def complete(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the complete trials.

    Raises:
        NothingToDrawError: there is none.
    """
    ended = finished(trials)
    ended = ended[ended["state"] == "complete"]
    if ended.empty:
        raise NothingToDrawError("no trial is complete yet")
    return ended


def best_of(trials: pd.DataFrame) -> pd.Series:
    """Return the complete trial with the best objective.

    Raises:
        NothingToDrawError: no trial is complete.
    """
    ended = complete(trials)
    best = best_row(_selected(ended))
    assert best is not None
    return _trial(ended, best)


def baseline_of(trials: pd.DataFrame) -> pd.Series | None:
    """Return the complete baseline trial, None where there is none."""
    found = baseline_row(_selected(trials))
    return None if found is None else _trial(trials, found)


def _selected(trials: pd.DataFrame) -> list[Row]:
    """Return the values that select trials, one mapping each; trials added by hand are left out."""
    if "best_epoch" in trials:
        trials = trials[trials["best_epoch"].notna()]
    columns = ("number", "state", "value", "baseline")
    values = zip(*(trials[column].tolist() for column in columns), strict=True)
    return [dict(zip(columns, those, strict=True)) for those in values]


def _trial(trials: pd.DataFrame, row: Row) -> pd.Series:
    found: pd.Series = trials[trials["number"] == row["number"]].iloc[0]
    return found


def kind_parameter(trials: pd.DataFrame) -> str | None:
    """Return the parameter that colour stands for, None where no category varies.

    Args:
        trials: trials of one study.
    """
    choices = [
        name
        for name in varied_parameters(trials)
        if not pd.api.types.is_numeric_dtype(values := trials[f"param_{name}"])
        and values.nunique() <= len(COLOURS)
    ]
    return next((name for name in KINDS if name in choices), choices[0] if choices else None)


def by_kind(trials: pd.DataFrame, ended: pd.DataFrame) -> list[tuple[Kind, pd.DataFrame]]:
    """Return trials by kind; the kind of the baseline comes first, in grey.

    Args:
        trials: all trials of one study; they fix the colours, so that all plots share them.
        ended: the trials to draw.
    """
    name = kind_parameter(trials)
    if name is None:
        return [(Kind("trials", BLUE), ended)]
    column = f"param_{name}"
    stored = trials.attrs.get("distributions", {}).get(name)
    listed = json.loads(stored)["attributes"].get("choices", ()) if stored else ()
    order = [*listed, *sorted(set(trials[column].dropna()) - {*listed}, key=str)]
    baseline = trials[trials["baseline"].astype(bool)]
    grey = None if baseline.empty else baseline.iloc[0][column]
    others = [value for value in order if value != grey]
    kinds = [(grey, GREY), *zip(others, itertools.cycle(COLOURS), strict=False)]
    found = [(Kind(plain(v), c), ended[ended[column] == v]) for v, c in kinds if not pd.isna(v)]
    found.append((Kind(f"no {plain(name)}", INK), ended[ended[column].isna()]))
    return [(kind, rows) for kind, rows in found if not rows.empty]


def colour_of(trials: pd.DataFrame, trial: pd.Series) -> str:
    """Return the colour of the kind of one trial."""
    one = trials[trials["number"] == trial["number"]]
    found = by_kind(trials, one)
    return found[0][0].colour if found else INK


def markers(rows: pd.DataFrame, colour: str, size: int = 8) -> dict[str, Any]:
    """Return the markers of trials: the colour of their kind, a shape for how each ended."""
    reasons = rows["stop_reason"].where(rows["state"] != "pruned", "pruned")
    symbols = [STOPS.get(reason, ("", "circle"))[1] for reason in reasons]
    return {"color": colour, "symbol": symbols, "size": size}


def points(
    rows: pd.DataFrame, kind: Kind, *, size: int = 8, hover: str = "%{y:.4f}"
) -> dict[str, Any]:
    """Return how the trials of one kind are drawn as markers, for `add_scatter`.

    Args:
        rows: the trials, one marker each.
        kind: kind that they share.
        size: size of a marker in pixels.
        hover: template of what a hover label says below the trial's parameters.
    """
    return {
        "mode": "markers", "marker": markers(rows, kind.colour, size),
        "name": kind.title, "legendgroup": kind.title,
        "text": descriptions(rows), "hovertemplate": f"%{{text}}<br>{hover}<extra></extra>",
    }  # fmt: skip


def add_stops(figure: go.Figure, ended: pd.DataFrame) -> None:
    """Explain the shapes of markers in the legend, where there is more than one."""
    reasons = set(ended["stop_reason"].where(ended["state"] != "pruned", "pruned"))
    for reason, (title, symbol) in STOPS.items():
        if reason in reasons and len(reasons) > 1:
            add_key(figure, title, marker={"symbol": symbol, "color": INK, "size": 8})


def add_key(figure: go.Figure, title: str, **look: Any) -> None:
    """Add an entry without data to the legend.

    Args:
        figure: figure to change in place.
        title: title of the entry.
        look: `marker` or `line`, as Plotly takes them.
    """
    mode = "lines" if "line" in look else "markers"
    figure.add_scatter(x=[None], y=[None], mode=mode, name=title, hoverinfo="skip", **look)


def log_ticks(values: Iterable[float]) -> dict[str, Any]:
    """Return a logarithmic axis with three labels or more: powers of ten, else steps between them.

    Args:
        values: values that the axis shows; only positive ones count.
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
    if len(shown) < 3:  # less than a step between two powers of ten: even steps
        bottom, top = 10 ** (low - pad), 10 ** (high + pad)
        power = 10.0 ** math.floor(math.log10((top - bottom) / 3))
        step = next(power * n for n in (5, 2, 1) if (top - bottom) / (power * n) >= 3)
        shown = [step * n for n in range(math.ceil(bottom / step), math.floor(top / step) + 1)]
    return {
        "type": "log", "tickvals": shown, "ticktext": [f"{tick:g}" for tick in shown],
        "range": [low - pad, high + pad],
    }  # fmt: skip


def objective_of(trials: pd.DataFrame) -> str:
    """Return the score that the study maximises."""
    objective: str = trials.attrs.get("identity", {}).get("objective", "f1_macro")
    return objective


def objective_title(trials: pd.DataFrame) -> str:
    """Return the objective as an axis title."""
    return plain(objective_label(objective_of(trials)))


def varied_parameters(trials: pd.DataFrame) -> list[str]:
    """Return the names of the parameters that vary, or that only some trials have."""
    columns = [str(name) for name in trials.columns if str(name).startswith("param_")]
    return [
        name.removeprefix("param_") for name in columns if trials[name].nunique(dropna=False) > 1
    ]


def describe(trial: Mapping[Any, Any]) -> str:
    """Return trial number and parameters for a hover label."""
    params = [
        f"{plain(str(name).removeprefix('param_'))}={_shown(value)}"
        for name, value in trial.items()
        if str(name).startswith("param_") and not pd.isna(value)
    ]
    return "<br>".join([f"trial {trial['number']}", *params])


def descriptions(trials: pd.DataFrame) -> list[str]:
    """Return `describe` of every trial."""
    columns = ["number", *(name for name in trials.columns if str(name).startswith("param_"))]
    return [describe(row) for row in trials[columns].to_dict("records")]


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else plain(value)


def styled(
    figure: go.Figure, *, x: str = "", y: str = "", height: int = 420, columns: int = 1
) -> go.Figure:
    """Give a figure the house style: light, and without a title, which the text around it has.

    Args:
        figure: figure to change in place.
        x: title of the horizontal axis, with its unit.
        y: title of the vertical axis.
        height: height in pixels.
        columns: number of small plots side by side; a narrow page stacks them.
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
            "traceorder": "normal",  # not by group, which would set one entry per line
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
    """Mark plots of simulated beats or a reduced budget inside the plot, wherever it is shown."""

    @wraps(draw)
    def drawn(trials: pd.DataFrame, *args: Any, **kwargs: Any) -> go.Figure:
        figure = draw(trials, *args, **kwargs)
        if limits := say_limits(trials.attrs.get("identity", {})):
            mark(figure, limits)
        return figure

    return cast(Drawn, drawn)


def mark(figure: go.Figure, text: str) -> None:
    """Write what a reader must know along the upper edge of a figure.

    Args:
        figure: styled; is changed.
        text: one line; tags are shown as text.
    """
    if before := figure.layout.title.text:
        figure.update_layout(title_text=f"{before}; {plain(text)}")
        return
    figure.update_layout(
        title={
            "text": plain(text),
            **{"x": 0.99, "xanchor": "right", "y": 1, "yanchor": "top", "pad": {"t": 6}},
            **{"xref": "container", "yref": "container", "font": {"size": 12, "color": INK}},
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
    # The dashboard's card puts the mode bar and a title of two lines above the plot.
    figure.update_layout(
        height=DASHBOARD_HEIGHT, margin={"t": 160, "b": 60},
        legend={"yref": "container", "yanchor": "top", "y": 0.84},
    )  # fmt: skip
    figure.update_layout(
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)",
        font={"color": GREY, "size": 11},
        # It would lie over the title; its logo stays.
        modebar={"remove": MODE_BAR, "bgcolor": "rgba(0,0,0,0)", "color": GREY},
    )  # fmt: skip
    figure.update_xaxes(gridcolor=grid, zerolinecolor=grid)
    figure.update_yaxes(gridcolor=grid, zerolinecolor=grid)
    return figure
