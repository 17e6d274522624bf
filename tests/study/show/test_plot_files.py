"""Plots as files: drawn by a browser, with clear messages if there is none."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

from study.show import plot_files
from tests.support.fake_study import fill
from tests.support.setting import Typed

Command = Callable[..., Typed]


@pytest.fixture
def plots(typed: Command, sqlite_url: str, tmp_path: Path) -> Command:
    """A function that runs `study plots` on a small study."""
    fill(sqlite_url)
    folder = ("-o", tmp_path / "plots")
    return lambda *words: typed("plots", "fake", "--storage", sqlite_url, *folder, *words)


def test_plots_are_drawn_by_name(plots: Command, tmp_path: Path) -> None:
    pytest.importorskip("kaleido", reason="no kaleido: pip install -e '.[plots]'")
    if not any(map(shutil.which, plot_files.BROWSERS)):
        pytest.skip("no Chromium: apt install chromium")
    done = plots("--format", "svg", "--only", "history", "--only", "heartbeats")
    assert done.code == 0, done.err
    names = ("history.svg", "heartbeats.svg")
    assert done.out.splitlines() == [str(tmp_path / "plots" / name) for name in names]
    for name in names:
        image = ElementTree.parse(tmp_path / "plots" / name).getroot()
        assert (image.tag.endswith("svg"), image.get("width")) == (True, str(plot_files.WIDTH))
    assert "prefers-color-scheme: dark" in (tmp_path / "plots" / names[0]).read_text()
    assert "as V" in (tmp_path / "plots" / names[1]).read_text()


def test_missing_kaleido_is_reported(plots: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kaleido", None)
    found = plots()
    assert found.code == 2
    assert "kaleido is not installed" in found.err
    assert "Traceback" not in found.err


def test_missing_browser_is_reported(
    plots: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "kaleido", ModuleType("kaleido"))
    monkeypatch.setattr(plot_files.shutil, "which", lambda _: None)
    found = plots()
    assert found.code == 1
    assert "need Chromium or Chrome, and none is installed" in found.err
    assert "python -m study report" in found.err
    assert not (tmp_path / "plots").exists()


def test_an_unknown_plot_is_reported(plots: Command) -> None:
    found = plots("--only", "heartbeat")
    assert found.code == 2
    assert "no plot is named 'heartbeat'" in found.err


def test_a_plot_that_lacks_something_is_named_with_what_it_needs(
    plots: Command, caplog: pytest.LogCaptureFixture
) -> None:
    found = plots("--only", "contours")
    assert found.code == 1
    assert "not drawn: contours: needs 20 complete trials" in caplog.text
    assert "none of the plots of 'fake' can be drawn" in found.err
