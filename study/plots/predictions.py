"""What the probabilities of the best trial are worth: reliability and precision-recall curves."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots
from scipy.stats import binomtest

from ecg.calibration import BINS, average_precision, precision_recall, reliability
from ecg.heartbeats import CLASS_TITLES
from study.plots.style import (
    BLUE,
    GREY,
    INK,
    NothingToDrawError,
    add_key,
    baseline_of,
    best_of,
    colour_of,
    log_ticks,
    marked,
    styled,
)
from study.storage.predictions import Predictions

POINTS = 200  # of a curve, which has one per threshold


def predictions_of(trial: pd.Series) -> Predictions:
    """Return the validation predictions of a trial.

    Raises:
        NothingToDrawError: the trial has none, or they are on another machine.
    """
    found = trial.get("predictions")
    if not isinstance(found, Predictions):
        raise NothingToDrawError(
            f"the validation predictions of trial {trial['number']} are not on this machine. They "
            "are in the folder 'artifacts' beside the database that it was trained for"
        )
    return found


@marked
def reliability_diagram(trials: pd.DataFrame) -> go.Figure:
    """Draw accuracy against confidence, for the best trial and the baseline.

    Confidence is the probability of the predicted class. A calibrated network is on the diagonal.
    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks".

    Args:
        trials: trials of one study.

    Raises:
        NothingToDrawError: no trial is complete, or the best one has no predictions.
    """
    figure = make_subplots(
        rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.05, row_heights=[0.7, 0.3]
    )
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": INK, "dash": "dot", "width": 1.5},
        name="calibrated", hoverinfo="skip", row=1, col=1,
    )  # fmt: skip
    counts: list[float] = []
    for trial, found, look in _chosen(trials):
        bins = reliability(found.label, found.probability)
        full = bins.beats > 0
        accuracy, beats = bins.accuracy[full], bins.beats[full]
        counts += beats.tolist()
        bounds = np.array(
            [
                binomtest(int(k), int(n)).proportion_ci(method="wilson")
                for k, n in zip(bins.right[full], beats, strict=True)
            ]
        )  # (bins, 2)
        figure.add_scatter(
            x=bins.confidence[full], y=accuracy, mode="lines+markers", **look, cliponaxis=False,
            name=f"{trial}: ECE {bins.error:.3f}", text=[f"{n:,} beats" for n in beats],
            error_y={"type": "data", "symmetric": False, "array": bounds[:, 1] - accuracy,
                     "arrayminus": accuracy - bounds[:, 0], "thickness": 1,
                     "color": look["line"]["color"]},
            hovertemplate="confidence %{x:.3f}, accuracy %{y:.3f}<br>%{text}<extra></extra>",
            row=1, col=1,
        )  # fmt: skip
        figure.add_scatter(
            x=bins.confidence[full], y=beats, **look,
            mode="lines+markers", showlegend=False, cliponaxis=False,
            hovertemplate="%{y:,} beats<extra></extra>", row=2, col=1,
        )  # fmt: skip
    styled(figure, height=560)
    figure.update_xaxes(range=[-0.02, 1.02], tickvals=[0, 0.2, 0.4, 0.6, 0.8, 1])
    said = f"confidence<br>({BINS} bins, n = {beats.sum():,} beats)"
    figure.update_xaxes(title_text=said, row=2, col=1)
    figure.update_yaxes(title_text="accuracy", range=[-0.02, 1.02], row=1, col=1)
    figure.update_yaxes(title_text="beats", **log_ticks(counts), row=2, col=1)
    return figure


@marked
def precision_recall_curves(trials: pd.DataFrame) -> go.Figure:
    """Draw precision against recall of each class, for the best trial and the baseline.

    The dots are at the class of highest probability, which is what every other score counts.

    Args:
        trials: trials of one study.

    Raises:
        NothingToDrawError: no trial is complete, or the best one has no predictions.
    """
    chosen = _chosen(trials)
    averages: dict[int, list[str]] = {index: [] for index in range(len(CLASS_TITLES))}
    figure = make_subplots(
        rows=1, cols=len(CLASS_TITLES), shared_yaxes=True, horizontal_spacing=0.025,
        subplot_titles=[title.replace("Supra", "Supra-<br>") for title in CLASS_TITLES],
    )  # fmt: skip
    for trial, found, look in chosen:
        predicted = found.probability.argmax(axis=1)
        for index, values in averages.items():
            is_class = found.label == index
            if not is_class.any():
                continue
            precision, recall = precision_recall(is_class, found.probability[:, index])
            values.append(f"{average_precision(precision, recall):.3f}")
            kept = _thinned(recall)
            place = {"row": 1, "col": index + 1, "legendgroup": trial}
            figure.add_scatter(
                x=recall[kept], y=precision[kept], mode="lines", line=look["line"], name=trial,
                showlegend=False, **place,
                hovertemplate="recall %{x:.3f}, precision %{y:.3f}<extra></extra>",
            )  # fmt: skip
            hits = int((is_class & (predicted == index)).sum())
            figure.add_scatter(
                x=[hits / is_class.sum()], y=[hits / max(1, (predicted == index).sum())],
                mode="markers", marker={**look["marker"], "size": 11}, showlegend=False,
                cliponaxis=False, **place,
                hovertemplate="as classified: recall %{x:.3f}, precision %{y:.3f}<extra></extra>",
            )  # fmt: skip
    for trial, _, look in chosen:
        add_key(figure, trial, line=look["line"])
    for note, values in zip(figure.layout.annotations, averages.values(), strict=True):
        said = f"AP {values[0]}" if values else "no beat"
        said += f"<br>baseline {values[1]}" if len(values) == 2 else ""
        note.update(text=f"{note.text}<br>{said}", font={"size": 12})
    styled(figure, height=430, columns=len(CLASS_TITLES))
    ticks = {"range": [-0.02, 1.04], "tickvals": [0, 0.5, 1]}
    figure.update_xaxes(title_text="recall", **ticks)
    figure.update_yaxes(**ticks)
    figure.update_yaxes(title_text="precision", row=1, col=1)
    figure.update_layout(margin_t=130, legend_y=1.28)
    return figure


def _chosen(trials: pd.DataFrame) -> list[tuple[str, Predictions, dict[str, dict[str, object]]]]:
    """Return title, predictions and look of the best trial, and of the baseline if it has any."""
    best, baseline = best_of(trials), baseline_of(trials)
    colour = colour_of(trials, best)
    if colour == GREY:  # of the baseline's kind, and still another line
        colour = BLUE
    found = [
        (
            f"best (trial {best['number']})",
            predictions_of(best),
            {"line": {"color": colour, "width": 2.5}, "marker": {"color": colour, "size": 8}},
        )
    ]
    if baseline is None or baseline["number"] == best["number"]:
        return found
    try:
        theirs = predictions_of(baseline)
    except NothingToDrawError:
        return found
    look = {
        "line": {"color": GREY, "width": 2, "dash": "dash"},
        "marker": {"color": GREY, "size": 8, "symbol": "diamond"},
    }
    return [*found, (f"baseline (trial {baseline['number']})", theirs, look)]


def _thinned(recall: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return which points of a curve to draw: even steps of recall, and both ends."""
    wanted = np.linspace(recall[0], 1.0, POINTS)
    return np.unique([*np.searchsorted(recall, wanted), len(recall) - 1])
