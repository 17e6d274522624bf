"""The log of each reading of a study's test part by `ecg evaluate`, one line of JSON each."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ecg.errors import EcgError

NAME = "test-reads.jsonl"  # in the folder of the database


def log_reading(path: Path, facts: Mapping[str, Any], scores: Mapping[str, float]) -> None:
    """Append a reading.

    Args:
        path: path of the log; it and its folder are created if missing.
        facts: facts of the measured model, with "study" and "trial".
        scores: the test scores.

    Raises:
        EcgError: the log cannot be written.
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
            file.write(json.dumps(line) + "\n")  # one short write: lines of processes never mix
    except OSError as error:
        raise EcgError(
            f"cannot log this reading of the test part in {path}: {error.strerror or error}. The "
            "scores are not shown. Name another file with `log`."
        ) from None


def readings_of(path: Path, study: str) -> list[dict[str, Any]]:
    """Return the readings of a study's test part; none if there is no log.

    Invalid lines are skipped.
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
