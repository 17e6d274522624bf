"""How many workers fit into the memory of a GPU."""

import torch
from rich.console import Console

from ecg.errors import EcgError

GIB = 2**30
# An estimate, not measured, and generous: a CUDA context (0.5 GiB), the heartbeats (0.1), and the
# widest layers of an evaluation batch of 4,096 beats (64 channels x 187 samples x 4 bytes make
# 0.18 GiB a tensor).
WORKER_BYTES = 2 * GIB


def fitting_jobs(jobs: int, device: torch.device, console: Console) -> int:
    """Return how many of the workers asked for fit on the device, and say so where not all do.

    Raises:
        EcgError: there is not enough memory free for a single one.
    """
    if device.type != "cuda":
        return jobs
    free, total = torch.cuda.mem_get_info(device)
    fit = free // WORKER_BYTES
    memory = f"{free / GIB:.1f} of {total / GIB:.1f} GiB are free on {device}"
    if fit == 0:
        raise EcgError(
            f"{memory}, and a worker may take {WORKER_BYTES / GIB:g}; end what else uses the "
            "GPU, or use --device cpu"
        )
    if fit < jobs:
        console.print(
            f"{memory}: {fit} workers of at most {WORKER_BYTES / GIB:g} GiB fit, not {jobs}; "
            f"going on with {fit}",
            highlight=False,
        )
    return int(min(jobs, fit))
