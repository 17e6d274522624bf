"""The options of `study run`, as typed, and what is refused of them at once."""

from dataclasses import dataclass
from pathlib import Path

from ecg.errors import UsageError
from ecg.record_lists import RecordLists
from search_spaces.tables import ALL_TABLES, TABLES
from study.run.queue import SAMPLERS
from study.storage.database import parse_url
from study.storage.weights import KEEP, check_keep
from study.trials.pruning import PruningPolicy

# More is a slip of the finger, and would fill the machine.
MOST = {"jobs": 256, "threads": 256, "seeds": 1000}


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The options of `study run`, as typed; None where a default depends on other things."""

    space: str
    trials: int | None
    seeds: int
    timeout: float | None
    study: str | None
    storage: str
    data: str
    split: str
    budget: str | None
    device: str
    precision: str = "auto"
    seed: int
    jobs: int | None
    threads: int = 1
    sampler: str
    pruning: PruningPolicy
    checkpoint_seconds: float
    replay: Path | None = None
    keep: str = KEEP[0]
    with_tf: bool = False
    records: RecordLists | None = None
    debug: bool


def check_options(options: RunOptions) -> None:
    """Refuse numbers and names that make no sense.

    Raises:
        UsageError: names the option.
    """
    for name in ("trials", "timeout", "jobs", "threads", "seeds"):
        value = getattr(options, name)
        if value is not None and not value > 0:
            raise UsageError(f"--{name} must be at least 1, not {value:g}")
    for name, most in MOST.items():
        value = getattr(options, name)
        if value is not None and value > most:
            raise UsageError(f"--{name} must be at most {most}, not {value}")
    parse_url(options.storage)
    if options.seed < 0:
        raise UsageError(f"--seed must be 0 or more, not {options.seed}")
    if not options.checkpoint_seconds >= 0:
        raise UsageError("--checkpoint-every must be 0 or more seconds")
    check_keep(options.keep)
    if options.sampler not in SAMPLERS:
        raise UsageError(f"unknown sampler '{options.sampler}'; known: {', '.join(SAMPLERS)}")


def find_tables(space: str) -> tuple[str, ...]:
    """Return the published tables a space stands for, none for a search."""
    if space == ALL_TABLES:
        return tuple(TABLES)
    return (space,) if space in TABLES else ()
