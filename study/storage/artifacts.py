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
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import BadZipFile

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
from ecg.heartbeats import CLASSES
from study.storage.copied_notes import NUMBER
from study.storage.database import folder_beside
from study.storage.facts import IDENTITY_KEY
from study.storage.ids import storage_of, study_id, trial_id_of

logger = logging.getLogger(__name__)

MakeFile = Callable[[str, Mapping[str, Any], str], bytes]

FOLDER = "artifacts"
ENTRY = "artifacts:"  # Optuna's own prefix of a trial's system attributes, one a file
MADE_ON_DEMAND = ("confusion.png", "curves.png", "predictions.csv")
WEIGHTS = "weights.safetensors"
VALIDATION_PREDICTIONS = "validation.npz"
TEST_PREDICTIONS = "test.npz"  # of a run that `confirm` made
OUR_NOTE = 1  # the version of a note that we wrote; the dashboard counts on


@dataclass(frozen=True, eq=False)
class Predictions:
    """The predictions of a trained network on the validation part.

    Attributes:
        row: (n,) int32, row number of each beat in the heartbeats; -1 where it is not known.
        label: (n,) int8, the true class.
        probability: (n, 5) float16.
    """

    row: NDArray[np.int32]
    label: NDArray[np.int8]
    probability: NDArray[np.float16]


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
            if found is None:
                raise
            try:
                name = json.loads(json.loads(found.value_json))["filename"]
                if name not in MADE_ON_DEMAND:
                    raise
                identity = self._storage.get_study_user_attrs(found.study_id)[IDENTITY_KEY]
                facts = self._storage.get_trial(found.trial_id).user_attrs
                return io.BytesIO(self._make(name, facts, identity["objective"]))
            except (ValueError, TypeError, LookupError) as error:  # damaged, see `read_facts`
                raise ArtifactNotFound(f"it cannot be made: {error}") from error

    def remove(self, artifact_id: str) -> None:
        """Remove a file, if there is one: a study with its trials can be deleted without."""
        with suppress(ArtifactNotFound):
            super().remove(artifact_id)


def artifact_folder(storage: str) -> Path:
    """Return the folder of a storage's artifacts: beside an SQLite file, else in results/."""
    return folder_beside(storage) / FOLDER


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
    for name, content in contents.items():
        key = str(uuid.uuid4())
        try:
            with replacing(folder / key) as beside:
                beside.write_bytes(content)
        except OSError as error:
            logger.warning(
                "trial %d is kept without its %s: %s cannot be written (%s)",
                trial.number, name, folder, error.strerror or error,
            )  # fmt: skip
            continue
        entries |= dict([_entry(name, key)])
        written.add(name)
    return entries, written


def file_of(trial: FrozenTrial, name: str) -> str | None:
    """Return where a file of a trial is kept in the folder of artifacts, None where it is not."""
    for key, text in trial.system_attrs.items():
        if key.startswith(ENTRY) and (json.loads(text) or {}).get("filename") == name:
            return key.removeprefix(ENTRY)
    return None


def read_test_predictions(
    trial: FrozenTrial, folder: Path
) -> tuple[NDArray[np.float16], NDArray[np.int8]] | None:
    """Return the (n, 5) probabilities and (n,) labels of a run on the test part.

    Args:
        trial: of a confirmation.
        folder: of the artifacts.

    Returns:
        None where they were not kept, or are not on this machine.

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
            f"the predictions of trial {trial.number} in {path} are damaged ({error}). Delete "
            "the file to leave this run out of its ensemble."
        ) from None
    return found.probability, found.label


def load_predictions(path: Path) -> Predictions:
    """Load the predictions that `study.trials.kept_files` wrote.

    Args:
        path: of the file, which exists.

    Raises:
        ValueError: the file is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = Predictions(arrays["row"], arrays["label"], arrays["probability"])
    except (OSError, ValueError, EOFError, KeyError, TypeError, BadZipFile, zlib.error) as error:
        raise ValueError(str(error) or type(error).__name__) from None
    n, label = len(found.label), found.label
    if (
        found.probability.shape != (n, len(CLASSES))
        or (found.row.shape, label.shape) != ((n,), (n,))
        or not all(array.dtype.kind == "i" for array in (found.row, label))
        or not np.isfinite(found.probability).all()
        or (n and (label.min() < 0 or label.max() >= len(CLASSES)))
    ):
        raise ValueError("the arrays do not fit each other")
    return found


def entries_on_demand() -> dict[str, str]:
    """Return the entries of the files that are made from a trial's attributes, see `keep_files`."""
    return dict(_entry(name, str(uuid.uuid4())) for name in MADE_ON_DEMAND)


def _entry(filename: str, key: str) -> tuple[str, str]:
    """Return the attribute by which Optuna knows a file: `upload_artifact` stores the same."""
    kind, encoding = mimetypes.guess_type(filename)
    meta = ArtifactMeta(key, filename, kind or "application/octet-stream", encoding)
    return f"{ENTRY}{key}", json.dumps(asdict(meta))


def note_attributes(trial_id: int | None, text: str, number: int = 0) -> dict[str, str | int]:
    """Return a note as the study's system attributes under which the dashboard looks for it.

    `optuna_dashboard.save_note` reads all notes of the study to write one, and takes seconds
    to import; these are its keys.

    Args:
        trial_id: in the storage, None for the study itself.
        text: markdown.
        number: of the trial, by which a copy of the study finds it again.
    """
    if trial_id is None:
        return {"dashboard:note_str:0": text, "dashboard:note_ver": OUR_NOTE}
    prefix = f"dashboard:{trial_id}"
    note: dict[str, str | int] = {f"{prefix}:note_str:0": text, f"{prefix}:note_ver": OUR_NOTE}
    return note | {f"{prefix}:{NUMBER}": number}


def save_note(study: optuna.Study, number: int | None, text: str) -> None:
    """Store the note of a trial, or of the study, see `note_attributes`.

    Args:
        study: to note something of.
        number: of the trial, None for the study itself.
        text: markdown.
    """
    trial = None if number is None else trial_id_of(study, number)
    for name, value in note_attributes(trial, text, number or 0).items():
        storage_of(study).set_study_system_attr(study_id(study), name, value)
