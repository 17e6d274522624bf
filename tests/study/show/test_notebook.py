"""The committed notebook runs from top to bottom, and holds no output of anyone's machine."""

import json
import runpy
from pathlib import Path

import pandas as pd
import pytest

from tests.support.setting import REPOSITORY


@pytest.mark.parametrize("folder", [".", "results"])
def test_notebook_runs(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = json.loads((REPOSITORY / "results" / "explore.ipynb").read_text())
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
    script = tmp_path / "cells.py"
    script.write_text("\n".join("".join(cell["source"]) for cell in cells))
    monkeypatch.chdir(REPOSITORY / folder)
    trials = runpy.run_path(str(script))["trials"]
    assert isinstance(trials, pd.DataFrame)
    assert len(trials) >= 24
