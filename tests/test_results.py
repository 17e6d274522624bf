"""The committed tables and benchmark pages follow from the committed results."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import agreement, storage_report, training_report
from study.storage.recordings import read_recording
from study.tables.export import export_table_files, read_runs

RESULTS = Path(__file__).parents[1] / "results"
FILES = sorted((RESULTS / "tables").glob("*/results.csv"))


def test_there_are_committed_results() -> None:
    assert FILES


def test_tables_render_again_to_the_committed_bytes(tmp_path: Path) -> None:
    # Same results, same bytes; and every committed table is one of these.
    export_table_files(read_runs(FILES), tmp_path, published=True, formats=["markdown"], digits=4)
    again = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.md")}
    tables = RESULTS / "tables"
    committed = {path.relative_to(tables): path.read_bytes() for path in tables.rglob("*.md")}
    assert again == committed


@pytest.mark.parametrize(
    ("name", "render"),
    [("storage", storage_report.describe), ("training-cpu", training_report.render)],
)
def test_benchmark_pages_render_again(name: str, render: Callable[[Any], str]) -> None:
    measured = json.loads((RESULTS / "benchmarks" / f"{name}.json").read_text("utf-8"))
    assert render(measured) == (RESULTS / "benchmarks" / f"{name}.md").read_text("utf-8")


def test_the_agreement_of_budgets_follows_from_the_results() -> None:
    assert agreement.render() == agreement.PAGE.read_text("utf-8")


def test_recordings_hold_enough_real_trials() -> None:
    # A comparison of pruners rests on 24 or more.
    recordings = [read_recording(path) for path in (RESULTS / "search").glob("*.jsonl")]
    assert recordings
    assert all(len(recording.trials) >= 24 for recording in recordings)
