"""The committed results follow from the committed records."""

from pathlib import Path

from study.export import export_table_files, read_cells
from study.replay import read_recording

RESULTS = Path(__file__).parents[1] / "results"
RECORDS = sorted((RESULTS / "tables").glob("*/records.csv"))


def test_there_are_committed_records() -> None:
    assert RECORDS


def test_tables_render_again_to_the_committed_bytes(tmp_path: Path) -> None:
    # Same records, same bytes; and every committed table is one of these.
    export_table_files(
        read_cells(RECORDS), tmp_path, published=True, formats=["markdown"], digits=4
    )
    again = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.md")}
    tables = RESULTS / "tables"
    committed = {path.relative_to(tables): path.read_bytes() for path in tables.rglob("*.md")}
    assert again == committed


def test_recordings_hold_enough_real_trials() -> None:
    # A comparison of pruners rests on 24 or more.
    recordings = [read_recording(path) for path in (RESULTS / "search").glob("*.jsonl")]
    assert recordings
    assert all(len(recording.trials) >= 24 for recording in recordings)
