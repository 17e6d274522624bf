"""Optuna's storage as a worker uses it: trials are read by plain SQL, without what is large.

A worker keeps every trial of its study in memory and looks at all of them several times a trial,
but needs little of each. Optuna makes an object of every row: to read 5,000 trials takes it four
seconds and half a gigabyte in each worker.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Container, Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any

from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import ColumnElement, Connection, Select, select

# Attributes that no worker needs of the trials of others.
LARGE = ("curves", "examples", "confusion", "per_class", "validation", "versions")
READING = {"ecg_reading": True}  # a connection that takes no lock to write, see `open_storage`
TOGETHER = 500  # trials asked for in one statement: databases limit its variables

_TRIAL = models.TrialModel
_VALUE = models.TrialValueModel
_PARAM = models.TrialParamModel
_STEP = models.TrialIntermediateValueModel
_USER = models.TrialUserAttributeModel
_SYSTEM = models.TrialSystemAttributeModel
_COLUMN = _TRIAL.__table__.c  # the model's own times are properties
_TRIALS = select(
    *(_COLUMN[name] for name in ("trial_id", "number", "state")),
    *(_COLUMN[name] for name in ("datetime_start", "datetime_complete")),
).order_by(_COLUMN.trial_id)


class LeanStorage(RDBStorage):
    """Optuna's storage, which reads the same trials without their `LARGE` attributes.

    `get_attribute` reads one of those. Everything else, writing included, is Optuna's.
    """

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Read a trial.

        Raises:
            KeyError: there is none.
        """
        with self._reading() as connection:
            found = list(_read(connection, _TRIAL.trial_id == trial_id))
        if not found:
            raise KeyError(f"there is no trial of the key {trial_id}")
        return found[0]

    def _get_trials(
        self,
        study_id: int,
        states: Container[TrialState] | None,
        included_trial_ids: set[int],
        trial_id_greater_than: int,
    ) -> list[FrozenTrial]:
        """Read the trials that Optuna's cache asks for: new ones, and those that had not ended."""
        mine = _TRIAL.study_id == study_id
        study = select(models.StudyModel.study_id).where(models.StudyModel.study_id == study_id)
        known = sorted(i for i in included_trial_ids if i <= trial_id_greater_than)
        with self._reading() as connection:
            if connection.scalar(study) is None:
                raise KeyError(f"there is no study of the key {study_id}")
            found: list[FrozenTrial] = []
            for begin in range(0, len(known), TOGETHER):
                some = _TRIAL.trial_id.in_(known[begin : begin + TOGETHER])
                found += _read(connection, mine & some)
            found += _read(connection, mine & (_TRIAL.trial_id > trial_id_greater_than))
        return [trial for trial in found if states is None or trial.state in states]

    def _reading(self) -> Connection:
        return self.engine.connect().execution_options(**READING)


@cache
def find_distribution(text: str) -> BaseDistribution:
    """Return the distribution of a parameter from its JSON, one object for all trials."""
    return json_to_distribution(text)


def _read(connection: Connection, wanted: ColumnElement[bool]) -> Iterator[FrozenTrial]:
    """Yield trials in the order of their keys; each table is read in one statement."""
    trials = connection.execute(_TRIALS.where(wanted)).all()
    if not trials:
        return
    values, params, steps, user, system = (
        _by_trial(connection, part.where(wanted), read) for part, read in _PARTS
    )
    for key, number, state, started, ended in trials:
        yield FrozenTrial(
            number=number,
            state=state,
            value=None,
            values=list(values[key].values()) or None,
            datetime_start=_here(started),
            datetime_complete=_here(ended),
            params={name: value for name, (_, value) in params[key].items()},
            distributions={name: found for name, (found, _) in params[key].items()},
            user_attrs=user[key],
            system_attrs=system[key],
            intermediate_values=steps[key],
            trial_id=key,
        )


def _by_trial(
    connection: Connection, part: Select[Any], read: Callable[..., Any]
) -> dict[int, dict[Any, Any]]:
    """Return what the rows hold by the trial's key, and by what comes second in a row.

    No row is kept longer than needed: a hundred thousand of them keep the garbage collector
    busier than the database.
    """
    found: dict[int, dict[Any, Any]] = defaultdict(dict)
    for rows in connection.execute(part).partitions(TOGETHER):
        for key, name, *content in rows:
            found[key][name] = read(*content)
    return found


def _param(value: float, text: str) -> tuple[BaseDistribution, Any]:
    distribution = find_distribution(text)
    return distribution, distribution.to_external_repr(value)


# What belongs to trials, by the trial's key and a name, and how the rest of a row is read.
_PARTS: tuple[tuple[Select[Any], Callable[..., Any]], ...] = (
    (
        select(_VALUE.trial_id, _VALUE.objective, _VALUE.value, _VALUE.value_type)
        .join(_TRIAL)
        .order_by(_VALUE.objective),
        _VALUE.stored_repr_to_value,
    ),
    (
        select(_PARAM.trial_id, _PARAM.param_name, _PARAM.param_value, _PARAM.distribution_json)
        .join(_TRIAL)
        .order_by(_PARAM.param_id),
        _param,
    ),
    (
        select(
            *(_STEP.trial_id, _STEP.step),
            *(_STEP.intermediate_value, _STEP.intermediate_value_type),
        ).join(_TRIAL),
        _STEP.stored_repr_to_intermediate_value,
    ),
    (
        select(_USER.trial_id, _USER.key, _USER.value_json)
        .join(_TRIAL)
        .where(_USER.key.not_in(LARGE)),
        json.loads,
    ),
    (select(_SYSTEM.trial_id, _SYSTEM.key, _SYSTEM.value_json).join(_TRIAL), json.loads),
)


def _here(stored: datetime | None) -> datetime | None:
    """Return a time as the clock here shows it; Optuna stores UTC without saying so."""
    return stored and stored.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)
