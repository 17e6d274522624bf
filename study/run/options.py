"""The options of `study run` that say what to do, as typed or as stored with the study."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ecg.budget import Budget, find_budget
from ecg.costs import COSTS
from ecg.errors import UsageError, use_one_of
from ecg.folds import folds_of
from ecg.metrics import OBJECTIVES
from ecg.record_lists import RecordLists
from ecg.sources import SYNTHETIC
from ecg.splits import REDRAWN
from search_spaces.tables import ALL_TABLES, TABLES
from study.storage.studies import check_name
from study.trials.pruning import PruningPolicy
from study.trials.task import SAMPLERS, SEVERAL_ONLY, check_range

MOST_SEEDS = 1000  # more is a typing mistake
PASSING = ("study", "timeout", "records")  # options that a study does not store as settings
PATHS = ("space", "replay")  # settings that may name a file


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The options of `study run`; None where the default depends on other things.

    Raises:
        UsageError: a value is invalid; names the option.
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
    prune_patience: int | None = None
    prune_warm_up: int | None = None
    prune_startup: int | None = None
    repeats: int = 1
    stop_after: int = 0
    from_study: str | None = None
    warm_start: str | None = None
    top: int = 8
    replay: Path | None = None
    records: RecordLists | None = None
    with_tf: bool = False
    objectives: str | None = None

    def __post_init__(self) -> None:
        """Check what may have been mistyped."""
        if self.study is not None:
            check_name(self.study)
        check_range("trials", self.trials, 1)
        check_range("timeout", self.timeout, 0)
        check_range("seeds", self.seeds, 1, MOST_SEEDS)
        check_range("repeats", self.repeats, 1, MOST_SEEDS)
        check_range("stop-after", self.stop_after, 0)
        check_range("top", self.top, 1)
        if self.from_study and (self.warm_start or self.trials):
            raise UsageError(
                "--from trains only the winners of a study and its baseline. Use --top to say how "
                "many, or --warm-start to continue the search from them."
            )
        if self.seed < 0:
            raise UsageError(f"--seed must be 0 or more, not {self.seed}")
        if self.sampler not in SAMPLERS:
            raise UsageError(f"unknown sampler '{self.sampler}'. {use_one_of(SAMPLERS)}")
        if self.tables and self.replay is not None:
            raise UsageError(
                "--replay is for searches. The runs of a published table cannot be replayed."
            )
        if self.repeats > 1 and (self.tables or self.replay is not None):
            raise UsageError(
                "--repeats is for searches that train. Use --seeds for the runs of a table."
            )
        if self.resplit and self.split != "intra-patient":
            raise UsageError(
                "--resplit draws the intra-patient split anew for every seed. Use --split "
                "intra-patient."
            )
        if self.resplit and not self.tables:
            raise UsageError(
                "--resplit draws a new split for every seed, and a search compares its trials on "
                "one split. Use --resplit with a published table."
            )
        if self.split == REDRAWN:
            raise UsageError("Use --split intra-patient --resplit to draw a split for every seed.")
        if folds_of(self.split):
            raise UsageError("Folds are for winners. Use `confirm --folds` to train on them.")
        self._check_objectives()
        self.prune_within(find_budget("paper"))  # the policy checks itself

    def _check_objectives(self) -> None:
        if self.objectives is None:
            if self.sampler == SEVERAL_ONLY:
                raise UsageError(
                    f"--sampler {SEVERAL_ONLY} is for several objectives. Name them with "
                    "--objectives."
                )
            return
        check_objectives(self.objectives)
        if self.tables:
            raise UsageError(
                "--objectives is for searches, and a published table is trained as it is. Leave "
                "--objectives out."
            )

    @classmethod
    def continuing(cls, typed: Mapping[str, Any], stored: Mapping[str, Any]) -> "RunOptions":
        """Return the options: each as typed, else as stored with the study, else the default.

        Args:
            typed: values by field, None if not typed.
            stored: the settings of a study, see `settings`; values that fit no field are ignored.

        Raises:
            UsageError: a value is invalid.
        """
        kept = dict(stored)
        if isinstance(kept.get("replay"), str):
            kept["replay"] = Path(kept["replay"])
        known = {field.name: field.type for field in fields(cls) if field.name not in PASSING}
        kept = {
            name: kept[name]
            for name, kind in known.items()
            if name in kept and isinstance(kept[name], kind)  # type: ignore[arg-type]
        }
        return cls(**kept | {name: value for name, value in typed.items() if value is not None})

    def settings(self, data: str) -> dict[str, Any]:
        """Return the options that a study stores, as JSON values with absolute paths.

        Args:
            data: location of the heartbeats, empty for a replay.
        """
        kept = {name: value for name, value in vars(self).items() if name not in PASSING}
        if self.objectives is None:
            del kept["objectives"]
        for name in PATHS:
            if str(kept[name]).endswith(".py") or (name == "replay" and kept[name]):
                kept[name] = str(Path(kept[name]).absolute())
        return {**kept, "data": absolute_data(data)}

    @property
    def tables(self) -> tuple[str, ...]:
        """The published tables that the space stands for; none for a search."""
        if self.space == ALL_TABLES:
            return tuple(TABLES)
        return (self.space,) if self.space in TABLES else ()

    @property
    def split_name(self) -> str:
        """The name of the study's split."""
        return REDRAWN if self.resplit else self.split

    def prune_within(self, budget: Budget) -> PruningPolicy:
        """Return when trials are pruned at a budget; with several objectives none is."""
        return PruningPolicy.within(
            budget,
            pruner="none" if self.objectives else self.pruner,
            patience=self.prune_patience,
            warm_up=self.prune_warm_up,
            startup=self.prune_startup,
        )


def check_objectives(objectives: str) -> None:
    """Refuse what cannot be the objectives of a search.

    Args:
        objectives: names, separated by commas.

    Raises:
        UsageError: says what they must be.
    """
    names = objectives.split(",")
    known = (*OBJECTIVES, *COSTS)
    if unknown := [name for name in names if name not in known]:
        raise UsageError(f"unknown objective '{unknown[0]}'. {use_one_of(known)}")
    if len(names) < 2 or len(set(names)) < len(names):
        raise UsageError(
            "--objectives needs two or more different names, such as f1_macro,parameters. Leave it "
            "out to search by the objective of the space alone."
        )
    if names[0] in COSTS:
        raise UsageError(
            f"--objectives must begin with a score, not '{names[0]}': learning curves and kept "
            "weights go by the first objective."
        )


def absolute_data(data: str) -> str:
    """Return the location of heartbeats as an absolute path."""
    return data if data in ("", SYNTHETIC) else str(Path(data).expanduser().absolute())
