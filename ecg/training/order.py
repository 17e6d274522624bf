"""The beats of an epoch and their order.

Everything random in a run is drawn from seeds derived from (seed, epoch), so an epoch can be
repeated, or a run resumed at it, without any stored random state.
"""

import hashlib

import torch
from torch import Tensor

from ecg.heartbeats import CLASSES
from ecg.imbalance import sampling_weights


def derive_seed(*parts: int | str) -> int:
    """Return a seed below 2**63 that depends on all parts and their order."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def class_counts(labels: Tensor) -> Tensor:
    """Return the number of beats of each class, (5,) int64 on the CPU."""
    return torch.bincount(labels, minlength=len(CLASSES)).cpu()


def beat_weights(labels: Tensor, ratio: float | None, *, capped: bool = False) -> Tensor | None:
    """Return the weight of each beat in the draws of the sampler.

    Args:
        labels: (n,) int64 labels of the training part.
        ratio: ratio of the sampler; None for a plain shuffle, which has no weights.
        capped: as for `ecg.imbalance.sampling_weights`.

    Returns:
        (n,) float64 on the labels' device, see `ecg.imbalance.sampling_weights`; or None.

    Raises:
        UsageError: there are no beats of class N, to which the ratio is relative.
    """
    if ratio is None:
        return None
    by_class = sampling_weights(class_counts(labels).numpy(), ratio, capped=capped)
    return torch.from_numpy(by_class).to(labels.device)[labels]


def epoch_order(labels: Tensor, weights: Tensor | None, seed: int, epoch: int) -> Tensor:
    """Draw the training rows of one epoch.

    Args:
        labels: (n,) int64 labels of the training part.
        weights: (n,) from `beat_weights`: n rows are drawn with replacement; None for a plain
            shuffle.
        seed: seed of the run.
        epoch: counted from 1.

    Returns:
        (n,) int64 row numbers on the labels' device.
    """
    generator = torch.Generator(labels.device).manual_seed(derive_seed(seed, "order", epoch))
    if weights is None:
        return torch.randperm(len(labels), generator=generator, device=labels.device)
    return torch.multinomial(weights, len(labels), replacement=True, generator=generator)
