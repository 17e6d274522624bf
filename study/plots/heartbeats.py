"""Heartbeats that the best model classified correctly and wrongly."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ecg.examples import EXAMPLES, Example
from ecg.heartbeats import BEAT_LENGTH, CLASS_TITLES, CLASSES, SAMPLING_RATE
from study.plots.style import (
    INK,
    NothingToDrawError,
    best_of,
    marked,
    styled,
)

COLUMNS = 2 * EXAMPLES  # classified correctly, then wrongly
ROW_HEIGHT = 150  # pixels


@marked
def sample_heartbeats(trials: pd.DataFrame) -> go.Figure:
    """Draw validation beats of each class by how the best trial predicted them.

    One row per true class; two columns of beats classified correctly, two of beats classified
    wrongly. Beats are drawn as the model sees them, z-scored.

    Args:
        trials: trials of one study, curves included.

    Raises:
        NothingToDrawError: no trial is complete, or the best one has no heartbeats stored.
    """
    best = best_of(trials)
    examples = best.get("examples")
    if not isinstance(examples, list) or not examples:
        raise NothingToDrawError(f"trial {best['number']} has no heartbeats stored")
    places = [_places(examples, name) for name in CLASSES]
    figure = make_subplots(
        rows=len(CLASSES), cols=COLUMNS, shared_xaxes="all", shared_yaxes="all",
        subplot_titles=[_title(beat, column) for row in places for column, beat in enumerate(row)],
        horizontal_spacing=0.02, vertical_spacing=0.05,
    )  # fmt: skip
    seconds = np.round(np.arange(BEAT_LENGTH) / SAMPLING_RATE, 4)
    for row, beats in enumerate(places, start=1):
        for column, beat in enumerate(beats, start=1):
            # Without a beat an empty line keeps the axes.
            signal = np.full(BEAT_LENGTH, np.nan) if beat is None else np.asarray(beat["signal"])
            figure.add_scatter(
                x=seconds, y=signal, mode="lines", row=row, col=column,
                line={"color": INK, "width": 1.5}, showlegend=False,
                hovertemplate="%{x:.2f} s<br>%{y:.2f}<extra></extra>",
            )  # fmt: skip
    styled(figure, height=ROW_HEIGHT * len(CLASSES) + 60)
    for row, title in enumerate(CLASS_TITLES, start=1):
        figure.update_yaxes(title_text=title.replace(" ", "<br>"), row=row, col=1)
    figure.update_yaxes(title_font_size=11, nticks=4)
    figure.update_xaxes(nticks=3, tickangle=0, tickfont_size=10)
    figure.update_xaxes(title_text="time (s)", row=len(CLASSES), col=1)
    figure.update_annotations(font_size=12)
    return figure


def _places(examples: list[Example], name: str) -> list[Example | None]:
    """Return the beat in each column of a class's row, None for an empty one."""
    mine = [beat for beat in examples if beat["true"] == name]
    places: list[Example | None] = []
    for right in (True, False):
        found = [beat for beat in mine if (beat["predicted"] == name) == right][:EXAMPLES]
        places += [*found, *[None] * (EXAMPLES - len(found))]
    return places


def _title(beat: Example | None, column: int) -> str:
    right = column < EXAMPLES
    if beat is None:
        return "-"
    return "right" if right else f"as {beat['predicted']}"
