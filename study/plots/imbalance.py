"""Which strategy wins, by how much, and what class weights (alpha) and sampler (ratio) do."""

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ecg.metrics import bootstrap_interval
from study.plots.style import (
    INK,
    NothingToDrawError,
    add_stops,
    baseline_of,
    best_of,
    by_kind,
    complete,
    descriptions,
    finished,
    kind_parameter,
    marked,
    markers,
    objective_of,
    plain,
    styled,
)
from study.wording import score_title

MEANS = {"alpha": "alpha (class weights)", "ratio": "ratio (sampler)"}
SCORES = ("f1_macro", "f1_weighted")


@marked
def winners(records: pd.DataFrame) -> go.Figure:
    """Draw the trials of each strategy (or network), the best of each beside the baseline.

    The best trial of a kind, by the objective, has a 95% interval over the validation beats and
    its difference from the baseline.

    Args:
        records: of one study.

    Raises:
        NothingToDrawError: no trial is complete, or all are of one kind.
    """
    whole, ended = complete(records), finished(records)
    name = kind_parameter(records)
    kinds = by_kind(records, ended)[::-1]
    if name is None or len(kinds) < 2:
        raise NothingToDrawError("no strategy, network or other category varies")
    objective, baseline = objective_of(records), baseline_of(records)
    shown = list(dict.fromkeys((objective, *SCORES)))[:2]
    figure = make_subplots(
        rows=1, cols=len(shown), shared_yaxes=True, horizontal_spacing=0.04,
        subplot_titles=[f"validation {plain(score_title(score))}" for score in shown],
    )  # fmt: skip
    for column, score in enumerate(shown, start=1):
        place = {"row": 1, "col": column}
        for kind, rows in kinds:
            figure.add_scatter(
                x=rows[f"validation_{score}"], y=[_row(kind.title, rows)] * len(rows),
                mode="markers", marker=markers(rows, kind.colour),
                text=descriptions(rows), showlegend=False,
                hovertemplate="%{text}<br>%{x:.4f}<extra></extra>", **place,
            )  # fmt: skip
            chosen = whole[whole["number"].isin(rows["number"])]
            if chosen.empty:
                continue
            best = best_of(chosen)
            value = float(best[f"validation_{score}"])
            low, high = bootstrap_interval(best["confusion"], score)
            text = f"{value:.3f}"
            if baseline is not None and baseline["number"] != best["number"]:
                text = f"{value - float(baseline[f'validation_{score}']):+.3f}"
            figure.add_scatter(
                x=[value], y=[_row(kind.title, rows)], mode="markers",
                showlegend=False, hoverinfo="skip", cliponaxis=False,
                marker={"color": kind.colour, "size": 13, "line": {"color": INK, "width": 1.5}},
                error_x={"type": "data", "symmetric": False, "array": [max(0.0, high - value)],
                         "arrayminus": [max(0.0, value - low)], "color": kind.colour,
                         "thickness": 2}, **place,
            )  # fmt: skip
            figure.add_annotation(
                x=value, y=_row(kind.title, rows), text=f"<b>{text}</b>", showarrow=False,
                yshift=19, bgcolor="rgba(255,255,255,0.75)", font_size=12, **place,
            )  # fmt: skip
        if baseline is not None:
            figure.add_vline(
                x=float(baseline[f"validation_{score}"]), line={"color": INK, "dash": "dash"},
                **place,
            )  # fmt: skip
    add_stops(figure, ended, row=1, col=1)
    figure.add_scatter(
        x=[None], y=[None], mode="markers", name="best, 95% interval", row=1, col=1,
        marker={"color": "rgba(0,0,0,0)", "size": 12, "line": {"color": INK, "width": 1.5}},
    )  # fmt: skip
    if baseline is not None:
        figure.add_scatter(
            x=[None], y=[None], mode="lines", line={"color": INK, "dash": "dash"},
            name="baseline", row=1, col=1,
        )  # fmt: skip
    styled(figure, height=170 + 62 * len(kinds), columns=len(shown))
    figure.update_yaxes(type="category", range=[-0.5, len(kinds) - 0.25])
    figure.update_xaxes(nticks=6)
    figure.update_layout(margin_t=80, legend_y=1.16)
    return figure


def _row(title: str, rows: pd.DataFrame) -> str:
    return f"{title} ({len(rows)})"


@marked
def imbalance_answers(records: pd.DataFrame) -> go.Figure:
    """Draw F1(M) and F1(W) against alpha and ratio, of the trials that use them.

    Args:
        records: of one study.

    Raises:
        NothingToDrawError: neither alpha nor ratio varies.
    """
    ended = finished(records)
    if "config" not in ended:
        raise NothingToDrawError("needs trials that kept their configuration")
    settings = {name: _setting(ended, name) for name in MEANS}
    used = [name for name, values in settings.items() if values.dropna().nunique() > 1]
    if not used:
        raise NothingToDrawError("neither alpha nor ratio takes two values")
    baseline = baseline_of(records)
    figure = make_subplots(
        rows=2, cols=len(used), shared_xaxes=True, shared_yaxes="rows",
        vertical_spacing=0.06, horizontal_spacing=0.05,
    )  # fmt: skip
    for row, score in enumerate(SCORES, start=1):
        for column, name in enumerate(used, start=1):
            values = settings[name].dropna()
            for kind, rows in by_kind(records, ended.loc[values.index]):
                figure.add_scatter(
                    x=values.loc[rows.index], y=rows[f"validation_{score}"], mode="markers",
                    row=row, col=column, name=kind.title, legendgroup=kind.title,
                    showlegend=row == 1 and kind.title not in {t.name for t in figure.data},
                    marker=markers(rows, kind.colour), text=descriptions(rows),
                    hovertemplate="%{text}<br>%{y:.4f}<extra></extra>",
                )  # fmt: skip
            if baseline is not None:
                figure.add_hline(
                    y=float(baseline[f"validation_{score}"]), row=row, col=column,
                    line={"color": INK, "dash": "dash", "width": 1.5},
                )  # fmt: skip
            if row == len(SCORES):
                figure.update_xaxes(title_text=MEANS[name], row=row, col=column)
        figure.update_yaxes(title_text=f"validation {score_title(score)}", row=row, col=1)
    add_stops(figure, ended, row=1, col=1)
    if baseline is not None:
        figure.add_scatter(
            x=[None], y=[None], mode="lines", line={"color": INK, "dash": "dash"},
            name="baseline", row=1, col=1,
        )  # fmt: skip
    return styled(figure, height=560, columns=len(used))


def _setting(ended: pd.DataFrame, name: str) -> "pd.Series[float]":
    """Return the setting of each trial, missing where it is not used."""
    values = [config.get(name) or None for config in ended["config"]]
    return pd.Series(values, index=ended.index, dtype="float64")
