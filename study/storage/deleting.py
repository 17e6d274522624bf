"""`study delete`: delete a study with its trials and their files."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import optuna
import sqlalchemy
from optuna.storages import RDBStorage
from optuna.storages._rdb import models

from ecg.errors import UsageError
from study.storage.artifacts import ENTRY, artifact_folder, read_entry
from study.storage.locks import held
from study.storage.rows import StudyRows
from study.wording import counted


def delete_study(storage: RDBStorage, study: StudyRows) -> int:
    """Delete a study with its trials and their files.

    Args:
        storage: database of the study.
        study: the study as it was shown to the person who agreed to delete it.

    Returns:
        The number of files that were deleted.

    Raises:
        UsageError: the study is running.
    """
    if study.workers:
        raise UsageError(
            f"The study '{study.name}' is running ({counted(study.workers, 'worker')}). Stop it "
            "first."
        )
    with held(storage.engine, study.name):
        paths = list(_files(storage, study.name))
        optuna.delete_study(study_name=study.name, storage=storage)
        deleted = 0
        for path in paths:
            with suppress(OSError):  # another machine trained the trial and has the file
                path.unlink()
                deleted += 1
    return deleted


def _files(storage: RDBStorage, name: str) -> Iterator[Path]:
    """Yield the files of a study's trials, except those that another study, a copy, uses too."""
    folder = artifact_folder(storage.url)
    attribute, trial, study = models.TrialSystemAttributeModel, models.TrialModel, models.StudyModel
    of_artifacts = attribute.key.startswith(ENTRY, autoescape=True)
    owners = (
        sqlalchemy.select(attribute.key, attribute.value_json, study.study_name)
        .join(trial, trial.trial_id == attribute.trial_id)
        .join(study, study.study_id == trial.study_id)
        .where(of_artifacts)
    )
    with storage.engine.connect() as connection:
        rows = connection.execute(owners).all()
    kept = {row.key for row in rows if row.study_name != name}
    for row in rows:
        if row.study_name != name or row.key in kept:
            continue
        with suppress(ValueError, TypeError, LookupError):
            path = folder / read_entry(row.value_json)["artifact_id"]
            if path.parent == folder and path.is_file():  # a damaged entry could name any path
                yield path
