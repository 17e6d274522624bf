"""Reading a storage with plain SQL: as many statements for a thousand trials as for one.

Optuna checks and makes the tables when it opens a storage, and reads a trial whole: every
reported epoch and the curves of thousands of trials take it many seconds. Here nothing is made
or locked, and nothing is read that was not asked for.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import sqlalchemy
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from sqlalchemy import Connection, Select

from ecg.errors import UsageError
from study.storage.attributes import PLANNED
from study.storage.database import SQLITE_WAIT_SECONDS, check_sqlite_file, parse_url, storage_errors
from study.storage.lean import find_distribution
from study.storage.studies import IDENTITY_KEY, foreign_study, unknown_study

BASELINE = "baseline"
CURVES = "curves"
EXAMPLES = "examples"  # the largest attribute: read of the best trial, the one that is drawn
MAPPINGS = ("validation", "test")  # attributes whose items get keys of their own
# Attributes kept under their own name.
PLAIN = (
    "seed", "data", "source", "split", "budget", "device", "precision", "protocol", "best_epoch",
    "last_epoch", "pruned_epoch", "stop_reason", "seconds", "device_name", "versions", "failure",
    "confusion", CURVES, "per_class", "finished_at", "config", PLANNED, "test_confusion",
    "test_read", "same_as", "imported", "weights",
)  # fmt: skip
ATTRIBUTES = frozenset({BASELINE, *MAPPINGS, *PLAIN})  # all that rows are made of

Row = dict[str, Any]


@dataclass(frozen=True)
class StudyRows:
    """The trials of a study, one mapping each, in the order of their numbers.

    Attributes:
        name: of the study.
        identity: see `study.storage.studies.Identity`; empty for a study of another tool.
        distributions: of the parameters (JSON).
        rows: `number`, `state` (lower case), `value` (the objective), `baseline`, `param_*`,
            `validation_*` and `test_*` figures, and the attributes that were asked for; a
            trial has no key for what it does not have.
    """

    name: str
    identity: Mapping[str, Any]
    distributions: Mapping[str, str]
    rows: list[Row]


def read_study(
    url: str, name: str, attributes: Collection[str] = ATTRIBUTES, *, foreign: bool = False
) -> StudyRows:
    """Read a study.

    Args:
        url: of the storage.
        name: of the study.
        attributes: of trials, of `ATTRIBUTES`; of the best complete trial `EXAMPLES` too.
        foreign: read a study of another tool, too.

    Raises:
        UsageError: there is no such storage or study (the message names the nearest ones), or
            the study is not of this project.
        StorageError: the storage cannot be read.
    """
    with _reading(url) as connection:
        known = _known_studies(connection)
        if name not in known:
            raise unknown_study(name, known)
        study = _read(connection, name, known[name], attributes)
    if not study.identity and not foreign:
        raise foreign_study(name)
    return study


def read_studies(url: str, attributes: Collection[str] = ATTRIBUTES) -> list[StudyRows]:
    """Read every study of a storage, sorted by name; see `read_study`."""
    with _reading(url) as connection:
        known = sorted(_known_studies(connection).items())
        return [_read(connection, name, key, attributes) for name, key in known]


def read_identity(url: str, name: str) -> dict[str, Any]:
    """Return the identity of a study, empty where there is no such database or study.

    Raises:
        StorageError: the storage cannot be read.
    """
    with suppress(UsageError), _reading(url) as connection:
        known = _known_studies(connection)
        return _read_identity(connection, known[name]) if name in known else {}
    return {}


def read_files(url: str, name: str, filename: str) -> dict[int, str]:
    """Return the artifacts of that file name in a study, by the number of their trial.

    Args:
        url: of the storage.
        name: of the study.
        filename: such as `study.storage.artifacts.WEIGHTS`.

    Raises:
        UsageError: there is no such storage or study.
        StorageError: the storage cannot be read.
    """
    trial, system = models.TrialModel, models.TrialSystemAttributeModel
    with _reading(url) as connection:
        known = _known_studies(connection)
        if name not in known:
            raise unknown_study(name, known)
        found = connection.execute(
            sqlalchemy.select(trial.number, system.value_json)
            .join(system, system.trial_id == trial.trial_id)
            .where(trial.study_id == known[name], system.key.startswith("artifacts:"))
        ).all()
    entries = [(number, json.loads(json.loads(text) or "null") or {}) for number, text in found]
    return {
        number: entry["artifact_id"]
        for number, entry in entries
        if entry.get("filename") == filename
    }


def make_row(
    number: int,
    state: str,
    value: float | None,
    params: Mapping[str, Any],
    attributes: Mapping[str, Any],
) -> Row:
    """Return the row of a trial, see `StudyRows`."""
    row: Row = {"number": number, "state": state, "value": value}
    row[BASELINE] = bool(attributes.get(BASELINE, False))
    row |= {f"param_{name}": value for name, value in params.items()}
    for mapping in MAPPINGS:
        row |= {f"{mapping}_{name}": v for name, v in attributes.get(mapping, {}).items()}
    return row | {name: attributes[name] for name in PLAIN if name in attributes}


def best_row(rows: Collection[Row]) -> Row | None:
    """Return the complete trial with the best objective, the first of several; None for none."""
    complete = [r for r in rows if r["state"] == "complete" and r["value"] is not None]
    return max(complete, key=lambda row: row["value"], default=None)


def number_of_training(row: Row) -> int:
    """Return the number of the trial that was trained: itself, or the one that it repeats."""
    return int(row["same_as"] if "same_as" in row else row["number"])


@contextmanager
def _reading(url: str) -> Iterator[Connection]:
    """Connect to a storage that exists, and see it as it is at this moment."""
    is_sqlite = parse_url(url).get_backend_name() == "sqlite"
    options: dict[str, Any] = {"isolation_level": "REPEATABLE READ"}
    if is_sqlite:
        options = {"connect_args": {"timeout": SQLITE_WAIT_SECONDS}}
    with storage_errors(url):
        if is_sqlite:
            check_sqlite_file(url, create=False)
        engine = sqlalchemy.create_engine(url, **options)
        try:
            with engine.connect() as connection:
                if is_sqlite:  # whose driver would begin a transaction only to write
                    connection.exec_driver_sql("BEGIN")
                yield connection
        finally:
            engine.dispose()


def _known_studies(connection: Connection) -> dict[str, int]:
    """Return the keys of the studies by name; a database without tables has none."""
    study = models.StudyModel
    if not sqlalchemy.inspect(connection).has_table(study.__tablename__):
        return {}
    found = connection.execute(sqlalchemy.select(study.study_name, study.study_id))
    return {row.study_name: row.study_id for row in found}


def _read(connection: Connection, name: str, key: int, wanted: Collection[str]) -> StudyRows:
    trial, value = models.TrialModel, models.TrialValueModel
    mine = sqlalchemy.select(trial.trial_id).where(trial.study_id == key)
    found = connection.execute(
        sqlalchemy.select(trial.trial_id, trial.number, trial.state)
        .where(trial.study_id == key)
        .order_by(trial.number)
    ).all()
    values = connection.execute(
        sqlalchemy.select(value.trial_id, value.value, value.value_type).where(
            value.trial_id.in_(mine), value.objective == 0
        )
    )
    objectives = {of: value.stored_repr_to_value(number, kind) for of, number, kind in values}
    params, distributions = _read_params(connection, mine)
    attributes = _read_attributes(connection, mine, wanted)
    rows = [
        make_row(number, state.name.lower(), objectives.get(of), params[of], attributes[of])
        for of, number, state in found
    ]
    if EXAMPLES in wanted and (best := best_row(rows)) is not None:
        best |= _read_examples(connection, key, number_of_training(best))
    return StudyRows(name, _read_identity(connection, key), distributions, rows)


def _read_params(
    connection: Connection, trials: Select[tuple[int]]
) -> tuple[dict[int, dict[str, Any]], dict[str, str]]:
    """Return the parameters by the trial's key, and the distribution of each parameter."""
    param = models.TrialParamModel
    found = connection.execute(
        sqlalchemy.select(
            param.trial_id, param.param_name, param.param_value, param.distribution_json
        )
        .where(param.trial_id.in_(trials))
        .order_by(param.param_id)
    )
    params: dict[int, dict[str, Any]] = defaultdict(dict)
    distributions: dict[str, str] = {}
    for of, name, number, distribution in found:
        params[of][name] = find_distribution(distribution).to_external_repr(number)
        distributions[name] = distribution
    return params, distributions


def _read_attributes(
    connection: Connection, trials: Select[tuple[int]], wanted: Collection[str]
) -> dict[int, dict[str, Any]]:
    """Return the wanted attributes by the trial's key; `EXAMPLES` are read of one trial only."""
    attribute = models.TrialUserAttributeModel
    found = connection.execute(
        sqlalchemy.select(attribute.trial_id, attribute.key, attribute.value_json).where(
            attribute.trial_id.in_(trials), attribute.key.in_(sorted({*wanted} - {EXAMPLES}))
        )
    )
    attributes: dict[int, dict[str, Any]] = defaultdict(dict)
    for of, name, text in found:
        attributes[of][name] = json.loads(text)
    return attributes


def _read_identity(connection: Connection, key: int) -> dict[str, Any]:
    model = models.StudyUserAttributeModel
    text = connection.scalar(
        sqlalchemy.select(model.value_json).where(model.study_id == key, model.key == IDENTITY_KEY)
    )
    return json.loads(text) if text else {}


def _read_examples(connection: Connection, key: int, number: int) -> dict[str, Any]:
    """Return the examples of one trial, under their name, where it has any."""
    trial, attribute = models.TrialModel, models.TrialUserAttributeModel
    text = connection.scalar(
        sqlalchemy.select(attribute.value_json)
        .join(trial, attribute.trial_id == trial.trial_id)
        .where(trial.study_id == key, trial.number == number, attribute.key == EXAMPLES)
    )
    return {EXAMPLES: json.loads(text)} if text else {}


def count_states(storage: RDBStorage) -> dict[str, dict[str, int]]:
    """Count the trials of every study by state, in one statement."""
    study, trial = models.StudyModel, models.TrialModel
    counted = (
        sqlalchemy.select(study.study_name, trial.state, sqlalchemy.func.count())
        .join(trial, trial.study_id == study.study_id)
        .group_by(study.study_name, trial.state)
    )
    found: dict[str, dict[str, int]] = defaultdict(dict)
    with storage.engine.connect() as connection:
        for name, state, number in connection.execute(counted):
            found[name][state.name] = number
    return found
