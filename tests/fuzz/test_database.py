"""Whatever stands in a database: commands end with a message, and other studies are shown."""

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.plots.curves import learning_curves
from study.show.dashboard import refresh_all
from study.show.terminal import SHOWN, list_studies, show_study
from study.storage.reading import read_studies, read_study
from study.storage.recordings import write_recording
from study.storage.studies import load_study, open_storage
from study.storage.trials_table import load_all_trials
from study.tables.export import export_result_files, find_studies
from tests.fuzz.fuzzing import bent, evil, fuzz, only_ours
from tests.support.fake_runs import fake_runs
from tests.support.fake_study import fill

TABLES = ("trial_user_attributes", "study_user_attributes", "study_system_attributes")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with a search, planned runs, and a study that is never damaged."""
    path = tmp_path_factory.mktemp("whole") / "study.db"
    url = f"sqlite:///{path}"
    fill(url, "search", trials=3)
    fake_runs(url, "planned", seeds=1, budget="smoke", seed=0)
    refresh_all(open_storage(url))
    fill(url, "sound", trials=2)
    connection = sqlite3.connect(path)  # so that a copy of the file has it all
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return path


@st.composite
def harmed(draw: st.DrawFn, path: Path) -> list[tuple[str, int, str | None]]:
    """One to three attributes, by table and row, with what stands in their place."""
    import json

    connection = sqlite3.connect(path)
    found = []
    for _ in range(draw(st.integers(1, 3))):
        table = draw(st.sampled_from(TABLES))
        of = table.split("_")[0]
        owner = "trial_id NOT IN (SELECT trial_id FROM trials WHERE study_id = 3)"
        where = owner if of == "trial" else "study_id <> 3"
        rows = connection.execute(f"SELECT rowid, value_json FROM {table} WHERE {where}").fetchall()
        row, text = draw(st.sampled_from(rows))
        value: Any = draw(bent(json.loads(text)))
        new = draw(st.sampled_from((None, draw(evil), json.dumps(value), json.dumps(value))))
        found.append((table, row, new))
    connection.close()
    return found


def export(url: str, folder: Path) -> None:
    export_result_files(find_studies(url, []), folder)


@fuzz
@given(st.data())
def test_damaged_attributes_cost_their_own_study_at_most(
    whole: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    # Rule: our own errors alone, each study is still listed, and the sound one is as it was.
    changes = data.draw(harmed(whole))
    folder = tmp_path_factory.mktemp("harmed")
    path = shutil.copy(whole, folder / "study.db")
    connection = sqlite3.connect(path)
    for table, row, text in changes:
        shown = None if text is None else text.encode("utf-8", "replace").decode()
        connection.execute(f"UPDATE {table} SET value_json = ? WHERE rowid = ?", (shown, row))
    connection.commit()
    connection.close()
    url = f"sqlite:///{path}"
    studies = only_ours(lambda: read_studies(url, SHOWN))
    assert isinstance(studies, list)
    assert [study.name for study in studies] == ["planned", "search", "sound"]
    list_studies(studies)
    assert [row["state"] for row in studies[2].rows] == ["complete", "complete"]
    drawings: list[Callable[[], Any]] = [
        lambda: show_study(read_study(url, "search", SHOWN)),
        lambda: write_recording(load_study(open_storage(url), "search"), folder / "r.jsonl"),
        lambda: export(url, folder),
        lambda: refresh_all(open_storage(url)),
        lambda: [learning_curves(records) for records in load_all_trials(url)],
    ]
    only_ours(data.draw(st.sampled_from(drawings)))  # each takes long
    shutil.rmtree(folder)
