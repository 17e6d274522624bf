"""Print two trials of a study side by side.

python examples/compare_trials.py imbalance-mitdb-intra-patient-quick 11 0

These are validation scores of one run each. `python -m study confirm` trains both on more
seeds and tests whether the difference is more than chance.
"""

import sys

import pandas as pd

from ecg.heartbeats import CLASSES
from study import load_trials

STORAGE = "sqlite:///results/study.db"


def main(study: str, first: str, second: str, storage: str = STORAGE) -> None:
    """Print what two trials were, their scores, and their F1 per class."""
    trials = load_trials(storage, study, curves=False).set_index("number")
    chosen = trials.loc[[int(first), int(second)]]
    budget = trials.attrs["identity"]["budget"]
    print(f"{study}: budget {budget}, validation scores\n")

    names = [
        "state",
        *(name for name in map(str, chosen) if name.startswith(("param_", "validation_"))),
        "best_epoch",
        "seconds",
    ]
    print(chosen[names].T.to_string(header=[f"trial {number}" for number in chosen.index]))

    f1 = {f"trial {number}": found["f1"] for number, found in chosen["per_class"].items()}
    print("\nF1 per class")
    print(pd.DataFrame(f1, index=list(CLASSES)).round(4).to_string())


if __name__ == "__main__":
    main(*sys.argv[1:])
