"""From the storage to one tidy table: one row a trial. Tables, plots and reports read only this."""

from typing import Any

import optuna
import pandas as pd
from optuna.trial import FrozenTrial

from study.storage import find_identity, load_study, open_storage

# Attributes copied under their own name.
PLAIN = (
    "seed", "data", "source", "split", "budget", "best_epoch", "last_epoch", "stop_reason",
    "seconds", "device", "versions", "failure", "confusion", "curves", "per_class",
    "finished_at", "config", "cell", "test_confusion", "test_read",
)  # fmt: skip


def load_records(storage: str, study: str) -> pd.DataFrame:
    """Read the trials of a study.

    Args:
        storage: URL.
        study: name.

    Returns:
        One row a trial, see `study_records`.

    Raises:
        UsageError: there is no such storage or study.
        StorageError: the storage cannot be read.
    """
    return study_records(load_study(open_storage(storage, create=False), study))


def load_all_records(storage: str) -> list[pd.DataFrame]:
    """Read the trials of every study of a storage, sorted by name; see `load_records`."""
    opened = open_storage(storage, create=False)
    names = sorted(optuna.get_all_study_names(opened))
    return [study_records(optuna.load_study(storage=opened, study_name=name)) for name in names]


def study_records(study: optuna.Study) -> pd.DataFrame:
    """Return the trials of a study as a table.

    Returns:
        One row a trial in the order of their numbers: `number`, `state` (lower case), `value`
        (the objective), `param_*`, `validation_*` (figures at the best epoch), `config_*`,
        and `seed`, `data`, `split`, `budget`, `best_epoch`, `last_epoch`, `stop_reason`,
        `seconds`, `device`, `failure`, `confusion` (5, 5), `curves` and `per_class`
        (mappings of lists). A figure that a trial does not have is missing.
    """
    rows = [_record(trial) for trial in study.get_trials(deepcopy=False)]
    columns = ["number", "state", "value", "baseline"]
    table = pd.DataFrame(rows, columns=None if rows else columns)
    table.attrs["study"] = study.study_name
    table.attrs["identity"] = find_identity(study)
    return table


def _record(trial: FrozenTrial) -> dict[str, Any]:
    attributes = trial.user_attrs
    row: dict[str, Any] = {
        "number": trial.number,
        "state": trial.state.name.lower(),
        "value": trial.value,
        "baseline": bool(attributes.get("baseline", False)),
    }
    row |= {f"param_{name}": value for name, value in trial.params.items()}
    for mapping in ("validation", "test"):
        row |= {f"{mapping}_{name}": v for name, v in attributes.get(mapping, {}).items()}
    row |= {name: attributes[name] for name in PLAIN if name in attributes}
    return row
