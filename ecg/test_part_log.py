"""The log of readings of a study's test part by `ecg evaluate`: one line of JSON each."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ecg.errors import EcgError

NAME = "test-reads.jsonl"  # beside the database of the studies


def log_reading(path: Path, facts: Mapping[str, Any], scores: Mapping[str, float]) -> None:
    """Append a reading.

    Args:
        path: of the log; it and its folder are made where there are none.
        facts: of the model that was measured, with "study" and "trial".
        scores: that were found.

    Raises:
        EcgError: it cannot be written.
    """
    line = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        **{name: facts.get(name) for name in ("study", "trial", "data", "split")},
        "reason": "`python -m ecg evaluate`",
        "scores": dict(scores),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")  # one short write: whole lines, whoever else writes
    except OSError as error:
        raise EcgError(
            f"The test part is not read, because the reading cannot be logged in {path}: "
            f"{error.strerror or error}. Name another file with `log`."
        ) from None


def readings_of(path: Path, study: str) -> list[dict[str, Any]]:
    """Return the readings of a study's test part, none where there is no log.

    Lines that are no readings are left out.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and entry.get("study") == study:
            found.append(entry)
    return found
