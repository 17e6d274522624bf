"""The state of one training run between two epochs."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from ecg import models
from ecg.errors import EcgError
from ecg.imbalance import class_weights
from ecg.networks import find_network
from ecg.training.adjustment import LogitShift, choose_tau, find_shifts, find_taus
from ecg.training.config import TrainConfig
from ecg.training.data import TrainingData, inputs
from ecg.training.early_stopping import EarlyStopping
from ecg.training.ema import WeightAverage
from ecg.training.fusion import for_training
from ecg.training.graphs import GraphedSteps
from ecg.training.memory import keep_freed_memory
from ecg.training.order import beat_weights, class_counts, derive_seed, epoch_order
from ecg.training.precision import is_bf16_on_cpu
from ecg.training.result import Confusion, Epoch
from ecg.training.schedule import rate_factor
from ecg.training.step import batch_sizes, evaluate, make_optimizer, train_epoch


class DivergedError(EcgError):
    """A loss is NaN or infinite."""


class Run:
    """A network in training: everything that one epoch hands to the next.

    All randomness is derived from the seed and the number of the epoch, so this state suffices to
    continue to the same result, without the state of any random generator.

    Args:
        config: configuration of the run.
        data: training and validation parts, on the device.
    """

    def __init__(self, config: TrainConfig, data: TrainingData) -> None:
        """Draw the initial weights."""
        if data.device.type == "cpu":
            keep_freed_memory()
        self.config = config
        self.data = data = replace(
            data, train=inputs(config, data.train), validation=inputs(config, data.validation)
        )
        seed_device(data.device, derive_seed(config.seed, "weights"))
        self.model = build_model(config).to(data.device)
        self.optimizer = make_optimizer(config, self.model)
        self.average = None if config.ema is None else WeightAverage(self.model, config.ema)
        self.scheduler = _make_scheduler(config, self.optimizer)
        self.stopping = EarlyStopping(config.patience)
        self.epochs: list[Epoch] = []
        self.best_weights: Mapping[str, Tensor] = {}
        self._loss_weights = _loss_weights(config, data)
        self._taus = find_taus(config.logit_adjustment)
        self._shifts = (
            find_shifts(data.train.labels, self._taus) if config.logit_adjustment else None
        )
        self._beat_weights = beat_weights(data.train.labels, config.ratio, capped=data.by_patient)
        self._train_epoch: Callable[[Tensor], Tensor] | None = None

    @property
    def stop_reason(self) -> str | None:
        """Why the run is over; None if another epoch follows."""
        if self.stopping.exhausted:
            return "early-stopping"
        return "max-epochs" if len(self.epochs) >= self.config.max_epochs else None

    def next_epoch(self) -> Epoch:
        """Train and validate one epoch.

        Raises:
            DivergedError: a loss is NaN or infinite.
        """
        number = len(self.epochs) + 1
        config, data = self.config, self.data
        group = self.optimizer.param_groups[0]
        plain_rate = group["lr"]
        learning_rate = group["lr"] = float(plain_rate) * rate_factor(config, number)
        if self._train_epoch is None:  # made here, because a checkpoint is loaded after __init__
            self._train_epoch = self._make_train_epoch()
        seed_device(data.device, derive_seed(config.seed, "dropout", number))
        order = epoch_order(data.train.labels, self._beat_weights, config.seed, number)
        trained = self._train_epoch(order)
        group["lr"] = plain_rate
        model = self._model_to_validate()
        validated, counts = evaluate(model, data.validation, self._shifts)
        train_loss, validation_loss, confusions = _to_host(trained, validated, counts)
        _check_finite(number, train_loss, validation_loss)
        chosen = choose_tau(self._taus, confusions)
        if self.stopping.update(number, validation_loss):
            best = {k: v.clone() for k, v in model.state_dict().items()}
            if self._shifts is not None:
                best[next(reversed(best))] = self._shifts[chosen].clone()  # in the last layer
            self.best_weights = best
        if self.scheduler is not None:
            self.scheduler.step(validation_loss)
        epoch = Epoch(
            number=number,
            train_loss=train_loss,
            validation_loss=validation_loss,
            learning_rate=learning_rate,
            confusion=confusions[chosen],
            best_epoch=self.stopping.best_epoch,
            epochs_since_best=self.stopping.epochs_since_best,
            tau=self._taus[chosen],
        )
        self.epochs.append(epoch)
        return epoch

    def _make_train_epoch(self) -> Callable[[Tensor], Tensor]:
        """Return the function that trains one epoch in a given order; on a GPU by CUDA graphs.

        A network of a space file may do what a graph cannot replay, such as drawing a random
        number in Python, so it is trained without graphs.
        """
        part, batch_size = self.data.train, self.config.batch_size
        model = for_training(self.model) if is_bf16_on_cpu() else self.model
        steps = (model, self.optimizer, part, self._loss_weights, batch_size)
        is_own = find_network(self.config.model).file is not None
        if self.data.device.type == "cuda" and not is_own:
            return GraphedSteps(*steps, self.config, self.average).train_epoch
        return partial(train_epoch, *steps, options=self.config, average=self.average)

    def _model_to_validate(self) -> nn.Module:
        if self.average is None:
            return self.model
        steps = len(batch_sizes(len(self.data.train), self.config.batch_size))
        return self.average.read(steps * (len(self.epochs) + 1))


def build_model(config: TrainConfig) -> nn.Module:
    """Build the configured network with newly initialised weights."""
    network = models.build(config.model, **config.every_field())
    if not config.logit_adjustment:
        return network
    layers = network if isinstance(network, nn.Sequential) else [network]
    return nn.Sequential(*layers, LogitShift())


def seed_device(device: torch.device, seed: int) -> None:
    """Seed the generators that a run on this device uses, and no others."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)


def as_confusion(counts: Tensor) -> Confusion:
    """Return a (5, 5) tensor of counts as tuples of plain integers."""
    return tuple(tuple(row) for row in counts.tolist())


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


def _loss_weights(config: TrainConfig, data: TrainingData) -> Tensor:
    counts = class_counts(data.train.labels).numpy()
    weights = class_weights(counts, config.alpha, capped=data.by_patient)
    return torch.from_numpy(weights).to(data.train.signals)


def _to_host(
    trained: Tensor, validated: Tensor, counts: Tensor
) -> tuple[float, float, list[Confusion]]:
    """Copy an epoch's losses and counts in one transfer, the only time the host waits."""
    values = torch.cat([trained, validated.view(1), counts.flatten().double()]).cpu()
    train_sum, train_weight, validation_sum = values[:3].tolist()
    confusions = [as_confusion(one) for one in values[3:].view(-1, *counts.shape[-2:]).long()]
    beats = sum(map(sum, confusions[0]))
    return train_sum / train_weight, validation_sum / beats, confusions


def _check_finite(epoch: int, train_loss: float, validation_loss: float) -> None:
    for name, loss in (("training", train_loss), ("validation", validation_loss)):
        if not math.isfinite(loss):
            raise DivergedError(
                f"the {name} loss is {loss} at epoch {epoch}. A lower learning rate may help."
            )
