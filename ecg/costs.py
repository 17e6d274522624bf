"""What a network costs to use: its parameters, and the time it takes to classify a beat."""

from statistics import median
from time import process_time

from ecg.errors import UsageError, use_one_of
from ecg.heartbeats import BEAT_LENGTH
from ecg.rhythm import RHYTHM_LENGTH
from ecg.training.config import TrainConfig

COSTS = ("parameters", "latency")
LATENCY_BATCH = 64  # beats
WARM_UP = 3  # batches before the first that is timed
TIMED = 15  # batches


def cost_of(config: TrainConfig, cost: str) -> float:
    """Return what the configured network costs; its weights do not matter.

    Args:
        config: configuration of the network.
        cost: "parameters", the number of trainable ones; or "latency", in milliseconds of CPU time
            per beat on one thread of this machine: the median of 15 batches of 64 beats, float32.

    Raises:
        UsageError: there is no such cost.

    Example:
        >>> from ecg import TrainConfig
        >>> from ecg.costs import cost_of
        >>> cost_of(TrainConfig(model="simple"), "parameters")
        52229.0
    """
    import torch

    from ecg.models import count_parameters
    from ecg.training.run import build_model

    if cost not in COSTS:
        raise UsageError(f"unknown cost '{cost}'. {use_one_of(COSTS)}")
    length = BEAT_LENGTH + (RHYTHM_LENGTH if config.rhythm else 0)
    with torch.random.fork_rng(devices=[]):
        network = build_model(config).eval()
        beats = torch.randn(LATENCY_BATCH, 1, length)
    if cost == "parameters":
        return float(count_parameters(network))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    seconds = []
    try:
        with torch.inference_mode():
            for _ in range(WARM_UP + TIMED):
                began = process_time()  # of this process: what else runs does not count
                network(beats)
                seconds.append(process_time() - began)
    finally:
        torch.set_num_threads(threads)
    return 1000 * median(seconds[WARM_UP:]) / LATENCY_BATCH
