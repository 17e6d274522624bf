"""Checks of the attributes of trials and studies, since a database can contain anything.

A trial with a damaged measurement counts as failed for every reader. Other trials are not
affected, and `retry` runs it again. Damaged bookkeeping, such as the name of a worker, is ignored.
In both cases a warning names study, trial and attribute, once.
"""

import json
import logging
from collections.abc import Callable, Container, Iterable, Mapping
from functools import cache
from typing import Any

from ecg.errors import DataError
from ecg.heartbeats import BEAT_LENGTH, CLASSES
from ecg.metrics import SCORES
from study.storage.attributes import PLANNED
from study.storage.results_checks import check_by_record, check_confusion
from study.wording import one_line

logger = logging.getLogger(__name__)

IDENTITY_KEY = "identity"
SETTINGS_KEY = "settings"  # options of the last command that ran a study
TRAINING_CURVES = ("train_loss", "validation_loss", "learning_rate")  # required in every `curves`
PER_CLASS = ("recall", "precision", "f1")
IDENTITY_TEXTS = ("space", "space_digest", "objective", "source", "data", "split", "budget",
                  "device", "precision", "records", "objectives")  # fmt: skip
IDENTITY_NUMBERS = ("protocol", "seed", "format")
# Attributes that every training stores together.
TRAINED = ("validation", "confusion", "per_class", "best_epoch", "last_epoch", "stop_reason",
           "seconds")  # fmt: skip
COUNTS_AS_FAILED = "the trial counts as failed"
Check = Callable[[Any], None]


class DamageError(DataError):
    """An attribute of a study is damaged.

    Attributes:
        damage: what is wrong, without the name of the study.
    """

    def __init__(self, study: str, damage: str) -> None:
        """Say what is damaged, and what to do."""
        super().__init__(
            f"study '{one_line(study)}': {damage}. Its trials are kept. Restore the database from "
            "a copy, or start another study with --study and a new name."
        )
        self.damage = damage


def check_stored_identity(study: str, value: Any) -> dict[str, Any]:
    """Return the stored identity of a study, written by this version or another.

    Raises:
        DamageError: if it is not an identity; the message names study, attribute and field.
    """
    try:
        _mapping(value)
        if not value:
            raise ValueError("it is empty")
        for names, check in ((IDENTITY_TEXTS, _text), (IDENTITY_NUMBERS, _whole)):
            for name in names:
                if name in value:
                    _within(name, check, value[name])
    except ValueError as error:
        raise DamageError(study, f"the attribute '{IDENTITY_KEY}' is damaged ({error})") from None
    found: dict[str, Any] = value
    return found


def read_facts(
    study: str,
    number: int,
    stored: Iterable[tuple[str, str | None]],
    asked: Container[str] = TRAINED,
) -> tuple[dict[str, Any], str]:
    """Return the valid attributes of a trial, and what is wrong with its measurements.

    Args:
        study: name of the study, for the message.
        number: number of the trial, for the message.
        stored: names and JSON texts.
        asked: names that were asked for.

    Returns:
        The attributes, and a sentence about the damage; "" if there is none.
    """
    found: dict[str, Any] = {}
    damage = ""
    for name, text in stored:
        try:
            value = load_json(text)
            if (check := CHECKS.get(name)) is not None:
                check(value)
        except ValueError as error:
            said = f"the attribute '{one_line(name)}' is damaged ({one_line(error)[:200]})"
            is_fact = name in FACTS
            damage = damage or (said if is_fact else "")
            warn_of_damage(study, number, said, COUNTS_AS_FAILED if is_fact else "it is ignored")
        else:
            found[name] = value
    if not damage and (damage := _incomplete(found, asked)):
        warn_of_damage(study, number, damage, COUNTS_AS_FAILED)
    if damage:
        found = {name: value for name, value in found.items() if name not in MEASURED}
    return found, damage


def _incomplete(found: Mapping[str, Any], asked: Container[str]) -> str:
    """Say what is missing from a training, or contradicts the rest; "" if nothing does."""
    wanted = [name for name in TRAINED if name in asked]
    missing = [name for name in wanted if name not in found]
    if missing and len(missing) < len(wanted):
        return f"the attribute '{missing[0]}' is missing"
    best, last = found.get("best_epoch"), found.get("last_epoch")
    if best is not None and last is not None and best > last:
        return f"the attribute 'best_epoch' is damaged (epoch {best} of {last})"
    return ""


def load_json(text: str | None) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: the text is not JSON.
    """
    try:
        return json.loads(text)  # type: ignore[arg-type]
    except (TypeError, RecursionError) as error:
        raise ValueError(f"not JSON: {type(error).__name__}") from None


@cache
def warn_of_damage(study: str, number: int | None, damage: str, consequence: str) -> None:
    """Log a warning about damage and its consequence, once in this process."""
    trial = "" if number is None else f", trial {number}"
    logger.warning("study '%s'%s: %s; %s", one_line(study), trial, damage, consequence)


def _within(name: str, check: Check, value: Any) -> None:
    try:
        check(value)
    except ValueError as error:
        raise ValueError(f"its {name}: {error}") from None


def _text(value: Any) -> None:
    if not isinstance(value, str):
        raise ValueError(f"must be a text, not {value!r:.60}")


def _truth(value: Any) -> None:
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {value!r:.60}")


def _whole(value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 2**63:
        raise ValueError(f"must be a whole number, not {value!r:.60}")


def _positive(value: Any) -> None:
    _whole(value)
    if value < 1:
        raise ValueError(f"must be at least 1, not {value}")


def _number(value: Any) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"must be a number, not {value!r:.60}")


def _finite(value: Any) -> None:
    _number(value)
    if not abs(value) < 1e300:
        raise ValueError(f"must be a finite number, not {value!r:.60}")


def _share(value: Any) -> None:
    _finite(value)
    if not 0 <= value <= 1:
        raise ValueError(f"must be between 0 and 1, not {value!r:.60}")


def _seconds(value: Any) -> None:
    _finite(value)
    if not 0 <= value < 1e10:
        raise ValueError(f"must be a duration in seconds, not {value!r:.60}")


def _mapping(value: Any) -> None:
    if not isinstance(value, dict):
        raise ValueError(f"must hold values by name, not {value!r:.60}")


def _confusion(value: Any) -> None:
    check_confusion(value, "it")


def _by_record(value: Any) -> None:
    check_by_record(value, "it")


def _scores(value: Any) -> None:
    _mapping(value)
    for name in SCORES:
        if name not in value:
            raise ValueError(f"it has no {name}")
        _within(name, _share, value[name])


def _per_class(value: Any) -> None:
    _mapping(value)
    for name in {*PER_CLASS, *value}:
        shares = value.get(name)
        if not isinstance(shares, list) or len(shares) != len(CLASSES):
            raise ValueError(f"its {name} must be a list of {len(CLASSES)} numbers")
        for share in shares:
            _within(name, _share, share)


def _curves(value: Any) -> None:
    _mapping(value)
    length = len(value["confusion"]) if isinstance(value.get("confusion"), list) else 0
    for name in {*TRAINING_CURVES, *value} - {"confusion"}:
        points = value.get(name)
        if not isinstance(points, list) or not length or len(points) != length:
            raise ValueError(f"its {name} must be a list of one number per epoch")
        for point in points:
            _within(name, _number, point)
    for matrix in value["confusion"]:
        _confusion(matrix)


def _plain_mapping(value: Any) -> None:
    _mapping(value)
    for name, item in value.items():
        if not isinstance(item, str | int | float | None):
            raise ValueError(f"its {name} must be a text, a number or null")


def _planned(value: Any) -> None:
    _mapping(value)
    _within("configuration", _text, value.get("configuration"))
    _within("repeat", _whole, value.get("repeat"))
    fields = value.get("fields", {})
    _within("fields", _plain_mapping, fields)
    _within("seed", _whole, fields.get("seed", 0))


def _test_read(value: Any) -> None:
    _mapping(value)
    _within("reason", _text, value.get("reason"))


def _again(value: Any) -> None:
    _mapping(value)
    _within("trial", _whole, value.get("trial"))


def _maybe_whole(value: Any) -> None:
    if value is not None:
        _whole(value)


def check_examples(value: Any) -> None:
    """Check that a value is a list of examples, see `ecg.examples`.

    Raises:
        ValueError: if it is not; the message says why.
    """
    if not isinstance(value, list):
        raise ValueError(f"must be a list, not {value!r:.60}")
    for example in value:
        _mapping(example)
        for name in ("true", "predicted"):
            if example.get(name) not in CLASSES:
                raise ValueError(f"its {name} must be a class")
        signal = example.get("signal")
        if not isinstance(signal, list) or len(signal) != BEAT_LENGTH:
            raise ValueError(f"its signal must be a list of {BEAT_LENGTH} numbers")
        for sample in signal:
            _within("signal", _finite, sample)


# Results of a training. A trial in which one of them is damaged cannot be shown.
MEASURED: Mapping[str, Check] = {
    "validation": _scores, "confusion": _confusion, "per_class": _per_class, "curves": _curves,
    "best_epoch": _positive, "last_epoch": _positive, "pruned_epoch": _maybe_whole,
    "stop_reason": _text, "seconds": _seconds, "finished_at": _text, "examples": check_examples,
    "validation_by_record": _by_record, "test": _scores, "test_confusion": _confusion,
    "test_by_record": _by_record, "test_read": _test_read, "same_as": _whole,
    "config": _plain_mapping,
}  # fmt: skip
FACTS: Mapping[str, Check] = {
    **MEASURED, PLANNED: _planned, "seed": _whole, "protocol": _whole, "versions": _mapping,
    **dict.fromkeys(
        ("data", "source", "split", "budget", "device", "precision", "device_name"), _text
    ),
}  # fmt: skip
CHECKS: Mapping[str, Check] = {
    **FACTS, "baseline": _truth, "failed": _truth, "failure": _text, "imported": _text,
    "worker": _text, "again": _again, "weights": _truth,
}  # fmt: skip
