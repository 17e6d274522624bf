"""Trial attributes: written in one transaction, large ones read one at a time."""

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

from study.storage.ids import database_of

# Attribute of a planned run's trial: its configuration, repeat and fields. The key is older than
# the term "planned run". It stays so that existing databases can be read.
PLANNED = "cell"
BASELINE = "baseline"  # attribute of the first trial of a search, which is never pruned


def get_attribute(study: optuna.Study, trial: FrozenTrial, name: str) -> Any:
    """Return an attribute of a trial, even a large one; None if the trial does not have it."""
    database = database_of(study)
    if database is None:
        return trial.user_attrs.get(name)
    table = TrialUserAttributeModel
    wanted = sqlalchemy.select(table.value_json).where(
        table.trial_id == trial._trial_id, table.key == name
    )
    with database.engine.connect() as connection:
        text = connection.scalar(wanted)
    return None if text is None else json.loads(text)


def key_of(trial: FrozenTrial) -> tuple[str, int] | None:
    """Return the key of a trial's planned run; None for a trial of a search."""
    planned = trial.user_attrs.get(PLANNED)
    return None if planned is None else (planned["configuration"], planned["repeat"])


def distinct_values(storage: RDBStorage, study: optuna.Study, name: str) -> list[Any]:
    """Return the distinct values of one attribute among the trials of a study."""
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
    """Store attributes of a running trial, either all of them or none.

    Like `trial.set_user_attr` for each attribute, but in one transaction: a transaction for each
    of twenty attributes would be most of the cost of a short trial.

    Args:
        trial: the running trial, in any kind of Optuna storage.
        attributes: JSON values by name; existing ones are replaced.
        system: the same for Optuna's system attributes of the trial.
        of_study: the same for Optuna's system attributes of the study.

    Raises:
        UpdateFinishedTrialError: the trial is no longer running.
    """
    key, study = trial._trial_id, trial.study._study_id
    database = database_of(trial.study)
    if database is None:
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
    with database.engine.begin() as connection:
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
