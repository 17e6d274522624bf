"""Rules of the records that long tests leave."""

import json
from pathlib import Path

import pytest

from tests import soak


def test_the_newest_record_of_a_subject_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Rule: a document is made of what the tests recorded: one row a subject, the newest, with
    # its test; sums per part; parts that were not run say so.
    monkeypatch.setattr(soak, "SOAK", True)
    monkeypatch.setattr(soak, "RESULTS", tmp_path)
    soak.record("crash", "a worker", 1)
    soak.record("crash", "a server", 7)
    soak.record("crash", "a worker", 1234, note="seed 5")
    soak.main()
    text = (tmp_path / "reliability.md").read_text()
    test = "tests/test_soak.py::test_the_newest_record_of_a_subject_counts"
    assert f"| a worker | 1,234 | 0 | seed 5 | `{test}` |" in text
    assert "| **together** | **1,241** | **0** |" in text
    assert text.count("Not run yet.") == len(soak.PARTS) - 1
    lines = (tmp_path / "reliability.jsonl").read_text().splitlines()
    assert [json.loads(line)["times"] for line in lines] == [1, 7, 1234]
    assert "SQLite 3." in text


def test_a_short_run_records_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Rule: `make test` changes no result; a part that nobody knows is refused.
    monkeypatch.setattr(soak, "SOAK", False)
    monkeypatch.setattr(soak, "RESULTS", tmp_path)
    soak.record("crash", "a worker", 1)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="Use one of: crash, folders"):
        soak.record("weather", "rain", 1)
