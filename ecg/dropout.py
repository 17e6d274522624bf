"""Dropout with cheap random draws on a CPU."""

import torch
from torch import Tensor, nn

BITS = 16
DRAWS = 2**BITS  # possible outcomes of one draw
DRAWS_PER_WORD = 64 // BITS


class Dropout(nn.Dropout):
    """`nn.Dropout` that makes four draws from every 64 random bits on a CPU.

    PyTorch draws for one value at a time on a CPU, which slows down a training step. With 16 bits
    per draw, the probability is rounded to a multiple of 2**-16 (0.3 becomes 0.300003), and kept
    values are scaled by the rounded probability. On other devices, and under torch.compile, this
    is PyTorch's own dropout.
    """

    @property
    def dropped(self) -> int:
        """How many of the `DRAWS` outcomes drop a value."""
        dropped: int = round(self.p * DRAWS)
        return dropped

    def forward(self, x: Tensor) -> Tensor:
        """(any shape) -> (same shape and memory layout)."""
        plain = x.device.type != "cpu" or torch.compiler.is_compiling()
        if not self.training or plain or self.dropped in (0, DRAWS):
            return nn.functional.dropout(x, self.p, self.training)
        kept = draw(x, self.dropped).to(x.dtype)
        return x * kept.mul_(DRAWS / (DRAWS - self.dropped))


def draw(x: Tensor, dropped: int) -> Tensor:
    """Draw which values to keep.

    Args:
        x: tensor of any shape on a CPU.
        dropped: how many of the `DRAWS` outcomes drop a value.

    Returns:
        int16 tensor with the shape and memory layout of x; 1 keeps a value, 0 drops it.
    """
    words = torch.empty(-(-x.numel() // DRAWS_PER_WORD), dtype=torch.int64)
    words.random_(-(2**63), None)
    layout = torch.empty_like(x, device="meta").stride()
    draws = words.view(torch.int16).as_strided(x.shape, layout)
    # The result has the type of the draws: comparing into bool takes seven times as long
    # (766,000 values, one core of an AMD EPYC).
    return torch.ge(draws, dropped - DRAWS // 2, out=draws)
