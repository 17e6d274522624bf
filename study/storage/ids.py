"""How Optuna's storage knows a study and a trial: its private names, behind names of ours."""

import optuna
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial


def storage_of(study: optuna.Study) -> BaseStorage:
    """Return the storage of a study."""
    return study._storage


def database_of(study: optuna.Study) -> RDBStorage | None:
    """Return the database of a study, behind Optuna's cache; None where it has none."""
    backend = getattr(study._storage, "_backend", study._storage)
    return backend if isinstance(backend, RDBStorage) else None


def study_id(study: optuna.Study) -> int:
    """Return the number by which the storage knows a study."""
    return study._study_id


def trial_id(trial: optuna.Trial | FrozenTrial) -> int:
    """Return the number by which the storage knows a trial, unique among all studies."""
    return trial._trial_id


def trial_id_of(study: optuna.Study, number: int) -> int:
    """Return the number by which the storage knows the trial of that number in a study."""
    return study._storage.get_trial_id_from_study_id_trial_number(study._study_id, number)
