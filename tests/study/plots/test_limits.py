"""No output sets anything but the full protocol beside published scores."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from ecg.heartbeats import Heartbeats
from search_spaces.tables import TABLES
from study.comparison import differences_from_protocol
from study.plots import PLOTS, NothingToDrawError, published_table
from study.show.dashboard import describe_study
from study.show.report import render_report
from study.show.trial_files import make_file
from study.storage.studies import open_storage
from study.storage.trials_table import load_trials, study_trials
from tests.support.fake_results import fake_result
from tests.support.fake_study import fake_trial, fill
from tests.support.setting import IDENTITY, Typed

FULL = replace(IDENTITY, space="tables", source="mitdb", budget="paper")
OTHERS = {
    "simulated": {"source": "synthetic"},
    "reduced": {"budget": "quick"},
    "other patients": {"split": "inter-patient"},
    "older protocol": {"protocol": 1},
}


def tables_study(url: str, **changes: Any) -> optuna.Study:
    """Make a study of two rows of table 2."""
    study = optuna.create_study(storage=open_storage(url), study_name="t", direction="maximize")
    study.set_user_attr("identity", asdict(replace(FULL, **changes)))
    for row in TABLES["table2"].rows:
        cell = fake_result(row, 0)
        config = {k.removeprefix("config_"): v for k, v in cell.items() if "config_" in k}
        scores = {k.removeprefix("test_"): v for k, v in cell.items() if k.startswith("test_")}
        attributes = fake_trial(0).user_attrs | {
            "config": config, "test": scores, "test_confusion": cell["test_confusion"],
            "confusion": cell["confusion"], "stop_reason": "max-epochs",
            "cell": {"configuration": cell["configuration"], "repeat": 0, "fields": config},
        }  # fmt: skip
        study.add_trial(optuna.create_trial(value=0.5, user_attrs=attributes))
    return study


def names(figure: Any) -> set[str]:
    return {trace.name for trace in figure.data}


@pytest.mark.parametrize("changes", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("space", ["tables", "confirm:s"])  # whose configurations match rows
def test_published_scores_are_left_out_beside_anything_else(
    sqlite_url: str, changes: dict[str, Any], space: str
) -> None:
    trials = study_trials(tables_study(sqlite_url, space=space, **changes))
    drawn = published_table(trials, TABLES["table2"])
    assert names(drawn) == {"ours, 95% interval"}
    assert "not comparable with published scores" in drawn.layout.title.text
    assert "0.9201" not in json.dumps(drawn.to_plotly_json(), default=list)


def test_published_scores_stand_beside_the_full_protocol(sqlite_url: str) -> None:
    study = tables_study(sqlite_url)
    drawn = published_table(study_trials(study), TABLES["table2"])
    assert names(drawn) == {"published (one run)", "ours, 95% interval"}
    assert drawn.layout.title.text is None
    assert "NOT COMPARABLE" not in render_report([study_trials(study)])


def test_a_configuration_that_differs_in_a_field_of_no_table_matches_no_row(
    sqlite_url: str,
) -> None:
    trials = study_trials(tables_study(sqlite_url, space="confirm:s"))
    trials["config"] = [{**config, "batch_size": 256} for config in trials["config"]]
    with pytest.raises(NothingToDrawError):
        published_table(trials, TABLES["table2"])


def test_a_smoke_study_of_simulated_beats_is_reported_with_the_caution(
    typed: Callable[..., Typed], toy_data: None, sqlite_url: str, tmp_path: Path
) -> None:
    study = tables_study(sqlite_url, source="synthetic", budget="smoke")
    assert study.study_name == "t"
    page = tmp_path / "report.html"
    assert typed("report", "t", "--storage", sqlite_url, "-o", page).code == 0
    text = page.read_text(encoding="utf-8")
    assert "NOT COMPARABLE WITH THE PUBLISHED SCORES" in text
    caution = (
        "the data source is &#x27;synthetic&#x27;, not MIT-BIH; the budget is &#x27;smoke&#x27;"
    )
    assert caution in text
    assert "published (one run)" not in text


MARK = "simulated beats, reduced budget 'smoke'"


def test_simulated_beats_and_reduced_budgets_are_marked_on_every_plot_and_page(
    sqlite_url: str, typed: Callable[..., Typed], beats_at_hand: Heartbeats
) -> None:
    study = fill(sqlite_url, trials=40, beats=beats_at_hand)
    identity = replace(IDENTITY, data=beats_at_hand.fingerprint)
    study.set_user_attr("identity", asdict(identity))
    trials = load_trials(sqlite_url, study.study_name)
    for plot in PLOTS:
        assert MARK in plot.draw(trials).layout.title.text, plot.name
    sentence = "Simulated beats, reduced budget 'smoke': not comparable with published scores."
    assert sentence in render_report([trials]).replace("&#x27;", "'")
    assert "imulated beats, reduced budget 'smoke'" in describe_study(trials).replace("\\", "")
    assert sentence in typed("show", study.study_name, "--storage", sqlite_url).out


def test_images_of_a_trial_are_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("study.show.trial_images._png", lambda _, text: said.append(text) or b"")
    facts = {"confusion": [[1] * 5] * 5, "source": "synthetic", "budget": "smoke"}
    make_file("confusion.png", facts, "f1_macro")
    assert said == [MARK]


def test_the_full_protocol_on_mitbih_has_no_difference_and_no_mark(
    sqlite_url: str, beats_at_hand: Heartbeats
) -> None:
    assert differences_from_protocol(asdict(FULL)) == []
    study = fill(sqlite_url, trials=40, beats=beats_at_hand)
    study.set_user_attr("identity", asdict(replace(FULL, data=beats_at_hand.fingerprint)))
    trials = study_trials(study)
    assert all(plot.draw(trials).layout.title.text is None for plot in PLOTS)
