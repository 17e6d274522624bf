"""Heartbeats as tensors on the device, transferred once per process."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecg.budget import Budget
from ecg.errors import UsageError, use_one_of
from ecg.heartbeats import Heartbeats
from ecg.rhythm import NO_RHYTHM, has_rhythm, rhythm
from ecg.splits import Rows, Split, subsample
from ecg.training.config import TrainConfig


@dataclass(frozen=True, eq=False)
class Part:
    """One part of a split on the device.

    Attributes:
        signals: (n, 1, 187) float32.
        labels: (n,) int64.
        rhythm: (n, 4) float32 from `ecg.rhythm`, None if the data has no RR intervals.
        rows: (n,) row numbers in the heartbeats, on the CPU; None if unknown.
        record: (n,) record number of each beat, on the CPU; None if unknown.
    """

    signals: Tensor
    labels: Tensor
    rhythm: Tensor | None = None
    rows: Rows | None = None
    record: NDArray[np.int32] | None = None

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class TrainingData:
    """The data of a training run: training and validation, never the test part.

    Attributes:
        train: the training part.
        validation: the validation part.
        by_patient: whether the split is by patient; class weights and draws are then capped, see
            `ecg.imbalance`.
    """

    train: Part
    validation: Part
    by_patient: bool = False

    @property
    def device(self) -> torch.device:
        """The device of the tensors."""
        return self.train.labels.device


def find_device(name: str = "auto") -> torch.device:
    """Return the device of that name; "auto" means CUDA if available, else the CPU.

    Raises:
        UsageError: the name is unknown, or the device does not exist.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        known = ("auto", "cpu", "cuda", "cuda:N")
        raise UsageError(f"unknown device '{name}'. {use_one_of(known)}")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"`device` {name}: PyTorch {torch.__version__} sees {torch.cuda.device_count()} CUDA "
            "devices. Use `device` cpu, or install a driver and a PyTorch build with CUDA."
        )
    return device


def normalise(signals: NDArray[np.float32]) -> NDArray[np.float32]:
    """Z-score every beat over its 187 values (population standard deviation + 1e-8).

    Args:
        signals: (n, 187) float32.

    Returns:
        (n, 187) float32.
    """
    mean = signals.mean(axis=1, keepdims=True)
    deviation = signals.std(axis=1, keepdims=True)
    normal: NDArray[np.float32] = (signals - mean) / (deviation + np.float32(1e-8))
    return normal


def make_part(beats: Heartbeats, rows: Rows, device: torch.device) -> Part:
    """Normalise some rows of beats and move them to the device."""
    signals = torch.from_numpy(normalise(beats.signals[rows])).unsqueeze(1)
    labels = torch.from_numpy(beats.labels[rows])
    around = torch.from_numpy(rhythm(beats)[rows]).to(device) if has_rhythm(beats) else None
    return Part(signals.to(device), labels.to(device), around, rows, beats.record[rows])


def inputs(config: TrainConfig, part: Part) -> Part:
    """Return a part with the inputs of the configured network.

    Returns:
        The part itself; or with `rhythm` a part with signals (n, 1, 187 + 4), in which each beat
        ends in the numbers of the rhythm.

    Raises:
        UsageError: the network takes the rhythm, but the data has no RR intervals.
    """
    if config.rhythm is None:
        return part
    if part.rhythm is None:
        raise UsageError(NO_RHYTHM)
    signals = torch.cat([part.signals, part.rhythm.unsqueeze(1)], -1)
    return replace(part, signals=signals)


def training_data(
    beats: Heartbeats, split: Split, budget: Budget, device: torch.device
) -> TrainingData:
    """Reduce training and validation part to the budget, and move them to the device.

    Raises:
        UsageError: there are fewer than 2 training beats.

    Example:
        >>> from ecg import find_budget, find_device, load, make_split, training_data
        >>> beats = load("synthetic")
        >>> split = make_split("inter-patient", beats)
        >>> data = training_data(beats, split, find_budget("smoke"), find_device("cpu"))
        >>> data.train.signals.shape
        torch.Size([512, 1, 187])
    """
    train = subsample(split.train, beats.labels, budget.train_beats)
    if len(train) < 2:
        raise UsageError("the training part has fewer than 2 beats. Use more data.")
    validation = subsample(split.validation, beats.labels, budget.validation_beats)
    return TrainingData(
        make_part(beats, train, device),
        make_part(beats, validation, device),
        split.by_patient,
    )
