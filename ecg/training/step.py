"""The training step: gather a batch, forward, loss, backward, update, all on the device."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn

from ecg.heartbeats import CLASSES
from ecg.networks import ADAM_EPSILON
from ecg.training.augment import jittered, mixed
from ecg.training.config import TrainConfig
from ecg.training.data import Part
from ecg.training.ema import WeightAverage
from ecg.training.fusion import for_evaluation
from ecg.training.precision import is_bf16_on_cpu

# On a CPU, a small batch stays in the cache; bfloat16 needs less of it. A GPU needs a large batch.
EVALUATION_BATCH = {"cpu": 64, "cuda": 4096}
BF16_EVALUATION_BATCH = 512
PUBLISHED = TrainConfig()
Found = TypeVar("Found")


def make_optimizer(config: TrainConfig, model: nn.Module) -> torch.optim.Optimizer:
    """Return the configured optimizer, in PyTorch's fused form."""
    parameters = list(model.parameters())
    rate, decay = config.learning_rate, config.weight_decay
    if config.optimizer == "sgd":
        return torch.optim.SGD(
            parameters,
            rate,
            config.momentum,
            weight_decay=decay,
            nesterov=config.momentum > 0,
            fused=True,
        )
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    capturable = parameters[0].is_cuda  # the step of a CUDA graph counts on the device
    epsilon = ADAM_EPSILON.get(config.model, 1e-8)
    return kind(
        parameters, rate, eps=epsilon, weight_decay=decay, fused=True, capturable=capturable
    )


def batch_sizes(beats: int, batch_size: int) -> list[int]:
    """Return the sizes of an epoch's batches.

    The last batch may be smaller. A batch of a single beat is left out, because batch norm cannot
    compute its variance.
    """
    full, rest = divmod(beats, batch_size)
    return [batch_size] * full + [rest] * (rest > 1)


def train_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    part: Part,
    rows: Tensor,
    class_weights: Tensor,
    options: TrainConfig = PUBLISHED,
    average: WeightAverage | None = None,
) -> Tensor:
    """Train one batch.

    Args:
        model: network in training mode.
        optimizer: optimizer of the model.
        part: the training part.
        rows: (batch,) int64 rows of the part to train on.
        class_weights: (5,) float32 weights in the cross-entropy.
        options: configuration with `jitter`, `mixup` and `label_smoothing`.
        average: average to update with the weights after the step.

    Returns:
        (2,) float32 on the device: the weighted mean loss times the sum of the weights, and that
        sum.
    """
    signals, labels = part.signals[rows], part.labels[rows]  # (batch, 1, 187), (batch,)
    if options.jitter:
        signals = jittered(signals, options.jitter)
    optimizer.zero_grad(set_to_none=True)
    loss, weight = _loss(model, signals, labels, class_weights, options)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    if average is not None:
        average.update()
    return torch.stack([loss.detach() * weight, weight])


def _loss(
    model: nn.Module, signals: Tensor, labels: Tensor, class_weights: Tensor, options: TrainConfig
) -> tuple[Tensor, Tensor]:
    """Return the weighted mean cross-entropy of a batch, and the sum of its weights."""
    cross_entropy = partial(
        nn.functional.cross_entropy, weight=class_weights, label_smoothing=options.label_smoothing
    )
    if not options.mixup:
        return cross_entropy(model(signals), labels), class_weights[labels].sum()
    signals, targets = mixed(signals, labels, options.mixup)
    weight = (targets @ class_weights).sum()
    return cross_entropy(model(signals), targets, reduction="sum") / weight, weight


def train_epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    part: Part,
    class_weights: Tensor,
    batch_size: int,
    order: Tensor,
    options: TrainConfig = PUBLISHED,
    average: WeightAverage | None = None,
) -> Tensor:
    """Train one epoch, step by step.

    Args:
        model: network in any mode; left in training mode.
        optimizer: optimizer of the model.
        part: the training part.
        class_weights: (5,) float32 weights in the cross-entropy.
        batch_size: beats per step.
        order: (n,) int64 rows to train on, in order.
        options: as for `train_step`.
        average: as for `train_step`.

    Returns:
        (2,) float64 on the device: sum of the weighted losses, sum of the weights.
    """
    model.train()
    totals = torch.zeros(2, dtype=torch.float64, device=order.device)
    sizes = batch_sizes(len(order), batch_size)
    for rows in torch.split(order[: sum(sizes)], sizes):
        totals += train_step(model, optimizer, part, rows, class_weights, options, average)
    return totals


def evaluate(model: nn.Module, part: Part, shifts: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Measure a model on a part; if memory runs out, try once more with half the batch size.

    Args:
        model: network in any mode; left in evaluation mode.
        part: the part to measure on.
        shifts: (k, 5) float32, each subtracted from the logits before the class is chosen;
            None for no shift.

    Returns:
        () float64 sum of the unweighted losses of the logits without shift, and (k, 5, 5) int64
        confusion matrices, one per shift (rows true, columns predicted), both on the device;
        (5, 5) without `shifts`.
    """
    total, counts = _sparing(partial(_evaluate, model, part, shifts), part.labels.device)
    return total, counts[0] if shifts is None else counts


def predict_logits(model: nn.Module, signals: Tensor) -> Tensor:
    """Return the logits of beats, computed in the same batches as in `evaluate`.

    Args:
        model: network in any mode; left in evaluation mode.
        signals: (n, 1, 187) z-scored beats on the device.

    Returns:
        (n, 5) float32 on the device.
    """
    return _sparing(partial(_predict, model, signals), signals.device)


def _sparing(work: Callable[[int], Found], device: torch.device) -> Found:
    """Do work with a batch size; if memory runs out, try once more with half of it."""
    size = BF16_EVALUATION_BATCH if is_bf16_on_cpu() else EVALUATION_BATCH[device.type]
    try:
        return work(size)
    except torch.OutOfMemoryError:
        return work(size // 2)


def _evaluating(model: nn.Module) -> nn.Module:
    """Return the model in evaluation mode, or its faster form in bfloat16 on a CPU."""
    return for_evaluation(model) if is_bf16_on_cpu() else model.eval()


@torch.inference_mode()
def _predict(model: nn.Module, signals: Tensor, size: int) -> Tensor:
    network = _evaluating(model)
    return torch.cat([network(batch).float() for batch in torch.split(signals, size)])


@torch.inference_mode()
def _evaluate(
    model: nn.Module, part: Part, shifts: Tensor | None, size: int
) -> tuple[Tensor, Tensor]:
    network = _evaluating(model)
    device, matrices = part.labels.device, 1 if shifts is None else len(shifts)
    total = torch.zeros((), dtype=torch.float64, device=device)
    counts = torch.zeros(matrices * len(CLASSES) ** 2, dtype=torch.int64, device=device)
    offset = torch.arange(matrices, device=device) * len(CLASSES) ** 2
    batches = torch.split(part.signals, size)
    for signals, labels in zip(batches, torch.split(part.labels, size), strict=True):
        logits = network(signals)  # (batch, 5)
        total += nn.functional.cross_entropy(logits, labels, reduction="sum")
        if shifts is None:
            predicted = logits.argmax(1, keepdim=True)  # (batch, 1)
        else:
            predicted = (logits[:, None].float() - shifts).argmax(2)  # (batch, k)
        at = (offset + labels[:, None] * len(CLASSES) + predicted).flatten()
        counts.index_add_(0, at, torch.ones_like(at))
    return total, counts.view(matrices, len(CLASSES), len(CLASSES))
