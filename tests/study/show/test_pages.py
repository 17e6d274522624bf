"""The dashboard and the report in a real browser."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("selenium", reason="no selenium: pip install -e '.[test]'")

from selenium.webdriver import Chrome

from ecg.heartbeats import Heartbeats
from study.plots import PLOTS
from study.show.report import write_report
from study.storage.trials_table import study_trials
from tests.support import browser
from tests.support.contrast import contrast, rgb
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
    """The address of a dashboard on a study of three real trials, and on one with a front."""
    run = ("run", "--space", tiny, "--data", "synthetic", "--budget", "smoke", "--study", "three")
    assert typed(*run, "--trials", 3, "--storage", sqlite_url).code == 0
    several = ("--study", "several", "--objectives", "f1_macro,parameters", "--trials", 2)
    assert typed(*run, *several, "--storage", sqlite_url).code == 0
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
    added = "getComputedStyle(document.querySelector('main a .MuiTypography-subtitle1'), '::after')"
    assert "budget smoke\nF1(M): best 0." in page.execute_script(f"return {added}.content").replace(
        "\\a ", "\n"
    )
    page.get(f"{dashboard}dashboard/studies/1")
    caution = "getComputedStyle(document.querySelector('main > .MuiBox-root'), '::before').content"
    browser.wait_for(page, f"{caution}.includes('reduced budget')")
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
    page.get(f"{dashboard}dashboard/studies/2")
    for text in ("Pareto Front", "parameters", "Objective Values = ["):
        browser.wait_for(page, f"document.body.innerText.includes('{text}')")
    page.get(f"{dashboard}dashboard/studies/2/note")
    browser.wait_for(page, "document.body.innerText.includes('minimising network parameters')")
    assert browser.errors(page) == []
    page.get("about:blank")  # the dashboard's page would keep asking a server that has stopped


def open_report(page: Chrome, report: Path) -> None:
    """Load a report, unfold it, and wait until everything is drawn."""
    page.get(report.as_uri())
    browser.wait_for(page, DRAWN)
    page.execute_script("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    browser.wait_for(page, "!document.querySelector('.plot:not([data-drawn])')")


@pytest.fixture
def report(sqlite_url: str, tmp_path: Path, beats_at_hand: Heartbeats) -> Path:
    """A report of a study whose texts are all HTML."""
    path = tmp_path / "report.html"
    study = fill(sqlite_url, trials=60, evil=True, beats=beats_at_hand)
    write_report([study_trials(study)], path)
    return path


def test_report_draws_every_plot_and_runs_no_text(page: Chrome, report: Path) -> None:
    open_report(page, report)
    marks = page.execute_script(
        "return [...document.querySelectorAll('.drawing > div')]"
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


# Every text that is cut, with its plot.
CUT = """
return [...document.querySelectorAll('.plot')].flatMap((plot) => {
  const box = plot.getBoundingClientRect();
  return [...plot.querySelectorAll('text')].filter((text) => {
    const b = text.getBoundingClientRect();
    const group = text.closest('.scrollbox')?.parentElement.querySelector('.bg');
    const legend = group ? group.getBoundingClientRect() : box;
    return b.width && (b.left < box.left - 2 || b.right > Math.min(box.right, legend.right) + 2
      || b.top < box.top - 2 || b.bottom > box.bottom + 2);
  }).map((text) => `${plot.id}: ${text.textContent}`);
})
"""
# Pairs of titles, ticks and entries of one plot that lie upon each other.
COLLIDING = """
return [...document.querySelectorAll('.plot')].flatMap((plot) => {
  const chosen = '.gtitle, .xtitle, .ytitle, .legendtext, .annotation-text, .xtick text';
  const boxes = [...plot.querySelectorAll(chosen)].filter((text) => text.textContent)
    .map((text) => [text.textContent, text.getBoundingClientRect()]);
  return boxes.flatMap(([one, a], index) => boxes.slice(index + 1).filter(([, b]) =>
    Math.min(a.right, b.right) - Math.max(a.left, b.left) > 3
    && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3
  ).map(([other]) => `${plot.id}: ${one} / ${other}`));
})
"""
# Colours of texts and lines, and of what is behind them, as "rgb(...)".
COLOURS = """
const page = getComputedStyle(document.body).backgroundColor;
const texts = [...document.querySelectorAll('main :is(p, td, th, li, h2, h3, h4, summary, a)')]
  .map((e) => [e.textContent.slice(0, 30), getComputedStyle(e).color, page]);
const drawn = [...document.querySelectorAll('.plot text:not(.textpoint text)')]
  .filter((e) => e.textContent).map((e) => [e.textContent, getComputedStyle(e).fill, page]);
const lines = [...document.querySelectorAll('.plot .js-line, .plot .legendlines path')]
  .filter((e) => e.style.stroke).map((e) => [e.className.baseVal, e.style.stroke, page]);
return [[...texts, ...drawn], lines];
"""


@pytest.mark.parametrize(
    ("width", "theme", "objectives"),
    [
        *((width, theme, "") for width in (360, 1280) for theme in ("light", "dark")),
        (360, "dark", "f1_macro,parameters,latency"),
    ],
)
def test_report_cuts_nothing_and_can_be_read(
    page: Chrome,
    sqlite_url: str,
    tmp_path: Path,
    beats_at_hand: Heartbeats,
    width: int,
    theme: str,
    objectives: str,
) -> None:
    # Rule: no sideways scroll, no text cut or upon another, a sentence under each plot; texts
    # have a contrast of 4.5:1, lines of 3:1.
    report = tmp_path / "report.html"
    study = fill(sqlite_url, trials=24, beats=beats_at_hand, objectives=objectives)
    write_report([study_trials(study)], report)
    browser.set_width(page, width)
    browser.set_theme(page, theme)
    try:
        open_report(page, report)
        assert page.execute_script("return document.documentElement.scrollWidth") <= width
        assert page.execute_script(CUT) == []
        assert page.execute_script(COLLIDING) == []
        said = "[...document.querySelectorAll('.drawn')].every((s) => s.querySelector('.says'))"
        assert page.execute_script(f"return {said}")
        texts, lines = page.execute_script(COLOURS)
        assert texts
        assert lines
        for found, least in ((texts, 4.5), (lines, 3.0)):
            assert [each for each in found if contrast(*map(rgb, each[1:])) < least] == []
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.set_theme(page, "light")


def test_dashboard_of_a_public_host_warns(sqlite_url: str) -> None:
    fill(sqlite_url, trials=2)
    process = start("dashboard", "--storage", sqlite_url, "--host", "0.0.0.0", "--port", 0)
    assert process.stdout is not None
    process.stdout.readline()
    process.terminate()
    _, error = process.communicate(timeout=30)
    assert "warning: --host 0.0.0.0" in error
    assert isinstance(process, subprocess.Popen)
