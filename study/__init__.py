"""Hyperparameter studies on top of Optuna: the commands, and from Python the trials as tables.

The names below are imported on first use, so that `python -m study --help` starts quickly.

Example:
    >>> import optuna
    >>> from study import study_trials
    >>> optuna.logging.set_verbosity(optuna.logging.ERROR)
    >>> study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    >>> study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    >>> study_trials(study)[["number", "state", "param_x"]].round(2)
       number     state  param_x
    0       0  complete     0.55
    1       1  complete     0.72
"""

from typing import TYPE_CHECKING

from ecg.lazy import on_demand

if TYPE_CHECKING:
    from ecg.model_file import load_model
    from study.storage.database import StorageError
    from study.storage.trials_table import load_all_trials, load_trials, study_trials

    __version__: str

__all__ = [
    "StorageError",
    "__version__",
    "load_all_trials",
    "load_model",
    "load_trials",
    "study_trials",
]

if not TYPE_CHECKING:  # a type checker that sees `__getattr__` accepts every name
    __getattr__, __dir__ = on_demand(
        __name__,
        __all__,
        ("study.storage.database", "study.storage.trials_table", "ecg.model_file"),
    )
