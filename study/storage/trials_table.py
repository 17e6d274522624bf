"""The trials of a study as one tidy table, one row per trial, which plots and reports read."""

import logging
from contextlib import suppress

import optuna
import pandas as pd
from optuna.distributions import distribution_to_json

from ecg.errors import UsageError
from study.storage.artifacts import VALIDATION_PREDICTIONS, artifact_folder, count_evaluations
from study.storage.attributes import PLANNED
from study.storage.confirmation import CONFIRMATION
from study.storage.front import directions_of
from study.storage.ids import database_of
from study.storage.predictions import load_predictions
from study.storage.reading import read_files, read_settings, read_studies, read_study
from study.storage.rows import (
    ATTRIBUTES,
    CURVES,
    EXAMPLES,
    StudyRows,
    is_trained,
    make_row,
    number_of_training,
    objective_names,
)
from study.storage.studies import find_identity

logger = logging.getLogger(__name__)


def load_trials(storage: str, study: str, *, curves: bool = True) -> pd.DataFrame:
    """Read the trials of a study.

    Args:
        storage: database URL.
        study: name of the study.
        curves: also read the learning curves, by far the largest part of a database.

    Returns:
        One row per trial, see `study_trials`.

    Raises:
        UsageError: there is no such database or study.
        StorageError: the database cannot be read.
    """
    return _with_predictions(storage, read_study(storage, study, _wanted(curves)))


def load_all_trials(storage: str, *, curves: bool = True) -> list[pd.DataFrame]:
    """Read the trials of every study of this project, sorted by name; see `load_trials`."""
    studies = read_studies(storage, _wanted(curves), foreign=False)
    return [_with_predictions(storage, study) for study in studies]


def study_trials(study: optuna.Study, *, curves: bool = True) -> pd.DataFrame:
    """Return the trials of a study as a table.

    Args:
        study: a study in any kind of Optuna storage.
        curves: include the columns `curves` and `examples`.

    Returns:
        One row per trial, ordered by number: `number`, `state` (lower case), `value` (the
        objective, the first of several), `value_*` (the others), `param_*` (a choice of None is
        the text "none"), `validation_*` (scores at the best epoch), `test_*`, and `seed`, `data`,
        `split`, `budget`, `device` (kind), `precision`, `best_epoch`, `last_epoch`,
        `stop_reason`, `seconds`, `device_name`, `failure`, `imported` (the file from which a
        trial was imported), `config`, `confusion`
        (5, 5), `curves`, `per_class` (mappings of lists), `validation_by_record` and
        `test_by_record` (the confusion matrix of each record, on splits by patient; for
        `ecg.inter_patient.record_interval`), `examples` of the best complete trial (see
        `ecg.examples`), and `predictions` of the best trial and the baseline
        (`study.storage.predictions.Predictions`). Values that a trial does not have are missing.
        `attrs` has the name of the study, its identity, the distributions of its parameters
        (JSON), its confirmation (`study.storage.confirmation.Confirmation` or None), and
        `data_path`, where its data were when it last ran ("" if unknown), and `evaluations`, how
        often `ecg evaluate` read its test part.
    """
    if (database := database_of(study)) is not None:
        found = read_study(database.url, study.study_name, _wanted(curves), foreign=True)
        return _with_predictions(database.url, found)
    return _as_table(_from_optuna(study, _wanted(curves)))


def is_search(trials: pd.DataFrame) -> bool:
    """Whether a study is a search; its runs were planned otherwise."""
    return PLANNED not in trials or bool(trials[PLANNED].isna().all())


def _wanted(curves: bool) -> frozenset[str]:
    wanted = ATTRIBUTES | {CONFIRMATION}
    return wanted | {EXAMPLES} if curves else wanted - {CURVES}


def _with_predictions(url: str, study: StudyRows) -> pd.DataFrame:
    """Return the table of a study with the predictions of its best trial and its baseline.

    Predictions that were not kept, are on another machine, or are damaged are left out.
    """
    chosen = [row for row in (study.best, study.baseline) if row and is_trained(row)]
    files = read_files(url, study.name, VALIDATION_PREDICTIONS) if chosen else {}
    for row in chosen:
        path = artifact_folder(url) / files.get(number_of_training(row), "")
        if not path.is_file():
            continue
        try:
            row["predictions"] = load_predictions(path)
        except ValueError as error:
            logger.warning("the predictions in %s are damaged (%s); they are ignored", path, error)
    table = _as_table(study)
    with suppress(UsageError):  # damaged settings
        table.attrs["data_path"] = str(read_settings(url, study.name)[1].get("data", ""))
    table.attrs["evaluations"] = count_evaluations(url, study.name)
    return table


def _as_table(study: StudyRows) -> pd.DataFrame:
    columns = None if study.rows else ["number", "state", "value", "baseline"]
    table = pd.DataFrame(study.rows, columns=columns)
    table.attrs["study"] = study.name
    table.attrs["identity"] = dict(study.identity)
    table.attrs["distributions"] = dict(study.distributions)
    table.attrs["confirmation"] = study.confirmation
    table.attrs["data_path"] = ""
    table.attrs["evaluations"] = 0
    return table


def _from_optuna(study: optuna.Study, wanted: frozenset[str]) -> StudyRows:
    trials = study.get_trials(deepcopy=False)
    distributions = {
        name: distribution_to_json(found)
        for trial in trials
        for name, found in trial.distributions.items()
    }
    identity = find_identity(study)
    directions = directions_of(study)
    names = objective_names(identity, directions)
    rows = [
        make_row(
            trial.number, trial.state.name.lower(),
            dict(zip(names, trial.values or [None] * len(names), strict=False)), trial.params,
            {name: value for name, value in trial.user_attrs.items() if name in wanted},
        )
        for trial in trials
    ]  # fmt: skip
    found = StudyRows(
        study.study_name,
        identity,
        distributions,
        rows,
        directions=directions,
    )
    if EXAMPLES in wanted and (best := found.best) is not None:
        seen = trials[number_of_training(best)].user_attrs
        best |= {EXAMPLES: seen[EXAMPLES]} if EXAMPLES in seen else {}
    return found
