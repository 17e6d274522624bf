"""A recording as a table: explore the curves of a study without its storage."""

from pathlib import Path
from typing import Any

import pandas as pd

from ecg.metrics import per_class
from ecg.training import Epoch
from study.trials.replay import RecordedTrial, read_recording


def read_recorded(path: Path | str) -> pd.DataFrame:
    """Read a recording (see `study.trials.replay`) as records that every figure takes.

    Args:
        path: of a file that `python -m study record` wrote.

    Returns:
        Complete trials, see `study.storage.trials_table.study_records`; what a recording does
        not keep (seconds, configuration, device) is not there. The first trial is the baseline.

    Raises:
        UsageError: there is no such file.
        DataError: it is not a recording.
    """
    recording = read_recording(Path(path))
    objective = recording.identity["objective"]
    rows = [_row(number, trial, objective) for number, trial in enumerate(recording.trials)]
    table = pd.DataFrame(rows)
    table.attrs["study"] = Path(path).stem
    table.attrs["identity"] = dict(recording.identity)
    return table


def _row(number: int, trial: RecordedTrial, objective: str) -> dict[str, Any]:
    epochs = trial.epochs(patience=len(trial))  # it was stopped long ago
    best = epochs[epochs[-1].best_epoch - 1]
    return {
        "number": number,
        "state": "complete",
        "value": best.scores[objective],
        "baseline": number == 0,
        **{f"param_{name}": value for name, value in trial.params.items()},
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
