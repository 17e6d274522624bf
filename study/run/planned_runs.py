"""Planned cells (configuration x repeat): what is done, what is left, what to queue.

A cell fixes its whole configuration, so nothing is sampled and nothing is selected: it may
measure the test part. The published tables and the confirmation of a winner are made of cells.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from ecg.budget import Budget
from ecg.networks import MODELS
from ecg.training import TrainConfig
from ecg.training.config import OPTIMIZERS
from ecg.training.order import derive_seed
from study.storage.attributes import key_of

TABLES_REASON = "a published table"  # why they read the test part
CELLS_OBJECTIVE = "f1_macro"  # cells select nothing; this is what dashboards draw
# What a cell shows as parameters, where its value is a number or a known name.
SHOWN: dict[str, BaseDistribution] = {
    "model": CategoricalDistribution(MODELS),
    "optimizer": CategoricalDistribution(OPTIMIZERS),
    "learning_rate": FloatDistribution(0, 1),
    "weight_decay": FloatDistribution(0, 1),
    "scheduler_factor": FloatDistribution(0, 1),
    "alpha": FloatDistribution(0, 1),
    "ratio": FloatDistribution(0, 1),
}


@dataclass(frozen=True)
class Cell:
    """One configuration with one seed.

    Attributes:
        config: with the budget's limits and the repeat's seed.
        repeat: counted from 0. All configurations share the seed of a repeat, so that they
            can be compared in pairs.
    """

    config: TrainConfig
    repeat: int

    @property
    def configuration(self) -> str:
        """The digest of the configuration whatever its seed."""
        return self.config.replace(seed=0).digest

    @property
    def key(self) -> tuple[str, int]:
        """What makes two cells the same."""
        return self.configuration, self.repeat


def plan_cells(
    configurations: Iterable[Mapping[str, Any]], repeats: int, budget: Budget, seed: int
) -> list[Cell]:
    """Return every cell once, all configurations of a repeat together.

    Args:
        configurations: `TrainConfig` fields that differ from the baseline.
        repeats: seeds of each.
        budget: limits of a training run.
        seed: of the study.
    """
    cells: dict[tuple[str, int], Cell] = {}
    known = [TrainConfig.from_fields(fields) for fields in configurations]
    for repeat in range(repeats):
        for config in known:
            cell = plan_cell(config, repeat, budget, seed)
            cells.setdefault(cell.key, cell)
    return list(cells.values())


def plan_cell(config: TrainConfig, repeat: int, budget: Budget, seed: int) -> Cell:
    """Return a configuration, whatever its seed and limits, as a cell of a study.

    Args:
        config: to be trained.
        repeat: counted from 0.
        budget: limits of a training run.
        seed: of the study.
    """
    derived = derive_seed("repeat", seed, repeat) % 2**31
    return Cell(
        config.within(budget).replace(seed=derived),
        repeat,
    )


def queue_missing(study: optuna.Study, cells: Sequence[Cell]) -> int:
    """Queue the cells that are neither complete, running nor queued; call it under the lock.

    Returns:
        The number of cells queued.
    """
    alive = (TrialState.COMPLETE, TrialState.RUNNING, TrialState.WAITING)
    known = {key_of(trial) for trial in study.get_trials(deepcopy=False, states=alive)}
    missing = [cell for cell in cells if cell.key not in known]
    failed = study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
    last_failure = {key_of(trial): trial.number for trial in failed}
    shown = shown_parameters(study)
    for cell in missing:
        study.add_trial(planned_trial(cell, shown, last_failure.get(cell.key)))
    return len(missing)


def find_incomplete(study: optuna.Study, cells: Iterable[Cell]) -> list[Cell]:
    """Return the cells that are not complete."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    known = {key_of(trial) for trial in complete}
    return [cell for cell in cells if cell.key not in known]


def shown_parameters(study: optuna.Study) -> dict[str, BaseDistribution]:
    """Return how cells show their parameters: as those before, which Optuna insists on."""
    trials = study.get_trials(deepcopy=False)
    before = next((trial.distributions for trial in trials if key_of(trial) is not None), {})
    return {name: before.get(name, distribution) for name, distribution in SHOWN.items()}


def _can_show(distribution: BaseDistribution, value: Any) -> bool:
    """Whether the value is there, and not a name newer than the study."""
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    return value is not None


def planned_trial(
    cell: Cell, shown_as: Mapping[str, BaseDistribution], failure: int | None
) -> FrozenTrial:
    """Return a queued trial of the cell, in the place of a failed one where there is one.

    Args:
        cell: to be trained.
        shown_as: see `shown_parameters`.
        failure: number of the failed trial.
    """
    again = {"again": {"trial": failure, "reason": "queued again after it failed"}}
    fields = cell.config.to_fields()
    shown = {
        name: distribution
        for name, distribution in shown_as.items()
        if _can_show(distribution, fields[name])
    }
    return optuna.create_trial(
        state=TrialState.WAITING,
        params={**{name: fields[name] for name in shown}, "repeat": cell.repeat},
        distributions={**shown, "repeat": IntDistribution(0, 10**6)},
        user_attrs={
            **({} if failure is None else again),
            "cell": {
                "configuration": cell.configuration,
                "repeat": cell.repeat,
                "fields": fields,
            },
        },
    )
