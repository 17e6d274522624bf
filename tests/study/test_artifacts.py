"""Files of a trial: what is there, and that a full disk costs no trial."""

import json
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.artifacts import get_all_artifact_meta

from study.artifacts import predictions_csv
from study.storage import open_storage
from tests.study.setting import Typed

RUN = ("run", "--data", "synthetic", "--budget", "smoke", "--study", "one", "--trials", 1)


def test_trial_has_files_and_a_note(
    typed: Callable[..., Typed], toy_data: None, tiny: Path, sqlite_url: str, tmp_path: Path
) -> None:
    assert typed(*RUN, "--space", tiny, "--storage", sqlite_url).code == 0
    study = optuna.load_study(storage=open_storage(sqlite_url), study_name="one")
    files = get_all_artifact_meta(study.trials[0], storage=study._storage)
    assert {file.filename: file.mimetype.split("/")[0] for file in files} == {
        "confusion.png": "image", "curves.png": "image", "predictions.csv": "text",
        "weights.safetensors": "application",
    }  # fmt: skip
    for file in files:
        content = (tmp_path / "artifacts" / file.artifact_id).read_bytes()
        assert content.startswith(b"\x89PNG") == file.filename.endswith(".png")
    note = study._storage.get_study_system_attrs(study._study_id)["dashboard:1:note_str:0"]
    assert note.startswith("**F1(M)")


def test_artifacts_that_cannot_be_written_cost_no_trial(
    typed: Callable[..., Typed], toy_data: None, tiny: Path, sqlite_url: str, tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    (tmp_path / "artifacts").write_text("a file in the way")
    assert typed(*RUN, "--space", tiny, "--storage", sqlite_url).code == 0
    assert "kept without its images" in caplog.text
    study = optuna.load_study(storage=open_storage(sqlite_url), study_name="one")
    assert study.trials[0].state.name == "COMPLETE"


def test_predictions_count_every_beat() -> None:
    rows = predictions_csv([[5, 1, 0, 0, 0], *[[0] * 5] * 4]).splitlines()
    assert rows[0].startswith("true class,beats,predicted N")
    assert rows[1] == "N Normal,6,5,1,0,0,0,0.8333,0.0000,1.0000,0.9091"
    assert json.dumps(rows[2]).count(",0,") >= 1
