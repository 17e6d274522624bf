"""What a worker is asked to do: where, in which study, and with which goal.

Plain values that can cross processes.
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
from study.storage.weights import check_keep
from study.trials.pruning import PruningPolicy

SAMPLERS = ("tpe", "random", "gp", "grid", "nsga2")
SEVERAL_ONLY = "nsga2"  # the sampler that needs several objectives
MOST = 256  # jobs or threads: more is a typing mistake that would fill the machine


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where a study runs and how: as typed at first, later with every "auto" resolved.

    Attributes:
        storage: URL of the database.
        data: location of the heartbeats, as for `ecg.sources.resolve`.
        device: as for `ecg.training.find_device`.
        precision: as for `ecg.training.find_precision`.
        jobs: number of workers, None for as many as the machine takes.
        threads: CPU threads per worker.
        checkpoint_seconds: the least time between two checkpoints of a trial.
        keep: which weights are kept, one of `study.storage.weights.KEEP`; None for the rule of
            the study.
        debug: print the traceback of a failed trial.

    Raises:
        UsageError: a number is out of range or the URL is invalid; names the option.
    """

    storage: str
    data: str = "auto"
    device: str = "auto"
    precision: str = "auto"
    jobs: int | None = None
    threads: int = 1
    checkpoint_seconds: float = 30.0
    keep: str | None = None
    debug: bool = False

    def __post_init__(self) -> None:
        """Check what may have been mistyped."""
        check_range("jobs", self.jobs, 1, MOST)
        check_range("threads", self.threads, 1, MOST)
        parse_url(self.storage)
        if self.keep is not None:
            check_keep(self.keep)
        if not self.checkpoint_seconds >= 0:
            raise UsageError("--checkpoint-every must be 0 or more seconds")

    @property
    def checkpoints(self) -> Path:
        """The folder for checkpoints: beside an SQLite file, else in results/."""
        return folder_beside(self.storage) / "checkpoints"


@dataclass(frozen=True, kw_only=True)
class Search:
    """The goal to find the best configuration of a space.

    Attributes:
        space: name or file of the space.
        target: number of finished trials to reach.
        sampler: how new trials are sampled, one of `SAMPLERS`.
        pruning: when trials are pruned.
        replay: recording to follow instead of training, None to train.
        points: the points of a grid or an earlier study, see `point_of`, which alone count; None
            where all trials count.
        stop_after: stop after this many finished trials in a row without a gain beyond noise, see
            `study.run.gain`; 0 never stops early.
    """

    space: str
    target: int
    sampler: str = "tpe"
    pruning: PruningPolicy = field(default_factory=PruningPolicy)
    replay: Path | None = None
    points: frozenset[str] | None = None
    stop_after: int = 0
    noun = "trial"

    @property
    def only_queued(self) -> bool:
        """Whether all trials are queued beforehand and none is sampled."""
        return self.sampler == "grid" or self.points is not None

    def accepts(self, trial: FrozenTrial) -> bool:
        """Whether the trial counts towards the goal."""
        fixed = trial.system_attrs.get("fixed_params", trial.params)
        return self.points is None or point_of(fixed) in self.points


def point_of(parameters: Mapping[str, Any]) -> str:
    """Return parameters as text that is equal for equal parameters."""
    return json.dumps(dict(parameters), sort_keys=True)


@dataclass(frozen=True, kw_only=True)
class PlannedRuns:
    """The goal to train and test configurations that are fixed beforehand.

    Attributes:
        keys: keys of the planned runs, see `study.run.planned_runs.PlannedRun`.
        reason: why the test part is read.
        space: file that defines the user's own networks, None if there are none.
    """

    keys: frozenset[tuple[str, int]]
    reason: str
    space: str | None = None
    sampler = "random"  # samples nothing: every trial is queued
    pruning = PruningPolicy(pruner="none")
    only_queued = True
    replay = None
    stop_after = 0
    noun = "planned run"

    @property
    def target(self) -> int:
        """The number of finished trials to reach."""
        return len(self.keys)

    def accepts(self, trial: FrozenTrial) -> bool:
        """Whether the trial counts towards the goal."""
        return key_of(trial) in self.keys


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a worker needs to know to join a study.

    Attributes:
        machine: where and how it runs, with no "auto" left.
        study: name of the study.
        identity: the study's identity.
        goal: what to reach.
        deadline: no trial starts after this `time.monotonic()` of this machine; None for no limit.
    """

    machine: Machine
    study: str
    identity: Identity
    goal: Search | PlannedRuns
    deadline: float | None = None


def check_range(option: str, value: float | None, least: float, most: float = float("inf")) -> None:
    """Refuse a number that is out of range; None is accepted.

    Raises:
        UsageError: names the option.
    """
    if value is not None and not value >= least:
        raise UsageError(f"--{option} must be at least {least:g}, not {value:g}")
    if value is not None and value > most:
        raise UsageError(f"--{option} must be at most {most:g}, not {value}")
