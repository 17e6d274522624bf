"""Optuna's storage with trials read by plain SQL, for workers without their large attributes.

A worker keeps every trial of its study in memory and looks at all of them several times per trial,
but needs little of each. Optuna creates an object for every row, so that reading 5,000 trials
takes four seconds and half a gigabyte in each worker.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Container, Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any

from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import ColumnElement, Connection, Select, select

from study.storage.engines import READING
from study.storage.facts import IDENTITY_KEY, TRAINED, load_json, read_facts, warn_of_damage
from study.wording import one_line

# Attributes of other trials that no worker needs.
LARGE = ("curves", "examples", "confusion", "validation_by_record", "per_class", "validation",
         "versions")  # fmt: skip
# Exceptions that reading damaged data can raise.
DAMAGES = (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError)
DAMAGED = object()  # placeholder for a value that cannot be read
TOGETHER = 500  # trials per statement, since databases limit its variables

_TRIAL = models.TrialModel
_VALUE = models.TrialValueModel
_PARAM = models.TrialParamModel
_STEP = models.TrialIntermediateValueModel
_USER = models.TrialUserAttributeModel
_SYSTEM = models.TrialSystemAttributeModel
_COLUMN = _TRIAL.__table__.c  # the model's own times are properties
_TRIALS = (
    select(
        _COLUMN.trial_id, models.StudyModel.study_name, _COLUMN.number, _COLUMN.state,
        _COLUMN.datetime_start, _COLUMN.datetime_complete,
    )
    .join(models.StudyModel, models.StudyModel.study_id == _COLUMN.study_id)
    .order_by(_COLUMN.trial_id)
)  # fmt: skip


class PlainStorage(RDBStorage):
    """Optuna's storage with faster reading; a damaged trial is read as failed, see `read_facts`.

    Writing is unchanged.

    Args:
        url: an SQLAlchemy URL.
        without: attributes that are left out of trials; `get_attribute` reads one of them.
        options: see RDBStorage.
    """

    def __init__(self, url: str, *, without: Collection[str] = (), **options: Any) -> None:
        """Open the database."""
        super().__init__(url, **options)
        self._without = frozenset(without)

    def get_all_studies(self) -> list[FrozenStudy]:
        """Read all studies with their readable attributes."""
        study, direction = models.StudyModel, models.StudyDirectionModel
        aims: dict[int, list[Any]] = defaultdict(list)
        with self._reading() as connection:
            found = connection.execute(select(study.study_id, study.study_name)).all()
            wanted = select(direction.study_id, direction.direction).order_by(direction.objective)
            for key, aim in connection.execute(wanted):
                aims[key].append(aim)
        return [
            FrozenStudy(
                name, None, self.get_study_user_attrs(key), self.get_study_system_attrs(key), key,
                directions=aims[key],
            )
            for key, name in found
        ]  # fmt: skip

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """Read the readable attributes of a study."""
        return self._study_attributes(models.StudyUserAttributeModel, study_id)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """Read the readable system attributes of a study."""
        return self._study_attributes(models.StudySystemAttributeModel, study_id)

    def _study_attributes(self, table: Any, study_id: int) -> dict[str, Any]:
        name = select(models.StudyModel.study_name).where(models.StudyModel.study_id == study_id)
        with self._reading() as connection:
            study = connection.scalar(name)
            if study is None:
                raise KeyError(f"there is no study with the id {study_id}")
            wanted = select(table.key, table.value_json).where(table.study_id == study_id)
            rows = connection.execute(wanted).all()
        found = {}
        for key, text in rows:
            try:
                found[key] = load_json(text)
            except ValueError as error:
                if key == IDENTITY_KEY:
                    found[key] = None  # damaged, which differs from missing
                damage = f"the attribute '{one_line(key)}' is damaged ({one_line(error)})"
                warn_of_damage(study, None, damage, "it is ignored")
        return found

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Read a trial.

        Raises:
            KeyError: there is no such trial.
        """
        with self._reading() as connection:
            found = list(_read(connection, _TRIAL.trial_id == trial_id, self._without))
        if not found:
            raise KeyError(f"there is no trial with the id {trial_id}")
        return found[0]

    def _get_trials(
        self,
        study_id: int,
        states: Container[TrialState] | None,
        included_trial_ids: set[int],
        trial_id_greater_than: int,
    ) -> list[FrozenTrial]:
        """Read the trials that Optuna's cache asks for: new ones, and those not finished before."""
        mine = _TRIAL.study_id == study_id
        study = select(models.StudyModel.study_id).where(models.StudyModel.study_id == study_id)
        known = sorted(i for i in included_trial_ids if i <= trial_id_greater_than)
        with self._reading() as connection:
            if connection.scalar(study) is None:
                raise KeyError(f"there is no study with the id {study_id}")
            found: list[FrozenTrial] = []
            for begin in range(0, len(known), TOGETHER):
                some = _TRIAL.trial_id.in_(known[begin : begin + TOGETHER])
                found += _read(connection, mine & some, self._without)
            newer = _TRIAL.trial_id > trial_id_greater_than
            found += _read(connection, mine & newer, self._without)
        return [trial for trial in found if states is None or trial.state in states]

    def _reading(self) -> Connection:
        return self.engine.connect().execution_options(**READING)


@cache
def find_distribution(text: str) -> BaseDistribution:
    """Return the distribution of a parameter from its JSON; all trials share one object."""
    return json_to_distribution(text)


def _read(
    connection: Connection, wanted: ColumnElement[bool], without: Collection[str]
) -> Iterator[FrozenTrial]:
    """Yield trials ordered by id; each table is read in one statement."""
    trials = connection.execute(_TRIALS.where(wanted)).all()
    if not trials:
        return
    user = _by_trial(
        connection, _ATTRIBUTES.where(wanted, _USER.key.not_in(sorted(without))), lambda text: text
    )
    values, params, steps, system = (
        _by_trial(connection, part.where(wanted), read) for part, read in _PARTS
    )
    asked = frozenset(TRAINED) - frozenset(without)
    for key, study, number, state, started, ended in trials:
        has_ended = state in (TrialState.COMPLETE, TrialState.PRUNED)
        those = asked if has_ended else ()
        facts, damage = read_facts(study, number, user[key].items(), those)
        damage = damage or _drop_damaged(values[key], "value", study, number)
        damage = damage or _drop_damaged(params[key], "parameter", study, number)
        _drop_damaged(system[key], "system attribute", study, number)
        _drop_damaged(steps[key], "reported value", study, number)
        failed = bool(damage) and has_ended
        yield FrozenTrial(
            number=number,
            state=TrialState.FAIL if failed else state,
            value=None,
            values=None if failed else list(values[key].values()) or None,
            datetime_start=here(started),
            datetime_complete=here(ended),
            params={name: value for name, (_, value) in params[key].items()},
            distributions={name: found for name, (found, _) in params[key].items()},
            user_attrs=facts | ({"failure": damage} if failed else {}),
            system_attrs=system[key],
            intermediate_values=steps[key],
            trial_id=key,
        )


def _drop_damaged(found: dict[Any, Any], what: str, study: str, number: int) -> str:
    """Drop unreadable values, and return what the last one is; "" if all are readable."""
    said = ""
    for name in [name for name, value in found.items() if value is DAMAGED]:
        del found[name]
        said = f"the {what} '{one_line(name)}' is damaged"
        warn_of_damage(study, number, said, "it is ignored")
    return said


def _by_trial(
    connection: Connection, part: Select[Any], read: Callable[..., Any]
) -> dict[int, dict[Any, Any]]:
    """Return the content of rows by trial id (first column) and by name (second column).

    Rows are dropped as soon as they are read: a hundred thousand of them would keep the garbage
    collector busier than the database.
    """
    found: dict[int, dict[Any, Any]] = defaultdict(dict)
    for rows in connection.execute(part).partitions(TOGETHER):
        for key, name, *content in rows:
            try:
                found[key][name] = read(*content)
            except DAMAGES:
                found[key][name] = DAMAGED
    return found


def _param(value: float, text: str) -> tuple[BaseDistribution, Any]:
    distribution = find_distribution(text)
    return distribution, distribution.to_external_repr(value)


# Tables with rows of trials (trial id, name, content), and how to read the content of a row.
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
    (select(_SYSTEM.trial_id, _SYSTEM.key, _SYSTEM.value_json).join(_TRIAL), load_json),
)
_ATTRIBUTES = select(_USER.trial_id, _USER.key, _USER.value_json).join(_TRIAL)


def here(stored: datetime | None) -> datetime | None:
    """Return a stored time in the local time zone; Optuna stores UTC without a time zone."""
    return stored and stored.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)


def utc(time: datetime | str) -> datetime:
    """Return a time from a driver with its zone: SQLite returns texts, and all times are UTC."""
    found = datetime.fromisoformat(time) if isinstance(time, str) else time
    return found if found.tzinfo else found.replace(tzinfo=UTC)
