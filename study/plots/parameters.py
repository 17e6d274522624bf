"""How parameters affect the objective: parallel coordinates, importances, slices, contours."""

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
from optuna.trial import FrozenTrial, TrialState
from plotly.subplots import make_subplots

from study.plots.style import (
    BLUE,
    SCALE,
    NothingToDrawError,
    add_stops,
    best_of,
    by_kind,
    colour_of,
    complete,
    finished,
    log_ticks,
    marked,
    objective_title,
    plain,
    points,
    styled,
    varied_parameters,
    without_tags,
)
from study.storage.ids import is_possible
from study.storage.rows import NONE
from study.wording import has_several

MAX_CONTOUR = 3  # parameters, the most important ones
MIN_TRIALS = 20  # complete ones; with fewer, importances and contours mean nothing
RESAMPLED = 20_000  # trials in total, in 20 to 100 samples, for the interval of an importance
SEED = 20110801
MISSING = "not used"
LONGEST = 24  # characters of a category on an axis


@marked
def parallel_coordinates(trials: pd.DataFrame) -> go.Figure:
    """Draw every complete trial as a line across its parameters, ending at the objective.

    Args:
        trials: trials of one study.

    Raises:
        NothingToDrawError: no trial is complete, or no parameter varies.
    """
    ended = complete(trials).sort_values("value")
    names = _varied(ended)
    axes = [_Axis(ended[f"param_{name}"], plain(name)) for name in names]
    axes.append(_Axis(ended["value"], objective_title(trials)))
    places = np.array([axis.places for axis in axes])  # (axes, trials)
    figure = go.Figure()
    for kind, rows in by_kind(trials, ended):
        at = ended.index.get_indexer(rows.index)
        along = np.vstack([places[:, at], np.full(len(at), np.nan)]).T.ravel()
        down = np.tile(np.append(np.arange(len(axes), dtype="float32"), np.nan), len(at))
        figure.add_scatter(
            x=along.astype("float32"), y=down, mode="lines", hoverinfo="skip",
            name=f"{kind.title} ({len(rows)})",
            line={"width": 1.2 if len(ended) <= 200 else 0.5, "color": kind.colour},
        )  # fmt: skip
    best = best_of(ended)
    figure.add_scatter(
        x=places[:, -1], y=list(range(len(axes))), mode="lines", hoverinfo="skip",
        line={"width": 4, "color": colour_of(trials, best)},
        name=f"best (trial {best['number']})",
    )  # fmt: skip
    for row, axis in enumerate(axes):
        figure.add_shape(
            type="line", x0=0, x1=1, y0=row, y1=row, line={"color": "#888888", "width": 1}
        )
        figure.add_annotation(
            x=0, y=row, text=f"<b>{axis.title}</b>", showarrow=False, xanchor="left", yshift=15,
            font={"size": 12}, bgcolor="rgba(255,255,255,0.75)",
        )  # fmt: skip
        for place, label in axis.ticks:
            anchor = "left" if place < 0.05 else "right" if place > 0.95 else "center"
            figure.add_annotation(
                x=place, y=row, text=label, showarrow=False, xanchor=anchor, yshift=-11,
                font={"size": 11}, bgcolor="rgba(255,255,255,0.75)",
            )  # fmt: skip
    styled(figure, height=120 + 85 * len(axes))
    figure.update_yaxes(visible=False, range=[len(axes) - 0.6, -0.45])
    figure.update_xaxes(visible=False, range=[-0.02, 1.02])
    figure.update_layout(margin={"l": 20, "t": 50, "b": 10})
    return figure


@marked
def parameter_importances(trials: pd.DataFrame) -> go.Figure:
    """Draw Optuna's importances (PED-ANOVA, Watanabe et al. 2023) of the parameters.

    Args:
        trials: trials of one study.

    Raises:
        NothingToDrawError: there are too few complete trials, or no parameter varies.
    """
    found = importances(trials)
    known = _rebuild(complete(trials)).get_trials(deepcopy=False)
    rng = np.random.default_rng(SEED)
    drawn: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(max(20, min(100, RESAMPLED // len(known)))):
        resampled = [known[index] for index in rng.integers(len(known), size=len(known))]
        for name, value in _importances(resampled).items():
            drawn[name].append(value)
    bounds = {n: np.quantile(v, [0.025, 0.975]) if v else (0.0, 0.0) for n, v in drawn.items()}
    figure = go.Figure(
        go.Scatter(
            x=list(found.values())[::-1],
            y=[plain(name) for name in found][::-1],
            mode="markers",
            marker={"color": BLUE, "size": 11},
            error_x={
                "type": "data", "symmetric": False, "color": BLUE,
                "array": [max(0.0, bounds[n][1] - v) for n, v in found.items()][::-1],
                "arrayminus": [max(0.0, v - bounds[n][0]) for n, v in found.items()][::-1],
            },
            cliponaxis=False,
            hovertemplate="%{y}: %{x:.3f}<extra></extra>",
        )
    )  # fmt: skip
    figure.update_xaxes(range=[-0.03, 1.03])
    aim = (
        f" for {objective_title(trials)},<br>"
        if has_several(trials.attrs.get("identity", {}))
        else ", "
    )
    return styled(figure, x=f"importance{aim}95% interval", height=130 + 45 * len(found))


def importances(trials: pd.DataFrame) -> dict[str, float]:
    """Return Optuna's importances of the parameters that vary, largest first.

    Raises:
        NothingToDrawError: there are too few complete trials, or no parameter varies.
    """
    ended = complete(trials)
    _need(len(ended), "complete trials")
    _varied(ended)
    try:
        return _importances(_rebuild(ended).trials)
    except (ValueError, RuntimeError) as error:
        raise NothingToDrawError(f"cannot compute importances: {error}") from None


def _importances(trials: list[FrozenTrial]) -> dict[str, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # experimental; few trials have a conditional parameter
        return optuna.importance.get_param_importances(_study_of(trials))


def _need(found: int, noun: str) -> None:
    if found < MIN_TRIALS:
        raise NothingToDrawError(
            f"needs {MIN_TRIALS} {noun}; there {'is' if found == 1 else 'are'} {found}"
        )


@marked
def slices(trials: pd.DataFrame) -> go.Figure:
    """Draw the objective against each parameter, for the trials that use it.

    Args:
        trials: trials of one study.

    Raises:
        NothingToDrawError: no trial is finished, or no parameter varies.
    """
    ended = finished(trials)
    names = _varied(ended)
    figure = make_subplots(rows=1, cols=len(names), shared_yaxes=True, horizontal_spacing=0.05)
    for column, name in enumerate(names, start=1):
        used = ended[ended[f"param_{name}"].notna()]
        for kind, rows in by_kind(trials, used):
            figure.add_scatter(
                x=_shown(rows[f"param_{name}"]), y=rows["value"], row=1, col=column,
                showlegend=kind.title not in {trace.name for trace in figure.data},
                **points(rows, kind, size=7),
            )  # fmt: skip
        axis = {"title_text": plain(name)}
        if _is_log(trials, name):
            axis |= log_ticks(used[f"param_{name}"])
        elif not pd.api.types.is_numeric_dtype(ended[f"param_{name}"]):
            axis |= {"type": "category", "categoryorder": "category ascending"}
        figure.update_xaxes(**axis, row=1, col=column)
    add_stops(figure, ended)
    figure.update_yaxes(title_text=objective_title(trials), row=1, col=1)
    return styled(figure, height=380, columns=len(names))


@marked
def contours(trials: pd.DataFrame) -> go.Figure:
    """Draw Optuna's contours of the objective over pairs of the most important numbers.

    Args:
        trials: trials of one study.

    Raises:
        NothingToDrawError: no two parameters were used together often enough.
    """
    ended = complete(trials)
    ordered = _by_importance(trials, _varied(ended))
    numeric = [n for n in ordered if pd.api.types.is_numeric_dtype(ended[f"param_{n}"])]
    if len(numeric) < 2:
        raise NothingToDrawError("needs two numeric parameters that vary")

    def together_with(names: list[str]) -> pd.DataFrame:
        return ended[ended[[f"param_{name}" for name in names]].notna().all(axis=1)]

    chosen = numeric[:MAX_CONTOUR]
    if len(together_with(chosen)) < MIN_TRIALS:
        chosen = numeric[:2]
    together = together_with(chosen)
    _need(len(together), f"complete trials with both {plain(chosen[0])} and {plain(chosen[1])}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        drawn = optuna.visualization.plot_contour(
            _rebuild(together), params=chosen, target_name="objective"
        )
    for trace in drawn.select_traces(selector={"type": "contour"}):
        trace.z = np.asarray(trace.z, dtype="float32")  # a grid of all values takes megabytes
    figure = go.Figure(without_tags(drawn.to_plotly_json()))
    figure.update_traces(colorscale=SCALE, reversescale=False, selector={"type": "contour"})
    figure.update_layout(title=None)
    return styled(figure, height=220 + 130 * len(chosen))


def _varied(ended: pd.DataFrame) -> list[str]:
    names = varied_parameters(ended)
    if not names:
        raise NothingToDrawError("no parameter takes more than one value yet")
    return names


class _Axis:
    """One axis of the parallel coordinates: places from 0 to 1, and labels."""

    def __init__(self, values: pd.Series, title: str) -> None:
        self.title = title
        used = values.dropna()
        if pd.api.types.is_numeric_dtype(values) and values.dtype != bool:
            low, high = float(used.min()), float(used.max())
            floor = 0.3 if values.isna().any() else 0.0  # trials without the value are at 0
            span = (high - low) or 1.0
            shares = floor + (1 - floor) * (values.astype(float) - low) / span
            self.places = shares.fillna(0.0).to_numpy()
            self.ticks = [
                (floor + (1 - floor) * share, f"{low + share * (high - low):.3g}")
                for share in (0.0, 0.5, 1.0)
            ]
            if floor:
                self.ticks.append((0.0, MISSING))
            return
        texts = _shown(values)
        kinds = sorted(set(texts))
        self.places = np.array([kinds.index(text) / max(1, len(kinds) - 1) for text in texts])
        self.ticks = [(i / max(1, len(kinds) - 1), kind) for i, kind in enumerate(kinds)]


def _shown(values: pd.Series) -> list[Any]:
    """Return values for an axis: numbers as they are, everything else as plain text."""
    if pd.api.types.is_numeric_dtype(values) and values.dtype != bool:
        return list(values)
    texts = [MISSING if value is None or pd.isna(value) else str(value) for value in values]
    return [plain(text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…") for text in texts]


def _by_importance(trials: pd.DataFrame, names: list[str]) -> list[str]:
    try:
        known = importances(trials)
    except NothingToDrawError:
        return names
    return sorted(names, key=lambda name: -known.get(name, 0.0))


def _rebuild(ended: pd.DataFrame) -> optuna.Study:
    """Return complete trials as a study in memory, for Optuna's own plots."""
    names = varied_parameters(ended)
    distributions = {name: _distribution(ended, name) for name in names}
    rebuilt = []
    for row in ended.to_dict("records"):
        params = {
            name: _stored(row[f"param_{name}"], distributions[name])
            for name in names
            if not _missing(row, name)
        }
        rebuilt.append(
            optuna.create_trial(
                state=TrialState.COMPLETE,
                value=float(row["value"]),
                params=params,
                distributions={name: distributions[name] for name in params},
            )
        )
    return _study_of(rebuilt)


def _study_of(trials: list[FrozenTrial]) -> optuna.Study:
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(direction="maximize")
    finally:
        optuna.logging.set_verbosity(verbosity)
    study.add_trials(trials)
    return study


def _missing(row: dict[Any, Any], name: str) -> bool:
    return bool(pd.isna(row[f"param_{name}"]))


def _stored(value: Any, distribution: BaseDistribution) -> Any:
    """Return a value as its trial stores it: the table shows a choice of None as text."""
    choices = getattr(distribution, "choices", ())
    return None if value == NONE and None in choices and NONE not in choices else value


def _distribution(trials: pd.DataFrame, name: str) -> BaseDistribution:
    """Return the distribution of a parameter: the stored one, else one that fits its values."""
    values = trials[f"param_{name}"].dropna()
    stored = trials.attrs.get("distributions", {}).get(name)
    if stored is not None:
        known = json_to_distribution(stored)
        stored_values = [_stored(value, known) for value in values]
        if all(is_possible(value, known) for value in stored_values):
            return known
    if pd.api.types.is_numeric_dtype(values) and values.dtype != bool:
        return FloatDistribution(float(values.min()), float(values.max()))
    return CategoricalDistribution(sorted({*values}, key=str))


def _is_log(trials: pd.DataFrame, name: str) -> bool:
    stored = trials.attrs.get("distributions", {}).get(name)
    return bool(stored) and bool(json.loads(stored)["attributes"].get("log"))
