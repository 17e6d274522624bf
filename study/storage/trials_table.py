"""The trials of a study as one tidy table: one row a trial. Plots and reports read only this."""

import optuna
import pandas as pd
from optuna.distributions import distribution_to_json
from optuna.storages import RDBStorage

from study.storage.confirmation import CONFIRMATION
from study.storage.front import directions_of
from study.storage.reading import read_studies, read_study
from study.storage.rows import (
    ATTRIBUTES,
    CURVES,
    EXAMPLES,
    StudyRows,
    make_row,
    number_of_training,
    objective_names,
)
from study.storage.studies import find_identity


def load_trials(storage: str, study: str, *, curves: bool = True) -> pd.DataFrame:
    """Read the trials of a study.

    Args:
        storage: URL.
        study: name.
        curves: read the learning curves too, by far the most of a storage.

    Returns:
        One row a trial, see `study_trials`.

    Raises:
        UsageError: there is no such storage or study.
        StorageError: the storage cannot be read.
    """
    return _as_table(read_study(storage, study, _wanted(curves)))


def load_all_trials(storage: str, *, curves: bool = True) -> list[pd.DataFrame]:
    """Read the trials of every study of this project, sorted by name; see `load_trials`."""
    return [_as_table(study) for study in read_studies(storage, _wanted(curves), foreign=False)]


def study_trials(study: optuna.Study, *, curves: bool = True) -> pd.DataFrame:
    """Return the trials of a study as a table.

    Args:
        study: with any storage.
        curves: have the columns `curves` and `examples`.

    Returns:
        One row a trial in the order of their numbers: `number`, `state` (lower case), `value`
        (the objective, the first of several), `value_*` (the others), `param_*` (a choice of None
        is the text "none"), `validation_*` (figures at the best epoch), `test_*`, and `seed`,
        `data`, `split`, `budget`, `device` (kind), `precision`, `best_epoch`, `last_epoch`,
        `stop_reason`, `seconds`, `device_name`,
        `failure`, `imported` (the file a trial came from), `config`, `confusion` (5, 5), `curves`,
        `per_class` (mappings of lists), and `examples` of the best complete trial (see
        `ecg.examples`). A figure that a trial does not have is missing. `attrs` hold the name
        of the study, its identity, the distributions of its parameters (JSON), and its
        confirmation (`study.storage.confirmation.Confirmation`, None for none).
    """
    backend = getattr(study._storage, "_backend", study._storage)  # behind Optuna's cache
    if isinstance(backend, RDBStorage):
        return _as_table(read_study(backend.url, study.study_name, _wanted(curves), foreign=True))
    return _as_table(_from_optuna(study, _wanted(curves)))


def _wanted(curves: bool) -> frozenset[str]:
    wanted = ATTRIBUTES | {CONFIRMATION}
    return wanted | {EXAMPLES} if curves else wanted - {CURVES}


def _as_table(study: StudyRows) -> pd.DataFrame:
    columns = None if study.rows else ["number", "state", "value", "baseline"]
    table = pd.DataFrame(study.rows, columns=columns)
    table.attrs["study"] = study.name
    table.attrs["identity"] = dict(study.identity)
    table.attrs["distributions"] = dict(study.distributions)
    table.attrs["confirmation"] = study.confirmation
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
