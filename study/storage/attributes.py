"""Attributes of a trial: stored in one transaction, and the large ones read one by one."""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import optuna
import sqlalchemy
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.storages._rdb.models import (
    StudySystemAttributeModel,
    TrialModel,
    TrialSystemAttributeModel,
    TrialUserAttributeModel,
)
from optuna.trial import FrozenTrial

# Attribute of a planned run's trial: its configuration, repeat and fields. The word is from before
# planned runs had their name; it stays, so that the databases there are can be read.
PLANNED = "cell"


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


def key_of(trial: FrozenTrial) -> tuple[str, int] | None:
    """Return the key of a trial's planned run; None for a trial of a search."""
    planned = trial.user_attrs.get(PLANNED)
    return None if planned is None else (planned["configuration"], planned["repeat"])


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


def set_attributes(
    trial: optuna.Trial,
    attributes: Mapping[str, Any],
    *,
    system: Mapping[str, Any] = MappingProxyType({}),
    of_study: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Store attributes of a running trial, all of them or none.

    The same as `trial.set_user_attr` for each, which is a transaction each: twenty of them are
    most of what a short trial costs.

    Args:
        trial: of any storage.
        attributes: JSON values by name; those that are there are replaced.
        system: the same for Optuna's own attributes of the trial.
        of_study: the same for Optuna's own attributes of its study.

    Raises:
        UpdateFinishedTrialError: the trial does not run any more.
    """
    key, study = trial._trial_id, trial.study._study_id
    backend = getattr(trial.storage, "_backend", trial.storage)  # behind Optuna's cache
    if not isinstance(backend, RDBStorage):
        for name, value in attributes.items():
            trial.set_user_attr(name, value)
        for name, value in system.items():
            trial.storage.set_trial_system_attr(key, name, value)
        for name, value in of_study.items():
            trial.storage.set_study_system_attr(study, name, value)
        return
    tables: tuple[tuple[Any, dict[str, int], Mapping[str, Any]], ...] = (
        (TrialUserAttributeModel, {"trial_id": key}, attributes),
        (TrialSystemAttributeModel, {"trial_id": key}, system),
        (StudySystemAttributeModel, {"study_id": study}, of_study),
    )
    state = sqlalchemy.select(TrialModel.state).where(TrialModel.trial_id == key)
    with backend.engine.begin() as connection:
        if connection.scalars(state.with_for_update()).one().is_finished():
            raise UpdateFinishedTrialError(f"trial {trial.number} has ended")
        for table, owner, values in tables:
            rows = [{**owner, "key": n, "value_json": json.dumps(v)} for n, v in values.items()]
            if rows:
                old = sqlalchemy.delete(table).filter_by(**owner).where(table.key.in_(values))
                connection.execute(old)
                connection.execute(sqlalchemy.insert(table), rows)
    trial._cached_frozen_trial.user_attrs.update(attributes)
    trial._cached_frozen_trial.system_attrs.update(system)
