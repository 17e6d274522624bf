"""Attributes of a trial: stored in one transaction, and the large ones read only on demand."""

import json
from collections.abc import Mapping
from typing import Any

import optuna
import sqlalchemy
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.storages._rdb.models import TrialModel, TrialUserAttributeModel
from optuna.trial import FrozenTrial
from sqlalchemy.orm import ORMExecuteState, with_loader_criteria

LARGE = ("curves", "examples", "confusion", "per_class", "validation", "versions")


def leave_out_large(storage: RDBStorage) -> None:
    """Let Optuna read all trials of a storage without their large attributes.

    A worker keeps every trial in memory, and of the others it needs little: with everything a
    study of 5,000 trials takes hundreds of megabytes in each worker, and long to read.
    """
    table = TrialUserAttributeModel

    def reading(state: ORMExecuteState) -> None:
        if state.is_select and not state.is_relationship_load:
            small = with_loader_criteria(table, table.key.not_in(LARGE))
            state.statement = state.statement.options(small)

    sqlalchemy.event.listen(storage.scoped_session, "do_orm_execute", reading)


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


def distinct_values(storage: RDBStorage, study: optuna.Study, name: str) -> list[Any]:
    """Return the different values that the trials of a study have as an attribute."""
    table = TrialUserAttributeModel
    wanted = (
        sqlalchemy.select(table.value_json)
        .distinct()
        .join(TrialModel, TrialModel.trial_id == table.trial_id)
        .where(TrialModel.study_id == study._study_id, table.key == name)
    )
    with storage.engine.connect() as connection:
        return [json.loads(text) for text in connection.scalars(wanted)]


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
