"""What a trial leaves behind as files, shown by the dashboard: images, a table, the weights.

Only the weights and the predictions are written. The others say nothing that the trial's
attributes do not: they are entered in the trial, and made when somebody opens one, see
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

import optuna
import sqlalchemy
from optuna.artifacts import ArtifactMeta, FileSystemArtifactStore
from optuna.artifacts.exceptions import ArtifactNotFound
from optuna.storages import RDBStorage
from optuna.storages._rdb.models import TrialModel, TrialSystemAttributeModel

from ecg.files import replacing
from study.storage.ids import storage_of, study_id, trial_id_of
from study.storage.studies import IDENTITY_KEY

logger = logging.getLogger(__name__)

MakeFile = Callable[[str, Mapping[str, Any], str], bytes]

FOLDER = "artifacts"
ENTRY = "artifacts:"  # Optuna's own prefix of a trial's system attributes, one a file
MADE_ON_DEMAND = ("confusion.png", "curves.png", "predictions.csv")
WEIGHTS = "weights.safetensors"
PREDICTIONS = "validation.npz"
OUR_NOTE = 1  # the version of a note that we wrote; the dashboard counts on


class WholeFiles(FileSystemArtifactStore):
    """Optuna's store, whose files are whole or not there, whenever its process is killed."""

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Write a file beside its place and rename it."""
        with replacing(self._get_filepath(artifact_id)) as beside, beside.open("xb") as file:
            shutil.copyfileobj(content_body, file)


class TrialFiles(WholeFiles):
    """The artifacts of a storage: files in a folder, and what trials' attributes say as well.

    Args:
        folder: of the files.
        storage: of the trials.
        make: returns the content of a file, of its name, the attributes of its trial and the
            objective of the study.
    """

    def __init__(self, folder: Path, storage: RDBStorage, make: MakeFile) -> None:
        """Look at a folder and a storage."""
        super().__init__(folder)
        self._storage = storage
        self._make = make

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
            return io.BytesIO(self._make(entry["filename"], facts, identity.get("objective", "")))

    def remove(self, artifact_id: str) -> None:
        """Remove a file, if there is one: a study with its trials can be deleted without."""
        with suppress(ArtifactNotFound):
            super().remove(artifact_id)


def artifact_folder(storage: str) -> Path:
    """Return the folder of a storage's artifacts: beside an SQLite file, else in results/."""
    url = sqlalchemy.make_url(storage)
    beside = url.get_backend_name() == "sqlite" and url.database
    return (Path(str(url.database)).parent if beside else Path("results")) / FOLDER


def keep_files(
    trial: optuna.Trial, contents: Mapping[str, bytes], folder: Path
) -> tuple[dict[str, str], set[str]]:
    """Write the files of a trial; a full disk costs the files, not the trial.

    Args:
        trial: that was trained.
        contents: of its files by name.
        folder: of the artifacts, made where there is none.

    Returns:
        The entries of all its files, those made on demand included: system attributes to be
        stored with the trial. And the names of the files that were written.
    """
    entries, written = entries_on_demand(), set[str]()
    try:
        for name, content in contents.items():
            key = str(uuid.uuid4())
            with replacing(folder / key) as beside:
                beside.write_bytes(content)
            entries |= dict([_entry(name, key)])
            written.add(name)
    except OSError as error:
        logger.warning(
            "trial %d is kept without its %s: %s cannot be written (%s)",
            trial.number, " and ".join(name for name in contents if name not in written), folder,
            error.strerror or error,
        )  # fmt: skip
    return entries, written


def entries_on_demand() -> dict[str, str]:
    """Return the entries of the files that are made from a trial's attributes, see `keep_files`."""
    return dict(_entry(name, str(uuid.uuid4())) for name in MADE_ON_DEMAND)


def _entry(filename: str, key: str) -> tuple[str, str]:
    """Return the attribute by which Optuna knows a file: `upload_artifact` stores the same."""
    kind, encoding = mimetypes.guess_type(filename)
    meta = ArtifactMeta(key, filename, kind or "application/octet-stream", encoding)
    return f"{ENTRY}{key}", json.dumps(asdict(meta))


def note_attributes(trial_id: int | None, text: str) -> dict[str, str | int]:
    """Return a note as the study's system attributes under which the dashboard looks for it.

    `optuna_dashboard.save_note` reads all notes of the study to write one, and takes seconds
    to import; these are its keys.

    Args:
        trial_id: in the storage, None for the study itself.
        text: markdown.
    """
    prefix = "dashboard" if trial_id is None else f"dashboard:{trial_id}"
    return {f"{prefix}:note_str:0": text, f"{prefix}:note_ver": OUR_NOTE}


def save_note(study: optuna.Study, number: int | None, text: str) -> None:
    """Store the note of a trial, or of the study, see `note_attributes`.

    Args:
        study: to note something of.
        number: of the trial, None for the study itself.
        text: markdown.
    """
    trial = None if number is None else trial_id_of(study, number)
    for name, value in note_attributes(trial, text).items():
        storage_of(study).set_study_system_attr(study_id(study), name, value)
