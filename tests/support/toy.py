"""A small deterministic set of beats whose classes can be learned in seconds, and test settings."""

from typing import Any

import numpy as np
import torch
from hypothesis import settings

from ecg.heartbeats import BEAT_LENGTH, CLASSES, Heartbeats
from ecg.imbalance import class_weights
from ecg.splits import DS1, DS2, Rows
from ecg.training import Part, TrainConfig, TrainingData, make_part

CPU = torch.device("cpu")
RECORDS = tuple(sorted(DS1 + DS2))
SHARES = (0.6, 0.02, 0.16, 0.06, 0.16)  # of N, S, V, F, Q; S is as rare as in the real set
SILENCE = 20  # samples of zero padding at the end of each beat

# Options of the trainer that can be on together; `EACH_OPTION` has each alone.
ALL_OPTIONS: dict[str, Any] = {
    "schedule": "cosine", "warm_up": 2, "ema": 0.95, "label_smoothing": 0.1, "mixup": 0.3,
    "jitter": 0.5, "logit_adjustment": 0.5, "rhythm": "rr",
}  # fmt: skip
EACH_OPTION = [{name: value} for name, value in ALL_OPTIONS.items()]

# Hypothesis draws the same examples every time, so a failure is never a matter of luck.
rule = settings(max_examples=60, deadline=None, derandomize=True, database=None)


def toy_heartbeats(n: int = 600, *, seed: int = 0, in_test: bool = False) -> Heartbeats:
    """Return `n` beats, one wave form per class, spread over the 44 DS1/DS2 records.

    N: one narrow wave; S: three; V: one broad; F: a dip; Q: a ripple.

    Args:
        n: number of beats.
        seed: seed of places and noise.
        in_test: whether the set comes with a test part (every fifth beat).
    """
    rng = np.random.default_rng(seed)
    counts = [int(share * n) for share in SHARES]
    counts[0] += n - sum(counts)
    labels = rng.permutation(np.repeat(np.arange(len(CLASSES)), counts))
    time = np.arange(BEAT_LENGTH - SILENCE)
    at = rng.uniform(50, 90, size=(n, 1))  # samples

    def wave(centre: np.ndarray, width: float) -> np.ndarray:
        return np.exp(-(((time - centre) / width) ** 2))

    shapes = [
        wave(at, 3),
        wave(at, 3) + wave(at - 25, 3) + wave(at + 25, 3),
        wave(at, 20),
        1 - wave(at, 6),
        0.5 + 0.5 * np.sin((time - at) * 0.9),
    ]
    raw = np.choose(labels[:, None], shapes) + rng.normal(0, 0.03, size=(n, len(time)))
    low, high = raw.min(1, keepdims=True), raw.max(1, keepdims=True)
    signals = np.pad((raw - low) / (high - low), ((0, 0), (0, SILENCE)))
    rr = np.full((n, 2), 300 / 360, dtype=np.float32)
    rr[: len(RECORDS), 0] = rr[-len(RECORDS) :, 1] = np.nan  # the ends of the records
    return Heartbeats(
        signals=signals.astype(np.float32),
        labels=labels.astype(np.int64),
        record=np.resize(np.array(RECORDS, dtype=np.int32), n),
        sample=(np.arange(n, dtype=np.int32) // len(RECORDS)) * 300 + 77,
        symbol=np.array(["N", "A", "V", "F", "/"])[labels],
        in_test=np.arange(n) % 5 == 0 if in_test else None,
        source="synthetic",
        rr=rr,
    )


def flat_heartbeats(
    labels: Rows, *, record: Rows | None = None, in_test: np.ndarray | None = None
) -> Heartbeats:
    """Return silent beats with these labels, for rules that do not look at signals.

    Without `record`, record and sample are unknown; with it, each beat has a different sample.
    """
    n = len(labels)
    unknown = np.full(n, -1, dtype=np.int32)
    return Heartbeats(
        signals=np.broadcast_to(np.float32(0), (n, BEAT_LENGTH)),
        labels=np.asarray(labels, dtype=np.int64),
        record=unknown if record is None else np.asarray(record, dtype=np.int32),
        sample=unknown if record is None else np.arange(n, dtype=np.int32),
        symbol=np.full(n, ""),
        in_test=in_test,
        source="kaggle",
    )


def toy_data(n: int = 600, validation: int = 200) -> TrainingData:
    """Return the toy set on the CPU: the first `validation` beats validate, the rest train."""
    beats = toy_heartbeats(n)
    rows = np.arange(n)
    return TrainingData(
        make_part(beats, rows[validation:], CPU), make_part(beats, rows[:validation], CPU)
    )


def contrary(data: TrainingData) -> TrainingData:
    """Return the data with every eighth validation label wrong.

    Learning first lowers the validation loss; being sure of the rest raises it again.
    """
    wrong = data.validation.labels.clone()
    wrong[::8] = (wrong[::8] + 1) % len(CLASSES)
    return TrainingData(data.train, Part(data.validation.signals, wrong))


def loss_weights(config: TrainConfig, part: Part) -> torch.Tensor:
    """Return the (5,) weights in the cross-entropy of a run that trains on this part."""
    counts = np.bincount(part.labels.numpy(), minlength=5)
    return torch.from_numpy(class_weights(counts, config.alpha)).float()
