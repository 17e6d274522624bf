"""What the attributes of trials and studies must be, since anything can be in a database.

A trial of which a measured fact is damaged counts as failed, whoever reads it: it costs that trial
alone, and `retry` runs it again. A damaged note on how it is handled, such as its worker, is left
out. Either way study, trial and attribute are named, once.
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
SETTINGS_KEY = "settings"  # what the last command of a study asked for
CURVES = ("train_loss", "validation_loss", "learning_rate")  # that all curves have
PER_CLASS = ("recall", "precision", "f1")
IDENTITY_TEXTS = ("space", "space_digest", "objective", "source", "data", "split", "budget",
                  "device", "precision", "records", "objectives")  # fmt: skip
IDENTITY_NUMBERS = ("protocol", "seed", "format")
# What every training leaves, all together.
TRAINED = ("validation", "confusion", "per_class", "best_epoch", "last_epoch", "stop_reason",
           "seconds")  # fmt: skip
Check = Callable[[Any], None]


class DamageError(DataError):
    """An attribute of a study is not what was written there.

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
    """Return the identity of a study as it is stored, of this version or another.

    Raises:
        DamageError: it is none; names study, attribute and field.
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
    """Return the attributes of a trial that are sound, and what is wrong with a measured one.

    Args:
        study: name, for the message.
        number: of the trial, for the message.
        stored: names and JSON texts.
        asked: names that were asked for.

    Returns:
        The attributes, and a sentence; empty where all facts are sound.
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
            tell(study, number, said, "it counts as failed" if is_fact else "it is left out")
        else:
            found[name] = value
    if not damage and (damage := _incomplete(found, asked)):
        tell(study, number, damage, "it counts as failed")
    if damage:
        found = {name: value for name, value in found.items() if name not in MEASURED}
    return found, damage


def _incomplete(found: Mapping[str, Any], asked: Container[str]) -> str:
    """Say what is missing of a training, or does not fit the rest."""
    wanted = [name for name in TRAINED if name in asked]
    missing = [name for name in wanted if name not in found]
    if missing and len(missing) < len(wanted):
        return f"the attribute '{missing[0]}' is missing"
    best, last = found.get("best_epoch"), found.get("last_epoch")
    if best is not None and last is not None and best > last:
        return f"the attribute 'best_epoch' is damaged ({best} of {last} epochs)"
    return ""


def load_json(text: str | None) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: it is none.
    """
    try:
        return json.loads(text)  # type: ignore[arg-type]
    except (TypeError, RecursionError) as error:
        raise ValueError(f"no JSON: {type(error).__name__}") from None


@cache
def tell(study: str, number: int | None, damage: str, consequence: str) -> None:
    """Say once in this process what is damaged and what follows from it."""
    trial = "" if number is None else f", trial {number}"
    logger.warning("study '%s'%s: %s; %s", one_line(study), trial, damage, consequence)


def _within(name: str, check: Check, value: Any) -> None:
    try:
        check(value)
    except ValueError as error:
        raise ValueError(f"its {name}: {error}") from None


def _text(value: Any) -> None:
    if not isinstance(value, str):
        raise ValueError(f"not a text but {value!r:.60}")


def _truth(value: Any) -> None:
    if not isinstance(value, bool):
        raise ValueError(f"neither true nor false but {value!r:.60}")


def _whole(value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 2**63:
        raise ValueError(f"not a whole number but {value!r:.60}")


def _positive(value: Any) -> None:
    _whole(value)
    if value < 1:
        raise ValueError(f"not at least 1 but {value}")


def _number(value: Any) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"not a number but {value!r:.60}")


def _finite(value: Any) -> None:
    _number(value)
    if not abs(value) < 1e300:
        raise ValueError(f"not a finite number but {value!r:.60}")


def _share(value: Any) -> None:
    _finite(value)
    if not 0 <= value <= 1:
        raise ValueError(f"not between 0 and 1 but {value!r:.60}")


def _seconds(value: Any) -> None:
    _finite(value)
    if not 0 <= value < 1e10:
        raise ValueError(f"not a duration in seconds but {value!r:.60}")


def _mapping(value: Any) -> None:
    if not isinstance(value, dict):
        raise ValueError(f"not a mapping but {value!r:.60}")


def _confusion(value: Any) -> None:
    check_confusion(value, "it")


def _by_record(value: Any) -> None:
    check_by_record(value, None)


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
            raise ValueError(f"its {name} is not a list of {len(CLASSES)} numbers")
        for share in shares:
            _within(name, _share, share)


def _curves(value: Any) -> None:
    _mapping(value)
    length = len(value["confusion"]) if isinstance(value.get("confusion"), list) else 0
    for name in {*CURVES, *value} - {"confusion"}:
        points = value.get(name)
        if not isinstance(points, list) or not length or len(points) != length:
            raise ValueError(f"its {name} is not a list of one number per epoch")
        for point in points:
            _within(name, _number, point)
    for matrix in value["confusion"]:
        _confusion(matrix)


def _plain_mapping(value: Any) -> None:
    _mapping(value)
    for name, item in value.items():
        if not isinstance(item, str | int | float | None):
            raise ValueError(f"its {name} is no plain value")


def _cell(value: Any) -> None:
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
    """Refuse all but examples, see `ecg.examples`.

    Raises:
        ValueError: says what is wrong.
    """
    if not isinstance(value, list):
        raise ValueError(f"not a list but {value!r:.60}")
    for example in value:
        _mapping(example)
        for name in ("true", "predicted"):
            if example.get(name) not in CLASSES:
                raise ValueError(f"its {name} is no class")
        signal = example.get("signal")
        if not isinstance(signal, list) or len(signal) != BEAT_LENGTH:
            raise ValueError(f"its signal is not a list of {BEAT_LENGTH} numbers")
        for sample in signal:
            _within("signal", _finite, sample)


# What a training found. Without all of it that was asked for, a trial cannot be shown.
MEASURED: Mapping[str, Check] = {
    "validation": _scores, "confusion": _confusion, "per_class": _per_class, "curves": _curves,
    "best_epoch": _positive, "last_epoch": _positive, "pruned_epoch": _maybe_whole,
    "stop_reason": _text, "seconds": _seconds, "finished_at": _text, "examples": check_examples,
    "test": _scores, "test_confusion": _confusion, "test_by_record": _by_record,
    "test_read": _test_read, "same_as": _whole,
    "config": _plain_mapping,
}  # fmt: skip
FACTS: Mapping[str, Check] = {
    **MEASURED, PLANNED: _cell, "seed": _whole, "protocol": _whole, "versions": _mapping,
    **dict.fromkeys(
        ("data", "source", "split", "budget", "device", "precision", "device_name"), _text
    ),
}  # fmt: skip
CHECKS: Mapping[str, Check] = {
    **FACTS, "baseline": _truth, "failed": _truth, "failure": _text, "imported": _text,
    "worker": _text, "again": _again, "weights": _truth,
}  # fmt: skip
