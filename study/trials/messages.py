"""Messages of the workers to whoever watches; plain values that can cross processes."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """News of one trial.

    Attributes:
        trial: number of the trial.
        state: "running", "complete", "pruned", "failed" or "interrupted".
        epoch: the last finished epoch.
        max_epochs: the most epochs that the trial may take.
        value: the objective so far.
        message: more about the state: the parameters at the start, the reason of a failure.
        resumed: epochs that came from a checkpoint and were not trained now.
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
    """News of no particular trial; repeated notices are shown once until a trial ends well."""

    text: str


Emit = Callable[[Progress | Notice], None]
