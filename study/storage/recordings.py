"""Recorded curves that replace training, so that a study runs in seconds.

A recording has every finished trial of a real study, epoch by epoch. A replayed trial follows the
curve of the recorded trial with the nearest parameters and has its scores. So samplers and pruners
can be compared on real curves, on any machine.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from ecg.errors import DataError, UsageError
from ecg.files import write_text
from ecg.metrics import OBJECTIVES, per_class
from ecg.training import Epoch
from ecg.training.early_stopping import EarlyStopping
from search_spaces import Choice, Real, Space
from study.storage.attributes import key_of
from study.storage.facts import TRAINING_CURVES
from study.storage.results_checks import check_confusion
from study.storage.rows import parameter_columns
from study.storage.studies import find_identity

if TYPE_CHECKING:  # workers do not need pandas
    import pandas as pd

RECORDED_CURVES = (*TRAINING_CURVES, "confusion")
NAMED = ("space", "source", "split", "budget")  # texts that an identity must have
# Values for recordings of studies from before their identity had these fields.
EARLIER = {"objective": "f1_macro", "device": "cpu", "precision": "fp32", "protocol": 1}


@dataclass(frozen=True)
class RecordedTrial:
    """One finished trial.

    Attributes:
        params: parameters of the trial.
        curves: values per epoch, see `RECORDED_CURVES`.
        run: configuration and repeat of a planned run, None for a trial of a search.
    """

    params: Mapping[str, Any]
    curves: Mapping[str, Sequence[Any]]
    run: tuple[str, int] | None = None

    def __len__(self) -> int:
        return len(self.curves["validation_loss"])

    def epochs(self, patience: int) -> list[Epoch]:
        """Return the recorded epochs, with early stopping computed for this patience."""
        stopping = EarlyStopping(patience)
        epochs = []
        for index, values in enumerate(
            zip(*(self.curves[name] for name in RECORDED_CURVES), strict=True)
        ):
            train_loss, validation_loss, learning_rate, confusion = values
            stopping.update(index + 1, validation_loss)
            epochs.append(
                Epoch(
                    number=index + 1,
                    train_loss=train_loss,
                    validation_loss=validation_loss,
                    learning_rate=learning_rate,
                    confusion=tuple(tuple(row) for row in confusion),
                    best_epoch=stopping.best_epoch,
                    epochs_since_best=stopping.epochs_since_best,
                )
            )
        return epochs


@dataclass(frozen=True)
class Recording:
    """The recorded trials of one study.

    Attributes:
        path: path of the file.
        identity: identity of the recorded study.
        trials: the complete trials.
        digest: SHA-256 (hex) of the file.
    """

    path: Path
    identity: Mapping[str, Any]
    trials: tuple[RecordedTrial, ...]
    digest: str

    def check(self, space: Space) -> None:
        """Refuse parameters outside the ranges of the space.

        Raises:
            DataError: a parameter is out of range; the message names the line and the parameter.
        """
        for number, trial in enumerate(self.trials, start=2):
            for parameter in space.parameters:
                value = trial.params.get(parameter.name)
                if value is not None and not parameter.contains(value):
                    raise DataError(
                        f"{self.path}, line {number}: {parameter.name} = {value!r:.60} is not in "
                        f"{parameter}, the range in the space '{space.name}'"
                    )

    def nearest(self, space: Space, params: Mapping[str, Any]) -> RecordedTrial:
        """Return the recorded trial with the nearest parameters, the first one of equals."""
        return min(self.trials, key=lambda trial: distance(space, trial.params, params))


def distance(space: Space, one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """Return the squared distance between two points of a space.

    A parameter that only one of them has, or a choice in which they differ, adds 1. A number adds
    the square of its difference as a share of the range (of logarithms on a log scale).
    """
    total = 0.0
    for parameter in space.parameters:
        a, b = one.get(parameter.name), other.get(parameter.name)
        if a is None or b is None or isinstance(parameter, Choice):
            total += float(a != b)
            continue
        scale = math.log if isinstance(parameter, Real) and parameter.log else float
        low, high = scale(parameter.low), scale(parameter.high)
        total += ((scale(a) - scale(b)) / (high - low)) ** 2 if high > low else 0.0
    return total


def write_recording(study: optuna.Study, path: Path) -> int:
    """Write the complete trials of a study as a recording: a header, then one line per trial.

    Returns:
        The number of trials written.

    Raises:
        UsageError: the study has no complete trial.
        OutputError: the file cannot be written.
    """
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    trials = [trial for trial in trials if "curves" in trial.user_attrs]
    if not trials:
        raise UsageError(f"The study '{study.study_name}' has no complete trial to record.")
    write_trials(study, trials, path)
    return len(trials)


def write_trials(study: optuna.Study, trials: Sequence[FrozenTrial], path: Path) -> None:
    """Write trials with curves as a recording.

    Args:
        study: study of the trials.
        trials: the trials, one per line; planned runs keep their configuration and repeat.
        path: path of the file.

    Raises:
        OutputError: the file cannot be written.
    """
    lines: list[dict[str, Any]] = [{"recording": 1, "identity": find_identity(study)}]
    for trial in trials:
        curves = {name: trial.user_attrs["curves"][name] for name in RECORDED_CURVES}
        line: dict[str, Any] = {"params": trial.params, "curves": curves}
        if (key := key_of(trial)) is not None:
            line["run"] = list(key)
        lines.append(line)
    compact = (json.dumps(line, sort_keys=True, separators=(",", ":")) for line in lines)
    write_text(path, "".join(f"{line}\n" for line in compact))


def read_recording(path: Path) -> Recording:
    """Read a recording.

    Raises:
        UsageError: there is no such file.
        DataError: a line is not part of a recording; the message names the line.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"Cannot read the recording {path}: {error.strerror}") from None
    trials = []
    identity: Mapping[str, Any] = {}
    for number, line in enumerate(content.decode(errors="replace").splitlines(), start=1):
        try:
            item = json.loads(line)
            if number == 1:
                identity = _checked_identity(dict(item["identity"]))
            else:
                trials.append(_checked_trial(dict(item["params"]), item["curves"], item.get("run")))
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise DataError(
                f"{path}, line {number}: not a line of a recording ({type(error).__name__}: "
                f"{error}). Make a recording with `python -m study record STUDY FILE`."
            ) from None
    if not trials:
        raise DataError(f"{path}: the recording has no trials")
    return Recording(path, identity, tuple(trials), hashlib.sha256(content).hexdigest())


def read_recorded(path: Path | str) -> "pd.DataFrame":
    """Read a recording as a table of trials for plots.

    Args:
        path: path of a file from `python -m study record`.

    Returns:
        Complete trials, see `study.storage.trials_table.study_trials`. Values that a recording
        does not have (seconds, configuration, device) are missing. The first trial is the
        baseline.

    Raises:
        UsageError: there is no such file.
        DataError: the file is not a recording.
    """
    import pandas as pd

    recording = read_recording(Path(path))
    objective = recording.identity["objective"]
    rows = [_row(number, trial, objective) for number, trial in enumerate(recording.trials)]
    table = pd.DataFrame(rows)
    table.attrs["study"] = Path(path).stem
    table.attrs["identity"] = dict(recording.identity)
    return table


def _checked_identity(identity: dict[str, Any]) -> dict[str, Any]:
    for name in NAMED:
        if not isinstance(identity[name], str):
            raise ValueError(f"its {name} must be a text")
    identity = EARLIER | identity
    if identity["objective"] not in OBJECTIVES:
        raise ValueError("its objective is unknown")
    for name in ("device", "precision"):
        if not isinstance(identity[name], str):
            raise ValueError(f"its {name} must be a text")
    if not isinstance(identity["protocol"], int):
        raise ValueError("its protocol must be a whole number")
    return identity


def _checked_trial(params: dict[str, Any], curves: Mapping[str, Any], run: Any) -> RecordedTrial:
    for name, value in params.items():
        if not isinstance(value, str | int | float | None):
            raise ValueError(f"its {name} must be a text, a number or null")
    if run is not None:
        configuration, repeat = run
        if not isinstance(configuration, str) or not isinstance(repeat, int):
            raise ValueError("its run must be a configuration and a repeat")
        run = configuration, repeat
    trial = RecordedTrial(params, {name: list(curves[name]) for name in RECORDED_CURVES}, run)
    for name in TRAINING_CURVES:
        if not all(math.isfinite(value) for value in trial.curves[name]):
            raise ValueError(f"its {name} must be finite in every epoch")
    for matrix in trial.curves["confusion"]:
        check_confusion(matrix, "a confusion matrix")
    if not trial.epochs(patience=1):
        raise ValueError("it has no epochs")
    return trial


def _row(number: int, trial: RecordedTrial, objective: str) -> dict[str, Any]:
    epochs = trial.epochs(patience=len(trial))  # never stops: the recording has ended already
    best = epochs[epochs[-1].best_epoch - 1]
    return {
        "number": number,
        "state": "complete",
        "value": best.scores[objective],
        "baseline": number == 0,
        **parameter_columns(trial.params),
        **{f"validation_{name}": value for name, value in best.scores.items()},
        "confusion": [list(row) for row in best.confusion],
        "per_class": {k: v.tolist() for k, v in per_class(best.confusion).items()},
        "curves": _curves(trial, epochs, objective),
        "config": {name: trial.params.get(name) for name in ("alpha", "ratio")},
        "best_epoch": best.number,
        "last_epoch": len(epochs),
        "stop_reason": "early-stopping" if best.number < len(epochs) else "max-epochs",
    }


def _curves(trial: RecordedTrial, epochs: list[Epoch], objective: str) -> dict[str, Any]:
    scores = {name: [e.scores[name] for e in epochs] for name in {objective, "f1_macro"}}
    return {**trial.curves, **scores}
