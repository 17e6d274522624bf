"""The shared trainer: `TrainConfig` + `TrainingData` -> `TrainResult`."""

from ecg.training.config import TrainConfig
from ecg.training.data import Part, TrainingData, find_device, make_part, training_data
from ecg.training.loop import DivergedError, measure, train
from ecg.training.result import Epoch, TrainResult

__all__ = [
    "DivergedError",
    "Epoch",
    "Part",
    "TrainConfig",
    "TrainResult",
    "TrainingData",
    "find_device",
    "make_part",
    "measure",
    "train",
    "training_data",
]
