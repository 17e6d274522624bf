"""The result of `confirm`, stored with its study: configurations, their runs, their ensembles."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from study.storage.attributes import PLANNED

CONFIRMATION = "confirmation"  # attribute of the confirming study
BASELINE = "baseline"  # label of the configuration that the others are compared with
# Trial attributes from which a confirmation is read.
NEEDED = ("test", "test_confusion", "test_by_record", "config", PLANNED)

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Confirmation:
    """The winners of a search and its baseline, trained with new seeds and tested.

    Attributes:
        study: name of the study that holds the runs.
        identity: identity of that study.
        chosen: `TrainConfig` fields without the seed, by label; one label is "baseline".
        runs: complete runs by label, one per repeat: `repeat`, `test_*` and `test_confusion`.
        ensembles: the number of `runs` and the `confusion` of their mean probabilities on the
            test part, by label.
    """

    study: str
    identity: Mapping[str, Any]
    chosen: Mapping[str, Mapping[str, Any]]
    runs: Mapping[str, list[dict[str, Any]]]
    ensembles: Mapping[str, Mapping[str, Any]]


def confirming_name(study: str, budget: str = "") -> str:
    """Return the name of the study that confirms a search, optionally at another budget."""
    return f"{study}-confirm-{budget}" if budget else f"{study}-confirm"


def confirming_space(study: str) -> str:
    """Return the `space` in the identity of the study that confirms a search."""
    return f"confirm:{study}"


def is_confirming(space: str) -> bool:
    """Whether a study with this `space` confirms a search."""
    return space.startswith(confirming_space(""))


def make_confirmation(
    study: str, identity: Mapping[str, Any], kept: Mapping[str, Any], rows: Iterable[Row]
) -> Confirmation:
    """Group the runs of a confirming study by configuration.

    Args:
        study: name of the confirming study.
        identity: its identity.
        kept: its attribute `CONFIRMATION`.
        rows: its trials with the attributes `NEEDED`, see `study.storage.rows.StudyRows`.
    """
    complete = [row for row in rows if row["state"] == "complete" and "test_confusion" in row]
    chosen: Mapping[str, Mapping[str, Any]] = kept["chosen"]
    runs = {label: _runs(complete, fields) for label, fields in chosen.items()}
    return Confirmation(study, dict(identity), chosen, runs, kept.get("ensembles", {}))


def without_seed(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration without its seed."""
    return {name: value for name, value in config.items() if name != "seed"}


def _runs(rows: Iterable[Row], fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the runs of a configuration, one per repeat, ordered by repeat."""
    found: dict[int, dict[str, Any]] = {}
    for row in rows:
        if without_seed(row["config"]) == dict(fields):
            repeat = int(row[PLANNED]["repeat"])
            measured = {name: row[name] for name in row if str(name).startswith("test_")}
            measured.pop("test_read", None)
            found.setdefault(repeat, {"repeat": repeat, **measured})
    return [found[repeat] for repeat in sorted(found)]
