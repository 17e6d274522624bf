"""The files of trials, for whoever looks: those that were not written are made on the spot."""

import csv
import io
import json
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import sqlalchemy
from optuna.artifacts.exceptions import ArtifactNotFound
from optuna.storages import RDBStorage
from optuna.storages._rdb.models import TrialModel, TrialSystemAttributeModel

from ecg.heartbeats import CLASS_NAMES, CLASSES
from ecg.metrics import per_class
from study.storage.artifacts import ENTRY, MADE_ON_DEMAND, WholeFiles
from study.storage.studies import IDENTITY_KEY

_DRAWING = threading.Lock()  # Matplotlib draws one figure at a time


class TrialFiles(WholeFiles):
    """The artifacts of a storage: files in a folder, and what trials' attributes say as well.

    Args:
        folder: of the files.
        storage: of the trials.
    """

    def __init__(self, folder: Path, storage: RDBStorage) -> None:
        """Look at a folder and a storage."""
        super().__init__(folder)
        self._storage = storage

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """Open a file; one that is not there is made of the attributes of its trial.

        Raises:
            ArtifactNotFound: it is not there, and cannot be made.
        """
        try:
            return super().open_reader(artifact_id)
        except ArtifactNotFound:
            trial, system = TrialModel, TrialSystemAttributeModel
            owner = (
                sqlalchemy.select(trial.study_id, trial.trial_id, system.value_json)
                .join(trial, trial.trial_id == system.trial_id)
                .where(system.key == f"{ENTRY}{artifact_id}")
            )
            with self._storage.engine.connect() as connection:
                found = connection.execute(owner).first()
            entry = json.loads(json.loads(found.value_json)) if found else None
            if found is None or not entry or entry["filename"] not in MADE_ON_DEMAND:
                raise
            identity = self._storage.get_study_user_attrs(found.study_id).get(IDENTITY_KEY, {})
            facts = self._storage.get_trial(found.trial_id).user_attrs
            return io.BytesIO(make_file(entry["filename"], facts, identity.get("objective", "")))

    def remove(self, artifact_id: str) -> None:
        """Remove a file, if there is one: a study with its trials can be deleted without."""
        with suppress(ArtifactNotFound):
            super().remove(artifact_id)


def make_file(name: str, facts: Mapping[str, Any], objective: str) -> bytes:
    """Return the content of a file that is made on demand.

    Args:
        name: one of `MADE_ON_DEMAND`.
        facts: attributes of the trial, see `study.trials.trial.describe_result`.
        objective: of the study.
    """
    if name == "predictions.csv":
        return predictions_csv(facts["confusion"]).encode()
    # Matplotlib takes a second to import, so only a process that draws does it.
    from study.show.trial_images import confusion_image, curves_image

    with _DRAWING:
        if name == "confusion.png":
            return confusion_image(facts["confusion"])
        return curves_image(facts["curves"], objective, facts["best_epoch"], facts["stop_reason"])


def predictions_csv(confusion: Sequence[Sequence[int]]) -> str:
    """Return one row a true class: beats, how they were predicted, and the figures.

    Args:
        confusion: (5, 5) counts, rows true, columns predicted.
    """
    figures = per_class(confusion)
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["true class", "beats", *(f"predicted {name}" for name in CLASSES), *figures])
    for index, row in enumerate(confusion):
        shares = [f"{values[index]:.4f}" for values in figures.values()]
        writer.writerow([f"{CLASSES[index]} {CLASS_NAMES[index]}", sum(row), *row, *shares])
    return file.getvalue()
