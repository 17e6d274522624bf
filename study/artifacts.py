"""What a trial leaves behind as files, shown by the dashboard: images, a table, the weights.

They are stored before the trial ends: Optuna refuses to add to a finished trial.
"""

import csv
import io
import logging
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import optuna
import sqlalchemy
from optuna.artifacts import FileSystemArtifactStore, upload_artifact

from ecg.files import replacing
from ecg.heartbeats import CLASS_NAMES, CLASSES
from ecg.metrics import per_class

if TYPE_CHECKING:
    from ecg.training import TrainResult

logger = logging.getLogger(__name__)

FOLDER = "artifacts"
OUR_NOTE = 1  # the version of a note that we wrote; the dashboard counts on
MAX_WEIGHTS = 16 * 2**20  # bytes; the published networks have 7 MB at most


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


def attach_artifacts(
    trial: optuna.Trial, result: "TrainResult", facts: Mapping[str, Any], *,
    objective: str, folder: Path,
) -> None:  # fmt: skip
    """Store the files of a trained trial; a full disk costs the files, not the trial.

    Args:
        trial: still running.
        result: of its training.
        facts: its attributes, see `study.trial.describe_result`.
        objective: of the study.
        folder: of the artifacts, made where there is none.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files = make_files(result, facts, objective)
        store = WholeFiles(folder)
        with tempfile.TemporaryDirectory() as scratch:
            for name, content in files.items():
                path = Path(scratch) / name
                path.write_bytes(content)
                upload_artifact(artifact_store=store, file_path=str(path), study_or_trial=trial)
    except OSError as error:
        logger.warning(
            "trial %d is kept without its images and weights: %s cannot be written (%s)",
            trial.number, folder, error.strerror or error,
        )  # fmt: skip


def make_files(result: "TrainResult", facts: Mapping[str, Any], objective: str) -> dict[str, bytes]:
    """Return the files of a trial by name.

    A pruned trial and a replayed one have no weights that anyone could use.

    Args:
        result: of the training.
        facts: attributes of the trial.
        objective: of the study.
    """
    from safetensors.torch import save

    # Matplotlib takes a second to import, so only a process that draws does it.
    from study.artifact_images import confusion_image, curves_image

    files = {
        "confusion.png": confusion_image(result.confusion),
        "curves.png": curves_image(
            facts["curves"], objective, result.best_epoch, result.stop_reason
        ),
        "predictions.csv": predictions_csv(result.confusion).encode(),
    }
    size = sum(tensor.numel() * tensor.element_size() for tensor in result.weights.values())
    if result.weights and result.stop_reason != "pruned" and size <= MAX_WEIGHTS:
        plain = {name: t.detach().cpu().contiguous() for name, t in result.weights.items()}
        files["weights.safetensors"] = save(plain, {"epoch": str(result.best_epoch)})
    return files


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


def save_note(
    storage: optuna.storages.BaseStorage, study_id: int, trial_id: int | None, text: str
) -> None:
    """Store the note of a trial, or of the study, where the dashboard looks for it.

    `optuna_dashboard.save_note` reads all notes of the study to write one, and takes seconds
    to import; these are its keys.

    Args:
        storage: of the study.
        study_id: in the storage.
        trial_id: in the storage, None for the study itself.
        text: markdown.
    """
    prefix = "dashboard" if trial_id is None else f"dashboard:{trial_id}"
    storage.set_study_system_attr(study_id, f"{prefix}:note_str:0", text)
    storage.set_study_system_attr(study_id, f"{prefix}:note_ver", OUR_NOTE)
