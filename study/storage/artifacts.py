"""The files of a trial that the dashboard shows: images, a table, the weights.

Only the weights and the predictions are stored as files. The others repeat the trial's
attributes: the trial lists them, and each is created when somebody opens it, see
`study.show.trial_files`.
"""

import io
import json
import logging
import mimetypes
import shutil
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import optuna
import sqlalchemy
from numpy.typing import NDArray
from optuna.artifacts import ArtifactMeta, FileSystemArtifactStore
from optuna.artifacts.exceptions import ArtifactNotFound
from optuna.storages import RDBStorage
from optuna.storages._rdb.models import TrialModel, TrialSystemAttributeModel
from optuna.trial import FrozenTrial

from ecg.errors import DataError
from ecg.files import replacing
from ecg.test_part_log import NAME as LOG
from ecg.test_part_log import readings_of
from study.storage.database import folder_beside
from study.storage.facts import IDENTITY_KEY
from study.storage.predictions import load_predictions

logger = logging.getLogger(__name__)

MakeFile = Callable[[str, Mapping[str, Any], str], bytes]

FOLDER = "artifacts"
ENTRY = "artifacts:"  # Optuna's prefix of a trial's system attributes, one per file
MADE_ON_DEMAND = ("confusion.png", "curves.png", "predictions.csv")
WEIGHTS = "weights.safetensors"
VALIDATION_PREDICTIONS = "validation.npz"
TEST_PREDICTIONS = "test.npz"  # of a run of `confirm`


class WholeFiles(FileSystemArtifactStore):
    """Optuna's store with atomic writes: a killed process leaves no partial file."""

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Write a file under a temporary name, then rename it."""
        with replacing(self._get_filepath(artifact_id)) as beside, beside.open("xb") as file:
            shutil.copyfileobj(content_body, file)


class TrialFiles(WholeFiles):
    """The artifacts of a database: stored files, and files made from trial attributes.

    Args:
        folder: folder of the stored files.
        storage: database of the trials.
        make: returns the content of a file, given its name, the attributes of its trial and the
            objective of the study.
    """

    def __init__(self, folder: Path, storage: RDBStorage, make: MakeFile) -> None:
        """Use a folder and a database."""
        super().__init__(folder)
        self._storage = storage
        self._make = make

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """Open a file; a file that is not stored is made from the attributes of its trial.

        Raises:
            ArtifactNotFound: the file is not stored and cannot be made.
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
            if found is None:
                raise
            try:
                name = read_entry(found.value_json)["filename"]
                if name not in MADE_ON_DEMAND:
                    raise
                identity = self._storage.get_study_user_attrs(found.study_id)[IDENTITY_KEY]
                facts = self._storage.get_trial(found.trial_id).user_attrs
                return io.BytesIO(self._make(name, facts, identity["objective"]))
            except (ValueError, TypeError, LookupError) as error:  # damaged, see `read_facts`
                raise ArtifactNotFound(f"cannot make the file: {error}") from error

    def remove(self, artifact_id: str) -> None:
        """Remove a file if it exists, so that trials can be deleted without their files."""
        with suppress(ArtifactNotFound):
            super().remove(artifact_id)


def artifact_folder(storage: str) -> Path:
    """Return the artifact folder of a database: beside an SQLite file, otherwise in results/."""
    return folder_beside(storage) / FOLDER


def count_evaluations(storage: str, study: str) -> int:
    """Return how often `ecg evaluate` read the test part of a study, by the logs that are here.

    Args:
        storage: URL of the database.
        study: name of the study.
    """
    logs = {folder.resolve() / LOG for folder in (folder_beside(storage), Path("results"))}
    return sum(len(readings_of(log, study)) for log in logs)


def keep_files(
    trial: optuna.Trial, contents: Mapping[str, bytes], folder: Path
) -> tuple[dict[str, str], set[str]]:
    """Write the files of a trial. If the disk is full, the trial is kept without them.

    Args:
        trial: the trained trial.
        contents: contents of its files by name.
        folder: artifact folder, created if it is missing.

    Returns:
        The entries of all files, including those made on demand, to be stored as system
        attributes of the trial; and the names of the files that were written.
    """
    entries, written = entries_on_demand(), set[str]()
    for name, content in contents.items():
        key = str(uuid.uuid4())
        try:
            with replacing(folder / key) as beside:
                beside.write_bytes(content)
        except OSError as error:
            logger.warning(
                "trial %d is kept without its %s: cannot write to %s (%s)",
                trial.number, name, folder, error.strerror or error,
            )  # fmt: skip
            continue
        entries |= dict([_entry(name, key)])
        written.add(name)
    return entries, written


def file_of(trial: FrozenTrial, name: str) -> str | None:
    """Return the name of a trial's file in the artifact folder, None if it is not stored."""
    for key, text in trial.system_attrs.items():
        if key.startswith(ENTRY) and (json.loads(text) or {}).get("filename") == name:
            return key.removeprefix(ENTRY)
    return None


def read_entry(value_json: str) -> dict[str, Any]:
    """Return the entry of a file as Optuna stores it: `filename`, `artifact_id` and more.

    Args:
        value_json: text of the system attribute, JSON within JSON.

    Raises:
        ValueError: the text is not JSON.
        TypeError: the attribute is not a text.
    """
    entry: dict[str, Any] = json.loads(json.loads(value_json) or "null") or {}
    return entry


def read_test_predictions(
    trial: FrozenTrial, folder: Path
) -> tuple[NDArray[np.float16], NDArray[np.int8]] | None:
    """Return the (n, 5) probabilities and (n,) labels of a run on the test part.

    Args:
        trial: a run of `confirm`.
        folder: artifact folder.

    Returns:
        None if they were not kept, or are on another machine.

    Raises:
        DataError: the file is damaged.
    """
    name = file_of(trial, TEST_PREDICTIONS)
    if name is None or not (path := folder / name).is_file():
        return None
    try:
        found = load_predictions(path)
    except ValueError as error:
        raise DataError(
            f"The predictions of trial {trial.number} in {path} are damaged ({error}). Delete "
            "the file to leave this run out of its ensemble."
        ) from None
    return found.probability, found.label


def entries_on_demand() -> dict[str, str]:
    """Return the entries of the files that are made from a trial's attributes, see `keep_files`."""
    return dict(_entry(name, str(uuid.uuid4())) for name in MADE_ON_DEMAND)


def _entry(filename: str, key: str) -> tuple[str, str]:
    """Return the attribute that lists a file of a trial, as Optuna's `upload_artifact` does."""
    kind, encoding = mimetypes.guess_type(filename)
    meta = ArtifactMeta(key, filename, kind or "application/octet-stream", encoding)
    return f"{ENTRY}{key}", json.dumps(asdict(meta))
