"""Files of a trial: what is there, made when it is opened, and that a full disk costs no trial."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import optuna
import pytest
from optuna.artifacts import get_all_artifact_meta
from optuna.artifacts.exceptions import ArtifactNotFound

from study.show.trial_files import make_file, predictions_csv
from study.storage.artifacts import MADE_ON_DEMAND, VALIDATION_PREDICTIONS, WEIGHTS, TrialFiles
from study.storage.studies import open_storage
from tests.support.load import RECORDING
from tests.support.setting import REPOSITORY, Typed

RUN = ("run", "--data", "synthetic", "--budget", "smoke", "--study", "one", "--trials", 1)


def opened(url: str, folder: Path, study: str = "one") -> Mapping[str, bytes]:
    """Return the files of the first trial of a study by name, as whoever looks sees them."""
    storage = open_storage(url)
    trial = optuna.load_study(storage=storage, study_name=study).trials[0]
    store = TrialFiles(folder, storage, make_file)
    return {
        entry.filename: store.open_reader(entry.artifact_id).read()
        for entry in get_all_artifact_meta(trial, storage=storage)
    }


def test_trial_has_files_and_a_note(
    typed: Callable[..., Typed], toy_data: None, tiny: Path, sqlite_url: str, tmp_path: Path
) -> None:
    # Rule: a trial leaves two files; the others are there for whoever opens them.
    assert typed(*RUN, "--space", tiny, "--storage", sqlite_url).code == 0
    study = optuna.load_study(storage=open_storage(sqlite_url), study_name="one")
    entries = get_all_artifact_meta(study.trials[0], storage=study._storage)
    assert {entry.filename: entry.mimetype.split("/")[0] for entry in entries} == {
        "confusion.png": "image", "curves.png": "image", "predictions.csv": "text",
        "weights.safetensors": "application", "validation.npz": "application",
    }  # fmt: skip
    written = {path.name for path in (tmp_path / "artifacts").iterdir()}
    assert written == {
        e.artifact_id for e in entries if e.filename in (WEIGHTS, VALIDATION_PREDICTIONS)
    }
    files = opened(sqlite_url, tmp_path / "artifacts")
    for name, content in files.items():
        assert content.startswith(b"\x89PNG") == name.endswith(".png")
    confusion = study.trials[0].user_attrs["confusion"]
    assert files["predictions.csv"].decode() == predictions_csv(confusion)
    note = study._storage.get_study_system_attrs(study._study_id)["dashboard:1:note_str:0"]
    assert note.startswith("**F1(M)")


def test_artifacts_that_cannot_be_written_cost_no_trial(
    typed: Callable[..., Typed], toy_data: None, tiny: Path, sqlite_url: str, tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    # Rule: nor does it cost what is not written.
    (tmp_path / "artifacts").write_text("a file in the way")
    assert typed(*RUN, "--space", tiny, "--storage", sqlite_url).code == 0
    assert "kept without its weights.safetensors" in caplog.text
    study = optuna.load_study(storage=open_storage(sqlite_url), study_name="one")
    assert study.trials[0].state.name == "COMPLETE"
    assert set(opened(sqlite_url, tmp_path / "elsewhere")) == set(MADE_ON_DEMAND)


def test_a_copied_trial_has_its_files(
    typed: Callable[..., Typed], toy_data: None, tiny: Path, sqlite_url: str, tmp_path: Path
) -> None:
    # Rule: a file is made of the trial that names it, wherever that was copied to.
    assert typed(*RUN, "--space", tiny, "--storage", sqlite_url).code == 0
    other = f"sqlite:///{tmp_path}/other.db"
    open_storage(other).engine.dispose()
    for name in ("first", "one"):
        optuna.copy_study(
            from_study_name="one", from_storage=sqlite_url, to_storage=other, to_study_name=name
        )
    folder = tmp_path / "artifacts"
    assert opened(other, folder) == opened(sqlite_url, folder)


def test_a_file_that_nobody_names_is_not_found(sqlite_url: str, tmp_path: Path) -> None:
    # Rule: what cannot be made is refused as Optuna refuses it; what is not there is removed
    # already, so that a study with its files can be deleted.
    storage = open_storage(sqlite_url)
    trial = optuna.create_study(storage=storage).ask()
    entry = {"artifact_id": "2b", "filename": WEIGHTS, "mimetype": "", "encoding": None}
    storage.set_trial_system_attr(trial._trial_id, "artifacts:2b", json.dumps(entry))
    storage.set_trial_system_attr(trial._trial_id, "artifacts:3c", json.dumps(None))
    store = TrialFiles(tmp_path, storage, make_file)
    for artifact_id in ("1a", "2b", "3c"):
        with pytest.raises(ArtifactNotFound):
            store.open_reader(artifact_id)
        store.remove(artifact_id)


def test_a_worker_draws_nothing(sqlite_url: str) -> None:
    # Rule: Matplotlib is for whoever looks.
    words = ["study", "run", "--replay", str(RECORDING), "--trials", "1", "--storage", sqlite_url]
    code = f"""
import sys
sys.argv = {words!r}
try:
    from study.cli import main
    main()
finally:
    assert "matplotlib" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "curves.png" in opened(
        sqlite_url, Path(), "imbalance-replay-of-mitdb-intra-patient-quick"
    )


def test_predictions_count_every_beat() -> None:
    rows = predictions_csv([[5, 1, 0, 0, 0], *[[0] * 5] * 4]).splitlines()
    assert rows[0].startswith("true class,beats,predicted N")
    assert rows[1] == "N Normal,6,5,1,0,0,0,0.8333,0.0000,1.0000,0.9091"
    assert json.dumps(rows[2]).count(",0,") >= 1
