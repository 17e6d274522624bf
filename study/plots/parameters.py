"""What the parameters do to the objective: parallel coordinates, importances, slices, contours."""

import json
import warnings
from typing import Any

import numpy as np
import optuna
import pandas as pd
import plotly.graph_objects as go
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    json_to_distribution,
)
from optuna.trial import TrialState
from plotly.subplots import make_subplots

from study.plots.style import (
    SCALE,
    SKY,
    NothingToDrawError,
    by_group,
    complete,
    descriptions,
    finished,
    marked,
    objective_title,
    parameters_of,
    plain,
    styled,
    without_tags,
)
from study.storage.reading import NONE

SHADES = 12  # of the lines in the parallel coordinates
MAX_CONTOUR = 3  # parameters, the most important ones
MIN_TRIALS = 4  # complete ones, below which an importance says nothing
MISSING = "not used"
LONGEST = 24  # letters of a category on an axis


@marked
def parallel_coordinates(records: pd.DataFrame) -> go.Figure:
    """Draw every complete trial as a line across its parameters, ending at the objective.

    Args:
        records: of one study.

    Raises:
        NothingToDrawError: no trial is complete, or no parameter varies.
    """
    ended = complete(records).sort_values("value")
    names = _varied(ended)
    axes = [_Axis(ended[f"param_{name}"], plain(name)) for name in names]
    axes.append(_Axis(ended["value"], objective_title(records).replace(" ", "<br>", 1)))
    heights = np.array([axis.heights for axis in axes])  # (axes, trials)
    figure = go.Figure()
    scale = f"{SCALE.lower()}"
    for shade, rows in enumerate(np.array_split(np.arange(len(ended)), min(SHADES, len(ended)))):
        across = np.tile(np.append(np.arange(len(axes), dtype="float32"), np.nan), len(rows))
        along = np.vstack([heights[:, rows], np.full(len(rows), np.nan)]).T.ravel()
        figure.add_scatter(
            x=across, y=along.astype("float32"), mode="lines", showlegend=False, hoverinfo="skip",
            line={"width": 1.5, "color": _shade(shade / max(1, min(SHADES, len(ended)) - 1))},
            opacity=0.8,
        )  # fmt: skip
    values = ended["value"].astype(float)
    figure.add_scatter(
        x=[None], y=[None], mode="markers", showlegend=False, hoverinfo="skip",
        marker={"colorscale": scale, "showscale": True, "cmin": float(values.min()),
                "cmax": float(values.max()), "color": [0],
                "colorbar": {"title": {"text": "objective"}}},
    )  # fmt: skip
    for place, axis in enumerate(axes):
        figure.add_vline(x=place, line={"color": "#888888", "width": 1})
        for height, label in axis.ticks:
            figure.add_annotation(
                x=place, y=height, text=label, showarrow=False, xanchor="left", xshift=4,
                font={"size": 11}, bgcolor="rgba(255,255,255,0.75)",
            )  # fmt: skip
    styled(figure, height=460, min_width=130 * len(axes))
    figure.update_xaxes(
        tickvals=list(range(len(axes))), ticktext=[axis.title for axis in axes], side="top",
        showgrid=False, zeroline=False, range=[-0.1, len(axes) - 0.55],
    )  # fmt: skip
    figure.update_yaxes(visible=False, range=[-0.05, 1.05])
    figure.update_layout(margin={"l": 20, "t": 70, "b": 20})
    return figure


@marked
def parameter_importances(records: pd.DataFrame) -> go.Figure:
    """Draw Optuna's importances (PED-ANOVA, Watanabe et al. 2023) of the parameters.

    Args:
        records: of one study.

    Raises:
        NothingToDrawError: there are too few complete trials, or no parameter varies.
    """
    found = importances(records)
    figure = go.Figure(
        go.Bar(
            x=list(found.values())[::-1],
            y=[plain(name) for name in found][::-1],
            orientation="h",
            marker_color=SKY,
            texttemplate="%{x:.2f}",
            textangle=0,
            hovertemplate="%{y}: %{x:.3f}<extra></extra>",
        )
    )
    return styled(figure, x="importance (PED-ANOVA)", height=130 + 45 * len(found))


def importances(records: pd.DataFrame) -> dict[str, float]:
    """Return Optuna's importances of the parameters that vary, the greatest first.

    Raises:
        NothingToDrawError: there are too few complete trials, or no parameter varies.
    """
    ended = complete(records)
    if len(ended) < MIN_TRIALS:
        raise NothingToDrawError(
            f"importances need {MIN_TRIALS} complete trials or more, there are {len(ended)}"
        )
    _varied(ended)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # experimental, and few trials of a conditional parameter
        try:
            return optuna.importance.get_param_importances(_rebuild(ended))
        except (ValueError, RuntimeError) as error:
            raise NothingToDrawError(f"importances cannot be worked out: {error}") from None


@marked
def slices(records: pd.DataFrame) -> go.Figure:
    """Draw the objective against each parameter, by the way the trials ended.

    Args:
        records: of one study.

    Raises:
        NothingToDrawError: no trial is finished, or no parameter varies.
    """
    ended = finished(records)
    names = _varied(ended)
    figure = make_subplots(rows=1, cols=len(names), shared_yaxes=True, horizontal_spacing=0.05)
    for column, name in enumerate(names, start=1):
        used = ended[ended[f"param_{name}"].notna()]
        for group, rows in by_group(used):
            figure.add_scatter(
                x=_shown(rows[f"param_{name}"]), y=rows["value"], mode="markers", row=1, col=column,
                marker={"color": group.colour, "symbol": group.symbol, "size": 7, "opacity": 0.7},
                name=group.title, legendgroup=group.title, showlegend=column == 1,
                text=descriptions(rows), hovertemplate="%{text}<br>%{y:.4f}<extra></extra>",
            )  # fmt: skip
        axis = {"title_text": plain(name)}
        if _is_log(records, name):
            axis |= {"type": "log"}
        elif not pd.api.types.is_numeric_dtype(ended[f"param_{name}"]):
            axis |= {"type": "category", "categoryorder": "category ascending"}
        figure.update_xaxes(**axis, row=1, col=column)
    figure.update_yaxes(title_text=objective_title(records), row=1, col=1)
    return styled(figure, height=380, min_width=max(300, 190 * len(names)))


@marked
def contours(records: pd.DataFrame) -> go.Figure:
    """Draw Optuna's contours of the objective over pairs of the most important numbers.

    Args:
        records: of one study.

    Raises:
        NothingToDrawError: no two parameters were used together often enough.
    """
    ended = complete(records)
    ordered = _by_importance(records, _varied(ended))
    numeric = [n for n in ordered if pd.api.types.is_numeric_dtype(ended[f"param_{n}"])]
    together = ended[ended[[f"param_{n}" for n in numeric[:MAX_CONTOUR]]].notna().all(axis=1)]
    chosen = numeric[:MAX_CONTOUR] if len(together) >= MIN_TRIALS else numeric[:2]
    columns = [f"param_{name}" for name in chosen]
    together = ended[ended[columns].notna().all(axis=1)] if chosen else ended
    if len(chosen) < 2 or len(together) < MIN_TRIALS:
        raise NothingToDrawError(
            f"contours need two numeric parameters that {MIN_TRIALS} complete trials have both"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        drawn = optuna.visualization.plot_contour(
            _rebuild(together), params=chosen, target_name="objective"
        )
    figure = go.Figure(without_tags(drawn.to_plotly_json()))
    figure.update_traces(colorscale=SCALE, reversescale=False, selector={"type": "contour"})
    figure.update_layout(title=None)
    return styled(figure, height=220 + 130 * len(chosen), min_width=200 + 150 * (len(chosen) - 1))


def _varied(ended: pd.DataFrame) -> list[str]:
    names = parameters_of(ended)
    if not names:
        raise NothingToDrawError("no parameter takes more than one value yet")
    return names


class _Axis:
    """One axis of the parallel coordinates: heights from 0 to 1, and labels."""

    def __init__(self, values: pd.Series, title: str) -> None:
        self.title = title
        used = values.dropna()
        if pd.api.types.is_numeric_dtype(values) and values.dtype != bool:
            low, high = float(used.min()), float(used.max())
            floor = 0.12 if values.isna().any() else 0.0  # below it: trials without the value
            span = (high - low) or 1.0
            shares = floor + (1 - floor) * (values.astype(float) - low) / span
            self.heights = shares.fillna(0.0).to_numpy()
            self.ticks = [
                (floor + (1 - floor) * share, f"{low + share * (high - low):.4g}")
                for share in (0.0, 0.5, 1.0)
            ]
            if floor:
                self.ticks.append((0.0, MISSING))
            return
        texts = _shown(values)
        kinds = sorted(set(texts))
        self.heights = np.array([kinds.index(text) / max(1, len(kinds) - 1) for text in texts])
        self.ticks = [(i / max(1, len(kinds) - 1), kind) for i, kind in enumerate(kinds)]


def _shown(values: pd.Series) -> list[Any]:
    """Return values for an axis: numbers as they are, all else as plain text."""
    if pd.api.types.is_numeric_dtype(values) and values.dtype != bool:
        return list(values)
    texts = [MISSING if value is None or pd.isna(value) else str(value) for value in values]
    return [plain(text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…") for text in texts]


def _shade(share: float) -> str:
    from plotly.colors import sample_colorscale

    colour: str = sample_colorscale(SCALE, [share])[0]
    return colour


def _by_importance(records: pd.DataFrame, names: list[str]) -> list[str]:
    try:
        known = importances(records)
    except NothingToDrawError:
        return names
    return sorted(names, key=lambda name: -known.get(name, 0.0))


def _rebuild(ended: pd.DataFrame) -> optuna.Study:
    """Return complete trials as a study in memory, which is what Optuna's own figures take."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(direction="maximize")
    finally:
        optuna.logging.set_verbosity(verbosity)
    names = parameters_of(ended)
    distributions = {name: _distribution(ended, name) for name in names}
    trials = []
    for row in ended.to_dict("records"):
        params = {
            name: _stored(row[f"param_{name}"], distributions[name])
            for name in names
            if not _missing(row, name)
        }
        trials.append(
            optuna.create_trial(
                state=TrialState.COMPLETE,
                value=float(row["value"]),
                params=params,
                distributions={name: distributions[name] for name in params},
            )
        )
    study.add_trials(trials)
    return study


def _missing(row: dict[Any, Any], name: str) -> bool:
    return bool(pd.isna(row[f"param_{name}"]))


def _stored(value: Any, distribution: BaseDistribution) -> Any:
    """Return a value as its trial has it: a choice of None is shown as a text."""
    choices = getattr(distribution, "choices", ())
    return None if value == NONE and None in choices and NONE not in choices else value


def _distribution(records: pd.DataFrame, name: str) -> BaseDistribution:
    """Return the distribution of a parameter: the stored one, else what its values need."""
    values = records[f"param_{name}"].dropna()
    stored = records.attrs.get("distributions", {}).get(name)
    if stored is not None:
        known = json_to_distribution(stored)
        stored_values = [_stored(value, known) for value in values]
        if all(known._contains(known.to_internal_repr(value)) for value in stored_values):
            return known
    if pd.api.types.is_numeric_dtype(values) and values.dtype != bool:
        return FloatDistribution(float(values.min()), float(values.max()))
    return CategoricalDistribution(sorted({*values}, key=str))


def _is_log(records: pd.DataFrame, name: str) -> bool:
    stored = records.attrs.get("distributions", {}).get(name)
    return bool(stored) and bool(json.loads(stored)["attributes"].get("log"))
