"""What workers tell the person who watches; plain values, so it can cross processes."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """News of one trial, by its number.

    Attributes:
        trial: its number.
        state: "running", "complete", "pruned", "failed" or "interrupted".
        epoch: the last finished epoch.
        max_epochs: at most so many.
        value: the objective as it stands.
        message: what else there is to say: the parameters as it begins, why it failed.
        resumed: epochs that were not trained now: a checkpoint held them.
    """

    trial: int
    state: str
    epoch: int = 0
    max_epochs: int = 0
    value: float | None = None
    message: str = ""
    resumed: int = 0


@dataclass(frozen=True)
class Notice:
    """News that is of no trial; the first one until a trial ends well is said, whoever has it."""

    text: str


Emit = Callable[[Progress | Notice], None]
