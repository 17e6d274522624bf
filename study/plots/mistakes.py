"""The beats that the best trial classifies wrongly with the most confidence."""

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from ecg.errors import DataError, EcgError
from ecg.heartbeats import BEAT_LENGTH, CLASSES, SAMPLING_RATE, UNKNOWN, Heartbeats
from ecg.sources import DATA_FOLDER, SYNTHETIC, load
from study.plots.predictions import predictions_of
from study.plots.style import INK, NothingToDrawError, best_of, marked, plain, styled
from study.storage.predictions import Predictions
from study.wording import counted

PAIRS = 8  # of a true and a predicted class, the ones with most mistakes
COLUMNS = 3  # beats of each pair
ROW_HEIGHT = 155  # pixels


@marked
def confident_mistakes(trials: pd.DataFrame, beats: Heartbeats | None = None) -> go.Figure:
    """Draw validation beats of the best trial that are wrong with high confidence.

    One row per pair of true and predicted class, the pairs with the most mistakes first. Each row
    has the three mistakes of the highest probability, with record and time where the data have
    them.

    Args:
        trials: trials of one study.
        beats: beats that the study was made with; None to look for them where the study had them,
            where ECG_DATA says, and in the folder `data`.

    Raises:
        NothingToDrawError: no trial is complete, the best one has no predictions or no mistakes,
            or the data are not there.
    """
    found = predictions_of(best_of(trials))
    pairs = _pairs(found)
    if not pairs:
        raise NothingToDrawError("the best trial makes no mistake on the validation part")
    beats = beats_of_study(trials) if beats is None else beats
    if found.row.min() < 0 or found.row.max() >= len(beats):
        raise NothingToDrawError("the predictions were stored without the rows of their beats")
    shown = [[*rows[:COLUMNS], *[None] * (COLUMNS - len(rows))] for _, rows in pairs]
    figure = make_subplots(
        rows=len(pairs), cols=COLUMNS, shared_xaxes="all", shared_yaxes="all",
        horizontal_spacing=0.03, vertical_spacing=0.42 / len(pairs),
        subplot_titles=[_title(found, beats, at) for row in shown for at in row],
    )  # fmt: skip
    for row, places in enumerate(shown, start=1):
        for column, at in enumerate(places, start=1):
            signal = _signal(beats, None if at is None else int(found.row[at]))
            figure.add_scatter(
                x=np.round(np.arange(BEAT_LENGTH) / SAMPLING_RATE, 4), y=signal, mode="lines",
                row=row, col=column, line={"color": INK, "width": 1.5}, showlegend=False,
                hovertemplate="%{x:.2f} s<extra></extra>",
            )  # fmt: skip
    styled(figure, height=ROW_HEIGHT * len(pairs) + 70)
    for row, ((true, predicted), rows) in enumerate(pairs, start=1):
        title = f"{CLASSES[true]} as {CLASSES[predicted]}<br>{counted(len(rows), 'beat')}"
        figure.update_yaxes(title_text=title, row=row, col=1)
    figure.update_yaxes(title_font_size=12, tickvals=[0, 1], range=[-0.05, 1.05])
    figure.update_xaxes(nticks=3, tickangle=0, tickfont_size=10)
    figure.update_xaxes(title_text="time (s)", row=len(pairs), col=1)
    figure.update_annotations(font_size=11)
    return figure


def beats_of_study(trials: pd.DataFrame) -> Heartbeats:
    """Return the heartbeats that a study was made with.

    Args:
        trials: trials of one study.

    Raises:
        NothingToDrawError: if they are not on this machine; the message says what to do.
    """
    identity = trials.attrs.get("identity", {})
    fingerprint = str(identity.get("data", ""))
    for path in _places(trials):
        try:
            return _load(path, fingerprint)
        except (EcgError, OSError):
            continue
    raise NothingToDrawError(
        f"the data of the study ({identity.get('source', 'unknown')}, fingerprint "
        f"{fingerprint[:12]}) are not on this machine. Set ECG_DATA to their path to see the beats"
    )


def _places(trials: pd.DataFrame) -> Iterator[str]:
    """Yield each place where the data of a study may be, once."""
    stored = trials.attrs.get("data_path", "")
    simulated = SYNTHETIC if trials.attrs.get("identity", {}).get("source") == SYNTHETIC else ""
    known = (stored, simulated, os.environ.get("ECG_DATA", ""), str(DATA_FOLDER))
    for path in dict.fromkeys(known):
        if path and (path == SYNTHETIC or Path(path).expanduser().exists()):
            yield path


@lru_cache(maxsize=1)
def _load(path: str, fingerprint: str) -> Heartbeats:
    """Load the heartbeats of a fingerprint, once for all studies of a report."""
    beats = load(path)
    if beats.fingerprint != fingerprint:  # raised, so that it is not cached
        raise DataError(f"{path} holds other heartbeats")
    return beats


def _pairs(found: Predictions) -> list[tuple[tuple[int, int], NDArray[np.intp]]]:
    """Return the pairs of true and predicted class with the most mistakes, and their beats.

    The beats of a pair are in the order of their confidence, the highest first.
    """
    predicted = found.probability.argmax(axis=1)
    confidence = found.probability.max(axis=1)
    wrong = np.flatnonzero(predicted != found.label)
    wrong = wrong[np.argsort(-confidence[wrong].astype(np.float64), kind="stable")]
    of_pair = {
        (true, other): wrong[(found.label[wrong] == true) & (predicted[wrong] == other)]
        for true in range(len(CLASSES))
        for other in range(len(CLASSES))
    }
    some = [(pair, rows) for pair, rows in of_pair.items() if len(rows)]
    return sorted(some, key=lambda pair: -len(pair[1]))[:PAIRS]


def _title(found: Predictions, beats: Heartbeats, at: Any) -> str:
    """Return the confidence of a mistake, and where it is in the data."""
    if at is None:
        return ""
    row = int(found.row[at])
    said = f"{float(found.probability[at].max()):.0%}"
    if beats.record[row] == UNKNOWN:
        return f"{said}<br>row {row:,}"
    said += f"<br>{plain(beats.record_name(beats.record[row]))}"
    seconds = float(beats.times()[row])
    if np.isnan(seconds):
        return said
    minutes, rest = divmod(round(seconds, 1), 60)
    return f"{said}<br>{minutes:.0f}:{rest:04.1f}"


def _signal(beats: Heartbeats, row: int | None) -> NDArray[np.float32]:
    """Return the signal of a beat without its padding; only the axes without a beat."""
    signal = np.full(BEAT_LENGTH, np.nan, dtype=np.float32)
    if row is not None:
        length = np.flatnonzero(beats.signals[row])[-1:].sum() + 1
        signal[:length] = beats.signals[row, :length]
    return signal
