"""Dropout whose random draws cost little on a CPU."""

import torch
from torch import Tensor, nn

BITS = 16
DRAWS_A_WORD = 64 // BITS


class Dropout(nn.Dropout):
    """`nn.Dropout`, with four draws from every 64 random bits on a CPU.

    PyTorch draws for one value at a time there, which slows a training step down
    (results/benchmarks/training-cpu.md has both). With 16 bits a draw, the probability is rounded
    to a multiple of 2**-16 (0.3 becomes 0.300003), and what is kept is scaled by the rounded one.
    Elsewhere, and under torch.compile, this is PyTorch's own dropout.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(any shape) -> (same shape and memory layout)."""
        dropped = round(self.p * 2**BITS)  # of all values of a draw
        plain = x.device.type != "cpu" or torch.compiler.is_compiling()
        if not self.training or plain or dropped in (0, 2**BITS):
            return nn.functional.dropout(x, self.p, self.training)
        keep: Tensor = _random_like(x) >= dropped - 2 ** (BITS - 1)
        scale = 2**BITS / (2**BITS - dropped)
        return x * keep.to(x.dtype).mul_(scale)


def _random_like(x: Tensor) -> Tensor:
    """Draw int16 values, uniform over all of them, in the shape and memory layout of x."""
    words = torch.empty(-(-x.numel() // DRAWS_A_WORD), dtype=torch.int64)
    words.random_(-(2**63), None)
    return words.view(torch.int16).as_strided(x.shape, torch.empty_like(x, device="meta").stride())
