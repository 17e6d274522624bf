"""Averaged weights: an exponential moving average over the steps of a training."""

import copy

import torch
from torch import Tensor, nn


class WeightAverage:
    """The moving average of a network's weights and of the statistics of its batch norms.

    It begins at zero and is divided by the sum of its weights, 1 - decay^steps, when it is read
    (as Adam does with its moments), so that the first weights count no more than later ones.

    Args:
        model: in training; it is not changed.
        decay: by which the average is multiplied in every step.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        """Begin with zeros."""
        self.decay = decay
        self._model = model
        self._averaged = copy.deepcopy(model)
        followed = {k: v for k, v in model.state_dict().items() if v.is_floating_point()}
        self.sums = {name: torch.zeros_like(value) for name, value in followed.items()}
        self._followed = list(followed.values())

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after a step."""
        torch._foreach_lerp_(list(self.sums.values()), self._followed, 1 - self.decay)

    @torch.no_grad()
    def read(self, steps: int) -> nn.Module:
        """Return the network with the average of its weights.

        Args:
            steps: how many were taken in, above 0.

        Returns:
            The same network at every call, with the weights of now.
        """
        for name, value in self._averaged.state_dict().items():
            if name in self.sums:
                torch.div(self.sums[name], 1 - self.decay**steps, out=value)
            else:
                value.copy_(self._model.state_dict()[name])
        return self._averaged

    def load(self, sums: dict[str, Tensor]) -> None:
        """Take over the saved `sums` of another average of the same network.

        Raises:
            KeyError: one of them is missing.
        """
        for name, value in self.sums.items():
            value.copy_(sums[name])
