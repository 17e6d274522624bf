"""`study export-model`: exports the network of a trial as a self-describing file."""

import shlex
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file

from ecg.errors import DataError, UsageError, use_one_of
from ecg.files import output_to
from ecg.model_file import save_model
from ecg.networks import MODELS
from ecg.training.config import TrainConfig
from study.storage.artifacts import WEIGHTS, artifact_folder
from study.storage.confirmation import CONFIRMATION
from study.storage.reading import read_files, read_study
from study.storage.rows import Row, StudyRows, number_of_training
from study.storage.searched_space import load_networks
from study.wording import parameters_of, say_parameters, score_title

FORMATS = {"safetensors": ".safetensors", "onnx": ".onnx", "keras": ".keras"}
READ = ("config", "confusion", "validation", "test", "test_confusion", "test_read", "versions",
        "best_epoch", "seed", "protocol", "same_as", "finished_at", "baseline")  # fmt: skip
PARTS = ("validation", "test")
# Attributes of a trial that keep their names in the model file.
FACTS = ("seed", "protocol", "best_epoch", "finished_at", "test_read", "confusion",
         "test_confusion", "versions")  # fmt: skip
IDENTITY = ("source", "data", "split", "records", "budget", "repeats", "device", "precision",
            "objective")  # fmt: skip


@dataclass(frozen=True)
class Chosen:
    """A trial with its weights.

    Attributes:
        study: study of the trial.
        row: row of the trial, see `StudyRows`.
        file: file of its weights.
    """

    study: StudyRows
    row: Row
    file: Path

    @property
    def config(self) -> TrainConfig:
        """The configuration of the trial."""
        return TrainConfig.from_fields(self.row["config"])

    def facts(self) -> dict[str, Any]:
        """Return the facts for the model file."""
        scores = {part: scores_of(self.row, part) for part in PARTS}
        return {
            "study": self.study.name,
            "trial": self.row["number"],
            "parameters": parameters_of(self.row.items()),
            "scores": {part: found for part, found in scores.items() if found},
            **{name: self.study.identity[name] for name in IDENTITY if name in self.study.identity},
            **{name: self.row[name] for name in FACTS if name in self.row},
        }


def export_model(
    url: str,
    study: str,
    output: Path,
    *,
    trial: int | None = None,
    confirmed: bool = False,
    kind: str = "safetensors",
    space: str | None = None,
) -> str:
    """Write the network of a trial to a file.

    Args:
        url: URL of the database.
        study: name of the study.
        output: file to write.
        trial: number of the trial; None for the trial with the best objective on validation.
        confirmed: take the network from the study's confirmation: the best run on validation of
            the configuration with the best mean on validation. Test scores choose nothing.
        kind: one of `FORMATS`.
        space: file that defines the study's networks; None for the file the study was run with.

    Returns:
        A sentence that says what was written, and the command that uses it.

    Raises:
        UsageError: there is no such study or trial, its weights were not kept, or the name of the
            file does not fit the format.
        DataError: the weights are damaged.
        OutputError: the file cannot be written.
    """
    if kind not in FORMATS:
        raise UsageError(f"unknown format '{kind}'. {use_one_of(FORMATS)}")
    if output.suffix != FORMATS[kind]:
        raise UsageError(f"{output} must end in {FORMATS[kind]} for --format {kind}.")
    if confirmed and trial is not None:
        raise UsageError("Use --trial or --confirmed, not both.")
    rows = read_study(url, study, ("config",)).rows
    models = [row["config"]["model"] for row in rows if "config" in row]
    networks = load_networks(url, study, models, space)
    chosen = find_confirmed(url, study) if confirmed else find_trial(url, study, trial)
    with output_to(output):
        _write(chosen, output, kind)
    value, objective = chosen.row["value"], chosen.study.identity.get("objective")
    written = (
        f"{output}: trial {chosen.row['number']} of '{chosen.study.name}' "
        f"({chosen.config.model}; {say_parameters(parameters_of(chosen.row.items()))}; validation "
        f"{score_title(objective)} {value:.4f}), {output.stat().st_size / 1e6:.1f} MB"
    )
    if kind != "safetensors":
        return written
    words = ["python", "-m", "ecg", "predict", str(output), "DATA", "-o", "beats.csv"]
    if networks is not None and chosen.config.model not in MODELS:
        words += ["--networks", networks]
    return f"{written}\nnext: {shlex.join(words)}"


def find_trial(url: str, name: str, number: int | None = None) -> Chosen:
    """Return a complete trial with its weights.

    Args:
        url: URL of the database.
        name: name of the study.
        number: number of the trial; None for the best on validation, the first of equal ones.

    Raises:
        UsageError: there is no such study, it has no such complete trial, or the weights were
            not kept.
    """
    study = read_study(url, name, READ)
    rows = _complete(study)
    if number is None and (front := study.front):
        raise UsageError(
            f"The study '{name}' has several objectives, so no trial is the best. Name one with "
            f"--trial. On its front are: {', '.join(str(row['number']) for row in front)}."
        )
    if number is None:
        row = max(rows.values(), key=lambda one: (one["value"], -one["number"]))
    elif number in rows:
        row = rows[number]
    else:
        raise UsageError(
            f"The study '{name}' has no complete trial {number}. Name one of its complete trials: "
            f"{', '.join(map(str, rows))}."
        )
    files = _weights(url, name)
    if (trained := number_of_training(row)) not in files:
        there = ", ".join(map(str, sorted(files)))
        raise UsageError(
            f"The weights of trial {row['number']} of '{name}' were not kept; trials with weights: "
            f"{there or 'none'}. Name one of them with --trial, or train with --keep all."
        )
    return Chosen(study, row, files[trained])


def find_confirmed(url: str, name: str) -> Chosen:
    """Return the best run of the winner of a study's confirmation.

    Raises:
        UsageError: the study is not confirmed yet, or no weights of the winner were kept.
    """
    confirmation = read_study(url, name, (CONFIRMATION,)).confirmation
    if confirmation is None or confirmation.folds:
        raise UsageError(
            f"The study '{name}' is not confirmed yet. Confirm it with: python -m study confirm "
            f"{name}"
        )
    study = read_study(url, confirmation.study, READ)
    runs: dict[str, list[Row]] = defaultdict(list)
    for row in _complete(study).values():
        runs[TrainConfig.from_fields(row["config"]).replace(seed=0).digest].append(row)
    best = max(runs.values(), key=lambda rows: sum(row["value"] for row in rows) / len(rows))
    files = _weights(url, study.name)
    kept = [row for row in best if row["number"] in files]
    if not kept:
        raise UsageError(
            f"No weights of the winner of '{study.name}' were kept. Confirm with --keep all, or "
            "name a trial of the search with --trial."
        )
    row = max(kept, key=lambda one: one["value"])
    return Chosen(study, row, files[row["number"]])


def scores_of(row: Mapping[str, Any], part: str) -> dict[str, float]:
    """Return the scores of a trial on a part by name; empty if it was not measured there."""
    prefix = f"{part}_"
    return {
        name.removeprefix(prefix): value
        for name, value in row.items()
        if name.startswith(prefix) and isinstance(value, float)
    }


def _complete(study: StudyRows) -> dict[int, Row]:
    """Return the complete trials that were trained, by number.

    Raises:
        UsageError: there is none.
    """
    rows = {
        row["number"]: row
        for row in study.rows
        if row["state"] == "complete" and row["value"] is not None and "config" in row
    }
    if not rows:
        raise UsageError(f"The study '{study.name}' has no complete trial yet. Run it first.")
    return rows


def _weights(url: str, name: str) -> dict[int, Path]:
    """Return the existing files of weights by trial."""
    folder = artifact_folder(url)
    files = read_files(url, name, WEIGHTS)
    return {number: folder / file for number, file in files.items() if (folder / file).is_file()}


def _write(chosen: Chosen, output: Path, kind: str) -> None:
    try:
        weights = load_file(chosen.file)
    except (OSError, SafetensorError) as error:
        raise DataError(
            f"{chosen.file}: the weights of trial {chosen.row['number']} are damaged ({error}). "
            "Name another trial with --trial."
        ) from None
    if kind == "safetensors":
        save_model(output, chosen.config, weights, chosen.facts())
    elif kind == "onnx":
        from ecg.onnx_file import save_onnx

        save_onnx(output, chosen.config, weights, chosen.facts())
    else:
        from ecg.keras_network import save_keras

        save_keras(output, chosen.config, weights)
