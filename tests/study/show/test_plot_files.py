"""Figures as files: drawn by a browser, and plain messages where there is none."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

from study.show import plot_files as static_plots
from tests.support.fake_study import fill
from tests.support.setting import Typed

Command = Callable[..., Typed]


@pytest.fixture
def plots(typed: Command, sqlite_url: str, tmp_path: Path) -> Command:
    """A function that runs `study plots` on a small study."""
    fill(sqlite_url)
    folder = ("-o", tmp_path / "figures")
    return lambda *words: typed("plots", "fake", "--storage", sqlite_url, *folder, *words)


def test_figures_are_drawn_by_name(plots: Command, tmp_path: Path) -> None:
    pytest.importorskip("kaleido", reason="no kaleido: pip install -e '.[plots]'")
    if not any(map(shutil.which, static_plots.BROWSERS)):
        pytest.skip("no Chromium: apt install chromium")
    done = plots("--format", "svg", "--only", "history", "--only", "heartbeats")
    assert done.code == 0, done.err
    names = ("history.svg", "heartbeats.svg")
    assert done.out.splitlines() == [str(tmp_path / "figures" / name) for name in names]
    for name in names:
        image = ElementTree.parse(tmp_path / "figures" / name).getroot()
        assert (image.tag.endswith("svg"), image.get("width")) == (True, str(static_plots.WIDTH))
    assert "prefers-color-scheme: dark" in (tmp_path / "figures" / names[0]).read_text()
    assert "as V" in (tmp_path / "figures" / names[1]).read_text()


def test_missing_kaleido_is_told(plots: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kaleido", None)
    told = plots()
    assert told.code == 2
    assert "static figures need kaleido: pip install -e '.[plots]'" in told.err
    assert "Traceback" not in told.err


def test_missing_browser_is_told(
    plots: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "kaleido", ModuleType("kaleido"))
    monkeypatch.setattr(static_plots.shutil, "which", lambda _: None)
    told = plots()
    assert told.code == 1
    assert "drawn by Chromium or Chrome, and none is installed" in told.err
    assert "python -m study report" in told.err
    assert not (tmp_path / "figures").exists()


def test_figure_that_is_not_there_is_told(plots: Command) -> None:
    told = plots("--only", "heartbeat")
    assert told.code == 2
    assert "no figure is named 'heartbeat'" in told.err
