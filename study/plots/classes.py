"""How well each class is recognised: confusion matrices, recall and precision."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ecg.heartbeats import CLASS_TITLES, CLASSES
from ecg.metrics import per_class
from study.plots.style import (
    BLACK_FROM,
    GREY,
    INK,
    SCALE,
    NothingToDrawError,
    add_stops,
    baseline_of,
    best_of,
    by_kind,
    colour_of,
    finished,
    marked,
    plain,
    points,
    styled,
)

SCORES = ("recall", "precision")


@marked
def confusion_matrix(
    trials: pd.DataFrame, *, number: int | None = None, part: str = "validation"
) -> go.Figure:
    """Draw the confusion matrix of one trial, rows true, columns predicted.

    Each cell holds the number of beats and their share of the true class.

    Args:
        trials: trials of one study.
        number: number of the trial, None for the best one.
        part: "validation" or "test".

    Raises:
        NothingToDrawError: there is no such trial, or it has no matrix of this part.
    """
    trial = best_of(trials) if number is None else _trial(trials, number)
    matrix = trial.get("confusion" if part == "validation" else "test_confusion")
    if not isinstance(matrix, list | tuple):
        raise NothingToDrawError(f"trial {trial['number']} has no {part} matrix")
    counts = np.asarray(matrix, dtype=np.int64)
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    # Colour follows the shares: by number, the normal beats would drown all others.
    figure = go.Figure(
        go.Heatmap(
            z=shares, x=list(CLASSES), y=list(CLASS_TITLES), zmin=0, zmax=1, colorscale=SCALE,
            text=counts, xgap=2, ygap=2,
            hovertemplate="true %{y}<br>predicted %{x}<br>%{text:,} beats, "
            "%{z:.2%} of the true class<extra></extra>",
            showscale=False,
        )
    )  # fmt: skip
    for colour, is_dark in (("#000000", shares >= BLACK_FROM), ("#ffffff", shares < BLACK_FROM)):
        cells = list(zip(*np.nonzero(is_dark), strict=True))
        figure.add_scatter(
            x=[CLASSES[column] for _, column in cells], y=[CLASS_TITLES[row] for row, _ in cells],
            text=[f"{counts[at]:,}<br>{_percent(shares[at])}" for at in cells], mode="text",
            textfont={"size": 12, "color": colour}, hoverinfo="skip", showlegend=False,
        )  # fmt: skip
    styled(figure, x="predicted class", height=400)
    labels = [
        title.replace("Supra", "Supra-<br>").replace(" ", "<br>", 1) for title in CLASS_TITLES
    ]
    figure.update_yaxes(
        autorange="reversed", tickvals=CLASS_TITLES, ticktext=labels, tickfont_size=11
    )
    figure.update_xaxes(side="top", showgrid=False)
    figure.update_yaxes(showgrid=False, title_text="true class", title_standoff=8)
    figure.update_layout(margin={"t": 75, "l": 10, "b": 10})
    return figure


@marked
def recall_by_precision(trials: pd.DataFrame) -> go.Figure:
    """Draw recall against precision of every finished trial, one small plot per class.

    Args:
        trials: trials of one study.

    Raises:
        NothingToDrawError: no trial is finished.
    """
    ended = finished(trials)
    if "per_class" not in ended or (ended := ended[ended["per_class"].notna()]).empty:
        raise NothingToDrawError("no finished trial has scores per class")
    whole = ended[ended["state"] == "complete"]
    baseline = baseline_of(ended)
    chosen = [] if whole.empty else [("best", best_of(ended), "circle-open")]
    chosen += [] if baseline is None else [("baseline", baseline, "square-open")]
    figure = make_subplots(
        rows=1, cols=len(CLASSES), shared_yaxes=True, horizontal_spacing=0.03,
        subplot_titles=[title.replace("Supra", "Supra-<br>") for title in CLASS_TITLES],
    )  # fmt: skip
    for index in range(len(CLASSES)):
        place = {"row": 1, "col": index + 1}
        for kind, rows in by_kind(trials, ended):
            figure.add_scatter(
                x=[scores["precision"][index] for scores in rows["per_class"]],
                y=[scores["recall"][index] for scores in rows["per_class"]],
                **points(rows, kind, size=7, hover="precision %{x:.4f}, recall %{y:.4f}"),
                showlegend=index == 0, **place,
            )  # fmt: skip
        for title, trial, symbol in chosen:
            figure.add_scatter(
                x=[trial["per_class"]["precision"][index]],
                y=[trial["per_class"]["recall"][index]], mode="markers", legendgroup=title,
                name=f"{title} (trial {trial['number']})", showlegend=index == 0,
                hoverinfo="skip", cliponaxis=False,
                marker={"color": INK, "symbol": symbol, "size": 15, "line": {"width": 2}},
                **place,
            )  # fmt: skip
    add_stops(figure, ended)
    styled(figure, height=420, columns=len(CLASSES))
    figure.update_xaxes(range=[-0.06, 1.06], tickvals=[0, 0.5, 1], title_text="precision")
    figure.update_yaxes(range=[-0.06, 1.06], tickvals=[0, 0.25, 0.5, 0.75, 1])
    figure.update_yaxes(title_text="recall (validation)", row=1, col=1)
    figure.update_layout(margin_t=110, legend_y=1.2)
    figure.update_annotations(font_size=12)
    return figure


@marked
def per_class_scores(trials: pd.DataFrame) -> go.Figure:
    """Draw recall and precision of each class: the best trial compared with the baseline.

    Args:
        trials: trials of one study.

    Raises:
        NothingToDrawError: no trial is complete.
    """
    best, baseline = best_of(trials), baseline_of(trials)
    chosen = [("best", best, "circle")]
    if baseline is not None and baseline["number"] != best["number"]:
        chosen.append(("baseline", baseline, "diamond-open"))
    figure = make_subplots(
        rows=1, cols=2, subplot_titles=SCORES, shared_yaxes=True, horizontal_spacing=0.06
    )
    for column, name in enumerate(SCORES, start=1):
        pairs = [per_class(trial["confusion"])[name] for _, trial, _ in chosen]
        for index, title in enumerate(CLASS_TITLES if len(pairs) == 2 else ()):
            figure.add_scatter(
                x=[pair[index] for pair in pairs], y=[title, title], mode="lines", row=1,
                col=column, line={"color": GREY, "width": 1}, showlegend=False, hoverinfo="skip",
            )  # fmt: skip
        for (title, trial, symbol), values in zip(chosen, pairs, strict=True):
            figure.add_scatter(
                x=values, y=CLASS_TITLES, mode="markers", row=1, col=column, cliponaxis=False,
                marker={"color": colour_of(trials, trial), "symbol": symbol, "size": 11,
                        "line": {"width": 2 if "open" in symbol else 0}},
                name=f"{title} (trial {trial['number']})", legendgroup=title,
                showlegend=column == 1, hovertemplate="%{y}: %{x:.4f}<extra></extra>",
            )  # fmt: skip
    styled(figure, height=400, columns=2)
    figure.update_xaxes(tickformat=".0%", nticks=4)
    labels = [title.replace("Supra", "Supra-<br>") for title in CLASS_TITLES]
    figure.update_yaxes(autorange="reversed", tickvals=CLASS_TITLES, ticktext=labels)
    figure.update_layout(legend={"y": 1.1}, margin={"t": 70, "l": 10})
    return figure


def _percent(share: float) -> str:
    """Return a share in at most five characters, so that it fits a cell on a phone."""
    return "100%" if share == 1 else f"{share:.1%}"


def _trial(trials: pd.DataFrame, number: int) -> pd.Series:
    found = trials[trials["number"] == number]
    if found.empty:
        raise NothingToDrawError(f"there is no trial {plain(number)}")
    return found.iloc[0]
