"""Logit adjustment: trades precision for recall of the rare classes after the training.

As in Menon et al. 2021 (arXiv 2007.07314), the predicted class has the largest
logit - tau * log(share of the class in the training part). tau above 0 favours rare classes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ecg.heartbeats import CLASSES
from ecg.metrics import scores
from ecg.training.order import class_counts
from ecg.training.result import Confusion

STEPS = 10  # number of values of tau tried on either side of 0


class LogitShift(nn.Module):
    """The last layer of a network with logit adjustment: subtracts its buffer `shift`.

    The shift is zero throughout the training. The saved weights contain the chosen shift, so
    every prediction with them applies it.
    """

    shift: Tensor

    def __init__(self) -> None:
        """Start with a shift of zero."""
        super().__init__()
        self.register_buffer("shift", torch.zeros(len(CLASSES)))

    def forward(self, logits: Tensor) -> Tensor:
        """(batch, 5) logits -> (batch, 5) float32."""
        return logits.float() - self.shift.float()


def find_taus(largest: float) -> tuple[float, ...]:
    """Return the values to try, from -largest to largest; only 0 if `largest` is 0."""
    if not largest:
        return (0.0,)
    return tuple(largest * step / STEPS for step in range(-STEPS, STEPS + 1))


def find_shifts(labels: Tensor, taus: Sequence[float]) -> Tensor:
    """Return the shift of the logits for each tau.

    Args:
        labels: (n,) int64 labels of the training part.
        taus: values of tau.

    Returns:
        (taus, 5) float32 on the labels' device, 0 for a class without beats. They are rounded
        to bfloat16, because networks may predict in it.
    """
    counts = class_counts(labels).double()
    logs = torch.where(counts > 0, (counts / counts.sum()).log(), 0.0)
    shifts = torch.tensor(taus, dtype=torch.float64)[:, None] * logs
    return shifts.to(torch.bfloat16).float().to(labels.device)


def choose_tau(taus: Sequence[float], found: Sequence[Confusion]) -> int:
    """Return the index of the tau with the best F1(M); of equal ones, the one nearest to 0."""
    best = [scores(confusion)["f1_macro"] for confusion in found]
    return max(range(len(taus)), key=lambda index: (best[index], -abs(taus[index])))
