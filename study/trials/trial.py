"""One Optuna trial = one `TrainConfig` = one training run; the only caller of the trainer."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from statistics import fmean
from types import MappingProxyType
from typing import Any

import optuna
from optuna.trial import TrialState

from ecg.budget import Budget, find_budget
from ecg.examples import pick_examples
from ecg.metrics import per_class, scores
from ecg.splits import is_by_patient
from ecg.training import (
    Checkpoint,
    Epoch,
    Part,
    TrainConfig,
    TrainingData,
    TrainResult,
    measure,
    predict,
    train,
)
from ecg.training.order import derive_seed
from search_spaces import Space
from study.storage.artifacts import (
    FOLDER,
    TEST_PREDICTIONS,
    VALIDATION_PREDICTIONS,
    WEIGHTS,
    keep_files,
)
from study.storage.attributes import PLANNED, get_attribute, set_attributes
from study.storage.confirmation import is_confirming
from study.storage.ids import trial_id
from study.storage.interrupts import interrupts_allowed, interrupts_held
from study.storage.notes import note_attributes, trial_note
from study.storage.recordings import RecordedTrial, Recording
from study.storage.studies import Identity
from study.storage.weights import KEEP, KEPT_ATTRIBUTE
from study.trials.kept_files import count_by_record, predictions_file, weights_file
from study.trials.messages import Emit, Progress
from study.trials.provenance import describe_device, versions
from study.trials.pruning import MonitoredCurve
from study.trials.replay import OnEpoch, follow
from study.trials.task import PlannedRuns, Task
from study.trials.values import keeps_weights, objective_values
from study.wording import say_parameters

SCORE_CURVES = ("recall_macro", "precision_macro", "f1_macro", "f1_weighted")


@dataclass(frozen=True, eq=False, kw_only=True)
class Bench:
    """What the trials of one process share.

    Attributes:
        task: what the process works on.
        emit: takes the news.
        space: the space that is searched; None for planned runs.
        data: training and validation parts on the device; None for a replay.
        test: the test part, for planned runs; a search never has it.
        recording: curves to follow instead of training, None to train.
        redraw: returns `data` and `test` of a repeat, where every repeat has its own split.
    """

    task: Task
    emit: Emit
    space: Space | None = None
    data: TrainingData | None = None
    test: Part | None = None
    recording: Recording | None = None
    redraw: Callable[[int], tuple[TrainingData, Part | None]] | None = None

    def of_repeat(self, repeat: int) -> "Bench":
        """Return this bench with the data for a repeat of a planned run."""
        if self.redraw is None:
            return self
        data, test = self.redraw(repeat)
        return replace(self, data=data, test=test)

    @property
    def identity(self) -> Identity:
        """The identity of the study."""
        return self.task.identity

    @property
    def precision(self) -> str:
        """The precision of the trainings."""
        return self.task.machine.precision


def configure(space: Space, params: dict[str, Any], budget: Budget, seed: int) -> TrainConfig:
    """Turn a trial's parameters into the full configuration of its training run.

    The seed of the run is derived from the study's seed and the configuration. It does not depend
    on which worker runs the trial, or when.
    """
    config = space.configure(params).within(budget).replace(seed=0)
    return config.replace(seed=derive_seed("training", seed, config.digest) % 2**31)


def repeat_of(config: TrainConfig, seed: int, repeat: int) -> TrainConfig:
    """Return a configuration from `configure` with the seed of a repeat; 0 is the first."""
    if repeat == 0:
        return config
    digest = config.replace(seed=0).digest
    return config.replace(seed=derive_seed("training", seed, digest, repeat) % 2**31)


def run_trial(trial: optuna.Trial, bench: Bench) -> tuple[float, ...] | None:
    """Train the configuration of a trial and store what was found.

    Returns:
        The objectives, scores at the epoch of the best validation loss, or None for a pruned trial.
    """
    config = _configure(trial, bench)
    if bench.space is None:
        bench = bench.of_repeat(trial.user_attrs[PLANNED]["repeat"])
    set_attributes(trial, describe_start(config, bench))
    objective = bench.identity.objective
    checkpoint = _checkpoint(config, bench)
    curve = MonitoredCurve(trial, objective, bench.task.goal.pruning, config.max_epochs)
    most = bench.identity.repeats * config.max_epochs

    def on_epoch(epoch: Epoch) -> bool:
        with interrupts_held():
            prune = curve(epoch)
            bench.emit(
                Progress(
                    trial=trial.number,
                    state="running",
                    epoch=epoch.number,
                    max_epochs=most,
                    value=curve.values[epoch.best_epoch - 1],
                    resumed=checkpoint.resumed,
                )
            )
        return prune

    parameters = say_parameters(trial.params) if trial.params else ""
    bench.emit(Progress(trial.number, "running", max_epochs=most, message=parameters))
    result, values = _train(trial, config, bench, on_epoch, checkpoint)
    if result.stop_reason == "pruned":
        return None
    curve.carry_forward()
    return values


def _configure(trial: optuna.Trial, bench: Bench) -> TrainConfig:
    """Return the configuration of a planned run, or sample one of a search."""
    if bench.space is None:
        return TrainConfig.from_fields(trial.user_attrs[PLANNED]["fields"])
    params = bench.space.suggest(trial)
    return configure(bench.space, params, find_budget(bench.identity.budget), bench.identity.seed)


def _train(
    trial: optuna.Trial,
    config: TrainConfig,
    bench: Bench,
    on_epoch: OnEpoch,
    checkpoint: Checkpoint,
) -> tuple[TrainResult, tuple[float, ...]]:
    """Train the configuration, or follow its curve if that is known, and store what was found.

    Returns:
        The training with the first seed, and the objectives, over all seeds.
    """
    if (found_before := _known_curve(trial, config, bench)) is not None:
        known, repeats = found_before
        result = follow(known, config, on_epoch)
        found = describe_result(result) | describe_repeats(repeats)
        _keep(trial, result, found, bench)
        return result, objective_values(trial, config, found["validation"], bench.identity)
    assert bench.data is not None
    with interrupts_allowed():
        result = train(config, bench.data, on_epoch, checkpoint, bench.precision)
    found, files = describe_result(result), dict[str, bytes]()
    if bench.test is not None:
        found |= describe_test(result, bench)
        by_patient = is_by_patient(bench.identity.split)
        confirming = is_confirming(bench.identity.space)
        if by_patient or confirming:
            answers = predict(config, result.weights, bench.test, bench.precision)
        if by_patient:
            found["test_by_record"] = count_by_record(bench.test, answers)
        if confirming:
            files[TEST_PREDICTIONS] = predictions_file(bench.test, answers)
    checkpoints = [checkpoint]
    values: tuple[float, ...] = ()
    if result.stop_reason != "pruned":
        again, more = _train_again(trial, config, bench, len(result.epochs))
        checkpoints += more
        found |= describe_repeats([describe_repeat(each) for each in (result, *again)])
        values = objective_values(trial, config, found["validation"], bench.identity)
    if result.weights and values:
        # This costs little compared with the training: one pass over the validation part.
        predicted = predict(config, result.weights, bench.data.validation, bench.precision)
        found["examples"] = pick_examples(bench.data.validation, predicted.argmax(1))
        if is_by_patient(bench.identity.split):
            found["validation_by_record"] = count_by_record(bench.data.validation, predicted)
        if keeps_weights(trial, values, bench.task.machine.keep or KEEP[0]):
            files[WEIGHTS] = weights_file(result)
        files[VALIDATION_PREDICTIONS] = predictions_file(bench.data.validation, predicted)
    _keep(trial, result, found, bench, files)
    for each in checkpoints:  # kept until all seeds are trained, so that the trial can resume
        each.remove()
    return result, values


def _train_again(
    trial: optuna.Trial, config: TrainConfig, bench: Bench, epochs: int
) -> tuple[list[TrainResult], list[Checkpoint]]:
    """Train the configuration with the study's other seeds; none of these runs is pruned.

    Args:
        trial: the trial of the configuration.
        config: the configuration with the first seed.
        bench: what the trials of this process share.
        epochs: number of epochs trained with the first seed.
    """
    assert bench.data is not None
    repeats = bench.identity.repeats
    results: list[TrainResult] = []
    checkpoints: list[Checkpoint] = []
    for repeat in range(1, repeats):
        again = repeat_of(config, bench.identity.seed, repeat)
        checkpoints.append(checkpoint := _checkpoint(again, bench))

        def on_epoch(epoch: Epoch, before: int = epochs) -> None:
            news = Progress(
                trial.number, "running", before + epoch.number, repeats * config.max_epochs
            )
            with interrupts_held():
                bench.emit(news)

        with interrupts_allowed():
            results.append(train(again, bench.data, on_epoch, checkpoint, bench.precision))
        epochs += len(results[-1].epochs)
    return results, checkpoints


def _keep(
    trial: optuna.Trial,
    result: TrainResult,
    found: dict[str, Any],
    bench: Bench,
    files: Mapping[str, bytes] = MappingProxyType({}),
) -> None:
    """Store what a training run found: attributes, files by name, and a note."""
    settings = {
        name: getattr(bench.identity, name) for name in ("source", "budget", "device", "precision")
    }
    facts = {**found, **settings, "config": result.config.to_fields()}
    note = trial_note(facts, trial.params, bench.identity.objective)
    folder = bench.task.machine.checkpoints.parent / FOLDER
    entries, written = keep_files(trial, files, folder)
    set_attributes(
        trial,
        found | {KEPT_ATTRIBUTE: WEIGHTS in written},
        system=entries,
        of_study=note_attributes(trial_id(trial), note, trial.number),
    )


def _known_curve(
    trial: optuna.Trial, config: TrainConfig, bench: Bench
) -> tuple[RecordedTrial, list[dict[str, Any]]] | None:
    """Return the curve and the repeats of a configuration that need not be trained, else None.

    This holds in a replay, and for a configuration that a search samples again: the seed is
    derived from the configuration, so training would give the same result.
    """
    if bench.space is None:
        return None
    if bench.recording is not None:
        return bench.recording.nearest(bench.space, trial.params), []
    for twin in trial.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        if twin.user_attrs.get("config") == config.to_fields():
            set_attributes(trial, {"same_as": twin.number})
            recorded = RecordedTrial(twin.params, get_attribute(trial.study, twin, "curves"))
            return recorded, get_attribute(trial.study, twin, "repeats") or []
    return None


def _checkpoint(config: TrainConfig, bench: Bench) -> Checkpoint:
    """Return the checkpoint of a configuration in this study, whichever trial runs it."""
    parts = [bench.identity.to_fields(), config.to_fields(), bench.precision]
    key = json.dumps(parts, sort_keys=True)
    name = hashlib.sha256(key.encode()).hexdigest()[:24]
    machine = bench.task.machine
    path = machine.checkpoints / f"{name}.safetensors"
    return Checkpoint(path, key, machine.checkpoint_seconds)


def describe_start(config: TrainConfig, bench: Bench) -> dict[str, Any]:
    """Return the attributes of a trial that are known before its training."""
    return {
        "config": config.to_fields(),
        "seed": config.seed,
        "data": bench.identity.data,
        "source": bench.identity.source,
        "split": bench.identity.split,
        "budget": bench.identity.budget,
        "device": bench.identity.device,
        "precision": bench.identity.precision,
        "protocol": bench.identity.protocol,
        "device_name": describe_device(str(bench.data.device)) if bench.data else "recorded curves",
        "versions": versions(),
    }


def describe_result(result: TrainResult) -> dict[str, Any]:
    """Return what a training run found, as attributes of its trial."""
    each = [epoch.scores for epoch in result.epochs]
    curves: dict[str, Any] = {name: [round(of[name], 6) for of in each] for name in SCORE_CURVES}
    curves["confusion"] = [epoch.confusion for epoch in result.epochs]
    curves["train_loss"] = [epoch.train_loss for epoch in result.epochs]
    curves["validation_loss"] = [epoch.validation_loss for epoch in result.epochs]
    curves["learning_rate"] = [epoch.learning_rate for epoch in result.epochs]
    adjustment = {"tau": result.best.tau} if result.config.logit_adjustment else {}
    return {
        **adjustment,
        "validation": result.best.scores,
        "per_class": {k: v.tolist() for k, v in per_class(result.confusion).items()},
        "confusion": result.confusion,
        "curves": curves,
        "best_epoch": result.best_epoch,
        "last_epoch": len(result.epochs),
        "pruned_epoch": len(result.epochs) if result.stop_reason == "pruned" else None,
        "stop_reason": result.stop_reason,
        "seconds": round(result.seconds, 3),
        "finished_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def describe_repeat(result: TrainResult) -> dict[str, Any]:
    """Return what a trial keeps of its training with one of several seeds."""
    return {
        "seed": result.config.seed,
        "validation": result.best.scores,
        "confusion": result.confusion,
        "best_epoch": result.best_epoch,
        "last_epoch": len(result.epochs),
        "seconds": round(result.seconds, 3),
    }


def describe_repeats(repeats: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the attributes of a trial that was trained with several seeds; none for one seed.

    The validation scores are means over the seeds. Curves, confusion matrix and weights are those
    of the first seed.
    """
    if len(repeats) < 2:
        return {}
    each = [repeat["validation"] for repeat in repeats]
    return {
        "validation": {name: fmean(scores[name] for scores in each) for name in each[0]},
        "seconds": round(sum(repeat["seconds"] for repeat in repeats), 3),
        "repeats": repeats,
    }


def describe_test(result: TrainResult, bench: Bench) -> dict[str, Any]:
    """Measure the best weights on the test part, and note when and why it was read."""
    assert bench.test is not None
    assert isinstance(bench.task.goal, PlannedRuns)
    confusion = measure(result.config, result.weights, bench.test, bench.precision)
    return {
        "test": scores(confusion),
        "test_confusion": confusion,
        "test_read": {
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "reason": bench.task.goal.reason,
        },
    }
