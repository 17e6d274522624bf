"""Recorded curves that stand in for training, so that a study runs in seconds.

A recording holds every finished trial of a real study, epoch by epoch. A replayed trial
follows the curve of the recorded trial nearest to its parameters, so samplers and pruners can
be compared on real curves, on any machine; its figures are those of the neighbour.
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
from ecg.metrics import OBJECTIVES, per_class
from ecg.training import Epoch
from ecg.training.early_stopping import EarlyStopping
from search_spaces import Choice, Real, Space
from study.storage.attributes import key_of
from study.storage.files import write_text
from study.storage.results_checks import check_confusion
from study.storage.rows import parameter_columns
from study.storage.studies import find_identity

CURVES = ("train_loss", "validation_loss", "learning_rate", "confusion")
if TYPE_CHECKING:  # a worker has no use for pandas
    import pandas as pd

NAMED = ("space", "source", "split", "budget")  # by the identity of a recording, as texts
# Of recordings of studies that did not keep it yet.
EARLIER = {"objective": "f1_macro", "device": "cpu", "precision": "fp32", "protocol": 1}


@dataclass(frozen=True)
class RecordedTrial:
    """One finished trial.

    Attributes:
        params: its parameters.
        curves: epoch by epoch, see `CURVES`.
        run: configuration and repeat of a planned run, None for a trial of a search.
    """

    params: Mapping[str, Any]
    curves: Mapping[str, Sequence[Any]]
    run: tuple[str, int] | None = None

    def __len__(self) -> int:
        return len(self.curves["validation_loss"])

    def epochs(self, patience: int) -> list[Epoch]:
        """Return the recorded epochs, early stopping worked out anew."""
        stopping = EarlyStopping(patience)
        epochs = []
        for index, values in enumerate(zip(*(self.curves[name] for name in CURVES), strict=True)):
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
        path: of the file.
        identity: of the study they come from.
        trials: complete ones only.
        digest: SHA-256 (hex) of the file.
    """

    path: Path
    identity: Mapping[str, Any]
    trials: tuple[RecordedTrial, ...]
    digest: str

    def check(self, space: Space) -> None:
        """Refuse parameters that the space does not have, or that are out of its ranges.

        Raises:
            DataError: names the line and the parameter.
        """
        for number, trial in enumerate(self.trials, start=2):
            for parameter in space.parameters:
                value = trial.params.get(parameter.name)
                if value is not None and not parameter.contains(value):
                    raise DataError(
                        f"{self.path}, line {number}: {parameter.name} = {value!r:.60} is not in "
                        f"{parameter}, as the space '{space.name}' has it"
                    )

    def nearest(self, space: Space, params: Mapping[str, Any]) -> RecordedTrial:
        """Return the recorded trial nearest to some parameters, the earlier one of two."""
        return min(self.trials, key=lambda trial: distance(space, trial.params, params))


def distance(space: Space, one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """Return how far apart two points of a space are.

    A parameter that only one of them has, or a choice in which they differ, counts as a whole
    range; a number counts by its share of the range (of the logarithms on a log scale).
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
    """Write the complete trials of a study as a recording: a header, then one line a trial.

    Returns:
        The number of trials written.

    Raises:
        UsageError: the study has no complete trial.
        OutputError: the file cannot be written.
    """
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    trials = [trial for trial in trials if "curves" in trial.user_attrs]
    if not trials:
        raise UsageError(f"the study '{study.study_name}' has no complete trial to record")
    write_trials(study, trials, path)
    return len(trials)


def write_trials(study: optuna.Study, trials: Sequence[FrozenTrial], path: Path) -> None:
    """Write trials that have curves as a recording.

    Args:
        study: of the trials.
        trials: in the order of the lines; planned runs are written with configuration and repeat.
        path: of the file.

    Raises:
        OutputError: the file cannot be written.
    """
    lines: list[dict[str, Any]] = [{"recording": 1, "identity": find_identity(study)}]
    for trial in trials:
        curves = {name: trial.user_attrs["curves"][name] for name in CURVES}
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
        DataError: a line of it is not what it should be; names the line.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the recording {path}: {error.strerror}") from None
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
                f"{error}); make one with `python -m study record STUDY FILE`"
            ) from None
    if not trials:
        raise DataError(f"{path}: the recording holds no trial")
    return Recording(path, identity, tuple(trials), hashlib.sha256(content).hexdigest())


def read_recorded(path: Path | str) -> "pd.DataFrame":
    """Read a recording as records that every figure takes.

    Args:
        path: of a file that `python -m study record` wrote.

    Returns:
        Complete trials, see `study.storage.trials_table.study_trials`; what a recording does
        not keep (seconds, configuration, device) is not there. The first trial is the baseline.

    Raises:
        UsageError: there is no such file.
        DataError: it is not a recording.
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
            raise ValueError(f"its {name} is not a text")
    identity = EARLIER | identity
    if identity["objective"] not in OBJECTIVES:
        raise ValueError("its objective is not known")
    for name in ("device", "precision"):
        if not isinstance(identity[name], str):
            raise ValueError(f"its {name} is not a text")
    if not isinstance(identity["protocol"], int):
        raise ValueError("its protocol is not a whole number")
    return identity


def _checked_trial(params: dict[str, Any], curves: Mapping[str, Any], run: Any) -> RecordedTrial:
    for name, value in params.items():
        if not isinstance(value, str | int | float | None):
            raise ValueError(f"its {name} is no plain value")
    if run is not None:
        configuration, repeat = run
        if not isinstance(configuration, str) or not isinstance(repeat, int):
            raise ValueError("its run is not a configuration and a repeat")
        run = configuration, repeat
    trial = RecordedTrial(params, {name: list(curves[name]) for name in CURVES}, run)
    for name in CURVES[:3]:
        if not all(math.isfinite(value) for value in trial.curves[name]):
            raise ValueError(f"its {name} is not finite everywhere")
    for matrix in trial.curves["confusion"]:
        check_confusion(matrix, "a confusion matrix")
    if not trial.epochs(patience=1):
        raise ValueError("it has no epoch")
    return trial


def _row(number: int, trial: RecordedTrial, objective: str) -> dict[str, Any]:
    epochs = trial.epochs(patience=len(trial))  # it was stopped long ago
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
    figures = {name: [e.scores[name] for e in epochs] for name in {objective, "f1_macro"}}
    return {**trial.curves, **figures}
