"""The dashboard and the report in a real browser."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("selenium", reason="no selenium: pip install -e '.[test]'")

from selenium.webdriver import Chrome

from study.plots import PLOTS
from study.show.report import write_report
from study.storage.trials_table import study_trials
from tests.support import browser
from tests.support.fake_study import fill
from tests.support.setting import Typed, finish, start

DRAWN = "document.body.dataset.drawn === 'yes'"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with browser.opened(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def dashboard(
    typed: Callable[..., Typed], toy_data: None, tiny: Path, sqlite_url: str
) -> Iterator[str]:
    """The address of a dashboard on a study of three real trials."""
    run = ("run", "--space", tiny, "--data", "synthetic", "--budget", "smoke", "--study", "three")
    assert typed(*run, "--trials", 3, "--storage", sqlite_url).code == 0
    process = start("dashboard", "--storage", sqlite_url, "--port", 0)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert "http://127.0.0.1:" in line, finish(process)
    yield line.split()[-1]
    process.terminate()
    process.wait(timeout=30)


def test_dashboard_shows_studies_notes_files_and_plots(page: Chrome, dashboard: str) -> None:
    page.get(f"{dashboard}dashboard")
    browser.wait_for(page, "document.body.innerText.includes('three')")
    page.get(f"{dashboard}dashboard/studies/1")
    title = "document.body.textContent.includes('Recall against precision per class')"
    browser.wait_for(page, title)
    page.get(f"{dashboard}dashboard/studies/1/trials?numbers=0")
    for text in ("Supraventricular", "weights.safetensors", "predictions.csv"):
        browser.wait_for(page, f"document.body.innerText.includes('{text}')")
    loaded = "[...document.images].filter((i) => i.naturalWidth > 300).length === 2"
    browser.wait_for(page, loaded)
    assert page.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    page.get(f"{dashboard}dashboard/studies/1/note")
    browser.wait_for(page, "document.body.innerText.includes('maximising validation F1(M)')")
    assert browser.errors(page) == []
    page.get("about:blank")  # the dashboard's page would keep asking a server that has stopped


def open_report(page: Chrome, report: Path) -> None:
    """Load a report, unfold it, and wait until everything is drawn."""
    page.get(report.as_uri())
    browser.wait_for(page, DRAWN)
    page.execute_script("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    browser.wait_for(page, "!document.querySelector('.plot:not([data-drawn])')")


@pytest.fixture
def report(sqlite_url: str, tmp_path: Path) -> Path:
    """A report of a study whose texts are all HTML."""
    path = tmp_path / "report.html"
    write_report([study_trials(fill(sqlite_url, trials=60, evil=True))], path)
    return path


def test_report_draws_every_plot_and_runs_no_text(page: Chrome, report: Path) -> None:
    open_report(page, report)
    marks = page.execute_script(
        "return [...document.querySelectorAll('.figure > div')]"
        ".map((f) => f.querySelectorAll('.trace, .hm, .contour').length)"
    )
    assert len(marks) == len(PLOTS)
    assert all(marks), marks
    assert page.execute_script("return window.evil") is None
    assert page.execute_script("return document.images.length") == 0
    assert "<script>" in page.execute_script("return document.querySelector('main').innerText")
    assert browser.errors(page) == []


def test_report_sorts_trials(page: Chrome, report: Path) -> None:
    page.get(report.as_uri())
    browser.wait_for(page, DRAWN)
    column = (
        "[...document.querySelectorAll('table.sortable tbody tr')]"
        ".map((row) => row.cells[2].textContent)"
    )
    click = "document.querySelectorAll('table.sortable th button')[2].click()"
    page.execute_script(click)
    up = page.execute_script(f"return {column}")
    page.execute_script(click)
    down = page.execute_script(f"return {column}")
    values = [float(text) for text in up if text]
    assert values == sorted(values)
    assert [float(text) for text in down if text] == values[::-1]
    assert up[-1] == down[-1] == ""  # failed trials have no objective and come last


@pytest.mark.parametrize("width", [360, 1280])
def test_report_cuts_nothing(page: Chrome, sqlite_url: str, tmp_path: Path, width: int) -> None:
    # Rule: no sideways scroll, no text of a plot outside its picture, a sentence under each.
    report = tmp_path / "report.html"
    write_report([study_trials(fill(sqlite_url))], report)
    browser.set_width(page, width)
    try:
        open_report(page, report)
        assert page.execute_script("return document.documentElement.scrollWidth") <= width
        cut = page.execute_script(
            "return [...document.querySelectorAll('.plot')].flatMap((plot) => {"
            "  const box = plot.getBoundingClientRect();"
            "  return [...plot.querySelectorAll('text')].filter((text) => {"
            "    const b = text.getBoundingClientRect();"
            "    return b.width && (b.left < box.left - 2 || b.right > box.right + 2"
            "      || b.top < box.top - 2 || b.bottom > box.bottom + 2);"
            "  }).map((text) => `${plot.id}: ${text.textContent}`);"
            "})"
        )
        assert cut == []
        said = "[...document.querySelectorAll('.drawn')].every((s) => s.querySelector('.says'))"
        assert page.execute_script(f"return {said}")
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_dashboard_of_a_public_host_warns(sqlite_url: str) -> None:
    fill(sqlite_url, trials=2)
    process = start("dashboard", "--storage", sqlite_url, "--host", "0.0.0.0", "--port", 0)
    assert process.stdout is not None
    process.stdout.readline()
    process.terminate()
    _, error = process.communicate(timeout=30)
    assert "warning: --host 0.0.0.0" in error
    assert isinstance(process, subprocess.Popen)
