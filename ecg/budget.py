"""How much training a study may spend; part of its identity and shown next to its scores."""

from dataclasses import dataclass

from ecg.errors import UsageError, use_one_of


@dataclass(frozen=True)
class Budget:
    """Limits on data and epochs. The test part is never reduced.

    Attributes:
        name: what people type.
        max_epochs: maximum number of epochs per training run.
        patience: epochs without a better validation loss before early stopping.
        train_beats: size of the fixed stratified training subset, None for all beats.
        validation_beats: the same for validation.
        trials: default number of finished trials per search.
        schedule: learning-rate schedule for configurations without one; see `TrainConfig`.
        warm_up: epochs of warm-up in that schedule.
    """

    name: str
    max_epochs: int
    patience: int
    train_beats: int | None
    validation_beats: int | None
    trials: int
    schedule: str | None = None
    warm_up: int = 0

    def describe(self) -> str:
        """Return a one-line description."""
        beats = "all beats" if self.train_beats is None else f"{self.train_beats:,} training beats"
        limits = f"{beats}, at most {self.max_epochs} epochs, patience {self.patience}"
        if self.schedule is not None:
            limits += f", {self.schedule} after {self.warm_up} epoch of warm-up"
        return f"{self.name} ({limits})"


BUDGETS = {
    budget.name: budget
    for budget in (
        Budget("smoke", 2, 2, 512, 512, trials=3),
        Budget("quick", 10, 3, 2_048, 2_048, trials=12),
        Budget("short", 12, 12, None, None, trials=60, schedule="cosine", warm_up=1),
        Budget("paper", 100, 15, None, None, trials=60),
    )
}


def gives_schedule(max_epochs: int, schedule: str | None, warm_up: int) -> bool:
    """Whether a budget gives this schedule, so that it is not the configuration's own choice."""
    known = {(one.max_epochs, one.schedule, one.warm_up) for one in BUDGETS.values()}
    return (max_epochs, schedule, warm_up) in known


def find_budget(name: str) -> Budget:
    """Return the budget of that name.

    Raises:
        UsageError: no budget has this name.

    Example:
        >>> from ecg import find_budget
        >>> find_budget("quick").max_epochs
        10
    """
    if name not in BUDGETS:
        raise UsageError(f"unknown budget '{name}'. {use_one_of(BUDGETS)}")
    return BUDGETS[name]
