"""How long a study will take on this machine, from steps timed before the first training."""

import heapq
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import torch

from ecg.budget import Budget
from ecg.heartbeats import Heartbeats
from ecg.splits import Split, subsample
from ecg.training import Epoch, TrainConfig, make_part, measure, train
from ecg.training.data import TrainingData

TIMED_SECONDS = 0.3  # per network, at least one epoch
STEPS_PER_EPOCH = 2
EVALUATED_BEATS = 128
# The fields of a configuration that determine the time of a step.
TIMED = (
    *("model", "width_multiplier", "kernel_multiplier", "dropout_multiplier", "batch_size"),
    *("ema", "mixup", "jitter", "logit_adjustment", "rhythm"),
)
CPU = torch.device("cpu")


def estimate(
    ahead: Sequence[TrainConfig],
    jobs: int,
    beats: Heartbeats,
    split: Split,
    budget: Budget,
    *,
    epochs: float | None,
    precision: str,
    is_tested: bool,
) -> tuple[float, float | None]:
    """Return how long training runs will take; each distinct network is timed once.

    Args:
        ahead: configurations of the runs, in order.
        jobs: number of runs at once.
        beats: the heartbeats to train on.
        split: the split of the beats.
        budget: the limits of a run.
        epochs: epochs that a run is expected to take, None if unknown.
        precision: the precision of the runs.
        is_tested: whether each run is measured on the test part.

    Returns:
        Seconds with every epoch of the budget; seconds with the expected epochs, None if unknown.
    """
    networks = [network_of(config) for config in ahead]
    paces = {n: time_network(n, beats, split, precision) for n in dict.fromkeys(networks)}
    train = len(subsample(split.train, beats.labels, budget.train_beats))
    validation = len(subsample(split.validation, beats.labels, budget.validation_beats))
    test = len(split.test) if is_tested else 0

    def seconds(each: float) -> float:
        def of(pace: Pace) -> float:  # at the end the validation part is predicted once more
            evaluated = (each + 1) * validation + test
            return each * train * pace.training + evaluated * pace.evaluation

        return time_of_all([of(paces[network]) for network in networks], jobs)

    return seconds(budget.max_epochs), None if epochs is None else seconds(epochs)


@dataclass(frozen=True)
class Pace:
    """Seconds that a network takes per beat, in training and in evaluation."""

    training: float
    evaluation: float


def time_network(config: TrainConfig, beats: Heartbeats, split: Split, precision: str) -> Pace:
    """Time a few steps of a network on a CPU, without changing the state of random generators.

    Args:
        config: the configuration; its network and batch size matter.
        beats: the heartbeats to train on.
        split: the split of the beats.
        precision: the precision to compute in.
    """
    rows = subsample(split.train, beats.labels, STEPS_PER_EPOCH * config.batch_size)
    measured = make_part(beats, subsample(split.validation, beats.labels, EVALUATED_BEATS), CPU)
    # A validation part of one beat, so that an epoch is its training steps.
    data = TrainingData(make_part(beats, rows, CPU), make_part(beats, split.validation[:1], CPU))
    timed = network_of(config).replace(learning_rate=1e-6, max_epochs=1000, patience=1000)
    ends: list[float] = []

    def stop(_: Epoch) -> bool:
        ends.append(time.perf_counter())
        return len(ends) > 1 and ends[-1] - ends[0] >= TIMED_SECONDS

    weights = train(timed, data, stop, precision=precision).weights
    began = time.perf_counter()
    measure(timed, weights, measured, precision)
    evaluation = (time.perf_counter() - began) / len(measured)
    # The first epoch does not count: it prepares the kernels.
    epoch = median(end - before for before, end in pairwise(ends))
    return Pace(epoch / len(rows), evaluation)


def network_of(config: TrainConfig) -> TrainConfig:
    """Return a configuration reduced to the fields that determine the time of a step."""
    return TrainConfig(**{name: getattr(config, name) for name in TIMED})


def time_of_all(seconds: Sequence[float], jobs: int) -> float:
    """Return when the last run ends, if the first free job always takes the next run."""
    free = [0.0] * jobs
    for run in seconds:
        heapq.heapreplace(free, free[0] + run)
    return max(free)
