"""Averaged weights: an exponential moving average over the steps of a training."""

import copy

import torch
from torch import Tensor, nn


class WeightAverage:
    """The moving average of a network's weights and batch-norm statistics.

    It starts at zero and is divided by 1 - decay^steps when read (as Adam does with its moments),
    so the first weights do not count more than later ones.

    Args:
        model: the network in training; it is not changed.
        decay: factor of the average in every step.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        """Start with zeros."""
        self.decay = decay
        self._model = model
        self._averaged = copy.deepcopy(model)
        followed = {k: v for k, v in model.state_dict().items() if v.is_floating_point()}
        self.sums = {name: torch.zeros_like(value) for name, value in followed.items()}
        self._followed = list(followed.values())

    @torch.no_grad()
    def update(self) -> None:
        """Add the weights after a step."""
        torch._foreach_lerp_(list(self.sums.values()), self._followed, 1 - self.decay)

    @torch.no_grad()
    def read(self, steps: int) -> nn.Module:
        """Return the network with the average of its weights.

        Args:
            steps: number of steps so far, above 0.

        Returns:
            The network with the current average; every call returns the same object.
        """
        for name, value in self._averaged.state_dict().items():
            if name in self.sums:
                torch.div(self.sums[name], 1 - self.decay**steps, out=value)
            else:
                value.copy_(self._model.state_dict()[name])
        return self._averaged

    def load(self, sums: dict[str, Tensor]) -> None:
        """Load the saved `sums` of another average of the same network.

        Raises:
            KeyError: a sum is missing.
        """
        for name, value in self.sums.items():
            value.copy_(sums[name])
