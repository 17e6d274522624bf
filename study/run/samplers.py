"""The sampler of each trial."""

import warnings

import optuna
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler

from ecg.errors import UsageError, use_one_of
from ecg.training.order import derive_seed
from study.trials.task import SAMPLERS, SEVERAL_ONLY

LEAST_STARTUP = 4


def startup_trials(sampler: str, target: int) -> int:
    """Return how many trials of a search are drawn at random before the sampler uses its model.

    Optuna's 10 would be most of a short search. Chosen by replay: results/search/README.md.
    """
    return LEAST_STARTUP if sampler == "gp" else min(10, max(LEAST_STARTUP, target // 3))


def make_sampler(
    name: str, seed: int, trial_number: int, startup: int = 10, *, several: bool = False
) -> BaseSampler:
    """Return the sampler of one trial.

    Its seed depends on the study's seed and the trial's number, not on the worker.

    Args:
        name: "tpe" (with groups, for conditional parameters, if there is one objective), "random",
            "gp", "grid", or "nsga2" for several objectives.
        seed: the study's seed.
        trial_number: number of the trial to sample.
        startup: trials drawn at random before "tpe" and "gp" use their model; size of a
            generation of "nsga2".
        several: whether the study has several objectives.

    Raises:
        UsageError: the name is unknown.
    """
    derived = derive_seed("sampler", seed, trial_number) % 2**32
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if name == "tpe":
            return TPESampler(seed=derived, group=not several, n_startup_trials=startup)
        if name in ("random", "grid"):  # the trials of a grid are queued, not sampled
            return RandomSampler(seed=derived)
        if name == "gp":
            return GPSampler(seed=derived, n_startup_trials=startup)
        if name == SEVERAL_ONLY:
            return NSGAIISampler(seed=derived, population_size=startup)
    raise UsageError(f"unknown sampler '{name}'. {use_one_of(SAMPLERS)}")
