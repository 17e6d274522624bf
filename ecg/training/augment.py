"""Random changes to a training batch: mixup of beats, and jitter in time and amplitude.

Every draw comes from the device's default generator, which a run seeds for every epoch.
"""

import math

import torch
from torch import Tensor, nn

from ecg.heartbeats import BEAT_LENGTH, CLASSES, SAMPLING_RATE

# At strength 1. Amplitudes are in standard deviations of the beat, which the z-score makes 1.
STRETCH = 0.05  # largest relative stretch or compression in time
SHIFT = 3.0  # largest shift in samples (25 ms), in either direction
DRIFT = 0.3  # largest amplitude of the baseline drift
DRIFT_RATES = (0.15, 0.5)  # Hz, slow and fast breathing
NOISE = 0.1  # standard deviation of the noise


def jittered(signals: Tensor, strength: float) -> Tensor:
    """Stretch and shift every beat in time, and add slow drift and noise, drawn per beat.

    The amplitude is not scaled, because the z-score of a beat would cancel that.

    Args:
        signals: (batch, 1, 187 or more); values after the beat are not changed.
        strength: a number from 0, which changes nothing, to 1.

    Returns:
        A tensor of the same shape.
    """
    beats, rest = signals[..., :BEAT_LENGTH], signals[..., BEAT_LENGTH:]
    draws = torch.rand(5, len(beats), 1, 1, device=signals.device)
    stretch, shift, amplitude, phase, rate = draws  # (batch, 1, 1) each
    time = torch.arange(BEAT_LENGTH, device=signals.device)  # (187,) samples
    place = time * (1 + STRETCH * strength * (2 * stretch - 1))
    place = (place + SHIFT * strength * (2 * shift - 1)).clamp_(0, BEAT_LENGTH - 1)
    before = place.floor().clamp_(max=BEAT_LENGTH - 2)
    index = before.long()
    moved = torch.lerp(beats.gather(-1, index), beats.gather(-1, index + 1), place - before)
    slow, fast = DRIFT_RATES
    turns = phase + (slow + (fast - slow) * rate) / SAMPLING_RATE * time
    drift = DRIFT * strength * amplitude * torch.sin(2 * math.pi * turns)
    noise = NOISE * strength * torch.randn_like(moved)
    return torch.cat([moved + drift + noise, rest], -1)


def mixed(signals: Tensor, labels: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Mix every beat of a batch with the previous one (mixup, Zhang et al. 2018).

    The order of the batch is random, so the pairs are random. The mixing share of each pair is
    drawn from Beta(alpha, alpha).

    Args:
        signals: (batch, 1, length).
        labels: (batch,) int64.
        alpha: above 0.

    Returns:
        The mixed signals and the (batch, 5) targets, which are shares of the classes.
    """
    share = symmetric_beta(alpha, len(labels), signals.device)
    targets = nn.functional.one_hot(labels, len(CLASSES)).to(signals)
    one = share.view(-1, 1, 1)
    return (
        torch.lerp(signals.roll(1, 0), signals, one),
        torch.lerp(targets.roll(1, 0), targets, one[..., 0]),
    )


def symmetric_beta(alpha: float, n: int, device: torch.device) -> Tensor:
    """Draw n values from Beta(alpha, alpha), (n,) float32 on the device.

    They are computed from the logarithms of two Gamma(alpha) values, each
    log Gamma(alpha + 1) + log(U) / alpha, because for small alpha the values themselves are 0 in
    float32.
    """
    gammas = torch._standard_gamma(torch.full((2, n), alpha + 1, device=device))
    uniforms = torch.rand(2, n, device=device).clamp_(min=1e-38)
    logs = gammas.log() + uniforms.log() / alpha
    return torch.sigmoid(logs[0] - logs[1])
