"""The shared trainer: `TrainConfig` + `TrainingData` -> `TrainResult`.

A name is imported when it is first asked for, so that a configuration does without PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
# The modules that have them, those that take least to import first.
_MODULES = ("config", "result", "data", "precision", "checkpoint", "run", "loop")

if not TYPE_CHECKING:  # or every name would pass the type checker

    def __getattr__(name: str) -> Any:
        """Return one of `__all__`, from the first module that has it."""
        if name in __all__:
            for module in _MODULES:
                found = vars(import_module(f"{__name__}.{module}")).get(name)
                if found is not None:
                    globals()[name] = found
                    return found
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
