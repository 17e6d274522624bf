"""The objectives of a trial that ends, and whether they earn it a place for its weights."""

from collections.abc import Mapping, Sequence

import optuna
from optuna.trial import TrialState

from ecg.costs import cost_of
from ecg.training import TrainConfig
from study.storage.attributes import BASELINE
from study.storage.front import directions_of, find_front
from study.storage.studies import Identity
from study.storage.weights import is_kept


def objective_values(
    trial: optuna.Trial, config: TrainConfig, validation: Mapping[str, float], identity: Identity
) -> tuple[float, ...]:
    """Return the objectives of a trial.

    Args:
        trial: trial that was trained, or that repeats another one.
        config: what was trained.
        validation: the trial's scores.
        identity: identity of the study.
    """
    names = identity.all_objectives
    if len(names) > 1 and (twin := trial.user_attrs.get("same_as")) is not None:
        return tuple(trial.study.get_trials(deepcopy=False)[twin].values)  # not measured again
    return tuple(
        validation[name] if name in validation else cost_of(config, name) for name in names
    )


def keeps_weights(trial: optuna.Trial, values: Sequence[float], keep: str) -> bool:
    """Whether the trial is at this moment among those that keep their weights.

    Args:
        trial: trial that ends now.
        values: its objectives.
        keep: one of `study.storage.weights.KEEP`.
    """
    complete = trial.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    others = [other.values for other in complete if other.values]
    aims = directions_of(trial.study)
    return is_kept(
        keep,
        values[0],
        (other[0] for other in others),
        is_baseline=bool(trial.user_attrs.get(BASELINE)),
        is_on_front=len(aims) > 1 and bool(find_front([values, *others], aims)[0]),
    )
