"""Records: the lean reader of a relational storage tells the same as Optuna."""

import subprocess
import sys

import optuna
import pandas as pd

from study.storage.trials_table import load_trials, study_trials
from tests.support.fake_study import fill


def test_lean_reader_equals_optuna(url: str) -> None:
    study = fill(url)
    memory = optuna.create_study(study_name="fake", direction="maximize")
    for name, value in study.user_attrs.items():
        memory.set_user_attr(name, value)
    memory.add_trials(study.get_trials())
    lean, whole = study_trials(study), study_trials(memory)
    pd.testing.assert_frame_equal(lean, whole[lean.columns], check_like=True)
    assert lean.attrs == whole.attrs


def test_curves_are_left_out_on_demand(sqlite_url: str) -> None:
    fill(sqlite_url)
    assert "curves" in load_trials(sqlite_url, "fake")
    assert "curves" not in load_trials(sqlite_url, "fake", curves=False)


def test_empty_study_has_the_columns(sqlite_url: str) -> None:
    records = study_trials(fill(sqlite_url, trials=0))
    assert list(records.columns) == ["number", "state", "value", "baseline"]


def test_reading_and_drawing_need_no_pytorch() -> None:
    # PyTorch takes seconds to import: `list` and `show` would be slow.
    modules = (
        "study.show.report, study.show.terminal, study.show.dashboard, study.show.plot_files, "
        "study.tables.export"
    )
    code = f"import sys, {modules}; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
