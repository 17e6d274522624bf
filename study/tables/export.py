"""`export-results` and `export-tables`: write studies of planned runs to files."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import optuna
import pandas as pd
from optuna.trial import TrialState

from ecg.errors import UsageError
from ecg.files import write_text
from search_spaces.tables import ALL_TABLES
from study.storage.confirmation import CONFIRMATION
from study.storage.files import file_name
from study.storage.reading import read_study
from study.storage.recordings import write_trials
from study.storage.results import (
    CURVES_FILE,
    RESULTS_FILE,
    read_results,
    runs_of_study,
    trials_of_runs,
    write_results,
)
from study.storage.results_checks import SHARED, shared_value
from study.storage.studies import (
    check_format,
    find_identity,
    load_study,
    open_storage,
    own_studies,
)
from study.tables.confirmation import render_confirmation
from study.tables.formats import suffix
from study.tables.render import compare_splits, write_tables


def collect_runs(storage: str, studies: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Read the runs of studies of the published tables.

    Args:
        storage: database URL.
        studies: names of studies; all of the database if empty.

    Returns:
        The runs of each study, by name.

    Raises:
        UsageError: see `find_studies`.
    """
    return {study.study_name: runs_of_study(study) for study in find_studies(storage, studies)}


def find_studies(storage: str, names: Sequence[str]) -> list[optuna.Study]:
    """Return studies of the published tables.

    Args:
        storage: database URL.
        names: names of studies; all of the database if empty.

    Raises:
        UsageError: there is no such database or study, a study has no runs, or another version
            of this project made it.
    """
    opened = open_storage(storage, create=False, write=False)
    found = [load_study(opened, name) for name in names] or [
        study for study in own_studies(opened) if find_identity(study).get("space") == ALL_TABLES
    ]
    if not found:
        raise UsageError(
            "The database has no study of the published tables. Start one with: "
            "python -m study run --space tables"
        )
    for study in found:
        check_format(study.study_name, find_identity(study))
        if not trials_of_runs(study):
            raise UsageError(f"The study '{study.study_name}' has no runs of a table.")
    return found


def read_runs(files: Sequence[Path]) -> dict[str, pd.DataFrame]:
    """Read the runs of results files.

    Returns:
        The runs of each file, by the name of its folder.

    Raises:
        UsageError: two files are in folders with the same name.
        DataError: a file is not a valid results file.
    """
    runs = {file.resolve().parent.name: read_results(file) for file in files}
    if len(runs) < len(files):
        raise UsageError(
            "Two results files are in folders with the same name. Export them one at a time."
        )
    return runs


def export_result_files(studies: Sequence[optuna.Study], folder: Path) -> list[Path]:
    """Write the runs of each study to `FOLDER/STUDY/results.csv`, and their curves beside it.

    Raises:
        DataError: a run is not valid, so that it could not be read back.
        OutputError: a file cannot be written.
    """
    paths = []
    for study in studies:
        table, trials = runs_of_study(study), trials_of_runs(study)
        results = folder / file_name(study.study_name) / RESULTS_FILE
        write_results(table, results)
        keys = zip(table["configuration"], table["repeat"], strict=True)
        complete = [trials[key] for key in keys if trials[key].state == TrialState.COMPLETE]
        recorded = [trial for trial in complete if "curves" in trial.user_attrs]
        curves = results.with_name(CURVES_FILE)
        if recorded:
            write_trials(study, recorded, curves)
        else:
            curves.unlink(missing_ok=True)  # curves of other runs
        paths += [results, curves] if recorded else [results]
    return paths


def export_table_files(
    runs: Mapping[str, pd.DataFrame],
    folder: Path,
    *,
    published: bool,
    formats: Sequence[str],
    digits: int,
    spread: bool = True,
    with_tf: bool = False,
) -> list[Path]:
    """Write the five tables of each study to `FOLDER/STUDY/`, and compare both splits.

    The comparison is written if exactly one pair of studies differs only in its split.

    Args:
        runs: runs of each study, by name.
        folder: output folder, with a subfolder for each study.
        published: include the published scores.
        formats: names in `study.tables.formats.FORMATS`.
        digits: digits after the decimal point.
        spread: print standard deviations.
        with_tf: see `search_spaces.tables.find_table`.

    Returns:
        The files.

    Raises:
        UsageError: a format or the digits are unknown.
        DataError: the runs of a study do not fit together.
        OutputError: a file cannot be written.
    """
    paths = []
    for name, table in runs.items():
        paths += write_tables(
            table,
            folder / file_name(name),
            published=published,
            formats=formats,
            digits=digits,
            spread=spread,
            with_tf=with_tf,
        )
    if (pair := _both_splits(list(runs.values()))) is not None:
        for fmt in formats:
            text = compare_splits(*pair, fmt=fmt, digits=digits, spread=spread)
            paths.append(folder / f"splits{suffix(fmt)}")
            write_text(paths[-1], text)
    return paths


def export_confirmations(
    storage: str, studies: Sequence[str], folder: Path, *, formats: Sequence[str], digits: int
) -> tuple[list[Path], list[str]]:
    """Write the confirmation of each search to `FOLDER/STUDY/confirmation.md`.

    Args:
        storage: database URL.
        studies: names of searches, or of the studies that confirm them.
        folder: output folder, with a subfolder for each study.
        formats: names in `study.tables.formats.FORMATS`.
        digits: digits after the decimal point.

    Returns:
        The files, and the names of the studies without a confirmation.

    Raises:
        UsageError: there is no such study, or a format is unknown.
        OutputError: a file cannot be written.
    """
    paths, others = [], []
    for name in studies:
        found = read_study(storage, name, {CONFIRMATION}).confirmation
        if found is None:
            others.append(name)
            continue
        for fmt in formats:
            text = render_confirmation(found, fmt=fmt, digits=digits)
            paths.append(folder / file_name(found.study) / f"confirmation{suffix(fmt)}")
            write_text(paths[-1], text)
    return paths, others


def _both_splits(tables: Sequence[pd.DataFrame]) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Return the one pair that differs only in its split, intra-patient first, or None."""
    same = [name for name in SHARED if name not in ("split", "study_seed")]
    pairs = [
        (one, other)
        for one in tables
        for other in tables
        if shared_value(one, "split") == "intra-patient"
        and shared_value(other, "split") == "inter-patient"
        and all(shared_value(one, name) == shared_value(other, name) for name in same)
    ]
    return pairs[0] if len(pairs) == 1 else None
