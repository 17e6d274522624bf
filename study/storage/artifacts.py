"""What a trial leaves behind as files, shown by the dashboard: images, a table, the weights.

Only the weights are written. The others say nothing that the trial's attributes do not: they are
entered in the trial, and made when somebody opens one, see `study.show.trial_files`.
"""

import json
import logging
import mimetypes
import shutil
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import optuna
import sqlalchemy
from optuna.artifacts import ArtifactMeta, FileSystemArtifactStore

from ecg.files import replacing

if TYPE_CHECKING:
    from ecg.training import TrainResult

logger = logging.getLogger(__name__)

FOLDER = "artifacts"
ENTRY = "artifacts:"  # Optuna's own prefix of a trial's system attributes, one a file
MADE_ON_DEMAND = ("confusion.png", "curves.png", "predictions.csv")
WEIGHTS = "weights.safetensors"
MAX_WEIGHTS = 16 * 2**20  # bytes; the published networks have 7 MB at most
OUR_NOTE = 1  # the version of a note that we wrote; the dashboard counts on


class WholeFiles(FileSystemArtifactStore):
    """Optuna's store, whose files are whole or not there, whenever its process is killed."""

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Write a file beside its place and rename it."""
        with replacing(self._get_filepath(artifact_id)) as beside, beside.open("xb") as file:
            shutil.copyfileobj(content_body, file)


def artifact_folder(storage: str) -> Path:
    """Return the folder of a storage's artifacts: beside an SQLite file, else in results/."""
    url = sqlalchemy.make_url(storage)
    beside = url.get_backend_name() == "sqlite" and url.database
    return (Path(str(url.database)).parent if beside else Path("results")) / FOLDER


def keep_files(trial: optuna.Trial, result: "TrainResult", folder: Path) -> dict[str, str]:
    """Write the weights of a trained trial; a full disk costs the weights, not the trial.

    Args:
        trial: that was trained.
        result: of its training.
        folder: of the artifacts, made where there is none.

    Returns:
        The entries of all its files: system attributes to be stored with the trial.
    """
    entries = entries_on_demand()
    if (weights := _weights(result)) is None:
        return entries
    key = str(uuid.uuid4())
    try:
        with replacing(folder / key) as beside:
            beside.write_bytes(weights)
    except OSError as error:
        logger.warning(
            "trial %d is kept without its weights: %s cannot be written (%s)",
            trial.number, folder, error.strerror or error,
        )  # fmt: skip
        return entries
    return entries | dict([_entry(WEIGHTS, key)])


def entries_on_demand() -> dict[str, str]:
    """Return the entries of the files that are made from a trial's attributes, see `keep_files`."""
    return dict(_entry(name, str(uuid.uuid4())) for name in MADE_ON_DEMAND)


def _entry(filename: str, key: str) -> tuple[str, str]:
    """Return the attribute by which Optuna knows a file: `upload_artifact` stores the same."""
    kind, encoding = mimetypes.guess_type(filename)
    meta = ArtifactMeta(key, filename, kind or "application/octet-stream", encoding)
    return f"{ENTRY}{key}", json.dumps(asdict(meta))


def _weights(result: "TrainResult") -> bytes | None:
    """Return the weights as a file; None for a pruned or replayed trial: nobody could use them."""
    size = sum(tensor.numel() * tensor.element_size() for tensor in result.weights.values())
    if not result.weights or result.stop_reason == "pruned" or size > MAX_WEIGHTS:
        return None
    from safetensors.torch import save

    plain = {name: t.detach().cpu().contiguous() for name, t in result.weights.items()}
    return save(plain, {"epoch": str(result.best_epoch)})


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


def save_note(
    storage: optuna.storages.BaseStorage, study_id: int, trial_id: int | None, text: str
) -> None:
    """Store the note of a trial, or of the study, see `note_attributes`.

    Args:
        storage: of the study.
        study_id: in the storage.
        trial_id: in the storage, None for the study itself.
        text: markdown.
    """
    for name, value in note_attributes(trial_id, text).items():
        storage.set_study_system_attr(study_id, name, value)
