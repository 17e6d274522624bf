"""The scores that are shown of a winner, and the highest value its objective can reach."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ecg.heartbeats import CLASSES
from ecg.metrics import F1_NSV, say_ceilings
from study.wording import score_title

MACRO_SCORES = ("f1_macro", "f1_weighted", "recall_macro", "precision_macro")


def say_ceiling(row: Mapping[Any, Any], objective: str) -> str:
    """Return a sentence such as "No Q beat in validation: F1(M) is at most 0.8000."

    Args:
        row: row of the table of trials, with its confusion matrix.
        objective: objective of the study.

    Returns:
        "" if the objective can reach 1.
    """
    counts = np.sum(row["confusion"], axis=1)
    said = say_ceilings(counts, "validation", {objective: score_title(objective)})
    return f"{said[0].upper()}{said[1:]}." if said else ""


def validation_scores(row: Mapping[Any, Any], identity: Mapping[str, Any]) -> dict[str, float]:
    """Return the validation scores that compare the best trial with the baseline, by title.

    Splits by patient have hardly any beat of class Q, which caps every mean over the classes. So
    there the scores are the objective, F1(W), and F1 of class F.

    Args:
        row: row of the table of trials.
        identity: identity of the study.
    """
    by_patient = identity.get("objective") == F1_NSV
    names = (F1_NSV, "f1_weighted") if by_patient else MACRO_SCORES
    found = {score_title(name): float(row[f"validation_{name}"]) for name in names}
    # With several seeds, only those of the first have scores per class, so there is no mean.
    if by_patient and identity.get("repeats", 1) == 1:
        found["F1(F)"] = float(row["per_class"]["f1"][CLASSES.index("F")])
    return found
