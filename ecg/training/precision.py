"""In which arithmetic a network is trained; the weights are float32 in all of them."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
from torch import nn

from ecg.errors import UsageError

PRECISIONS = ("fp32", "tf32", "bf16")
# Convolutions are about half of a step: below this gain, casts cost what they win.
WORTHWHILE_GAIN = 1.3
ISA_LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")  # of oneDNN, which does the convolutions


def find_precision(name: str, device: torch.device) -> str:
    """Return the precision of that name.

    "auto" is TF32 on CUDA; on a CPU it is bfloat16 where that is faster, else float32.

    Raises:
        UsageError: the name is not known, or the device cannot compute in it.
    """
    on_cuda = device.type == "cuda"
    if name == "auto":
        return "tf32" if on_cuda else "bf16" if is_bf16_fast() else "fp32"
    if name not in PRECISIONS:
        raise UsageError(f"unknown precision '{name}'; use auto, {', '.join(PRECISIONS)}")
    if name == "tf32" and not on_cuda:
        raise UsageError("precision tf32 needs a CUDA device; use fp32 or bf16 on a CPU")
    return name


def is_bf16_fast() -> bool:
    """Whether this CPU trains faster in bfloat16 than in float32.

    A CPU with a matrix unit (AMX) does, one without any bfloat16 instruction does not. Others
    differ, so a few convolutions are timed.
    """
    known = torch.cpu.get_capabilities()
    limited = any(os.environ.get(name) for name in ISA_LIMITS)
    if known.get("amx_bf16") and not limited:
        return True
    instructions = [name for name, there in known.items() if "bf16" in name and there is True]
    return bool(instructions) and bf16_gain() >= WORTHWHILE_GAIN


@cache
def bf16_gain() -> float:
    """Time a convolution forwards and backwards on one thread, once in a process.

    Returns:
        Process time in float32 over that in bfloat16, each the least of five.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        timed = [(_time_convolution(torch.float32), _time_convolution(torch.bfloat16))
                 for _ in range(6)][1:]  # fmt: skip
    finally:
        torch.set_num_threads(threads)
    return min(slow for slow, _ in timed) / min(fast for _, fast in timed)


def _time_convolution(kind: torch.dtype) -> float:
    layout = torch.channels_last
    weights = torch.ones(64, 64, 1, 5).to(kind, memory_format=layout).requires_grad_()
    signals = torch.ones(64, 64, 1, 187).to(kind, memory_format=layout).requires_grad_()
    began = time.process_time()
    found = nn.functional.conv2d(signals, weights, padding=(0, 2))
    found.sum().backward()  # type: ignore[no-untyped-call]
    return time.process_time() - began


def is_bf16_on_cpu() -> bool:
    """Whether `computing_in` has a CPU compute in bfloat16 just now."""
    return torch.is_autocast_enabled("cpu")


@contextmanager
def computing_in(precision: str, device: torch.device) -> Iterator[None]:
    """Compute in a precision while this lasts.

    fp32: float32 throughout. tf32: products of matrices and convolutions round their factors
    to 10 bits of fraction. bf16: PyTorch's autocast; convolutions, linear layers, batch norm and
    pooling take and return bfloat16 (they sum in float32 inside), the loss is float32.

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
