"""The result of `confirm`, stored with its study: configurations, their runs, their ensembles."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ecg.budget import BUDGETS
from ecg.folds import LEAST_FOLDS, MOST_FOLDS, folds_of
from study.storage.attributes import PLANNED
from study.wording import say_times

CONFIRMATION = "confirmation"  # attribute of the confirming study
BASELINE_LABEL = "baseline"  # label of the configuration that the others are compared with


@dataclass(frozen=True)
class Confirmation:
    """The winners of a search and its baseline, trained with new seeds and tested.

    Attributes:
        study: name of the study that holds the runs.
        identity: identity of that study.
        chosen: `TrainConfig` fields without the seed, by label; one label is "baseline".
        runs: complete runs by label, one per repeat: `repeat`, `test_*` and `test_confusion`; with
            folds `repeat`, `fold` and the `confusion` matrix of the fold.
        ensembles: the number of `runs` and the `confusion` of their mean probabilities on the
            test part, by label.
    """

    study: str
    identity: Mapping[str, Any]
    chosen: Mapping[str, Mapping[str, Any]]
    runs: Mapping[str, list[dict[str, Any]]]
    ensembles: Mapping[str, Mapping[str, Any]]

    @property
    def folds(self) -> int:
        """The number of folds, 0 for a confirmation on the test part."""
        return folds_of(str(self.identity.get("split", "")))

    @property
    def measured_on(self) -> str:
        """What the runs were measured on, as text."""
        return f"{self.folds} folds of the training records" if self.folds else "the test part"


def needed(identity: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the attributes of trials that a confirmation is read from.

    Args:
        identity: identity of the study that confirms.
    """
    if folds_of(str(identity.get("split", ""))):
        return ("confusion", "config", PLANNED)
    return ("test", "test_confusion", "test_by_record", "config", PLANNED)


def confirming_name(study: str, budget: str = "", folds: int = 0) -> str:
    """Return the name of the study that confirms a search.

    Args:
        study: name of the search.
        budget: budget of the confirmation, "" for that of the search.
        folds: number of folds, 0 for a confirmation on the test part.
    """
    parts = (study, "confirm", budget, f"{folds}-folds" if folds else "")
    return "-".join(part for part in parts if part)


def confirming_names(study: str) -> Iterator[str]:
    """Yield the names of the studies that may confirm a search, in order of preference."""
    for folds in (0, *range(LEAST_FOLDS, MOST_FOLDS + 1)):
        for budget in ("", *reversed(BUDGETS)):
            yield confirming_name(study, budget, folds)


def confirming_space(study: str) -> str:
    """Return the `space` in the identity of the study that confirms a search."""
    return f"confirm:{study}"


def is_confirming(space: str) -> bool:
    """Whether a study with this `space` confirms a search."""
    return space.startswith(confirming_space(""))


def make_confirmation(
    study: str,
    identity: Mapping[str, Any],
    kept: Mapping[str, Any],
    rows: Iterable[Mapping[str, Any]],
) -> Confirmation:
    """Group the runs of a confirming study by configuration.

    Args:
        study: name of the confirming study.
        identity: its identity.
        kept: its attribute `CONFIRMATION`.
        rows: its trials with the attributes `needed`, see `study.storage.rows.StudyRows`.
    """
    folds = folds_of(str(identity.get("split", "")))
    measured = "confusion" if folds else "test_confusion"
    complete = [row for row in rows if row["state"] == "complete" and measured in row]
    chosen: Mapping[str, Mapping[str, Any]] = kept["chosen"]
    runs = {label: _runs(complete, fields, folds) for label, fields in chosen.items()}
    return Confirmation(study, dict(identity), chosen, runs, kept.get("ensembles", {}))


def without_seed(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration without its seed."""
    return {name: value for name, value in config.items() if name != "seed"}


def _runs(
    rows: Iterable[Mapping[str, Any]], fields: Mapping[str, Any], folds: int
) -> list[dict[str, Any]]:
    """Return the runs of a configuration, one per repeat, ordered by repeat."""
    found: dict[int, dict[str, Any]] = {}
    for row in rows:
        if without_seed(row["config"]) == dict(fields):
            repeat = int(row[PLANNED]["repeat"])
            measured = {name: row[name] for name in row if str(name).startswith("test_")}
            measured.pop("test_read", None)
            if folds:
                measured = {"fold": repeat % folds, "confusion": row["confusion"]}
            found.setdefault(repeat, {"repeat": repeat, **measured})
    return [found[repeat] for repeat in sorted(found)]


def say_confirmed(study: str, confirmation: Confirmation | None) -> str:
    """Return how often the confirmation of a study read the test part; "" if it did not.

    Args:
        study: name of the study; its own reads are not those of a confirmation.
        confirmation: its confirmation, or the one that it is.
    """
    if confirmation is None or confirmation.folds or confirmation.study == study:
        return ""
    number = sum(map(len, confirmation.runs.values()))
    return f"{say_times(number)} by the study {confirmation.study}" if number else ""
