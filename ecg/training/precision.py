"""The arithmetic precision of a training; the weights are always float32."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
from torch import nn

from ecg.errors import UsageError, use_one_of

PRECISIONS = ("fp32", "tf32", "bf16")
# Convolutions take about half of a step. Below this gain, the casts cost as much as they save.
WORTHWHILE_GAIN = 1.3
ISA_LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")  # read by oneDNN for convolutions


def find_precision(name: str, device: torch.device) -> str:
    """Return the precision of that name.

    "auto" is TF32 on CUDA; on a CPU it is bfloat16 if that is faster, else float32.

    Raises:
        UsageError: the name is unknown, or the device does not support the precision.
    """
    on_cuda = device.type == "cuda"
    if name == "auto":
        return "tf32" if on_cuda else "bf16" if is_bf16_fast() else "fp32"
    if name not in PRECISIONS:
        raise UsageError(f"unknown precision '{name}'. {use_one_of(('auto', *PRECISIONS))}")
    if name == "tf32" and not on_cuda:
        raise UsageError("precision tf32 needs a CUDA device. Use fp32 or bf16 on a CPU.")
    return name


def is_bf16_fast() -> bool:
    """Whether this CPU trains faster in bfloat16 than in float32.

    A CPU with a matrix unit (AMX) does; one without bfloat16 instructions does not. Others vary,
    so a few convolutions are timed.
    """
    known = torch.cpu.get_capabilities()
    limited = any(os.environ.get(name) for name in ISA_LIMITS)
    if known.get("amx_bf16") and not limited:
        return True
    instructions = [name for name, there in known.items() if "bf16" in name and there is True]
    return bool(instructions) and bf16_gain() >= WORTHWHILE_GAIN


@cache
def bf16_gain() -> float:
    """Time a convolution forwards and backwards on one thread, once per process.

    Returns:
        Process time in float32 divided by that in bfloat16, each the minimum of five.
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
    """Whether `computing_in` currently makes the CPU compute in bfloat16."""
    return torch.is_autocast_enabled("cpu")


@contextmanager
def computing_in(precision: str, device: torch.device) -> Iterator[None]:
    """Compute in a precision within this context.

    fp32: float32 throughout. tf32: matrix products and convolutions round their factors to a
    10-bit mantissa. bf16: PyTorch's autocast; convolutions, linear layers, batch norm and
    pooling take and return bfloat16 (and sum in float32 internally), and the loss is float32.

    Args:
        precision: a result of `find_precision`.
        device: device of the computation.
    """
    rounded = device.type == "cuda" and precision != "fp32"
    conv = torch.backends.cudnn.conv  # type: ignore[attr-defined]
    before = torch.get_float32_matmul_precision(), conv.fp32_precision
    # Not cuda.matmul.fp32_precision: torch.compile reads the setting of this older function.
    torch.set_float32_matmul_precision("high" if rounded else "highest")
    conv.fp32_precision = "tf32" if rounded else "ieee"
    try:
        # Without the cache of cast weights: a CUDA graph would read weights cast before it ran.
        with torch.autocast(
            device.type, torch.bfloat16, enabled=precision == "bf16", cache_enabled=False
        ):
            yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        conv.fp32_precision = before[1]
