"""How many workers to start: one process per core, as memory and the trials left allow."""

from collections.abc import Callable

import torch

from ecg.errors import EcgError
from study.run.resources import free_memory, usable_cores

GIB = 2**30
# Measured: highest resident memory of a process at the paper budget (all 109,446 beats including
# the test part, batches of 64, one thread, PyTorch 2.13, fp32 and bf16, one run each): Simple 0.56
# GiB, Coupled 0.63, Four-layer 0.67, Residual 0.88, of which 0.52 before the first step.
CPU_BYTES = GIB
# A generous estimate, not measured: a CUDA context (0.5 GiB), the heartbeats (0.1), and the widest
# layers of an evaluation batch of 4,096 beats (64 channels x 187 samples x 4 bytes are 0.18 GiB per
# tensor).
CUDA_BYTES = 2 * GIB


def count_jobs(
    typed: int | None,
    *,
    threads: int,
    trials: int,
    device: torch.device,
    replay: bool,
    say: Callable[[str], None],
) -> int:
    """Return how many workers to start.

    Args:
        typed: the number asked for. None for what the machine takes: one process per core, but
            only one on a GPU and for a replay, whose trials take no time.
        threads: CPU threads per worker.
        trials: number of trials left, at least 1.
        device: where trainings run.
        replay: whether trials follow recorded curves instead of training.
        say: prints that fewer workers are started than were asked for.

    Raises:
        EcgError: the GPU has too little free memory for a single worker.
    """
    # 60 replayed trials took 32 s with one worker and 33 s with two, 17 and 27 s of CPU (one run).
    alone = replay or device.type == "cuda"
    wanted = typed or (1 if alone else max(1, usable_cores() // threads))
    fit, memory = _fitting(device, wanted)
    jobs = min(wanted, trials, fit)
    if typed is not None and jobs < typed:
        left = "one trial is" if trials == 1 else f"{trials} trials are"
        reason = f"only {left} left" if jobs == trials else memory
        say(f"--jobs {typed}: starting {jobs}, because {reason}")
    return jobs


def _fitting(device: torch.device, wanted: int) -> tuple[int, str]:
    """Return how many of the wanted workers fit into the free memory, and why no more do."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        found = f"{free / GIB:.1f} of {total / GIB:.1f} GiB are free on {device}"
        if free < CUDA_BYTES:
            raise EcgError(
                f"{found}, and a worker may need {CUDA_BYTES / GIB:g} GiB. Stop other programs on "
                "the GPU, or use --device cpu."
            )
        each = CUDA_BYTES
    else:
        known = free_memory()
        free = wanted * CPU_BYTES if known is None else known
        found = f"{free / GIB:.1f} GiB of memory are free"
        each = CPU_BYTES
    return max(1, int(free // each)), f"{found} and a worker may need {each / GIB:g} GiB"
