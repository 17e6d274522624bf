"""What a worker is asked to do: where, in which study, and towards which goal.

Plain values, so that they can cross processes.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

from ecg.errors import UsageError
from study.storage.attributes import key_of
from study.storage.database import folder_beside, parse_url
from study.storage.studies import Identity
from study.storage.weights import KEEP, check_keep
from study.trials.pruning import PruningPolicy

SAMPLERS = ("tpe", "random", "gp", "grid", "nsga2")
SEVERAL_ONLY = "nsga2"  # the sampler that is for several objectives
MOST = 256  # jobs or threads: more is a slip of the finger, and would fill the machine


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where a study runs, and how; as typed, then with every "auto" resolved.

    Attributes:
        storage: URL of the database.
        data: where the heartbeats are, as for `ecg.sources.resolve`.
        device: as for `ecg.training.find_device`.
        precision: as for `ecg.training.find_precision`.
        jobs: workers, None for as many as the machine takes.
        threads: CPU threads of each worker.
        checkpoint_seconds: so long at least between two checkpoints of a trial.
        keep: whose weights are kept, one of `study.storage.weights.KEEP`.
        debug: print the traceback of a failed trial.

    Raises:
        UsageError: a number makes no sense, or the URL is none; names the option.
    """

    storage: str
    data: str = "auto"
    device: str = "auto"
    precision: str = "auto"
    jobs: int | None = None
    threads: int = 1
    checkpoint_seconds: float = 30.0
    keep: str = KEEP[0]
    debug: bool = False

    def __post_init__(self) -> None:
        """Check what a person may have mistyped."""
        check_range("jobs", self.jobs, 1, MOST)
        check_range("threads", self.threads, 1, MOST)
        parse_url(self.storage)
        check_keep(self.keep)
        if not self.checkpoint_seconds >= 0:
            raise UsageError("--checkpoint-every must be 0 or more seconds")

    @property
    def checkpoints(self) -> Path:
        """The folder of the running trials' checkpoints: beside an SQLite file, else results/."""
        return folder_beside(self.storage) / "checkpoints"


@dataclass(frozen=True, kw_only=True)
class Search:
    """The goal to find the best configuration of a space.

    Attributes:
        space: its name or file.
        target: finished trials asked for.
        sampler: of new trials, one of `SAMPLERS`.
        pruning: when trials are pruned.
        replay: recording whose curves stand in for training, None to train.
        points: of a grid or of an earlier study, see `point_of`; None where all trials count.
        stop_after: end when so many finished trials in a row brought no gain beyond noise, see
            `study.run.gain`; 0 for no such end.
    """

    space: str
    target: int
    sampler: str = "tpe"
    pruning: PruningPolicy = field(default_factory=PruningPolicy)
    replay: Path | None = None
    points: frozenset[str] | None = None
    stop_after: int = 0

    @property
    def only_queued(self) -> bool:
        """Whether all trials are queued beforehand, none sampled."""
        return self.sampler == "grid" or self.points is not None

    def accepts(self, trial: FrozenTrial) -> bool:
        """Whether the trial counts towards the goal; of a grid its points do."""
        fixed = trial.system_attrs.get("fixed_params", trial.params)
        return self.points is None or point_of(fixed) in self.points


def point_of(parameters: Mapping[str, Any]) -> str:
    """Return parameters as one text, equal for equal ones."""
    return json.dumps(dict(parameters), sort_keys=True)


@dataclass(frozen=True, kw_only=True)
class PlannedRuns:
    """The goal to train and test configurations that are fixed beforehand.

    Attributes:
        keys: of the runs asked for, see `study.run.planned_runs.PlannedRun`.
        reason: why the test part is read.
        space: file that defines own networks, None where there are none.
    """

    keys: frozenset[tuple[str, int]]
    reason: str
    space: str | None = None
    sampler = "random"  # never asked
    pruning = PruningPolicy(pruner="none")
    only_queued = True
    replay = None
    stop_after = 0

    @property
    def target(self) -> int:
        """Finished trials asked for."""
        return len(self.keys)

    def accepts(self, trial: FrozenTrial) -> bool:
        """Whether the trial counts towards the goal."""
        return key_of(trial) in self.keys


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a worker needs to know to join a study.

    Attributes:
        machine: with no "auto" left.
        study: name.
        identity: of the study.
        goal: what is asked for.
        deadline: `time.monotonic()` of this machine after which no trial begins, None for no end.
    """

    machine: Machine
    study: str
    identity: Identity
    goal: Search | PlannedRuns
    deadline: float | None = None


def check_range(option: str, value: float | None, least: float, most: float = float("inf")) -> None:
    """Refuse a number out of its range; None passes.

    Raises:
        UsageError: names the option.
    """
    if value is not None and not value >= least:
        raise UsageError(f"--{option} must be at least {least:g}, not {value:g}")
    if value is not None and value > most:
        raise UsageError(f"--{option} must be at most {most:g}, not {value}")
