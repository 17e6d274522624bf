"""`export-results` and `export-tables`: from studies of planned runs to files in results/."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import optuna
import pandas as pd
from optuna.trial import TrialState

from ecg.errors import UsageError
from search_spaces.tables import ALL_TABLES
from study.storage.confirmation import CONFIRMATION
from study.storage.files import file_name, write_text
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
from study.tables.render import compare_splits, export_tables


def collect_runs(storage: str, studies: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Read the runs of studies of the published tables.

    Args:
        storage: URL.
        studies: names; all of the storage's where none is named.

    Returns:
        The runs of each study by its name.

    Raises:
        UsageError: see `find_studies`.
    """
    return {study.study_name: runs_of_study(study) for study in find_studies(storage, studies)}


def find_studies(storage: str, names: Sequence[str]) -> list[optuna.Study]:
    """Return studies of the published tables.

    Args:
        storage: URL.
        names: of the studies; all of the storage's where none is named.

    Raises:
        UsageError: there is no such storage or study, it has no runs, or another version of
            this project made it.
    """
    opened = open_storage(storage, create=False, write=False)
    found = [load_study(opened, name) for name in names] or [
        study for study in own_studies(opened) if find_identity(study).get("space") == ALL_TABLES
    ]
    if not found:
        raise UsageError(
            "the storage holds no study of the published tables; "
            "make one with: python -m study run --space tables"
        )
    for study in found:
        check_format(study.study_name, find_identity(study))
        if not trials_of_runs(study):
            raise UsageError(f"the study '{study.study_name}' holds no runs of a table")
    return found


def read_runs(files: Sequence[Path]) -> dict[str, pd.DataFrame]:
    """Read the runs of results files, named after their folders.

    Raises:
        UsageError: two files lie in folders of one name.
        DataError: a file is not what it should be.
    """
    runs = {file.resolve().parent.name: read_results(file) for file in files}
    if len(runs) < len(files):
        raise UsageError("two results files lie in folders of one name; export them one by one")
    return runs


def export_result_files(studies: Sequence[optuna.Study], folder: Path) -> list[Path]:
    """Write the runs of each study to `FOLDER/STUDY/results.csv`, their curves beside it.

    Raises:
        DataError: a run of a study is not one that could be read back.
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
            curves.unlink(missing_ok=True)  # of other runs
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
    """Write the five tables of each study to `FOLDER/STUDY/`, and both splits side by side.

    The comparison of the splits is written where exactly one pair of the studies differs in
    nothing but its split.
    """
    paths = []
    for name, table in runs.items():
        paths += export_tables(
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
    """Write what `confirm` found of each named search to `FOLDER/STUDY/confirmation.md`.

    Args:
        storage: URL.
        studies: names. A search and the study that confirms it stand for the same.
        folder: of the folders.
        formats: of `study.tables.formats.FORMATS`.
        digits: behind the point.

    Returns:
        The files, and the names of the studies that have no confirmation.

    Raises:
        UsageError: there is no such study, or a format is not known.
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
            paths.append(folder / found.study / f"confirmation{suffix(fmt)}")
            write_text(paths[-1], text)
    return paths, others


def _both_splits(tables: Sequence[pd.DataFrame]) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Return the one pair that differs in nothing but its split, intra-patient first."""
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
