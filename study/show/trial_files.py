"""The files of a trial that are made when somebody opens them."""

import csv
import io
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from ecg.heartbeats import CLASS_TITLES, CLASSES
from ecg.metrics import per_class
from study.wording import say_limits

_DRAWING = threading.Lock()  # Matplotlib can draw one figure at a time


def make_file(name: str, facts: Mapping[str, Any], objective: str) -> bytes:
    """Return the content of a file that is made on demand.

    Args:
        name: one of `study.storage.artifacts.MADE_ON_DEMAND`.
        facts: attributes of the trial, see `study.trials.trial.describe_result`.
        objective: objective of the study.
    """
    if name == "predictions.csv":
        return predictions_csv(facts["confusion"]).encode()
    # Matplotlib takes a second to import, so only a process that draws imports it.
    from study.show.trial_images import confusion_image, curves_image

    limits = say_limits(facts)
    with _DRAWING:
        if name == "confusion.png":
            return confusion_image(facts["confusion"], limits)
        return curves_image(
            facts["curves"], objective, facts["best_epoch"], facts["stop_reason"], limits
        )


def predictions_csv(confusion: Sequence[Sequence[int]]) -> str:
    """Return one row per true class: its beats, how they were classified, and its scores.

    Args:
        confusion: (5, 5) counts, rows true, columns predicted.
    """
    scores = per_class(confusion)
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["true class", "beats", *(f"predicted {name}" for name in CLASSES), *scores])
    for index, row in enumerate(confusion):
        shares = [f"{values[index]:.4f}" for values in scores.values()]
        writer.writerow([CLASS_TITLES[index], sum(row), *row, *shares])
    return file.getvalue()
