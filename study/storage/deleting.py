"""`study delete`: a study, its trials, and the files of its trials."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import optuna
import sqlalchemy
from optuna.storages import RDBStorage
from optuna.storages._rdb import models

from ecg.errors import UsageError
from study.storage.artifacts import ENTRY, artifact_folder
from study.storage.locks import held
from study.storage.rows import StudyRows


def delete_study(storage: RDBStorage, study: StudyRows) -> int:
    """Delete a study with its trials, and their files.

    Args:
        storage: of the study.
        study: as it was shown to whoever agreed.

    Returns:
        The number of files that were deleted.

    Raises:
        UsageError: workers run it.
    """
    if study.workers:
        raise UsageError(
            f"the study '{study.name}' is running ({study.workers} workers). Stop it first."
        )
    with held(storage.engine, study.name):
        paths = list(_files(storage, study.name))
        optuna.delete_study(study_name=study.name, storage=storage)
        deleted = 0
        for path in paths:
            with suppress(OSError):  # of a trial that another machine trained
                path.unlink()
                deleted += 1
    return deleted


def _files(storage: RDBStorage, name: str) -> Iterator[Path]:
    """Yield the files of a study's trials that no other study names, as a copy does."""
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
            key = json.loads(json.loads(row.value_json))["artifact_id"]
            path = folder / key
            if path.parent == folder and path.is_file():  # not what a damaged entry leads to
                yield path
