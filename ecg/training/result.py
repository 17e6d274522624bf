"""The result of a training run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ecg.metrics import scores
from ecg.training.config import TrainConfig

if TYPE_CHECKING:  # reading recordings and results does not need PyTorch
    from torch import Tensor

Confusion = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Epoch:
    """One finished epoch.

    Attributes:
        number: counted from 1.
        train_loss: mean weighted cross-entropy over the training beats of the epoch.
        validation_loss: mean unweighted cross-entropy over the validation part.
        learning_rate: learning rate of the epoch.
        confusion: (5, 5) validation counts, rows true, columns predicted.
        best_epoch: epoch of the lowest validation loss so far.
        epochs_since_best: number of consecutive epochs without a better validation loss.
        tau: tau of the logit adjustment in `confusion`.
    """

    number: int
    train_loss: float
    validation_loss: float
    learning_rate: float
    confusion: Confusion
    best_epoch: int
    epochs_since_best: int
    tau: float = 0.0

    @property
    def scores(self) -> dict[str, float]:
        """The validation scores, see `ecg.metrics.scores`."""
        return scores(self.confusion)


@dataclass(frozen=True)
class TrainResult:
    """One finished run.

    Attributes:
        config: configuration of the run.
        epochs: every epoch in order.
        best_epoch: epoch of the lowest validation loss, counted from 1.
        stop_reason: "early-stopping", "max-epochs" or "pruned".
        seconds: time of training and validation.
        weights: state of the network at the best epoch, on the device.
    """

    config: TrainConfig
    epochs: tuple[Epoch, ...]
    best_epoch: int
    stop_reason: str
    seconds: float = field(compare=False)
    weights: Mapping[str, "Tensor"] = field(compare=False, repr=False)

    @property
    def best(self) -> Epoch:
        """The epoch of the lowest validation loss."""
        return self.epochs[self.best_epoch - 1]

    @property
    def confusion(self) -> Confusion:
        """(5, 5) validation counts at the best epoch."""
        return self.best.confusion
