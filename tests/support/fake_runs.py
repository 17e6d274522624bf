"""A study of planned runs without training, in the shape of a real one."""

import numpy as np
import optuna
from optuna.trial import TrialState

from ecg.budget import BUDGETS
from ecg.metrics import scores
from ecg.training import Epoch, TrainResult
from ecg.training.early_stopping import EarlyStopping
from search_spaces.tables import ALL_TABLES, configurations
from study.run.planned_runs import PlannedRun, plan_runs, planned_trial, shown_parameters
from study.storage.studies import Identity, open_storage, open_study, study_lock
from study.trials.trial import describe_result
from tests.support.fake_results import fake_confusion
from tests.support.setting import IDENTITY


def fake_run(run: PlannedRun, rng: np.random.Generator, epochs: int) -> TrainResult:
    """An invented training run with random curves."""
    stopping = EarlyStopping(run.config.patience)
    seen: list[Epoch] = []
    for number in range(1, epochs + 1):
        loss = float(rng.random())
        stopping.update(number, loss)
        seen.append(
            Epoch(
                number=number,
                train_loss=float(rng.random()),
                validation_loss=loss,
                learning_rate=1e-3,
                confusion=tuple(map(tuple, fake_confusion(rng))),
                best_epoch=stopping.best_epoch,
                epochs_since_best=stopping.epochs_since_best,
            )
        )
        if stopping.exhausted:
            break
    ended = "early-stopping" if stopping.exhausted else "max-epochs"
    return TrainResult(run.config, tuple(seen), seen[-1].best_epoch, ended, 1.5, {})


def fake_runs(url: str, name: str, *, seeds: int, budget: str, seed: int) -> optuna.Study:
    """All tables with invented runs, some of which failed."""
    identity = Identity(
        **{**vars(IDENTITY), "space": ALL_TABLES, "space_digest": "", "source": "mitdb",
           "budget": budget, "seed": seed}
    )  # fmt: skip
    storage = open_storage(url)
    with study_lock(storage, name):
        study, _ = open_study(storage, name, identity)
    rng = np.random.default_rng(seed)
    runs = plan_runs([r.fields for r in configurations()], seeds, BUDGETS[budget], seed)
    shown = shown_parameters(study)
    for run in runs:
        planned = planned_trial(run, shown, None)
        attributes = dict(planned.user_attrs)
        shared = ("data", "source", "split", "budget", "device", "precision", "protocol")
        attributes |= {key: vars(identity)[key] for key in shared}
        attributes |= {"config": run.config.to_fields(), "seed": run.config.seed}
        attributes |= {"device_name": "cpu: Some Processor", "versions": {"torch": "2.13.0"}}
        failed = rng.random() < 0.1
        if failed:
            attributes |= {"failure": 'RuntimeError: "x", y', "failed": True}
        else:
            result = fake_run(run, rng, run.config.max_epochs)
            matrix = fake_confusion(rng)
            attributes |= describe_result(result)
            attributes |= {"test": scores(matrix), "test_confusion": matrix}
        study.add_trial(
            optuna.create_trial(
                state=TrialState.FAIL if failed else TrialState.COMPLETE,
                value=None if failed else attributes["validation"]["f1_macro"],
                params=planned.params, distributions=planned.distributions, user_attrs=attributes,
            )
        )  # fmt: skip
    return study
