"""Images of one trial, drawn when somebody opens them. They need no browser or display."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ecg.heartbeats import CLASS_TITLES, CLASSES
from study.plots.style import BLACK_FROM
from study.wording import objective_label

# Not with pyplot, which keeps every figure and needs the main thread.
COLOURS = {"train_loss": "#56B4E9", "validation_loss": "#0072B2", "objective": "#D55E00"}
LOSSES = {
    "train_loss": "training, with any class weights",
    "validation_loss": "validation, unweighted",
}
DPI = 110
SIZE = (5.6, 4.8)  # inches


def confusion_image(confusion: Sequence[Sequence[int]], limits: str = "") -> bytes:
    """Draw a confusion matrix: counts, coloured by their share of the true class.

    Args:
        confusion: (5, 5) counts, rows true, columns predicted.
        limits: what a reader must know, see `study.wording.say_limits`.

    Returns:
        PNG.
    """
    counts = np.asarray(confusion, dtype=np.int64)
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    figure = _figure(left=0.19, right=0.98, bottom=0.14)
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="cividis", vmin=0, vmax=1)
    for row, column in np.ndindex(counts.shape):
        share = shares[row, column]
        axes.text(
            column, row, f"{counts[row, column]:,}\n{share:.1%}", ha="center", va="center",
            fontsize=8, color="black" if share >= BLACK_FROM else "white",
        )  # fmt: skip
    titles = [title.replace(" ", "\n") for title in CLASS_TITLES]
    axes.set_xticks(range(len(CLASSES)), titles, fontsize=7)
    axes.set_yticks(range(len(CLASSES)), titles, fontsize=7)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title("validation, best epoch: beats and share of the true class", fontsize=9)
    return _png(figure, limits)


def curves_image(
    curves: Mapping[str, Sequence[Any]],
    objective: str,
    best_epoch: int,
    stop_reason: str,
    limits: str = "",
) -> bytes:
    """Draw the losses and the objective epoch by epoch, and mark the best epoch.

    Args:
        curves: lists with one value per epoch; see `study.trials.trial.describe_result`.
        objective: name of the curve that the study maximises; not drawn if it is missing.
        best_epoch: counted from 1.
        stop_reason: why the training stopped, for the title.
        limits: what a reader must know, see `study.wording.say_limits`.

    Returns:
        PNG.
    """
    epochs = range(1, len(curves["train_loss"]) + 1)
    figure = _figure(left=0.13, right=0.97, bottom=0.11)
    above, below = figure.subplots(2, 1, sharex=True)
    for name, label in LOSSES.items():
        above.plot(epochs, curves[name], color=COLOURS[name], marker=".", label=label)
    above.set_ylabel("loss (cross-entropy)")
    if objective in curves:
        below.plot(epochs, curves[objective], color=COLOURS["objective"], marker=".")
    below.set_ylabel(objective_label(objective))
    below.set_xlabel("epoch")
    below.xaxis.get_major_locator().set_params(integer=True)
    for axes in (above, below):
        axes.axvline(best_epoch, color="black", linestyle=":", label=f"best epoch {best_epoch}")
        axes.grid(alpha=0.3)
    above.legend(fontsize=8)
    above.set_title(f"{len(epochs)} epochs, ended by {stop_reason}", fontsize=9)
    return _png(figure, limits)


def _figure(**margins: float) -> Figure:
    """Return an empty figure with fixed margins: computing them takes as long as drawing."""
    figure = Figure(figsize=SIZE, dpi=DPI)
    figure.subplots_adjust(top=0.93, **margins)
    return figure


def _png(figure: Figure, limits: str) -> bytes:
    figure.text(0.99, 0.99, limits, ha="right", va="top", fontsize=7, color="#D55E00")
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
