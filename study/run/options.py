"""The options of `study run` that say what to do, as typed or as the study was made with."""

from dataclasses import dataclass
from pathlib import Path

from ecg.errors import UsageError
from ecg.record_lists import RecordLists
from ecg.splits import REDRAWN
from search_spaces.tables import ALL_TABLES, TABLES
from study.storage.studies import check_name
from study.trials.pruning import PruningPolicy
from study.trials.task import SAMPLERS, check_range

MOST_SEEDS = 1000  # more is a slip of the finger


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What `study run` is asked for; None where a default depends on other things.

    Raises:
        UsageError: a number or name makes no sense; names the option.
    """

    space: str = "imbalance"
    trials: int | None = None
    seeds: int = 1
    timeout: float | None = None
    study: str | None = None
    split: str = "intra-patient"
    resplit: bool = False
    budget: str | None = None
    seed: int = 0
    sampler: str = "tpe"
    pruner: str = "median"
    prune_patience: int = 0
    replay: Path | None = None
    records: RecordLists | None = None
    with_tf: bool = False

    def __post_init__(self) -> None:
        """Check what a person may have mistyped."""
        if self.study is not None:
            check_name(self.study)
        check_range("trials", self.trials, 1)
        check_range("timeout", self.timeout, 0)
        check_range("seeds", self.seeds, 1, MOST_SEEDS)
        if self.seed < 0:
            raise UsageError(f"--seed must be 0 or more, not {self.seed}")
        if self.sampler not in SAMPLERS:
            raise UsageError(f"unknown sampler '{self.sampler}'; known: {', '.join(SAMPLERS)}")
        if self.tables and self.replay is not None:
            raise UsageError("--replay is for searches: the runs of a table cannot be replayed")
        if self.resplit and self.split != "intra-patient":
            raise UsageError(
                "--resplit draws the split intra-patient anew. Use --split intra-patient"
            )
        if self.resplit and not self.tables:
            raise UsageError(
                "--resplit draws another split for every seed, so it is for the published tables. "
                "A search compares its trials on one split"
            )
        if self.split == REDRAWN:
            raise UsageError("Use --split intra-patient --resplit to draw a split for every seed")
        _ = self.pruning  # checks itself

    @property
    def tables(self) -> tuple[str, ...]:
        """The published tables that the space stands for, none for a search."""
        if self.space == ALL_TABLES:
            return tuple(TABLES)
        return (self.space,) if self.space in TABLES else ()

    @property
    def split_name(self) -> str:
        """The name of the split that the study has."""
        return REDRAWN if self.resplit else self.split

    @property
    def pruning(self) -> PruningPolicy:
        """When trials are pruned."""
        return PruningPolicy(pruner=self.pruner, patience=self.prune_patience)
