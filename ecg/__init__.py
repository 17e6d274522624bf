"""Heartbeats, networks, training and scores: the domain, without any study.

The names below are imported on first use, which keeps `import ecg` fast.

Example:
    >>> import ecg
    >>> beats = ecg.load("synthetic")
    >>> split = ecg.make_split("intra-patient", beats)
    >>> device = ecg.find_device("cpu")
    >>> data = ecg.training_data(beats, split, ecg.find_budget("smoke"), device)
    >>> config = ecg.TrainConfig(model="simple", width_multiplier=0.1, max_epochs=1)
    >>> result = ecg.train(config, data)
    >>> test = ecg.make_part(beats, split.test, device)
    >>> confusion = ecg.measure(config, result.weights, test)
    >>> 0 < ecg.scores(confusion)["f1_macro"] < 1
    True
"""

from typing import TYPE_CHECKING

from ecg.lazy import on_demand

if TYPE_CHECKING:
    from ecg.budget import Budget, find_budget
    from ecg.errors import DataError, EcgError, UsageError
    from ecg.heartbeats import Heartbeats
    from ecg.imbalance import class_weights, sampling_weights
    from ecg.metrics import per_class, scores
    from ecg.model_file import Model, load_model, save_model
    from ecg.sources import load
    from ecg.splits import Split, make_split
    from ecg.statistics import holm, interval_of_mean, paired_p_value
    from ecg.training import (
        TrainConfig,
        TrainingData,
        TrainResult,
        find_device,
        make_part,
        measure,
        train,
        training_data,
    )

    __version__: str

__all__ = [
    "Budget",
    "DataError",
    "EcgError",
    "Heartbeats",
    "Model",
    "Split",
    "TrainConfig",
    "TrainResult",
    "TrainingData",
    "UsageError",
    "__version__",
    "class_weights",
    "find_budget",
    "find_device",
    "holm",
    "interval_of_mean",
    "load",
    "load_model",
    "make_part",
    "make_split",
    "measure",
    "paired_p_value",
    "per_class",
    "sampling_weights",
    "save_model",
    "scores",
    "train",
    "training_data",
]

if not TYPE_CHECKING:  # otherwise the type checker would accept any name
    __getattr__, __dir__ = on_demand(
        __name__,
        __all__,
        (
            "ecg.errors",
            "ecg.budget",
            "ecg.training",
            "ecg.heartbeats",
            "ecg.imbalance",
            "ecg.metrics",
            "ecg.splits",
            "ecg.sources",
            "ecg.statistics",
            "ecg.model_file",
        ),
    )
