"""Patches that make optuna-dashboard (0.21) fast enough for thousands of trials.

For each trial, the dashboard searches all attributes of the study for the trial's note and files,
twice: with 2,000 trials and notes, every page takes ten seconds. Here each trial gets only its own
attributes, and the page is the same. Finished trials, which never change, are read once.
"""

import re
import threading
from contextlib import suppress
from typing import Any

from optuna.storages import BaseStorage, RDBStorage, get_storage
from optuna.trial import FrozenTrial

from study.storage.outage import STORAGE_ERRORS

_OF_TRIAL = re.compile(r"dashboard:(?:artifacts:)?(\d+):")


def remember_finished_trials(storage: RDBStorage) -> BaseStorage:
    """Return the database behind Optuna's cache, which is filled in the background."""
    cached = get_storage(storage)

    def fill() -> None:
        with suppress(*STORAGE_ERRORS):  # the page reads again and shows the error
            for study in cached.get_all_studies():
                cached.get_all_trials(study._study_id, deepcopy=False)

    threading.Thread(target=fill, name="cache", daemon=True).start()
    return cached


def serialize_each_trial_once() -> None:
    """Give the dashboard's serializer an index; does nothing if the dashboard has changed."""
    from optuna_dashboard import _serializer

    original = getattr(_serializer, "serialize_frozen_trial", None)
    if original is None or hasattr(original, "indexed"):
        return
    indices = _Indices()

    def serialize(study_id: int, trial: FrozenTrial, attributes: dict[str, Any]) -> Any:
        return original(study_id, trial, indices.of(attributes).get(trial._trial_id, {}))

    serialize.indexed = True  # type: ignore[attr-defined]
    _serializer.serialize_frozen_trial = serialize


def list_what_a_study_is() -> None:
    """Make the dashboard list the attributes of our studies one by one instead of as JSON."""
    from optuna_dashboard import _serializer

    original = getattr(_serializer, "serialize_attrs", None)
    if original is None or hasattr(original, "listed"):
        return

    def serialize(attributes: dict[str, Any]) -> Any:
        return original(spread(attributes) if "identity" in attributes else attributes)

    serialize.listed = True  # type: ignore[attr-defined]
    _serializer.serialize_attrs = serialize


def spread(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return attributes with every mapping replaced by its items.

    Args:
        attributes: values by name; "budget" within "identity" becomes "identity: budget".
    """
    found: dict[str, Any] = {}
    for name, value in attributes.items():
        if isinstance(value, dict):
            found |= spread({f"{name}: {key}": each for key, each in value.items()})
        else:
            found[name] = "none" if value is None else value
    return found


class _Indices(threading.local):
    """The index of the attributes that this thread used last."""

    attributes: dict[str, Any] | None = None
    index: dict[int, dict[str, Any]]

    def of(self, attributes: dict[str, Any]) -> dict[int, dict[str, Any]]:
        if self.attributes is not attributes:
            self.attributes, self.index = attributes, index_by_trial(attributes)
        return self.index


def index_by_trial(attributes: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """Return the attributes of a study that belong to trials, by trial id."""
    index: dict[int, dict[str, Any]] = {}
    for name, value in attributes.items():
        if match := _OF_TRIAL.match(name):
            index.setdefault(int(match[1]), {})[name] = value
    return index
