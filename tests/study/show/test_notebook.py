"""The committed notebook runs from top to bottom and gives the output that it shows.

To store new output, see docs/gallery.py.
"""

import ast
import base64
import io
import json
import re
import shutil
from typing import Any

import matplotlib.image
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from tests.support.setting import REPOSITORY

NOTEBOOK = REPOSITORY / "examples" / "explore.ipynb"
CELLS = [c for c in json.loads(NOTEBOOK.read_text("utf-8"))["cells"] if c["cell_type"] == "code"]
BLOCK = 20  # pixels: text may be drawn a little differently elsewhere
ALIKE = 0.01  # mean difference of two images in blocks, where 1 is black for white


def results_of_cells() -> list[Any]:
    """Run all cells in one namespace; return the value of the last line of each."""
    names: dict[str, Any] = {}
    values = []
    for cell in CELLS:
        tree = ast.parse("".join(cell["source"]))
        last = tree.body.pop()
        assert isinstance(last, ast.Expr)
        exec(compile(tree, "cell", "exec"), names)
        values.append(eval(compile(ast.Expression(last.value), "cell", "eval"), names))
    return values


def stored(cell: dict[str, Any], kind: str) -> str:
    """Return the only output that a cell has, in one form."""
    (output,) = cell["outputs"]
    return "".join(output["data"][kind])


def entries(html: str) -> list[str]:
    """Return the texts in the cells of a table."""
    return re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", html)


def blocks(png: bytes) -> np.ndarray:
    """Return the mean grey of square blocks of an image, from 0 to 1."""
    gray = matplotlib.image.imread(io.BytesIO(png))[..., :3].mean(axis=2)
    rows, columns = (size // BLOCK for size in gray.shape)
    cut = gray[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK)
    return np.asarray(cut.mean(axis=(1, 3)))


@pytest.mark.parametrize("folder", [".", "examples"])
def test_notebook_gives_the_tables_that_it_shows(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(REPOSITORY / folder)
    values = results_of_cells()
    tables = [(c, v) for c, v in zip(CELLS, values, strict=True) if isinstance(v, pd.DataFrame)]
    assert len(tables) >= 3
    for cell, table in tables:
        assert entries(stored(cell, "text/html")) == entries(table.to_html())


def test_notebook_gives_the_plots_that_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    kaleido = pytest.importorskip("kaleido")
    if (browser := shutil.which("chromium")) is None:
        pytest.skip("no Chromium: apt install chromium")
    monkeypatch.chdir(REPOSITORY)
    values = results_of_cells()
    plots = [(c, v) for c, v in zip(CELLS, values, strict=True) if isinstance(v, go.Figure)]
    assert len(plots) >= 3
    kaleido.start_sync_server(path=browser, silence_warnings=True)  # one browser for all plots
    try:
        images = [plot.to_image("png") for _, plot in plots]
    finally:
        kaleido.stop_sync_server(silence_warnings=True)
    for (cell, _), image in zip(plots, images, strict=True):
        shown, again = blocks(base64.b64decode(stored(cell, "image/png"))), blocks(image)
        assert shown.shape == again.shape
        assert np.abs(shown - again).mean() < ALIKE, "store the output again, see docs/gallery.py"


def test_notebook_is_small_and_names_no_machine() -> None:
    text = NOTEBOOK.read_text("utf-8")
    assert len(text) < 300_000
    assert not re.search(r"/(home|root|Users|work|tmp)/", text)
    assert "plotly.js" not in text
