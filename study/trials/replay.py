"""Replay: a trial follows a recorded curve instead of training, so a study takes seconds."""

import time
from collections.abc import Callable

from ecg.training import Epoch, TrainConfig, TrainResult
from study.storage.recordings import RecordedTrial

OnEpoch = Callable[[Epoch], bool | None]


def follow(recorded: RecordedTrial, config: TrainConfig, on_epoch: OnEpoch) -> TrainResult:
    """Follow a recorded curve instead of training; like `ecg.training.train`, without weights."""
    began = time.perf_counter()
    seen: list[Epoch] = []
    stop_reason = "max-epochs"
    for epoch in recorded.epochs(config.patience)[: config.max_epochs]:
        seen.append(epoch)
        if on_epoch(epoch):
            stop_reason = "pruned"
            break
        if epoch.epochs_since_best >= config.patience:
            stop_reason = "early-stopping"
            break
    seconds = time.perf_counter() - began
    return TrainResult(config, tuple(seen), seen[-1].best_epoch, stop_reason, seconds, {})
