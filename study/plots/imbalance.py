"""Which strategy wins and by how much, and the effect of class weights and sampler."""

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ecg.metrics import bootstrap_interval
from study.plots.style import (
    INK,
    NothingToDrawError,
    add_key,
    add_stops,
    baseline_of,
    best_of,
    by_kind,
    complete,
    finished,
    kind_parameter,
    marked,
    objective_of,
    plain,
    points,
    styled,
)
from study.wording import score_title

MEANS = {"alpha": "alpha<br>(class weights)", "ratio": "ratio<br>(sampler)"}
SCORES = ("f1_macro", "f1_weighted")
DASHED = {"color": INK, "dash": "dash", "width": 1.5}  # the baseline


@marked
def winners(trials: pd.DataFrame) -> go.Figure:
    """Draw the trials of each strategy (or network), the best of each compared with the baseline.

    The best trial of each kind, by the objective, has a 95% interval over the validation beats
    and its difference from the baseline.

    Args:
        trials: trials of one study.

    Raises:
        NothingToDrawError: no trial is complete, or all are of one kind.
    """
    whole, ended = complete(trials), finished(trials)
    name = kind_parameter(trials)
    kinds = by_kind(trials, ended)[::-1]
    if name is None or len(kinds) < 2:
        raise NothingToDrawError("no strategy, network or other category varies")
    objective, baseline = objective_of(trials), baseline_of(trials)
    shown = list(dict.fromkeys((objective, *SCORES)))[:2]
    figure = make_subplots(
        rows=1, cols=len(shown), shared_yaxes=True, horizontal_spacing=0.04,
        subplot_titles=[f"validation {plain(score_title(score))}" for score in shown],
    )  # fmt: skip
    for column, score in enumerate(shown, start=1):
        for kind, rows in kinds:
            label = f"{kind.title} ({len(rows)})"
            figure.add_scatter(
                x=rows[f"validation_{score}"], y=[label] * len(rows), showlegend=False,
                **points(rows, kind, hover="%{x:.4f}"), row=1, col=column,
            )  # fmt: skip
            chosen = whole[whole["number"].isin(rows["number"])]
            if not chosen.empty:
                best = best_of(chosen)
                _add_best(figure, best, baseline, score, label, kind.colour, column)
        if baseline is not None:
            figure.add_vline(x=float(baseline[f"validation_{score}"]), line=DASHED, row=1,
                             col=column)  # fmt: skip
    add_stops(figure, ended)
    ring = {"color": "rgba(0,0,0,0)", "size": 12, "line": {"color": INK, "width": 1.5}}
    add_key(figure, "best, 95% interval", marker=ring)
    if baseline is not None:
        add_key(figure, "baseline", line=DASHED)
    styled(figure, height=170 + 62 * len(kinds), columns=len(shown))
    figure.update_yaxes(type="category", range=[-0.5, len(kinds) - 0.25])
    figure.update_xaxes(nticks=6)
    figure.update_layout(margin_t=80, legend_y=1.16)
    return figure


def _add_best(
    figure: go.Figure,
    best: pd.Series,
    baseline: pd.Series | None,
    score: str,
    label: str,
    colour: str,
    column: int,
) -> None:
    """Ring the best trial of a row, with its interval and its difference from the baseline."""
    value = float(best[f"validation_{score}"])
    low, high = bootstrap_interval(best["confusion"], score)
    text = f"{value:.3f}"
    if baseline is not None and baseline["number"] != best["number"]:
        text = f"{value - float(baseline[f'validation_{score}']):+.3f}"
    figure.add_scatter(
        x=[value], y=[label], mode="markers", showlegend=False, hoverinfo="skip",
        cliponaxis=False, row=1, col=column,
        marker={"color": colour, "size": 13, "line": {"color": INK, "width": 1.5}},
        error_x={"type": "data", "symmetric": False, "array": [max(0.0, high - value)],
                 "arrayminus": [max(0.0, value - low)], "color": colour, "thickness": 2},
    )  # fmt: skip
    figure.add_annotation(
        x=value, y=label, text=f"<b>{text}</b>", showarrow=False, yshift=19,
        bgcolor="rgba(255,255,255,0.75)", font_size=12, row=1, col=column,
    )  # fmt: skip


@marked
def imbalance_answers(trials: pd.DataFrame) -> go.Figure:
    """Draw F1(M) and F1(W) against alpha and ratio, for the trials that use them.

    Args:
        trials: trials of one study.

    Raises:
        NothingToDrawError: neither alpha nor ratio varies.
    """
    ended = finished(trials)
    if "config" not in ended:
        raise NothingToDrawError("needs trials whose configuration was stored")
    settings = {name: _setting(ended, name) for name in MEANS}
    used = [name for name, values in settings.items() if values.dropna().nunique() > 1]
    if not used:
        raise NothingToDrawError("neither alpha nor ratio takes more than one value")
    baseline = baseline_of(trials)
    figure = make_subplots(
        rows=2, cols=len(used), shared_xaxes=True, shared_yaxes="rows",
        vertical_spacing=0.06, horizontal_spacing=0.05,
    )  # fmt: skip
    for row, score in enumerate(SCORES, start=1):
        for column, name in enumerate(used, start=1):
            values = settings[name].dropna()
            for kind, rows in by_kind(trials, ended.loc[values.index]):
                figure.add_scatter(
                    x=values.loc[rows.index], y=rows[f"validation_{score}"],
                    showlegend=row == 1 and kind.title not in {t.name for t in figure.data},
                    **points(rows, kind), row=row, col=column,
                )  # fmt: skip
            if baseline is not None:
                figure.add_hline(
                    y=float(baseline[f"validation_{score}"]), line=DASHED, row=row, col=column
                )
            if row == len(SCORES):
                figure.update_xaxes(title_text=MEANS[name], row=row, col=column)
        figure.update_yaxes(title_text=f"validation {score_title(score)}", row=row, col=1)
    add_stops(figure, ended)
    if baseline is not None:
        add_key(figure, "baseline", line=DASHED)
    return styled(figure, height=560, columns=len(used))


def _setting(ended: pd.DataFrame, name: str) -> "pd.Series[float]":
    """Return the setting of each trial, missing where the trial does not use it."""
    values = [config.get(name) or None for config in ended["config"]]
    return pd.Series(values, index=ended.index, dtype="float64")
