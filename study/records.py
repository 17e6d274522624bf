"""From the storage to one tidy table: one row a trial. Tables, plots and reports read only this.

Optuna reads a trial whole: every reported epoch and the curves of thousands of trials take it
many seconds. A relational storage is asked here for what a table needs, and for no more.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import optuna
import pandas as pd
import sqlalchemy
from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution
from optuna.storages import RDBStorage
from optuna.storages._rdb import models

from study.storage import find_identity, load_study, open_storage

# Attributes copied under their own name.
PLAIN = (
    "seed", "data", "source", "split", "budget", "best_epoch", "last_epoch", "pruned_epoch",
    "stop_reason", "seconds", "device", "versions", "failure", "confusion", "curves", "per_class",
    "finished_at", "config", "cell", "test_confusion", "test_read", "same_as",
)  # fmt: skip
MAPPINGS = ("validation", "test")  # attributes whose items get columns of their own
CURVES = "curves"
EXAMPLES = "examples"  # the largest attribute: read of the best trial, the one that is drawn


@dataclass(frozen=True)
class _Trial:
    """What a row is made of."""

    number: int
    state: str
    value: float | None
    params: dict[str, Any]
    attributes: dict[str, Any]


def load_records(storage: str, study: str, *, curves: bool = True) -> pd.DataFrame:
    """Read the trials of a study.

    Args:
        storage: URL.
        study: name.
        curves: read the learning curves too, by far the most of a storage.

    Returns:
        One row a trial, see `study_records`.

    Raises:
        UsageError: there is no such storage or study.
        StorageError: the storage cannot be read.
    """
    return study_records(load_study(open_storage(storage, create=False), study), curves=curves)


def load_all_records(storage: str, *, curves: bool = True) -> list[pd.DataFrame]:
    """Read the trials of every study of a storage, sorted by name; see `load_records`."""
    opened = open_storage(storage, create=False)
    names = sorted(optuna.get_all_study_names(opened))
    studies = [optuna.load_study(storage=opened, study_name=name) for name in names]
    return [study_records(study, curves=curves) for study in studies]


def study_records(study: optuna.Study, *, curves: bool = True) -> pd.DataFrame:
    """Return the trials of a study as a table.

    Args:
        study: with any storage.
        curves: have the columns `curves` and `examples`.

    Returns:
        One row a trial in the order of their numbers: `number`, `state` (lower case), `value`
        (the objective), `param_*`, `validation_*` (figures at the best epoch), `test_*`, and
        `seed`, `data`, `split`, `budget`, `best_epoch`, `last_epoch`, `stop_reason`,
        `seconds`, `device`, `failure`, `config`, `confusion` (5, 5), `curves` and `per_class`
        (mappings of lists), and `examples` of the best complete trial (see `study.examples`). A
        figure that a trial does not have is missing. `attrs` hold the name of the study, its
        identity, and the distributions of its parameters (JSON).
    """
    wanted = {"baseline", *MAPPINGS, *PLAIN} - (set() if curves else {CURVES})
    backend = getattr(study._storage, "_backend", study._storage)  # behind Optuna's cache
    if isinstance(backend, RDBStorage):
        trials, distributions = _query(backend, study._study_id, wanted)
    else:
        trials, distributions = _from_optuna(study, wanted)
    if curves:
        _add_examples(trials, study)
    rows = [_record(trial) for trial in trials]
    columns = ["number", "state", "value", "baseline"]
    table = pd.DataFrame(rows, columns=None if rows else columns)
    table.attrs["study"] = study.study_name
    table.attrs["identity"] = find_identity(study)
    table.attrs["distributions"] = distributions
    return table


def _record(trial: _Trial) -> dict[str, Any]:
    attributes = trial.attributes
    row: dict[str, Any] = {
        "number": trial.number,
        "state": trial.state,
        "value": trial.value,
        "baseline": bool(attributes.get("baseline", False)),
    }
    row |= {f"param_{name}": value for name, value in trial.params.items()}
    for mapping in MAPPINGS:
        row |= {f"{mapping}_{name}": v for name, v in attributes.get(mapping, {}).items()}
    row |= {name: attributes[name] for name in (*PLAIN, EXAMPLES) if name in attributes}
    return row


def _add_examples(trials: Sequence[_Trial], study: optuna.Study) -> None:
    """Give the best complete trial its examples, or those of the trial that it repeats."""
    whole = [t for t in trials if t.state == "complete" and t.value is not None]
    if not whole:
        return
    best = max(whole, key=lambda trial: trial.value or 0.0)
    storage, number = study._storage, best.attributes.get("same_as", best.number)
    key = storage.get_trial_id_from_study_id_trial_number(study._study_id, number)
    if found := storage.get_trial(key).user_attrs.get(EXAMPLES):
        best.attributes[EXAMPLES] = found


def _from_optuna(
    study: optuna.Study, wanted: Collection[str]
) -> tuple[list[_Trial], dict[str, str]]:
    distributions: dict[str, str] = {}
    trials = []
    for trial in study.get_trials(deepcopy=False):
        known = trial.distributions.items()
        distributions |= {name: distribution_to_json(found) for name, found in known}
        attributes = {k: v for k, v in trial.user_attrs.items() if k in wanted}
        state = trial.state.name.lower()
        trials.append(_Trial(trial.number, state, trial.value, trial.params, attributes))
    return trials, distributions


def _query(
    storage: RDBStorage, study_id: int, wanted: Collection[str]
) -> tuple[list[_Trial], dict[str, str]]:
    """Read the trials of a study with one query a table."""
    trial, value = models.TrialModel, models.TrialValueModel
    param, attribute = models.TrialParamModel, models.TrialUserAttributeModel
    mine = sqlalchemy.select(trial.trial_id).where(trial.study_id == study_id)
    queries = (
        sqlalchemy.select(trial.trial_id, trial.number, trial.state)
        .where(trial.study_id == study_id)
        .order_by(trial.number),
        sqlalchemy.select(value.trial_id, value.value, value.value_type).where(
            value.trial_id.in_(mine), value.objective == 0
        ),
        sqlalchemy.select(
            param.trial_id, param.param_name, param.param_value, param.distribution_json
        )
        .where(param.trial_id.in_(mine))
        .order_by(param.param_id),
        sqlalchemy.select(attribute.trial_id, attribute.key, attribute.value_json).where(
            attribute.trial_id.in_(mine), attribute.key.in_(sorted(wanted))
        ),
    )
    with storage.engine.connect() as connection:
        found, values, params, attributes = (connection.execute(q).all() for q in queries)
    trials = {key: _Trial(number, state.name.lower(), None, {}, {}) for key, number, state in found}
    objectives = {key: value.stored_repr_to_value(number, kind) for key, number, kind in values}
    distributions: dict[str, str] = {}
    for key, name, number, text in params:
        trials[key].params[name] = _distribution(text).to_external_repr(number)
        distributions[name] = text
    for key, name, text in attributes:
        trials[key].attributes[name] = json.loads(text)
    whole = [
        _Trial(t.number, t.state, objectives.get(key), t.params, t.attributes)
        for key, t in trials.items()
    ]
    return whole, distributions


@cache
def _distribution(text: str) -> BaseDistribution:
    return json_to_distribution(text)
