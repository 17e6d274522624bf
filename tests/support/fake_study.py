"""A study without training: seeded confusion matrices and curves in the shape of real ones."""

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from ecg.examples import Example
from ecg.heartbeats import BEAT_LENGTH, CLASSES, Heartbeats
from ecg.metrics import per_class, scores
from ecg.training import TrainConfig
from study.storage.artifacts import VALIDATION_PREDICTIONS, artifact_folder, keep_files
from study.storage.front import aims_of
from study.storage.studies import open_storage
from tests.support.fake_results import fake_confusion
from tests.support.setting import IDENTITY

EVIL = '<img src=x onerror="window.evil=1"><script>window.evil=1</script>'
COUNTS = (3600, 110, 290, 32, 320)


def fill(
    url: str,
    name: str = "fake",
    trials: int = 12,
    *,
    evil: bool = False,
    beats: Heartbeats | None = None,
    objectives: str = "",
) -> optuna.Study:
    """Make a study of finished trials.

    Args:
        url: URL of the database.
        name: name of the study.
        trials: number of them.
        evil: put tags in every text that users write.
        beats: beats that the trials have predictions of; None for no predictions.
        objectives: objectives of the study, if it has several.
    """
    identity = replace(
        IDENTITY, space=EVIL if evil else "imbalance", source="mitdb", objectives=objectives
    )
    names = identity.all_objectives
    study = optuna.create_study(
        storage=open_storage(url), study_name=name, directions=aims_of(names)
    )
    found = [fake_trial(number, evil=evil, objectives=names) for number in range(trials)]
    if beats is not None:
        identity = replace(identity, data=beats.fingerprint)
        for number, trial in enumerate(found):
            files = {VALIDATION_PREDICTIONS: fake_predictions(beats, seed=number)}
            trial.system_attrs.update(keep_files(trial, files, artifact_folder(url))[0])
    study.set_user_attr("identity", identity.to_fields())
    study.add_trials(found)
    return study


def fake_predictions(beats: Heartbeats, *, seed: int = 0) -> bytes:
    """Return a file of predictions, mostly right, of which class S is never a prediction."""
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(len(beats), size=len(beats) // 2, replace=False))
    votes = rng.exponential(size=(len(rows), len(CLASSES)))
    votes[np.arange(len(rows)), beats.labels[rows]] += rng.exponential(4, size=len(rows))
    votes[:, CLASSES.index("S")] *= 0.01
    file = io.BytesIO()
    np.savez_compressed(
        file, row=rows.astype(np.int32), label=beats.labels[rows].astype(np.int8),
        probability=(votes / votes.sum(axis=1, keepdims=True)).astype(np.float16),
    )  # fmt: skip
    return file.getvalue()


def fake_trial(
    number: int, *, evil: bool = False, objectives: Sequence[str] = ("f1_macro",)
) -> FrozenTrial:
    """Every third trial is pruned if there is one objective, every fifth failed."""
    rng = np.random.default_rng(number)
    option = EVIL if evil else "class weights"
    params: dict[str, Any] = {"strategy": "none" if number == 0 else option}
    distributions: dict[str, Any] = {"strategy": CategoricalDistribution(["none", option])}
    if number:
        params |= {"alpha": float(rng.random()), "ratio": float(rng.uniform(0.05, 1))}
        distributions |= {"alpha": FloatDistribution(0, 1), "ratio": FloatDistribution(0.05, 1)}
    if number % 5 == 4:
        return optuna.create_trial(
            state=TrialState.FAIL, params=params, distributions=distributions,
            user_attrs={"failure": f"no luck {EVIL if evil else ''}", "failed": True},
        )  # fmt: skip
    pruned = number % 3 == 2 and len(objectives) == 1
    facts = _facts(rng, params, pruned=pruned)
    found = facts["validation"]
    return optuna.create_trial(
        state=TrialState.PRUNED if pruned else TrialState.COMPLETE,
        values=[found[n] if n in found else float(rng.integers(1000, 99_999)) for n in objectives],
        params=params, distributions=distributions,
        user_attrs=facts
        | ({"baseline": True} if number == 0 else {})
        | ({} if pruned else {"examples": fake_examples(number)}),
        intermediate_values={1: 0.5} if len(objectives) == 1 else {},
    )  # fmt: skip


def _facts(rng: np.random.Generator, params: dict[str, Any], *, pruned: bool) -> dict[str, Any]:
    epochs = 3 if pruned else 6
    matrices = [fake_confusion(rng, easier=0.1 * e, counts=COUNTS) for e in range(epochs)]
    losses = [1 / (e + 1) for e in range(epochs)]
    curves = {name: [scores(m)[name] for m in matrices] for name in ("f1_macro", "f1_weighted")}
    return {
        "config": TrainConfig(
            alpha=params.get("alpha", 0.0), ratio=params.get("ratio")
        ).to_fields(),
        "validation": scores(matrices[-1]),
        "confusion": matrices[-1],
        "per_class": {k: v.tolist() for k, v in per_class(matrices[-1]).items()},
        "curves": {
            **curves, "train_loss": losses, "validation_loss": losses,
            "learning_rate": [1e-3] * epochs, "confusion": matrices,
        },
        "device": "cpu", "precision": "fp32", "seconds": 1.5,
        "best_epoch": epochs, "last_epoch": epochs,
        "stop_reason": "pruned" if pruned else "early-stopping",
    }  # fmt: skip


def fake_examples(number: int) -> list[Example]:
    """Every class has two right and two wrong beats, but for a last one never taken wrongly."""
    rng = np.random.default_rng(number)
    return [
        {
            "true": name,
            "predicted": CLASSES[(index + shift) % len(CLASSES)],
            "signal": np.round(rng.standard_normal(BEAT_LENGTH), 3).tolist(),
        }
        for index, name in enumerate(CLASSES)
        for shift in (0, 0, *((1, 2) if name != CLASSES[-1] else ()))
    ]
