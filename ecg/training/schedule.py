"""The schedule: the factor of the learning rate in each epoch."""

import math

from ecg.training.config import TrainConfig


def rate_factor(config: TrainConfig, epoch: int) -> float:
    """Return the factor of an epoch: a linear rise, then 1 or half a cosine down to zero.

    The schedule is evaluated at the middle of the epoch and held constant within it, so it depends
    only on the configuration and the number of the epoch. The plateau scheduler changes the
    optimizer's learning rate, which this factor multiplies.

    Args:
        config: configuration with `schedule`, `warm_up` and `max_epochs`.
        epoch: number of the epoch, from 1.

    Returns:
        A factor above 0, at most 1; exactly 1 if both options are off.
    """
    middle = epoch - 0.5
    if middle < config.warm_up:
        return middle / config.warm_up
    if config.schedule is None:
        return 1.0
    return (
        1 + math.cos(math.pi * (middle - config.warm_up) / (config.max_epochs - config.warm_up))
    ) / 2
