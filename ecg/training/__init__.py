"""The shared trainer: `TrainConfig` + `TrainingData` -> `TrainResult`.

Names are imported on first use, so a configuration does not need PyTorch.
"""

from typing import TYPE_CHECKING

from ecg.lazy import on_demand

if TYPE_CHECKING:
    from ecg.training.checkpoint import Checkpoint
    from ecg.training.config import TrainConfig
    from ecg.training.data import Part, TrainingData, find_device, make_part, training_data
    from ecg.training.loop import measure, predict, trade_off, train
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
    "trade_off",
    "train",
    "training_data",
]

if not TYPE_CHECKING:  # otherwise the type checker would accept any name
    __getattr__, __dir__ = on_demand(
        __name__,
        __all__,
        (
            "ecg.training.config",
            "ecg.training.result",
            "ecg.training.data",
            "ecg.training.precision",
            "ecg.training.checkpoint",
            "ecg.training.run",
            "ecg.training.loop",
        ),
    )
