"""By which factor the learning rate of an epoch differs from the optimizer's."""

import math

from ecg.training.config import TrainConfig


def rate_factor(config: TrainConfig, epoch: int) -> float:
    """Return the factor of an epoch: a linear rise, then 1 or half a cosine down to zero.

    It is taken at the middle of the epoch and holds throughout it, so it follows from the
    configuration and the number of the epoch alone. What lowers the rate on a plateau changes
    the optimizer's own rate, which this multiplies.

    Args:
        config: its `schedule`, `warm_up` and `max_epochs`.
        epoch: counted from 1.

    Returns:
        Above 0, at most 1; exactly 1 where both options are off.
    """
    middle = epoch - 0.5
    if middle < config.warm_up:
        return middle / config.warm_up
    if config.schedule is None:
        return 1.0
    return (
        1 + math.cos(math.pi * (middle - config.warm_up) / (config.max_epochs - config.warm_up))
    ) / 2
