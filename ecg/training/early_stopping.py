"""Early stopping: stop when the validation loss has not improved for a number of epochs."""

import math
from dataclasses import dataclass


@dataclass
class EarlyStopping:
    """Watches the validation loss of one run.

    Attributes:
        patience: number of consecutive epochs without a better loss after which the run stops.
        best_loss: lowest loss so far.
        best_epoch: epoch of the lowest loss, counted from 1; 0 before the first.
        epochs_since_best: number of consecutive epochs without a better loss.
    """

    patience: int
    best_loss: float = math.inf
    best_epoch: int = 0
    epochs_since_best: int = 0

    def update(self, epoch: int, loss: float) -> bool:
        """Take in the loss of one epoch; return whether it is the best so far."""
        if loss < self.best_loss:
            self.best_loss, self.best_epoch, self.epochs_since_best = loss, epoch, 0
            return True
        self.epochs_since_best += 1
        return False

    @property
    def exhausted(self) -> bool:
        """Whether the patience is used up."""
        return self.epochs_since_best >= self.patience
