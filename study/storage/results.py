"""Results of planned runs as a tidy table with one row per run, and as a CSV file.

A planned run is one configuration trained with one seed. The published tables are rendered from
results alone, so that every score can be read, checked and rendered again without a database.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from ecg.errors import DataError
from ecg.files import write_text
from ecg.metrics import SCORES
from search_spaces.tables import PUBLISHED_BASELINE, configurations
from study.storage.attributes import PLANNED, key_of
from study.storage.results_checks import SHARED, check_runs
from study.storage.results_values import config_value, is_missing, json_value, real, text, whole
from study.storage.studies import find_identity

RESULTS_FILE = "results.csv"
CURVES_FILE = "curves.jsonl"  # beside the results file
SCORE_COLUMNS = tuple(f"{part}_{score}" for part in ("validation", "test") for score in SCORES)
CONFIG_COLUMNS = tuple(f"config_{name}" for name in PUBLISHED_BASELINE)

# The first column of a results file. Format 1 had no such column, precision, device or protocol.
FORMAT = 2
FORMAT_COLUMN = "format"
# Columns before and after the `config_*` ones, in the order of the file.
FIRST = ("configuration", "repeat", "seed", "state")
LAST = (
    *SHARED, "device_name", "versions",
    *SCORE_COLUMNS, "confusion", "test_confusion",
    "best_epoch", "last_epoch", "stop_reason", "seconds", "finished_at", "failure",
)  # fmt: skip
OPTIONAL = ("test_by_record",)  # only if a run has it, on a split by patient
WHOLE = ("seed", "study_seed", "protocol", "best_epoch", "last_epoch")

_READERS = (
    dict.fromkeys(("repeat", *WHOLE), whole)
    | dict.fromkeys((*SCORE_COLUMNS, "seconds"), real)
    | dict.fromkeys(("versions", "confusion", "test_confusion", *OPTIONAL), json_value)
)
_STATES = {TrialState.PRUNED: "fail"}  # planned runs are never pruned


def results_of_rows(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return runs as a table in the form that is written, read and rendered.

    Args:
        rows: one mapping per run, from column to value; a column left out is missing.

    Returns:
        The columns `FIRST`, `config_*`, `LAST` and those of `OPTIONAL` that a run has. Rows are
        ordered by published configuration, then by repeat. `repeat` is int64, the columns of
        `WHOLE` are Int64, scores and `seconds` are float64. All other columns are objects, None
        where missing: texts, matrices as lists of lists, `versions` as mappings.

    Raises:
        DataError: a value does not fit its column; the message names the run.
    """
    runs = [dict(row) for row in rows]
    columns = [*FIRST, *_config_columns({name for run in runs for name in run}), *LAST]
    columns += [name for name in OPTIONAL if any(run.get(name) for run in runs)]
    tidy = []
    for run in runs:
        where = f"run {run.get('configuration')}, repeat {run.get('repeat')}"
        tidy.append({name: _tidy(name, run.get(name), where) for name in columns})
    known = [row.configuration for row in configurations(with_tf=True)]
    tidy.sort(key=lambda run: _order(run, known))
    table = pd.DataFrame(
        {name: pd.Series([run[name] for run in tidy], dtype=object) for name in columns}
    )
    for name in (*SCORE_COLUMNS, "seconds"):
        table[name] = table[name].astype("float64")
    for name in WHOLE:
        table[name] = table[name].astype("Int64")
    if table["repeat"].notna().all():
        table["repeat"] = table["repeat"].astype("int64")
    return table


def rows_of_results(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield the runs of a table as mappings from column to value, None where missing."""
    names = [str(name) for name in table.columns]
    for values in zip(*(table[name].tolist() for name in table.columns), strict=True):
        yield {
            name: None if is_missing(value) else value
            for name, value in zip(names, values, strict=True)
        }


def write_results(table: pd.DataFrame, path: Path) -> None:
    """Write runs as CSV; equal runs give equal bytes, in any order of rows and columns.

    Args:
        table: runs, see `results_of_rows`.
        path: path of the file; a missing folder is created.

    Raises:
        DataError: `read_results` would not accept the runs.
        OutputError: the file cannot be written; an existing file is unchanged.
    """
    table = results_of_rows(rows_of_results(table))
    check_runs(table, str(path), _run_names(table))
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([FORMAT_COLUMN, *table.columns])
    for values in zip(*(table[name].tolist() for name in table.columns), strict=True):
        writer.writerow([FORMAT, *(_written(value) for value in values)])
    write_text(path, file.getvalue())


def read_results(path: Path) -> pd.DataFrame:
    """Read runs and check every value.

    Args:
        path: path of a file that `write_results` wrote.

    Returns:
        See `results_of_rows`.

    Raises:
        DataError: there is no such file, it is not a CSV file of runs, another version of this
            project wrote it, or a score does not follow from its confusion matrix; the message
            names file and line.
    """
    header, lines = _read_csv(path)
    _check_format(header, lines, path)
    _check_header(header, path)
    rows = [
        {
            name: _tidy(name, value, where)
            for name, value in zip(header, values, strict=True)
            if name != FORMAT_COLUMN
        }
        for where, values in lines
    ]
    names: dict[tuple[Any, Any], str] = {}
    for row, (where, _) in zip(rows, lines, strict=True):
        if _key(row) in names:
            raise DataError(f"{where}: repeats the run in {names[_key(row)]}")
        names[_key(row)] = where
    table = results_of_rows(rows)
    check_runs(table, str(path), [names[_key(row)] for row in rows_of_results(table)])
    return table


def _read_csv(path: Path) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Return the header, and the values of each line with its file name and line number."""
    try:
        content = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise DataError(f"{path} is not a CSV file: it is not UTF-8 text") from None
    except OSError as error:
        raise DataError(f"Cannot read the results {path}: {error.strerror}") from None
    reader = csv.reader(io.StringIO(content, newline=""), strict=True)
    lines = []
    try:
        header = next(reader, [])
        for values in reader:
            where = f"{path}, line {reader.line_num}"
            if len(values) != len(header):
                raise DataError(f"{where}: {len(values)} values for {len(header)} columns")
            lines.append((where, values))
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: not CSV: {error}") from None
    return header, lines


def runs_of_study(study: optuna.Study) -> pd.DataFrame:
    """Return the planned runs of a study.

    If a run has several trials, the newest complete one counts, or the newest one if none is
    complete. Trials that are not planned runs are left out.

    Args:
        study: a study of planned runs, whose trials have the attributes of
            `study.run.planned_runs` and `study.trials.trial`.

    Returns:
        See `results_of_rows`.
    """
    identity = find_identity(study)
    shared = {name: identity[name] for name in SHARED if name in identity}
    shared |= {"study_seed": identity["seed"]} if "seed" in identity else {}
    return results_of_rows(shared | _run_row(trial) for trial in trials_of_runs(study).values())


def trials_of_runs(study: optuna.Study) -> dict[tuple[str, int], FrozenTrial]:
    """Return the trial that counts for each run, see `runs_of_study`, by its key.

    Returns:
        Trials by configuration and repeat.
    """
    chosen: dict[tuple[str, int], FrozenTrial] = {}
    for trial in sorted(study.get_trials(deepcopy=False), key=lambda trial: trial.number):
        key = key_of(trial)
        if key is None:
            continue
        known = chosen.get(key)
        if (
            known is None
            or trial.state == TrialState.COMPLETE
            or known.state != TrialState.COMPLETE
        ):
            chosen[key] = trial
    return chosen


def _run_row(trial: FrozenTrial) -> dict[str, Any]:
    attributes = trial.user_attrs
    planned = attributes[PLANNED]
    run = {name: planned[name] for name in ("configuration", "repeat")}
    run["seed"] = planned.get("fields", {}).get("seed")
    run["state"] = _STATES.get(trial.state, trial.state.name.lower())
    run |= {f"config_{name}": value for name, value in planned.get("fields", {}).items()}
    run |= {name: attributes[name] for name in (*LAST, *OPTIONAL) if name in attributes}
    for part in ("validation", "test"):
        scores = attributes.get(part) or {}
        run |= {f"{part}_{score}": scores[score] for score in SCORES if score in scores}
    return run


def _config_columns(names: Iterable[str]) -> list[str]:
    others = {name for name in names if name.startswith("config_")} - set(CONFIG_COLUMNS)
    return [*CONFIG_COLUMNS, *sorted(others)]


def _tidy(name: str, value: object, where: str) -> Any:
    reader = config_value if name.startswith("config_") else _READERS.get(name, text)
    try:
        return reader(value)
    except ValueError as error:
        raise DataError(f"{where}: {name} {error}") from None


def _order(run: Mapping[str, Any], known: list[dict[str, Any]]) -> tuple[int, str, int]:
    varied = {name: run[f"config_{name}"] for name in PUBLISHED_BASELINE}
    place = known.index(varied) if varied in known else len(known)
    repeat = run["repeat"]
    return place, run["configuration"] or "", -1 if repeat is None else repeat


def _key(run: Mapping[str, Any]) -> tuple[Any, Any]:
    return run.get("configuration"), run.get("repeat")


def _run_names(table: pd.DataFrame) -> list[str]:
    pairs = zip(table["configuration"], table["repeat"], strict=True)
    return [f"run {configuration}, repeat {repeat}" for configuration, repeat in pairs]


def _check_format(header: list[str], lines: list[tuple[str, list[str]]], path: Path) -> None:
    if FORMAT_COLUMN not in header:
        if {*FIRST, *CONFIG_COLUMNS} <= {*header}:
            raise DataError(
                f"{path} was written by an older version of this project: it has no format, "
                "precision, kind of device or protocol. Train its runs again with this version, "
                "or render it with the version that wrote it."
            )
        return
    for where, values in lines:
        found = values[header.index(FORMAT_COLUMN)]
        if found.isdecimal() and int(found) > FORMAT:
            raise DataError(
                f"{path} was written by a newer version of this project (format {found}; this "
                f"version reads {FORMAT}). Update the project."
            )
        if found != str(FORMAT):
            raise DataError(f"{where}: the format is '{found}', not {FORMAT}")


def _check_header(header: list[str], path: Path) -> None:
    expected = [FORMAT_COLUMN, *FIRST, *CONFIG_COLUMNS, *LAST]
    missing = [name for name in expected if name not in header]
    if len(missing) == len(expected):
        raise DataError(f"{path} is not a CSV file of results: it has none of their columns")
    if missing:
        raise DataError(f"{path}: missing columns: {', '.join(missing)}")
    for name in header:
        if name not in (*expected, *OPTIONAL) and not name.startswith("config_"):
            raise DataError(f"{path}: unknown column '{name}'")
        if header.count(name) > 1:
            raise DataError(f"{path} has the column '{name}' twice")


def _written(value: object) -> str:
    if is_missing(value):
        return ""
    if isinstance(value, list | dict):
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return repr(value) if isinstance(value, float) else str(value)
