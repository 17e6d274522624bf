"""Pruning, tied to early stopping: one object owns the monitored curve of a trial.

Early stopping watches the validation loss, which is unweighted in every trial. Pruning watches
the study's objective, by which trials are compared. The value reported to Optuna at an epoch is
the one that the trial would return if it stopped there: the objective at the epoch of the best
loss so far.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import optuna
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.trial import TrialState

from ecg.budget import Budget
from ecg.errors import UsageError, use_one_of
from ecg.training.result import Epoch
from study.storage.attributes import BASELINE
from study.storage.ids import trial_id

PRUNERS = ("median", "hyperband", "none")
WARM_UP_SHARE = 0.1  # of a budget's epochs
LEAST_WARM_UP = 2


@dataclass(frozen=True)
class PruningPolicy:
    """When and how trials are pruned.

    Attributes:
        pruner: "median", "hyperband" or "none".
        patience: ask the pruner only after this many epochs in a row without a better validation
            loss; 0 asks at every epoch. Chosen by replay: results/search/README.md.
        warm_up: epochs of a trial before the pruner is first asked.
        startup: finished trials before the median pruner prunes.

    The baseline, the first trial of a space, is never pruned: all others are compared with it.

    Raises:
        UsageError: the pruner is unknown, or a number is negative.
    """

    pruner: str = "median"
    patience: int = 0
    warm_up: int = 2
    startup: int = 4

    def __post_init__(self) -> None:
        """Check every field."""
        if self.pruner not in PRUNERS:
            raise UsageError(f"unknown pruner '{self.pruner}'. {use_one_of(PRUNERS)}")
        for name in ("patience", "warm_up", "startup"):
            if getattr(self, name) < 0:
                raise UsageError(f"--prune-{name.replace('_', '-')} must be 0 or more")

    @classmethod
    def within(
        cls,
        budget: Budget,
        *,
        pruner: str = "median",
        patience: int | None = None,
        warm_up: int | None = None,
        startup: int | None = None,
    ) -> "PruningPolicy":
        """Return a policy whose missing values are chosen for a budget.

        The warm-up is a tenth of the epochs, at least 2. Early scores rank badly where a training
        sees all beats, so the pruner is then asked only when the loss no longer improves.
        """
        share = max(LEAST_WARM_UP, math.ceil(WARM_UP_SHARE * budget.max_epochs))
        return cls(
            pruner=pruner,
            patience=int(budget.train_beats is None) if patience is None else patience,
            warm_up=share if warm_up is None else warm_up,
            startup=cls.startup if startup is None else startup,
        )

    def build(self, max_epochs: int) -> BasePruner:
        """Return Optuna's pruner for trials of at most `max_epochs` epochs."""
        if self.pruner == "median":
            return MedianPruner(n_startup_trials=self.startup, n_warmup_steps=self.warm_up)
        if self.pruner == "hyperband":
            first = max(1, min(self.warm_up + 1, max_epochs))
            return HyperbandPruner(min_resource=first, max_resource=max_epochs)
        return NopPruner()


class MonitoredCurve:
    """The curve of one trial; called after every epoch, it returns whether to prune.

    Args:
        trial: the trial that values are reported to.
        objective: one of `ecg.metrics.OBJECTIVES`.
        policy: when the pruner is asked.
        max_epochs: the most epochs that the trial may take.
    """

    def __init__(
        self, trial: optuna.Trial, objective: str, policy: PruningPolicy, max_epochs: int
    ) -> None:
        """Begin with an empty curve."""
        self.trial = trial
        self.objective = objective
        self.policy = policy
        self.max_epochs = max_epochs
        self.is_spared = bool(trial.user_attrs.get(BASELINE))
        # Optuna takes no reports where there are several objectives, and prunes nothing there.
        self.is_reported = len(trial.study.directions) == 1
        self.values: list[float] = []

    def __call__(self, epoch: Epoch) -> bool:
        """Take in one epoch; return True to prune the trial."""
        self.values.append(epoch.scores[self.objective])
        value = self.values[epoch.best_epoch - 1]
        if self.is_reported:
            self.trial.report(value, epoch.number)
        asked = (
            self.policy.pruner != "none"
            and epoch.number > self.policy.warm_up
            and epoch.epochs_since_best >= self.policy.patience
        )
        # Hyperband is asked about a spared trial too: it compares the others with that value.
        return asked and self.trial.should_prune() and not self.is_spared and not self._leads(value)

    def carry_forward(self) -> None:
        """Report the final value of a trial that stopped early at all later epochs too.

        Trials that run longer are then compared with it.
        """
        if not self.is_reported:
            return
        reported = self.trial.storage.get_trial(trial_id(self.trial)).intermediate_values
        last = max(reported)
        for step in range(last + 1, self.max_epochs + 1):
            self.trial.report(reported[last], step)
            if self.policy.pruner == "hyperband":  # it stores a value only when asked
                self.trial.should_prune()

    def _leads(self, value: float) -> bool:
        """Whether no complete trial has a better value; the leader is never pruned."""
        finished = self.trial.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return value >= best_value(finished)


def best_value(finished: Sequence[optuna.trial.FrozenTrial]) -> float:
    """Return the best (first) value of finished trials; minus infinity if there is none."""
    return max((trial.values[0] for trial in finished if trial.values), default=-float("inf"))
