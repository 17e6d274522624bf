"""The report of studies in every state."""

import html
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
from markdown_it import MarkdownIt

from ecg.heartbeats import Heartbeats
from ecg.metrics import difference_interval
from study.plots import PLOTS, NothingToDrawError, optimisation_history, published_table
from study.plots.style import BLUE, COLOURS, GREY, log_ticks
from study.show.dashboard import describe_study, exposure
from study.show.report import render_report
from study.show.sentences import say_caution
from study.storage.dashboard_speed import index_by_trial, spread
from study.storage.trials_table import study_trials
from tests.support.contrast import contrast, rgb
from tests.support.fake_results import fake_confusion
from tests.support.fake_study import EVIL, fill
from tests.support.setting import IDENTITY, Typed, open_new


def test_report_needs_no_network_and_no_running_text(
    sqlite_url: str, beats_at_hand: Heartbeats
) -> None:
    study = fill(sqlite_url, evil=True, trials=60, beats=beats_at_hand)
    page = render_report([study_trials(study)])
    assert EVIL not in page
    assert 'src="http' not in page
    assert page.count("* plotly.js v") == 1
    assert "One run each" in page
    assert "as V" in page
    assert "Not drawn" not in page


class Tags(HTMLParser):
    """The tags of a page with their attributes' names, and the texts of its headings."""

    def __init__(self, page: str) -> None:
        """Read the page."""
        super().__init__()
        self.found: list[tuple[str, ...]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep it."""
        self.found.append((tag, *(name for name, _ in attrs)))


def test_no_name_adds_a_tag(sqlite_url: str) -> None:
    # Rule: the tags of report and note are the same whatever a study is named.
    name = (
        "</script></style></title><script>alert(1)</script> --> ]]> <img src=x onerror=y> <!-- "
        "\" onmouseover='x' &lt;b&gt; **b** [a](javascript:x) | `c` # h"
    )
    plain, named = (study_trials(fill(sqlite_url, each)) for each in ("plain", name))
    report = render_report([named])
    assert html.escape(name) in report
    assert Tags(report).found == Tags(render_report([plain])).found
    notes = [
        MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(describe_study(trials))
        for trials in (plain, named)
    ]
    assert Tags(notes[1]).found == Tags(notes[0]).found


def test_empty_and_unfinished_studies_say_what_is_there(sqlite_url: str) -> None:
    study, _ = open_new(sqlite_url)
    assert "There is no trial yet" in render_report([study_trials(study)])
    study.ask()
    page = render_report([study_trials(study)])
    assert "1 trial: 1 running" in page
    assert "no trial is finished yet" in page
    assert "no winner" in describe_study(study_trials(study))
    for plot in PLOTS:
        with pytest.raises(NothingToDrawError):
            plot.draw(study_trials(study))


def test_study_of_another_tool_is_reported(sqlite_url: str) -> None:
    study = optuna.create_study(storage=sqlite_url, study_name="foreign")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    page = render_report([study_trials(study)])
    assert "not made by this project" in page


def test_report_answers_before_it_draws(sqlite_url: str) -> None:
    # Rule: verdict, comparison, contents; then plots, each with a sentence and its basis.
    page = render_report([study_trials(fill(sqlite_url))])
    places = [
        page.index(text)
        for text in ('class="verdict"', "difference, one run each", 'aria-label="contents"',
                     'class="plot"', "Optimisation history", "<details>")
    ]  # fmt: skip
    assert places == sorted(places)
    assert page.count('class="says"') == page.count('class="plot"') > 5
    assert page.count("finished trials, one run each, ") == page.count('class="plot"')


def test_what_the_objective_can_reach_is_said() -> None:
    # Rule: a class without a validation beat caps the objective; Q does not cap F1(N, S, V).
    best = pd.Series({"budget": "paper", "confusion": np.diag([90, 0, 5, 2, 0]).tolist()})
    for objective, said in {
        "f1_macro": "No S or Q beat in validation: F1(M) is at most 0.6000.",
        "f1_nsv": "No S or Q beat in validation: F1(N, S, V) is at most 0.6667.",
        "f1_weighted": "",
    }.items():
        trials = pd.DataFrame()
        trials.attrs["identity"] = {"objective": objective}
        assert say_caution(trials, best).endswith(said or "python -m study confirm.")
    best["confusion"] = np.diag([90, 9, 5, 2, 0]).tolist()
    trials.attrs["identity"] = {"objective": "f1_nsv"}
    assert "at most" not in say_caution(trials, best)


def test_plots_that_need_more_trials_say_how_many(sqlite_url: str) -> None:
    page = render_report([study_trials(fill(sqlite_url))])
    assert re.search(
        "Importances of the parameters: needs 20 complete trials; there are [5-9]", page
    )
    assert "Contours of the objective: needs 20 complete trials with " in page


def test_nothing_is_counted_in_the_wrong_number(sqlite_url: str) -> None:
    page = render_report([study_trials(fill(sqlite_url, trials=1))])
    assert "1 trial:" in page
    assert not re.search(r"\b1 (trials|times|finished trials)\b", page.split("<script>")[0])


def test_colour_is_the_strategy_in_every_plot(sqlite_url: str) -> None:
    # Rule: each kind has one colour, each end of a trial a shape, and contrasts are at least 3:1.
    trials = study_trials(fill(sqlite_url))
    for plot in PLOTS:
        try:
            figure = plot.draw(trials)
        except NothingToDrawError:
            continue
        for trace in figure.data:
            if str(trace.name).startswith("class weights"):
                assert (trace.line.color or trace.marker.color) == BLUE, plot.name
    symbols = {s for t in optimisation_history(trials).data for s in t.marker.symbol or ()}
    assert symbols >= {"x", "diamond"}
    for colour in (*COLOURS, GREY):
        for page in ("#ffffff", "#17181a"):
            assert contrast(rgb(colour), rgb(page)) >= 3


def test_logarithmic_axes_have_numbers() -> None:
    assert log_ticks([0.001, 0.1])["ticktext"] == ["0.001", "0.01", "0.1"]
    for values in ([0.03, 0.04], [0.1, 0.2], [1e-5, 10.0], [0.5], [0.02, 3.0]):
        assert log_ticks(values)["ticktext"], values


def test_interval_of_a_difference_holds_it() -> None:
    rng = np.random.default_rng(0)
    one, other = fake_confusion(rng, easier=0.5), fake_confusion(rng)
    low, high = difference_interval(one, other, "f1_macro")
    assert 0 < low < high
    low, high = difference_interval(one, one, "f1_macro")
    assert low < 0 < high


def test_bad_names_are_reported(
    typed: Callable[..., Typed], sqlite_url: str, tmp_path: Path
) -> None:
    missing = typed("report", "--storage", sqlite_url, "-o", tmp_path / "r.html")
    assert (missing.code, "There is no database" in missing.err) == (2, True)
    fill(sqlite_url, "heartbeats")
    typo = typed("report", "hartbeats", "--storage", sqlite_url, "-o", tmp_path / "r.html")
    assert (typo.code, "Did you mean: heartbeats" in typo.err) == (2, True)
    done = typed("report", "--storage", sqlite_url, "-o", tmp_path / "r.html")
    assert done.code == 0
    assert (tmp_path / "r.html").stat().st_size < 20e6
    wrong = typed("plots", "heartbeats", "--storage", sqlite_url, "--format", "gif")
    assert (wrong.code, "Use one of: svg, png" in wrong.err) == (2, True)


@pytest.mark.parametrize("opens", [(), ("--open",)])
def test_the_page_is_opened_on_demand(
    typed: Callable[..., Typed],
    sqlite_url: str,
    monkeypatch: pytest.MonkeyPatch,
    opens: tuple[str, ...],
) -> None:
    # Rule: --open opens the printed address, which is of this machine only.
    fill(sqlite_url, trials=1)
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr("study.show.dashboard._Server.serve_forever", lambda _: None)
    ended = typed("dashboard", "--storage", sqlite_url, "--port", 0, *opens)
    assert ended.code == 0
    printed = re.findall(r"http://127\.0\.0\.1:\d+/", ended.out)
    assert opened == (printed if opens else [])
    assert len(printed) == 1


def test_public_hosts_are_warned_about() -> None:
    assert exposure("127.0.0.1") is exposure("localhost") is exposure("::1") is None
    assert "no password" in str(exposure("0.0.0.0"))


def test_attributes_are_found_by_trial() -> None:
    index = index_by_trial({"dashboard:7:note_ver": 1, "dashboard:artifacts:7:a": 2, "other": 3})
    assert index == {7: {"dashboard:7:note_ver": 1, "dashboard:artifacts:7:a": 2}}


def test_table_without_a_measured_row_is_not_drawn(sqlite_url: str) -> None:
    from search_spaces.tables import TABLES

    assert IDENTITY.split == "intra-patient"
    with pytest.raises(NothingToDrawError):
        published_table(study_trials(fill(sqlite_url)), TABLES["table1"])


def test_what_a_study_is_is_listed_one_by_one() -> None:
    # Rule: no value of the dashboard's table of attributes is a JSON object.
    attributes = {"identity": {"budget": "quick", "repeats": None, "more": {"a": [1]}}, "x": 1}
    assert spread(attributes) == {
        "identity: budget": "quick", "identity: repeats": "none", "identity: more: a": [1], "x": 1,
    }  # fmt: skip
