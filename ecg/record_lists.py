"""A user's own inter-patient split: a file that lists the records of each part."""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from ecg.errors import UsageError

PARTS = ("train", "validation", "test")
PATIENTS = "patients"
FORM = (
    'Write train = ["100", "101"], validation = ["103"], test = ["105"], and optionally a table '
    '[patients] with lines such as anna = ["100", "101"].'
)
SIZE_LIMIT = 2**20  # bytes
LISTED = re.compile(r"inter-patient-[0-9a-f]{8}")  # the name of such a split


@dataclass(frozen=True)
class RecordLists:
    """Names of the records of each part, and which records belong to one patient.

    Attributes:
        train: names of the training records, in the order of the file.
        validation: names of the validation records.
        test: names of the test records.
        patients: groups of records, one per patient. A record in no group is its own patient.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    patients: tuple[tuple[str, ...], ...] = ()

    @property
    def split(self) -> str:
        """The name of the split, which depends on the records in each part."""
        lists = [sorted(getattr(self, part)) for part in PARTS]
        return f"inter-patient-{sha256(json.dumps(lists).encode()).hexdigest()[:8]}"

    def as_text(self) -> str:
        """Return the lists as one line of JSON, for `from_text`."""
        return json.dumps(asdict(self))


def from_text(text: str) -> RecordLists:
    """Return the lists that `RecordLists.as_text` wrote.

    Raises:
        UsageError: the text has another form.
    """
    try:
        fields = json.loads(text)
        groups = {str(n): _names(PATIENTS, g) for n, g in enumerate(fields.pop(PATIENTS, ()))}
        return _checked("the stored records", fields, groups)
    except (ValueError, AttributeError, TypeError) as error:
        raise UsageError(f"cannot read the stored records of a split ({error})") from None


def read_record_lists(path: Path) -> RecordLists:
    """Read a TOML file of record names: train, validation, test, and optionally [patients].

    Raises:
        UsageError: the file is unreadable, has another form, or puts a record or a patient into
            two parts; the message names it.
    """
    try:
        path = path.expanduser()
        with path.open("rb") as file:
            content = file.read(SIZE_LIMIT + 1)
        if len(content) > SIZE_LIMIT:
            raise ValueError("too large for a list of records")
        fields: dict[str, Any] = tomllib.loads(content.decode("utf-8"))
    except (OSError, RuntimeError, ValueError) as error:  # a TOML or UTF-8 error is a ValueError
        if isinstance(error, FileNotFoundError):
            raise UsageError(f"{path}: no such file") from None
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise UsageError(f"{path}: not a readable TOML file ({reason}). {FORM}") from None
    patients = fields.pop(PATIENTS, {})
    try:
        if not isinstance(patients, dict):
            raise ValueError(f"{PATIENTS} is not a table")
        groups = {name: _names(f"{PATIENTS}.{name}", group) for name, group in patients.items()}
        return _checked(str(path), fields, groups)
    except ValueError as error:
        raise UsageError(f"{path}: {error}. {FORM}") from None


def _checked(
    path: str, fields: Mapping[str, Any], patients: Mapping[str, tuple[str, ...]]
) -> RecordLists:
    if unknown := sorted(set(fields) - set(PARTS)):
        raise ValueError(f"unknown entry {unknown[0]!r}")
    if missing := [part for part in PARTS if not fields.get(part)]:
        raise ValueError(f"the list {missing[0]} is missing or empty")
    lists = {part: _names(part, fields[part]) for part in PARTS}
    part_of: dict[str, str] = {}
    for part, names in lists.items():
        for name in names:
            if name in part_of:
                where = (
                    f"twice in {part}"
                    if part_of[name] == part
                    else f"in {part_of[name]} and in {part}"
                )
                raise UsageError(f"{path}: record {name} is {where}. Put it into one part, once.")
            part_of[name] = part
    grouped: dict[str, tuple[str, ...]] = {}
    for patient, group in patients.items():
        for name in group:
            if name in grouped and grouped[name] != group:
                raise UsageError(
                    f"{path}: record {name} belongs to two patients. List it under one."
                )
            grouped[name] = group
        in_parts = {part_of[name]: name for name in group if name in part_of}
        if len(in_parts) > 1:
            (first, one), (second, other) = list(in_parts.items())[:2]
            raise UsageError(
                f"{path}: the patient {patient} is in two parts: record {one} in {first}, record "
                f"{other} in {second}. Put all records of a patient into one part."
            )
    return RecordLists(lists["train"], lists["validation"], lists["test"], tuple(patients.values()))


def _names(what: str, values: Any) -> tuple[str, ...]:
    """Return names as text. Numbers become names.

    Raises:
        ValueError: the values are not a list of names.
    """
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise ValueError(f"{what} is not a list")
    for value in values:
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise ValueError(f"{what} has an entry that is not a name: {value!r:.60}")
    return tuple(str(value).strip() for value in values)
