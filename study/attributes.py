"""Attributes of a trial: stored in one transaction, and the large ones read one by one."""

import json
from collections.abc import Mapping
from typing import Any

import optuna
import sqlalchemy
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.storages._rdb.models import TrialModel, TrialUserAttributeModel
from optuna.trial import FrozenTrial


def get_attribute(study: optuna.Study, trial: FrozenTrial, name: str) -> Any:
    """Return an attribute of a trial, even a large one; None where it is not there."""
    backend = getattr(study._storage, "_backend", study._storage)
    if not isinstance(backend, RDBStorage):
        return trial.user_attrs.get(name)
    table = TrialUserAttributeModel
    wanted = sqlalchemy.select(table.value_json).where(
        table.trial_id == trial._trial_id, table.key == name
    )
    with backend.engine.connect() as connection:
        text = connection.scalar(wanted)
    return None if text is None else json.loads(text)


def set_attributes(trial: optuna.Trial, attributes: Mapping[str, Any]) -> None:
    """Store attributes of a running trial, all of them or none.

    The same as `trial.set_user_attr` for each, which is a transaction each: twenty of them are
    most of what a short trial costs.

    Args:
        trial: of any storage.
        attributes: JSON values by name; those that are there are replaced.

    Raises:
        UpdateFinishedTrialError: the trial does not run any more.
    """
    backend = getattr(trial.storage, "_backend", trial.storage)  # behind Optuna's cache
    if not isinstance(backend, RDBStorage):
        for name, value in attributes.items():
            trial.set_user_attr(name, value)
        return
    key, table = trial._trial_id, TrialUserAttributeModel
    rows = [
        {"trial_id": key, "key": name, "value_json": json.dumps(value)}
        for name, value in attributes.items()
    ]
    state = sqlalchemy.select(TrialModel.state).where(TrialModel.trial_id == key)
    with backend.engine.begin() as connection:
        if connection.scalars(state.with_for_update()).one().is_finished():
            raise UpdateFinishedTrialError(f"trial {trial.number} has ended")
        connection.execute(
            sqlalchemy.delete(table).where(table.trial_id == key, table.key.in_(attributes))
        )
        connection.execute(sqlalchemy.insert(table), rows)
    trial._cached_frozen_trial.user_attrs.update(attributes)
