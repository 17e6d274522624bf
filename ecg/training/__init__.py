"""The shared trainer: `TrainConfig` + `TrainingData` -> `TrainResult`."""

from ecg.training.checkpoint import Checkpoint
from ecg.training.config import TrainConfig
from ecg.training.data import Part, TrainingData, find_device, make_part, training_data
from ecg.training.loop import measure, predict, train
from ecg.training.precision import find_precision
from ecg.training.result import Epoch, TrainResult
from ecg.training.run import DivergedError

__all__ = [
    "Checkpoint",
    "DivergedError",
    "Epoch",
    "Part",
    "TrainConfig",
    "TrainResult",
    "TrainingData",
    "find_device",
    "find_precision",
    "make_part",
    "measure",
    "predict",
    "train",
    "training_data",
]
