"""In which arithmetic a network is trained; the weights are float32 in all of them."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ecg.errors import UsageError

PRECISIONS = ("fp32", "tf32", "bf16")


def find_precision(name: str, device: torch.device) -> str:
    """Return the precision of that name; "auto" is TF32 on CUDA and float32 on a CPU.

    Raises:
        UsageError: the name is not known, or the device cannot compute in it.
    """
    on_cuda = device.type == "cuda"
    if name == "auto":
        return "tf32" if on_cuda else "fp32"
    if name not in PRECISIONS:
        raise UsageError(f"unknown precision '{name}'; use auto, {', '.join(PRECISIONS)}")
    if name == "tf32" and not on_cuda:
        raise UsageError("--precision tf32 needs a CUDA device; use fp32 or bf16 on a CPU")
    return name


@contextmanager
def computing_in(precision: str, device: torch.device) -> Iterator[None]:
    """Compute in a precision while this lasts.

    fp32: float32 throughout. tf32: products of matrices and convolutions round their factors
    to 10 bits of fraction. bf16: PyTorch's autocast, products in bfloat16, sums and the loss in
    float32.

    Args:
        precision: as `find_precision` returned it.
        device: on which to compute.
    """
    rounded = device.type == "cuda" and precision != "fp32"
    conv = torch.backends.cudnn.conv  # type: ignore[attr-defined]
    before = torch.get_float32_matmul_precision(), conv.fp32_precision
    # Not cuda.matmul.fp32_precision: torch.compile asks for what this older name sets.
    torch.set_float32_matmul_precision("high" if rounded else "highest")
    conv.fp32_precision = "tf32" if rounded else "ieee"
    try:
        # Without the cache of cast weights: a CUDA graph would read what was cast before it.
        with torch.autocast(
            device.type, torch.bfloat16, enabled=precision == "bf16", cache_enabled=False
        ):
            yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        conv.fp32_precision = before[1]
