"""Reading a database with plain SQL, in as many statements for a thousand trials as for one.

Optuna checks and creates tables when it opens a database, and always reads whole trials, which
takes many seconds for the epochs and curves of thousands of trials. Here nothing is created or
locked, and only what was asked for is read.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import sqlalchemy
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import TrialState
from sqlalchemy import Connection, Select

from ecg.errors import UsageError
from study.storage.artifacts import ENTRY, read_entry
from study.storage.confirmation import (
    CONFIRMATION,
    Confirmation,
    confirming_names,
    confirming_space,
    make_confirmation,
    needed,
)
from study.storage.database import check_sqlite_file, parse_url, storage_errors
from study.storage.engines import engine_options
from study.storage.facts import (
    COUNTS_AS_FAILED,
    IDENTITY_KEY,
    SETTINGS_KEY,
    TRAINED,
    DamageError,
    check_examples,
    check_stored_identity,
    load_json,
    read_facts,
    warn_of_damage,
)
from study.storage.heartbeats import count_workers
from study.storage.lean import DAMAGES, find_distribution, here
from study.storage.rows import (
    ATTRIBUTES,
    EXAMPLES,
    StudyRows,
    is_trained,
    make_row,
    number_of_training,
    objective_names,
)
from study.storage.schema import has_studies
from study.storage.studies import foreign_study, unknown_study
from study.wording import one_line

MISSING = object()


def read_study(
    url: str, name: str, attributes: Collection[str] = ATTRIBUTES, *, foreign: bool = False
) -> StudyRows:
    """Read a study.

    Args:
        url: database URL.
        name: name of the study.
        attributes: trial attributes to read, from `ATTRIBUTES`; `EXAMPLES` is read only for the
            best complete trial.
        foreign: also read a study of another tool.

    Raises:
        UsageError: there is no such database or study (the message suggests similar names), or
            the study was made by another tool.
        StorageError: the database cannot be read.
    """
    with _reading(url) as connection:
        known = _known_studies(connection, url)
        if name not in known:
            raise unknown_study(name, known)
        study = _read(connection, name, known, attributes)
    if not study.identity and not foreign:
        raise foreign_study(name)
    return study


def read_studies(
    url: str, attributes: Collection[str] = ATTRIBUTES, *, foreign: bool = True
) -> list[StudyRows]:
    """Read all studies of a database, sorted by name; see `read_study`.

    A study with a damaged identity has no rows. Without `foreign`, it is skipped with a warning.
    """
    studies = []
    with _reading(url) as connection:
        known = _known_studies(connection, url)
        for name in sorted(known):
            try:
                studies.append(_read(connection, name, known, attributes))
            except DamageError as error:
                if foreign:
                    studies.append(StudyRows(name, {}, {}, [], damage=str(error)))
                else:
                    warn_of_damage(name, None, error.damage, "the study is skipped")
    return studies if foreign else [study for study in studies if study.is_ours]


def read_identity(url: str, name: str) -> dict[str, Any]:
    """Return the identity of a study, empty if there is no such database or study.

    Raises:
        StorageError: the database cannot be read.
        DamageError: the identity is damaged.
    """
    return read_settings(url, name)[0]


def read_settings(url: str, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the identity of a study, and the settings of its last command.

    Both are empty if there is no such database or study, or if the study does not have them.

    Raises:
        UsageError: the settings are damaged; the message names the study and the attribute.
        StorageError: the database cannot be read.
    """
    found: tuple[Any, Any] = {}, {}
    with suppress(UsageError), _reading(url) as connection:
        known = _known_studies(connection, url)
        if name in known:
            settings = _read_study_attribute(connection, known[name], SETTINGS_KEY, {})
            found = _read_identity(connection, name, known[name]), settings
    if not isinstance(found[1], dict):
        raise UsageError(
            f"The study '{name}' has a damaged attribute '{SETTINGS_KEY}', so --study alone is not "
            "enough. Pass its other options too."
        )
    return found


def read_files(url: str, name: str, filename: str) -> dict[int, str]:
    """Return the artifacts with a file name in a study, by the number of their trial.

    Args:
        url: database URL.
        name: name of the study.
        filename: file name, such as `study.storage.artifacts.WEIGHTS`.

    Raises:
        UsageError: there is no such database or study.
        StorageError: the database cannot be read.
    """
    trial, system = models.TrialModel, models.TrialSystemAttributeModel
    with _reading(url) as connection:
        known = _known_studies(connection, url)
        if name not in known:
            raise unknown_study(name, known)
        found = connection.execute(
            sqlalchemy.select(trial.number, system.value_json)
            .join(system, system.trial_id == trial.trial_id)
            .where(trial.study_id == known[name], system.key.startswith(ENTRY))
        ).all()
    entries = [(number, read_entry(text)) for number, text in found]
    return {
        number: entry["artifact_id"]
        for number, entry in entries
        if entry.get("filename") == filename
    }


@contextmanager
def _reading(url: str) -> Iterator[Connection]:
    """Connect to an existing database and read from one snapshot of it."""
    place = parse_url(url)
    is_sqlite = place.get_backend_name() == "sqlite"
    write = is_sqlite and check_sqlite_file(url, create=False, write=False)
    options = engine_options(place, write=write)
    if not is_sqlite:
        options["isolation_level"] = "REPEATABLE READ"
    with storage_errors(url):
        engine = sqlalchemy.create_engine(place, **options)
        try:
            with engine.connect() as connection:
                if is_sqlite:  # whose driver starts a transaction only for writing
                    connection.exec_driver_sql("BEGIN")
                yield connection
        finally:
            engine.dispose()


def _known_studies(connection: Connection, url: str) -> dict[str, int]:
    """Return the ids of the studies by name; a database without tables has none."""
    if not has_studies(connection, url):
        return {}
    study = models.StudyModel
    found = connection.execute(sqlalchemy.select(study.study_name, study.study_id))
    return {row.study_name: row.study_id for row in found}


def _read_values(
    connection: Connection, mine: sqlalchemy.Select[tuple[int]]
) -> defaultdict[int, dict[int, float | None]]:
    """Return the values of trials by trial id and place of the objective."""
    value = models.TrialValueModel
    found = connection.execute(
        sqlalchemy.select(value.trial_id, value.objective, value.value, value.value_type).where(
            value.trial_id.in_(mine)
        )
    )
    placed: defaultdict[int, dict[int, float | None]] = defaultdict(dict)
    for of, place, number, kind in found:
        placed[of][place] = value.stored_repr_to_value(number, kind)
    return placed


def _read(
    connection: Connection, name: str, known: Mapping[str, int], wanted: Collection[str]
) -> StudyRows:
    key = known[name]
    identity = _read_identity(connection, name, key)
    trial, aim = models.TrialModel.__table__.c, models.StudyDirectionModel
    mine = sqlalchemy.select(trial.trial_id).where(trial.study_id == key)
    found = connection.execute(
        sqlalchemy.select(
            trial.trial_id, trial.number, trial.state, trial.datetime_start, trial.datetime_complete
        )
        .where(trial.study_id == key)
        .order_by(trial.number)
    ).all()
    numbers = {row.trial_id: row.number for row in found}
    aims = sqlalchemy.select(aim.direction).where(aim.study_id == key).order_by(aim.objective)
    directions = [one.name.lower() for one in connection.scalars(aims)]
    names = objective_names(identity, directions)
    placed = _read_values(connection, mine)
    params, distributions, damage = _read_params(connection, mine)
    stored = _read_attributes(connection, mine, wanted)
    asked = frozenset(TRAINED) & frozenset(wanted)
    rows = []
    for of, number, stored_state, *_ in found:
        state = stored_state
        reached = {name: placed[of].get(i) for i, name in enumerate(names)}
        if not identity:  # another tool may use the same attribute names differently
            rows.append(make_row(number, state.name.lower(), reached, params[of], {}))
            continue
        ended = state in (TrialState.COMPLETE, TrialState.PRUNED)
        facts, damaged = read_facts(name, number, stored[of], asked if ended else ())
        if of in damage and not damaged:
            damaged = damage[of]
            warn_of_damage(name, number, damaged, COUNTS_AS_FAILED)
        if damaged and ended:
            state = TrialState.FAIL
            facts["failure"] = damaged
        rows.append(make_row(number, state.name.lower(), reached, params[of], facts))
    times = [time for row in found for time in row[3:] if time is not None]
    study = StudyRows(
        name,
        identity,
        distributions,
        rows,
        directions=directions,
        active=here(max(times, default=None)),
        workers=count_workers(connection, key),
        confirmation=_read_confirmation(connection, name, known)
        if CONFIRMATION in wanted
        else None,
    )
    if EXAMPLES in wanted and (best := study.best) is not None and is_trained(best):
        of = {number: key for key, number in numbers.items()}.get(number_of_training(best))
        best |= {} if of is None else _read_examples(connection, name, of, best["number"])
    return study


def _read_confirmation(
    connection: Connection, name: str, known: Mapping[str, int]
) -> Confirmation | None:
    """Return the confirmation of a search, given the search or the study that confirms it."""
    for study in (each for each in (name, *confirming_names(name)) if each in known):
        key = known[study]
        if (text := _read_study_text(connection, key, CONFIRMATION)) is None:
            continue
        identity = _read_identity(connection, study, key)
        if study != name and identity.get("space") != confirming_space(name):
            continue
        try:
            rows = _read(connection, study, known, needed(identity)).rows
            return make_confirmation(study, identity, load_json(text), rows)
        except (ValueError, TypeError, KeyError, AttributeError):
            warn_of_damage(
                study, None, f"the attribute '{CONFIRMATION}' is damaged", "it is ignored"
            )
    return None


def _read_params(
    connection: Connection, trials: Select[tuple[int]]
) -> tuple[dict[int, dict[str, Any]], dict[str, str], dict[int, str]]:
    """Return parameters by trial id, their distributions by name, and damage by trial id."""
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
    damage: dict[int, str] = {}
    for of, name, number, distribution in found:
        try:
            params[of][name] = find_distribution(distribution).to_external_repr(number)
        except DAMAGES:
            damage[of] = f"the parameter '{one_line(name)}' is damaged"
        else:
            distributions[name] = distribution
    return params, distributions, damage


def _read_attributes(
    connection: Connection, trials: Select[tuple[int]], wanted: Collection[str]
) -> dict[int, list[tuple[str, str | None]]]:
    """Return the texts of the wanted attributes by trial id, without `EXAMPLES`."""
    attribute = models.TrialUserAttributeModel
    found = connection.execute(
        sqlalchemy.select(attribute.trial_id, attribute.key, attribute.value_json).where(
            attribute.trial_id.in_(trials), attribute.key.in_(sorted({*wanted} - {EXAMPLES}))
        )
    )
    attributes: dict[int, list[tuple[str, str | None]]] = defaultdict(list)
    for of, name, text in found:
        attributes[of].append((name, text))
    return attributes


def _read_identity(connection: Connection, name: str, key: int) -> dict[str, Any]:
    value = _read_study_attribute(connection, key, IDENTITY_KEY, MISSING)
    return {} if value is MISSING else check_stored_identity(name, value)


def _read_study_attribute(connection: Connection, key: int, name: str, missing: Any) -> Any:
    """Return an attribute of a study: `missing` if there is none, None if it is damaged."""
    text = _read_study_text(connection, key, name)
    try:
        return missing if text is None else load_json(text)
    except ValueError:
        return None


def _read_study_text(connection: Connection, key: int, attribute: str) -> str | None:
    model = models.StudyUserAttributeModel
    found: str | None = connection.scalar(
        sqlalchemy.select(model.value_json).where(model.study_id == key, model.key == attribute)
    )
    return found


def _read_examples(connection: Connection, study: str, key: int, number: int) -> dict[str, Any]:
    """Return the examples of one trial under their name, or an empty mapping."""
    attribute = models.TrialUserAttributeModel
    text = connection.scalar(
        sqlalchemy.select(attribute.value_json).where(
            attribute.trial_id == key, attribute.key == EXAMPLES
        )
    )
    if text is None:
        return {}
    try:
        examples = load_json(text)
        check_examples(examples)
    except ValueError as error:
        damage = f"the attribute '{EXAMPLES}' is damaged ({one_line(error)})"
        warn_of_damage(study, number, damage, "they are not plotted")
        return {}
    return {EXAMPLES: examples}


def count_states(storage: RDBStorage) -> dict[str, dict[str, int]]:
    """Return the number of trials per state of every study, in one statement."""
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
