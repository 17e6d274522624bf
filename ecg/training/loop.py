"""The shared trainer: one epoch after another, until the validation loss stops falling."""

import math
import time
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from ecg import models
from ecg.errors import EcgError
from ecg.imbalance import class_weights
from ecg.training.config import TrainConfig
from ecg.training.data import Part, TrainingData
from ecg.training.early_stopping import EarlyStopping
from ecg.training.order import beat_weights, class_counts, derive_seed, epoch_order
from ecg.training.result import Confusion, Epoch, TrainResult
from ecg.training.step import evaluate, make_optimizer, train_epoch

OnEpoch = Callable[[Epoch], bool | None]


class DivergedError(EcgError):
    """A loss is NaN or infinite."""


def train(config: TrainConfig, data: TrainingData, on_epoch: OnEpoch | None = None) -> TrainResult:
    """Train one network by the published protocol (early stopping on the validation loss).

    The same configuration on the same CPU with as many threads gives the same result to the
    bit. The host waits for the device once an epoch.

    Args:
        config: what to train.
        data: training and validation parts, on the device.
        on_epoch: called after every epoch; returning True stops the run as "pruned".

    Returns:
        All epochs, and the weights of the one with the lowest validation loss.

    Raises:
        DivergedError: a loss is NaN or infinite.
    """
    started = time.perf_counter()
    with torch.random.fork_rng(_cuda_indices(data.device)):
        _seed(data.device, derive_seed(config.seed, "weights"))
        model = build_model(config).to(data.device)
        optimizer = make_optimizer(config, model)
        scheduler = _make_scheduler(config, optimizer)
        weights = _loss_weights(config, data.train)
        sampling = beat_weights(data.train.labels, config.ratio)
        stopping = EarlyStopping(config.patience)
        epochs: list[Epoch] = []
        best_weights: Mapping[str, Tensor] = {}
        stop_reason = "max-epochs"
        for number in range(1, config.max_epochs + 1):
            learning_rate = float(optimizer.param_groups[0]["lr"])
            _seed(data.device, derive_seed(config.seed, "dropout", number))
            order = epoch_order(data.train.labels, sampling, config.seed, number)
            trained = train_epoch(model, optimizer, data.train, order, weights, config.batch_size)
            validated, cells = evaluate(model, data.validation, weights)
            train_loss, validation_loss, confusion = _to_host(trained, validated, cells)
            _check_finite(number, train_loss, validation_loss)
            if stopping.update(number, validation_loss):
                best_weights = {k: v.clone() for k, v in model.state_dict().items()}
            epochs.append(
                Epoch(
                    number=number,
                    train_loss=train_loss,
                    validation_loss=validation_loss,
                    learning_rate=learning_rate,
                    confusion=confusion,
                    best_epoch=stopping.best_epoch,
                    epochs_since_best=stopping.epochs_since_best,
                )
            )
            if on_epoch is not None and on_epoch(epochs[-1]):
                stop_reason = "pruned"
                break
            if stopping.exhausted:
                stop_reason = "early-stopping"
                break
            if scheduler is not None:
                scheduler.step(validation_loss)
    seconds = time.perf_counter() - started
    return TrainResult(
        config, tuple(epochs), stopping.best_epoch, stop_reason, seconds, best_weights
    )


def build_model(config: TrainConfig) -> nn.Module:
    """Build the configured network with freshly drawn weights."""
    return models.build(
        config.model,
        width_multiplier=config.width_multiplier,
        kernel_multiplier=config.kernel_multiplier,
        dropout_multiplier=config.dropout_multiplier,
    )


def measure(config: TrainConfig, weights: Mapping[str, Tensor], part: Part) -> Confusion:
    """Return the (5, 5) confusion matrix of trained weights on a part."""
    with torch.random.fork_rng(_cuda_indices(part.labels.device)):
        model = build_model(config).to(part.labels.device)
    model.load_state_dict(weights)
    plain = torch.ones(5, device=part.labels.device)
    return _as_confusion(evaluate(model, part, plain)[1])


def _make_scheduler(
    config: TrainConfig, optimizer: torch.optim.Optimizer
) -> torch.optim.lr_scheduler.ReduceLROnPlateau | None:
    if config.scheduler_factor is None:
        return None
    return torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer,
        factor=config.scheduler_factor,
        patience=config.scheduler_patience,
        min_lr=config.min_learning_rate,
    )


def _loss_weights(config: TrainConfig, part: Part) -> Tensor:
    counts = class_counts(part.labels).numpy()
    return torch.from_numpy(class_weights(counts, config.alpha)).to(part.signals)


def _to_host(trained: Tensor, validated: Tensor, cells: Tensor) -> tuple[float, float, Confusion]:
    """Bring an epoch's figures over in one transfer: the one time the host waits."""
    figures = torch.cat([trained, validated, cells.flatten().double()]).cpu()
    train_sum, train_weight, validation_sum, validation_weight = figures[:4].tolist()
    confusion = _as_confusion(figures[4:].view(cells.shape).long())
    return train_sum / train_weight, validation_sum / validation_weight, confusion


def _as_confusion(cells: Tensor) -> Confusion:
    return tuple(tuple(row) for row in cells.tolist())


def _check_finite(epoch: int, train_loss: float, validation_loss: float) -> None:
    for name, loss in (("training", train_loss), ("validation", validation_loss)):
        if not math.isfinite(loss):
            raise DivergedError(
                f"the {name} loss is {loss} at epoch {epoch}; a lower learning rate may help"
            )


def _seed(device: torch.device, seed: int) -> None:
    """Seed the generators a run on this device uses, and no other."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)


def _cuda_indices(device: torch.device) -> list[int]:
    return [device.index or 0] if device.type == "cuda" else []
