"""Planned runs (configuration x seed): which are done, which are left, which to queue.

A planned run fixes its whole configuration. Nothing is sampled or selected, so it may be measured
on the test part. The published tables and the confirmation of winners consist of planned runs.
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
from study.storage.attributes import PLANNED, key_of

TABLES_REASON = "a published table"  # why their runs read the test part
RUNS_OBJECTIVE = "f1_macro"  # planned runs select nothing; dashboards draw this
# The parameters that a planned run shows, where the value is a number or a known name.
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
class PlannedRun:
    """One configuration with one seed.

    Attributes:
        config: the configuration, with the limits of the budget and the seed of the repeat.
        repeat: number of the repeat, from 0. All configurations share the seed of a repeat, so
            that they can be compared in pairs.
    """

    config: TrainConfig
    repeat: int

    @property
    def configuration(self) -> str:
        """The digest of the configuration without its seed."""
        return self.config.replace(seed=0).digest

    @property
    def key(self) -> tuple[str, int]:
        """The key of the planned run, equal for equal runs."""
        return self.configuration, self.repeat


def plan_runs(
    configurations: Iterable[Mapping[str, Any]], repeats: int, budget: Budget, seed: int
) -> list[PlannedRun]:
    """Return every planned run once, ordered by repeat.

    Args:
        configurations: `TrainConfig` fields that differ from the baseline.
        repeats: seeds per configuration.
        budget: the limits of a training run.
        seed: the study's seed.
    """
    runs: dict[tuple[str, int], PlannedRun] = {}
    known = [TrainConfig.from_fields(fields) for fields in configurations]
    for repeat in range(repeats):
        for config in known:
            run = plan_run(config, repeat, budget, seed)
            runs.setdefault(run.key, run)
    return list(runs.values())


def plan_run(config: TrainConfig, repeat: int, budget: Budget, seed: int) -> PlannedRun:
    """Return a configuration as a planned run of a study, which sets its seed and limits.

    Args:
        config: the configuration to train.
        repeat: number of the repeat, from 0.
        budget: the limits of a training run.
        seed: the study's seed.
    """
    derived = derive_seed("repeat", seed, repeat) % 2**31
    return PlannedRun(config.within(budget).replace(seed=derived), repeat)


def queue_missing(study: optuna.Study, runs: Sequence[PlannedRun]) -> int:
    """Queue the planned runs that are not complete, running or queued; call this under the lock.

    Returns:
        The number of runs queued.
    """
    alive = (TrialState.COMPLETE, TrialState.RUNNING, TrialState.WAITING)
    known = {key_of(trial) for trial in study.get_trials(deepcopy=False, states=alive)}
    missing = [run for run in runs if run.key not in known]
    failed = study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
    last_failure = {key_of(trial): trial.number for trial in failed}
    shown = shown_parameters(study)
    for run in missing:
        study.add_trial(planned_trial(run, shown, last_failure.get(run.key)))
    return len(missing)


def find_incomplete(study: optuna.Study, runs: Iterable[PlannedRun]) -> list[PlannedRun]:
    """Return the planned runs that are not complete."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    known = {key_of(trial) for trial in complete}
    return [run for run in runs if run.key not in known]


def shown_parameters(study: optuna.Study) -> dict[str, BaseDistribution]:
    """Return how planned runs show their parameters: like earlier ones, as Optuna requires."""
    trials = study.get_trials(deepcopy=False)
    before = next((trial.distributions for trial in trials if key_of(trial) is not None), {})
    return {name: before.get(name, distribution) for name, distribution in SHOWN.items()}


def _can_show(distribution: BaseDistribution, value: Any) -> bool:
    """Whether there is a value, and not a name that is newer than the study."""
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    return value is not None


def planned_trial(
    run: PlannedRun, shown_as: Mapping[str, BaseDistribution], failure: int | None
) -> FrozenTrial:
    """Return a queued trial of a planned run.

    Args:
        run: the planned run.
        shown_as: see `shown_parameters`.
        failure: number of the failed trial that it replaces, None if there is none.
    """
    again = {"again": {"trial": failure, "reason": "requeued after it failed"}}
    fields = run.config.to_fields()
    shown = {
        name: distribution
        for name, distribution in shown_as.items()
        if _can_show(distribution, fields[name])
    }
    return optuna.create_trial(
        state=TrialState.WAITING,
        params={**{name: fields[name] for name in shown}, "repeat": run.repeat},
        distributions={**shown, "repeat": IntDistribution(0, 10**6)},
        user_attrs={
            **({} if failure is None else again),
            PLANNED: {
                "configuration": run.configuration,
                "repeat": run.repeat,
                "fields": fields,
            },
        },
    )
