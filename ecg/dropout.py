"""Dropout whose random draws cost little on a CPU."""

import torch
from torch import Tensor, nn

BITS = 16
DRAWS = 2**BITS  # that can be drawn for a value
DRAWS_A_WORD = 64 // BITS


class Dropout(nn.Dropout):
    """`nn.Dropout`, with four draws from every 64 random bits on a CPU.

    PyTorch draws for one value at a time there, which slows a training step down. With 16 bits a
    draw, the probability is rounded to a multiple of 2**-16 (0.3 becomes 0.300003), and what is
    kept is scaled by the rounded one.
    Elsewhere, and under torch.compile, this is PyTorch's own dropout.
    """

    @property
    def dropped(self) -> int:
        """How many of all `DRAWS` drop a value."""
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
        x: of any shape, on a CPU.
        dropped: how many of all `DRAWS` drop a value.

    Returns:
        int16, 1 to keep and 0 to drop, in the shape and memory layout of x.
    """
    words = torch.empty(-(-x.numel() // DRAWS_A_WORD), dtype=torch.int64)
    words.random_(-(2**63), None)
    layout = torch.empty_like(x, device="meta").stride()
    draws = words.view(torch.int16).as_strided(x.shape, layout)
    # Compared into their own type: into bool takes seven times as long (bench: one core of an
    # AMD EPYC, 766,000 values).
    return torch.ge(draws, dropped - DRAWS // 2, out=draws)
