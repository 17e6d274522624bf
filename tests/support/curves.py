"""Trials without training: each follows a given curve of validation losses and objectives."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import optuna
from optuna.trial import TrialState

from ecg.metrics import SCORES
from ecg.training import Epoch
from ecg.training.early_stopping import EarlyStopping
from study.trials.pruning import MonitoredCurve, PruningPolicy, best_value

Curve = Sequence[tuple[float, float]]  # validation loss and objective of every epoch
NO_BEATS = ((0,) * 5,) * 5
NEVER = 10**6  # a patience that no curve uses up


@dataclass(frozen=True)
class CurveEpoch(Epoch):
    """An epoch whose scores all have the given value."""

    value: float = 0.0

    @property
    def scores(self) -> dict[str, float]:
        return dict.fromkeys(SCORES, self.value)


@dataclass
class Walk:
    """How one trial ended.

    Attributes:
        trial: trial of Optuna.
        asked: epochs at which the pruner was asked.
        last_epoch: last epoch of the trial.
        last_value: value reported at that epoch.
        stop_reason: as in `ecg.training.TrainResult`; "" while it walks.
        best_before: the best finished value at the time of the last epoch.
    """

    trial: optuna.Trial
    asked: list[int] = field(default_factory=list)
    last_epoch: int = 0
    last_value: float = 0.0
    stop_reason: str = ""
    best_before: float = 0.0

    @property
    def reported(self) -> dict[int, float]:
        """The values stored in the database, by step."""
        found = self.trial.storage.get_trial(self.trial._trial_id).intermediate_values
        return dict(sorted(found.items()))

    @property
    def state(self) -> TrialState:
        return self.trial.storage.get_trial(self.trial._trial_id).state


def curve_epochs(curve: Curve, patience: int = NEVER) -> Iterator[CurveEpoch]:
    """Yield the epochs of a curve until early stopping or its end."""
    stopping = EarlyStopping(patience)
    for number, (loss, value) in enumerate(curve, start=1):
        stopping.update(number, loss)
        yield CurveEpoch(
            number=number,
            train_loss=loss,
            validation_loss=loss,
            learning_rate=1e-3,
            confusion=NO_BEATS,
            best_epoch=stopping.best_epoch,
            epochs_since_best=stopping.epochs_since_best,
            value=value,
        )
        if stopping.exhausted:
            return


def make_study(policy: PruningPolicy, max_epochs: int, name: str = "curves") -> optuna.Study:
    """Return an empty study in memory; hyperband's brackets depend on its name."""
    sampler = optuna.samplers.RandomSampler(seed=0)
    pruner = policy.build(max_epochs)
    return optuna.create_study(
        direction="maximize", pruner=pruner, sampler=sampler, study_name=name
    )


def walk_curves(
    study: optuna.Study,
    curves: Sequence[Curve],
    policy: PruningPolicy,
    *,
    max_epochs: int,
    patience: int = NEVER,
    jobs: int = 1,
) -> list[Walk]:
    """Walk all curves, `jobs` at a time and in turns, and tell the study how each ended."""
    walks: list[Walk] = []
    running: list[Iterator[None]] = []
    waiting = list(curves)
    while waiting or running:
        while waiting and len(running) < jobs:
            walk = Walk(study.ask())
            walks.append(walk)
            running.append(_steps(study, walk, waiting.pop(0), policy, max_epochs, patience))
        running = [steps for steps in running if next(steps, "over") != "over"]
    return walks


def _steps(
    study: optuna.Study, walk: Walk, curve: Curve, policy: PruningPolicy, limit: int, patience: int
) -> Iterator[None]:
    monitor = MonitoredCurve(walk.trial, "f1_macro", policy, limit)
    ask = walk.trial.should_prune

    def spy() -> bool:
        walk.asked.append(epoch.number)
        return ask()

    walk.trial.should_prune = spy
    for epoch in curve_epochs(curve[:limit], patience):
        walk.best_before = best_value(study.get_trials(states=(TrialState.COMPLETE,)))
        pruned = monitor(epoch)
        walk.last_epoch = epoch.number
        walk.last_value = monitor.values[epoch.best_epoch - 1]
        if pruned:
            walk.stop_reason = "pruned"
            study.tell(walk.trial, state=TrialState.PRUNED)
            return
        yield
    exhausted = epoch.epochs_since_best >= patience
    walk.stop_reason = "early-stopping" if exhausted else "max-epochs"
    walk.trial.should_prune = ask  # what hyperband is asked from here on is no pruning
    monitor.carry_forward()
    study.tell(walk.trial, walk.last_value)
