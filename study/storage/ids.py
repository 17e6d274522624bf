"""Access to Optuna's private attributes: storage, database and ids; what a distribution holds."""

from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial


def storage_of(study: optuna.Study) -> BaseStorage:
    """Return the Optuna storage of a study."""
    return study._storage


def database_of(study: optuna.Study) -> RDBStorage | None:
    """Return the database of a study, behind Optuna's cache; None for a study in memory."""
    backend = getattr(study._storage, "_backend", study._storage)
    return backend if isinstance(backend, RDBStorage) else None


def study_id(study: optuna.Study) -> int:
    """Return the id of a study in its database."""
    return study._study_id


def trial_id(trial: optuna.Trial | FrozenTrial) -> int:
    """Return the id of a trial in its database, unique among all studies."""
    return trial._trial_id


def trial_id_of(study: optuna.Study, number: int) -> int:
    """Return the id of a trial in its database, given its number in a study."""
    return study._storage.get_trial_id_from_study_id_trial_number(study._study_id, number)


def is_possible(value: Any, distribution: BaseDistribution) -> bool:
    """Whether a distribution can give a value."""
    return distribution._contains(distribution.to_internal_repr(value))
