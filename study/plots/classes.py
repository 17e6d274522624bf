"""What the models make of each class: confusion matrices, recall and precision."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ecg.heartbeats import CLASS_TITLES
from ecg.metrics import per_class
from study.plots.style import (
    BASELINE,
    BEST,
    CLASS_COLOURS,
    CLASS_SYMBOLS,
    GREY,
    SCALE,
    NothingToDrawError,
    baseline_of,
    best_of,
    descriptions,
    finished,
    marked,
    plain,
    styled,
)

FIGURES = ("recall", "precision")
# Axis labels that fit under one column of a matrix.
_NARROW = {
    title: title.replace(" ", "<br>").replace("Supra", "Supra-<br>") for title in CLASS_TITLES
}


def confusion_matrix(
    records: pd.DataFrame, *, trial: int | None = None, part: str = "validation",
    normalised: bool = False,
) -> go.Figure:  # fmt: skip
    """Draw the confusion matrix of one trial, rows true, columns predicted.

    Args:
        records: of one study.
        trial: number of the trial, None for the best one.
        part: "validation" or "test".
        normalised: shares of each true class instead of counts.

    Raises:
        NothingToDrawError: there is no such trial, or it has no matrix of this part.
    """
    record = best_of(records) if trial is None else _trial(records, trial)
    matrix = record.get("confusion" if part == "validation" else "test_confusion")
    if not isinstance(matrix, list | tuple):
        raise NothingToDrawError(f"trial {record['number']} has no {part} matrix")
    counts = np.asarray(matrix, dtype=np.int64)
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    # Colour follows the shares in both, else the normal beats drown all others.
    figure = go.Figure(
        go.Heatmap(
            z=shares, x=CLASS_TITLES, y=CLASS_TITLES, zmin=0, zmax=1, colorscale=SCALE,
            text=shares if normalised else counts,
            texttemplate="%{text:.1%}" if normalised else "%{text:,}",
            customdata=counts, xgap=2, ygap=2,
            hovertemplate="true %{y}<br>predicted %{x}<br>%{customdata:,} beats, "
            "%{z:.2%} of the true class<extra></extra>",
            showscale=False,
        )
    )  # fmt: skip
    styled(figure, x="predicted class", y="true class", height=460, min_width=430)
    figure.update_xaxes(
        tickvals=CLASS_TITLES, ticktext=[_NARROW.get(t, t) for t in CLASS_TITLES], tickangle=0,
        tickfont_size=11,
    )  # fmt: skip
    figure.update_yaxes(autorange="reversed", title_standoff=10)
    figure.update_layout(margin={"t": 10, "l": 10})
    return figure


@marked
def confusion_counts(records: pd.DataFrame) -> go.Figure:
    """Draw the best trial's validation confusion matrix in beats."""
    return confusion_matrix(records)


@marked
def confusion_shares(records: pd.DataFrame) -> go.Figure:
    """Draw the best trial's validation confusion matrix as shares of each true class."""
    return confusion_matrix(records, normalised=True)


@marked
def recall_by_precision(records: pd.DataFrame) -> go.Figure:
    """Draw recall against precision of every class over all finished trials.

    Args:
        records: of one study.

    Raises:
        NothingToDrawError: no trial is finished.
    """
    ended = _with_classes(records)
    figure = go.Figure()
    for index, title in enumerate(CLASS_TITLES):
        figure.add_scatter(
            x=[figures["precision"][index] for figures in ended["per_class"]],
            y=[figures["recall"][index] for figures in ended["per_class"]],
            mode="markers", name=title, text=descriptions(ended),
            marker={"color": CLASS_COLOURS[index], "symbol": CLASS_SYMBOLS[index], "size": 8,
                    "opacity": 0.7},
            hovertemplate=title + "<br>%{text}<br>precision %{x:.4f}, recall %{y:.4f}"
            "<extra></extra>",
        )  # fmt: skip
    return styled(figure, x="precision (validation)", y="recall (validation)", height=480)


@marked
def per_class_figures(records: pd.DataFrame) -> go.Figure:
    """Draw recall and precision of each class: the best trial beside the baseline.

    Args:
        records: of one study.

    Raises:
        NothingToDrawError: no trial is complete.
    """
    best, baseline = best_of(records), baseline_of(records)
    chosen: list[tuple[str, pd.Series, str, str]] = [("best", best, BEST, "circle")]
    if baseline is not None and baseline["number"] != best["number"]:
        chosen.append(("baseline", baseline, BASELINE, "diamond-open"))
    figure = make_subplots(rows=1, cols=2, subplot_titles=FIGURES, shared_yaxes=True)
    for column, name in enumerate(FIGURES, start=1):
        pairs = [per_class(record["confusion"])[name] for _, record, _, _ in chosen]
        for index, title in enumerate(CLASS_TITLES if len(pairs) == 2 else ()):
            figure.add_scatter(
                x=[pair[index] for pair in pairs], y=[title, title], mode="lines", row=1,
                col=column, line={"color": GREY, "width": 1}, showlegend=False, hoverinfo="skip",
            )  # fmt: skip
        for (title, record, colour, symbol), values in zip(chosen, pairs, strict=True):
            figure.add_scatter(
                x=values, y=CLASS_TITLES, mode="markers", row=1, col=column,
                marker={"color": colour, "symbol": symbol, "size": 11},
                name=f"{title} (trial {record['number']})", legendgroup=title,
                showlegend=column == 1, hovertemplate="%{y}: %{x:.4f}",
            )  # fmt: skip
    styled(figure, x="share of beats (validation)", height=380, min_width=480)
    figure.update_xaxes(tickformat=".0%")
    figure.update_yaxes(autorange="reversed")
    figure.update_layout(legend={"y": 1.12}, margin_t=70)
    return figure


def _with_classes(records: pd.DataFrame) -> pd.DataFrame:
    ended = finished(records)
    if "per_class" not in ended or (ended := ended[ended["per_class"].notna()]).empty:
        raise NothingToDrawError("no finished trial has figures per class")
    return ended


def _trial(records: pd.DataFrame, number: int) -> pd.Series:
    found = records[records["number"] == number]
    if found.empty:
        raise NothingToDrawError(f"there is no trial {plain(number)}")
    return found.iloc[0]
