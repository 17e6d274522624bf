"""Plots of planned runs, one row per configuration: classes, differences, both splits."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ecg.heartbeats import CLASS_TITLES
from ecg.metrics import per_class
from ecg.statistics import interval_of_mean
from study.plots.style import BLUE, GREY, INK, VERMILLION, NothingToDrawError, marked, styled
from study.storage.attributes import PLANNED
from study.wording import score_title

SCORES = ("f1_macro", "f1_weighted")


def runs_of_rows(trials: pd.DataFrame, rows: Sequence[Any]) -> dict[str, pd.DataFrame]:
    """Return the complete runs of each row of a table by its label, one per seed.

    Args:
        trials: trials of a study of planned runs.
        rows: rows of a table in `search_spaces.tables`.
    """
    if PLANNED not in trials or "test_f1_macro" not in trials:
        return {row.label: trials.iloc[:0] for row in rows}
    runs = trials[(trials["state"] == "complete") & trials["test_f1_macro"].notna()]
    runs = runs.assign(repeat=[planned["repeat"] for planned in runs[PLANNED]])
    found = {}
    for row in rows:
        mine = runs[np.array([row.matches(config) for config in runs["config"]], dtype=bool)]
        found[row.label] = mine.drop_duplicates("repeat", keep="last").set_index("repeat")
    return found


@marked
def per_class_of_rows(trials: pd.DataFrame) -> go.Figure:
    """Draw recall and precision of each class on the test part, one row per configuration.

    Args:
        trials: trials of a study of planned runs.

    Raises:
        NothingToDrawError: no configuration of a published table has been measured.
    """
    runs = _measured(trials)
    figure = make_subplots(
        rows=2, cols=len(CLASS_TITLES), shared_yaxes=True, shared_xaxes="columns",
        horizontal_spacing=0.02, vertical_spacing=0.08,
        subplot_titles=[t.replace("Supra", "Supra-<br>") for t in CLASS_TITLES],
    )  # fmt: skip
    for place, score in enumerate(("recall", "precision"), start=1):
        values = {
            label: np.array([per_class(matrix)[score] for matrix in rows["test_confusion"]])
            for label, rows in runs.items()
        }  # (seeds, classes) each
        for column in range(len(CLASS_TITLES)):
            figure.add_scatter(
                x=[float(found[:, column].mean()) for found in values.values()],
                y=list(values), mode="markers", showlegend=False, row=place, col=column + 1,
                marker={"color": BLUE, "size": 9}, hovertemplate="%{y}: %{x:.4f}<extra></extra>",
            )  # fmt: skip
        figure.update_yaxes(title_text=score, row=place, col=1)
    styled(figure, height=180 + 2 * 34 * max(3, len(runs)), columns=len(CLASS_TITLES))
    figure.update_yaxes(type="category", autorange="reversed")
    figure.update_xaxes(nticks=3)
    figure.update_layout(margin_t=70)
    return figure


@marked
def differences_from_baseline(trials: pd.DataFrame) -> go.Figure:
    """Draw the difference of each configuration from the baseline, paired by seed.

    Args:
        trials: trials of a study of planned runs.

    Raises:
        NothingToDrawError: no configuration shares a seed with the baseline.
    """
    from search_spaces.tables import configurations

    base = next(row.label for row in configurations() if row.is_baseline)
    runs = _measured(trials)
    if base not in runs:
        raise NothingToDrawError("needs a run of the baseline")
    pairs = {}
    for label, rows in runs.items():
        shared = rows.index.intersection(runs[base].index)
        if label != base and len(shared):
            pairs[label] = (rows.loc[shared], runs[base].loc[shared])
    if not pairs:
        raise NothingToDrawError("needs a seed that a configuration shares with the baseline")
    figure = make_subplots(
        rows=1, cols=len(SCORES), shared_yaxes=True, horizontal_spacing=0.04,
        subplot_titles=[score_title(score) for score in SCORES],
    )  # fmt: skip
    for column, score in enumerate(SCORES, start=1):
        name = f"test_{score}"
        gains = {k: (a[name] - b[name]).to_numpy(dtype=float) for k, (a, b) in pairs.items()}
        means = [float(values.mean()) for values in gains.values()]
        bounds = [
            interval_of_mean(values) if len(values) > 1 else (float(values[0]),) * 2
            for values in gains.values()
        ]
        figure.add_scatter(
            x=means, y=[f"{label} (n={len(values)})" for label, values in gains.items()],
            mode="markers", marker={"color": BLUE, "size": 9}, showlegend=False,
            error_x={"type": "data", "symmetric": False, "color": BLUE,
                     "array": [b[1] - m for b, m in zip(bounds, means, strict=True)],
                     "arrayminus": [m - b[0] for b, m in zip(bounds, means, strict=True)]},
            hovertemplate="%{y}: %{x:+.4f}<extra></extra>", row=1, col=column,
        )  # fmt: skip
        figure.add_vline(x=0, line={"color": INK, "dash": "dash"}, row=1, col=column)
    styled(
        figure,
        x="difference from<br>the baseline",
        height=160 + 34 * len(pairs),
        columns=len(SCORES),
    )
    figure.update_yaxes(type="category", autorange="reversed")
    figure.update_xaxes(nticks=4, tickformat="+.4f")
    return figure


@marked
def both_splits(trials: pd.DataFrame, other: pd.DataFrame) -> go.Figure:
    """Draw the configurations of two studies that differ in their split.

    Args:
        trials: trials of a study of planned runs.
        other: trials of a study of the same configurations on the other split.

    Raises:
        NothingToDrawError: no configuration has been measured on both.
    """
    sides = {str(r.attrs["identity"]["split"]): _measured(r) for r in (trials, other)}
    labels = [label for label in _measured(trials) if all(label in s for s in sides.values())]
    if not labels:
        raise NothingToDrawError("no configuration has been measured on both splits")
    figure = make_subplots(
        rows=1, cols=len(SCORES), shared_yaxes=True, horizontal_spacing=0.04,
        subplot_titles=[score_title(score) for score in SCORES],
    )  # fmt: skip
    for column, score in enumerate(SCORES, start=1):
        means = {
            split: [float(runs[label][f"test_{score}"].mean()) for label in labels]
            for split, runs in sorted(sides.items())
        }
        for label, *ends in zip(labels, *means.values(), strict=True):
            figure.add_scatter(
                x=ends, y=[label, label], mode="lines", line={"color": GREY, "width": 1},
                showlegend=False, hoverinfo="skip", row=1, col=column,
            )  # fmt: skip
        looks = ((VERMILLION, "diamond"), (BLUE, "circle"))
        for (split, values), (colour, symbol) in zip(means.items(), looks, strict=True):
            figure.add_scatter(
                x=values, y=labels, mode="markers", name=split, legendgroup=split,
                showlegend=column == 1, marker={"color": colour, "symbol": symbol, "size": 10},
                hovertemplate="%{y}: %{x:.4f}<extra></extra>", row=1, col=column,
            )  # fmt: skip
    styled(figure, height=160 + 34 * len(labels), columns=len(SCORES))
    figure.update_yaxes(type="category", autorange="reversed")
    figure.update_xaxes(nticks=5)
    figure.update_layout(margin_t=80, legend_y=1.12)
    return figure


def _measured(trials: pd.DataFrame) -> Mapping[str, pd.DataFrame]:
    from search_spaces.tables import configurations

    runs = {k: rows for k, rows in runs_of_rows(trials, configurations()).items() if len(rows)}
    if not runs:
        raise NothingToDrawError("needs a run of a published table")
    return runs
