"""A resumed run is bit-identical to an uninterrupted one."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ecg.training import Checkpoint, Epoch, TrainConfig, TrainingData, train
from ecg.training.checkpoint import content_digest
from tests.support.toy import ALL_OPTIONS, EACH_OPTION

CONFIG = TrainConfig(model="coupled", width_multiplier=0.1, max_epochs=5, patience=5, seed=3)


class Stop(Exception):  # noqa: N818
    """Simulates a crash."""


def interrupt_after(epochs: int):
    def on_epoch(epoch: Epoch) -> None:
        if epoch.number > epochs:
            raise Stop

    return on_epoch


def interrupted(config: TrainConfig, data: TrainingData, path: Path, epochs: int) -> Checkpoint:
    """Train and save after every epoch, and crash in the one after `epochs`."""
    with pytest.raises(Stop):
        train(config, data, interrupt_after(epochs), Checkpoint(path, "key", every_seconds=0))
    return Checkpoint(path, "key", every_seconds=0)


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
@pytest.mark.parametrize("epochs", [1, 3])
def test_resumed_run_equals_an_uninterrupted_one(
    data: TrainingData, tmp_path: Path, optimizer: str, epochs: int
) -> None:
    # Weights, optimizer, scheduler and early stopping continue where they were.
    config = CONFIG.replace(
        optimizer=optimizer, scheduler_factor=0.5, scheduler_patience=0, ratio=0.5
    )
    whole = train(config, data)
    resumed = train(config, data, None, interrupted(config, data, tmp_path / "run", epochs))
    assert resumed == whole
    for name, tensor in whole.weights.items():
        assert torch.equal(tensor, resumed.weights[name]), name


PLATEAU = {"schedule": None, "scheduler_factor": 0.5, "scheduler_patience": 0}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    "options", [*EACH_OPTION, ALL_OPTIONS, {**ALL_OPTIONS, **PLATEAU}], ids="-".join
)
def test_interruptions_leave_no_trace_whatever_the_options(
    data: TrainingData, tmp_path: Path, options: dict[str, Any], precision: str
) -> None:
    # Interrupted twice: in the third epoch, and in the fourth after it was resumed.
    config, path = CONFIG.replace(**options), tmp_path / "run"
    whole = train(config, data, precision=precision)
    for epochs in (2, 3):
        with pytest.raises(Stop):
            train(
                config, data, interrupt_after(epochs), Checkpoint(path, "key", every_seconds=0),
                precision,
            )  # fmt: skip
    last = Checkpoint(path, "key", every_seconds=0)
    resumed = train(config, data, None, last, precision)
    assert last.resumed == 3
    assert resumed == whole
    for name, tensor in whole.weights.items():
        assert torch.equal(tensor, resumed.weights[name]), name


def test_resumed_run_trains_only_what_was_left(data: TrainingData, tmp_path: Path) -> None:
    # The callback gets the restored epochs, which are not trained again.
    checkpoint = interrupted(CONFIG, data, tmp_path / "run", 3)
    seen: list[int] = []
    train(CONFIG, data, lambda epoch: seen.append(epoch.number), checkpoint)
    assert seen == [1, 2, 3, 4, 5]
    early = train(CONFIG, data, lambda epoch: epoch.number >= 1, checkpoint)
    assert len(early.epochs) == 5  # the saved 4, and one more that was pruned


DAMAGES = (
    "truncated", "noise", "pickle", "flipped bit", "huge header", "huge shape", "other shape",
    "other key", "other config", "huge number",
)  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_invalid_checkpoint_is_not_used(
    data: TrainingData, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    # The run starts again and logs the reason.
    path = tmp_path / "run"
    checkpoint, config = interrupted(CONFIG, data, path, 2), CONFIG
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "noise":
        path.write_bytes(bytes(range(256)) * 10)
    elif damage == "pickle":
        torch.save({"model": torch.zeros(3)}, path)
    elif damage == "flipped bit":
        content = path.read_bytes()
        path.write_bytes(content[:-5] + bytes([content[-5] ^ 1]) + content[-4:])
    elif damage == "huge header":
        path.write_bytes((2**62).to_bytes(8, "little") + path.read_bytes()[8:])
    elif "shape" in damage:
        reshape(path, [2**40] if damage == "huge shape" else [1])
    elif damage == "huge number":
        forge(path, "seconds", 10**400)
    elif damage == "other key":
        checkpoint = Checkpoint(path, "another", every_seconds=0)
    else:
        config = CONFIG.replace(seed=4)
    with caplog.at_level(logging.WARNING):
        result = train(config, data, None, checkpoint)
    assert "ignoring the checkpoint" in caplog.text
    assert result == train(config, data)


def forge(path: Path, name: str, value: object) -> None:
    """Change a value of the saved state, with a digest that fits."""
    with safe_open(path, "pt") as file:
        state = json.loads(file.metadata()["state"]) | {name: value}
    tensors, text = load_file(path), json.dumps(state)
    save_file(tensors, path, {"state": text, "digest": content_digest(text, tensors)})


def reshape(path: Path, shape: list[int]) -> None:
    """Give a bias another shape in the header than in the file."""
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    next(entry for name, entry in header.items() if name.endswith(".bias"))["shape"] = shape
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + size :])


def test_an_unwritable_folder_does_not_stop_the_run(
    data: TrainingData, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("not a folder")
    checkpoint = Checkpoint(tmp_path / "file" / "run", "key", every_seconds=0)
    assert train(CONFIG, data, None, checkpoint) == train(CONFIG, data)
    assert "cannot save a checkpoint" in caplog.text


def test_checkpoints_are_not_more_frequent_than_requested(
    data: TrainingData, tmp_path: Path
) -> None:
    train(CONFIG, data, None, Checkpoint(tmp_path / "run", "key", every_seconds=60))
    assert list(tmp_path.iterdir()) == []
