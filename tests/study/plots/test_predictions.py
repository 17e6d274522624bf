"""Rules of the plots of predictions: they are read beside the database, and beats from the data."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest

from ecg.calibration import average_precision, precision_recall, reliability
from ecg.heartbeats import CLASSES, UNKNOWN, Heartbeats
from study.plots import (
    NothingToDrawError,
    confident_mistakes,
    precision_recall_curves,
    reliability_diagram,
)
from study.plots.style import baseline_of, best_of
from study.storage.artifacts import artifact_folder
from study.storage.predictions import Predictions
from study.storage.trials_table import load_trials, study_trials
from tests.support.fake_study import fill
from tests.support.toy import toy_heartbeats

ALL = (reliability_diagram, precision_recall_curves, confident_mistakes)


@pytest.fixture
def trials(sqlite_url: str, beats_at_hand: Heartbeats) -> pd.DataFrame:
    return study_trials(fill(sqlite_url, beats=beats_at_hand))


def found(trial: Any) -> Predictions:
    predictions: Predictions = trial["predictions"]
    return predictions


def files(url: str) -> list[Path]:
    return [path for path in artifact_folder(url).iterdir() if path.is_file()]


def test_only_the_best_trial_and_the_baseline_are_read(trials: pd.DataFrame) -> None:
    baseline = baseline_of(trials)
    assert baseline is not None
    read = trials[trials["predictions"].notna()]["number"]
    assert {*read} == {best_of(trials)["number"], baseline["number"]}
    assert len({*read}) == 2


def test_a_trial_that_repeats_another_has_its_predictions(
    sqlite_url: str, beats_at_hand: Heartbeats
) -> None:
    study = fill(sqlite_url, beats=beats_at_hand)
    best = study.best_trial
    study.add_trial(
        optuna.create_trial(
            value=1.0, params=best.params, distributions=best.distributions,
            user_attrs={**best.user_attrs, "same_as": best.number},
        )
    )  # fmt: skip
    winner = best_of(study_trials(study))
    assert winner["number"] != best.number
    assert (
        reliability_diagram(study_trials(study))
        .data[1]
        .name.startswith(f"best (trial {winner['number']})")
    )


def test_the_calibration_error_is_said_with_bins_and_beats(trials: pd.DataFrame) -> None:
    drawn = reliability_diagram(trials)
    for title, trial in (("best", best_of(trials)), ("baseline", baseline_of(trials))):
        assert trial is not None
        one = found(trial)
        error = reliability(one.label, one.probability).error
        assert f"{title} (trial {trial['number']}): ECE {error:.3f}" in {t.name for t in drawn.data}
    assert f"10 bins, n = {len(one.label):,} beats" in drawn.layout.xaxis2.title.text


def test_average_precision_is_said_of_both(trials: pd.DataFrame) -> None:
    titles = [note.text for note in precision_recall_curves(trials).layout.annotations]
    for index in range(len(CLASSES)):
        for word, trial in (("AP", best_of(trials)), ("baseline", baseline_of(trials))):
            one = found(trial)
            area = average_precision(
                *precision_recall(one.label == index, one.probability[:, index])
            )
            assert f"{word} {area:.3f}" in titles[index]


def test_a_class_without_beats_has_no_curve(trials: pd.DataFrame) -> None:
    best = best_of(trials)
    one = found(best)
    kept = one.label != CLASSES.index("F")
    fewer = Predictions(one.row[kept], one.label[kept], one.probability[kept])
    trials["predictions"] = [fewer if n == best["number"] else None for n in trials["number"]]
    titles = [note.text for note in precision_recall_curves(trials).layout.annotations]
    assert [("no beat" in title) for title in titles[:5]] == [name == "F" for name in CLASSES]


def test_mistakes_are_those_of_highest_confidence_per_pair(
    trials: pd.DataFrame, beats_at_hand: Heartbeats
) -> None:
    # Rule: the pairs with most mistakes come first; each beat has its record and time.
    one = found(best_of(trials))
    predicted, confidence = one.probability.argmax(1), one.probability.max(1)
    pairs = pd.Series(list(zip(one.label, predicted, strict=True)))[predicted != one.label]
    (true, other), number = pairs.value_counts().index[0], pairs.value_counts().iloc[0]
    drawn = confident_mistakes(trials)
    assert drawn.layout.yaxis.title.text == f"{CLASSES[true]} as {CLASSES[other]}<br>{number} beats"
    mine = np.flatnonzero((one.label == true) & (predicted == other))
    first = mine[np.argmax(confidence[mine])]
    row = one.row[first]
    seconds = beats_at_hand.sample[row] / 360
    place = f"{beats_at_hand.record[row]}<br>{seconds // 60:.0f}:{seconds % 60:04.1f}"
    assert drawn.layout.annotations[0].text == f"{confidence[first]:.0%}<br>{place}"
    signal = np.asarray(drawn.data[0].y)
    shown = ~np.isnan(signal)
    assert signal[shown] == pytest.approx(beats_at_hand.signals[row][shown])
    assert not beats_at_hand.signals[row][~shown].any()  # the padding is left out


def test_beats_of_unknown_record_are_named_by_row(
    trials: pd.DataFrame, beats_at_hand: Heartbeats
) -> None:
    nowhere = np.full(len(beats_at_hand), UNKNOWN, dtype=np.int32)
    drawn = confident_mistakes(trials, replace(beats_at_hand, record=nowhere, sample=nowhere))
    assert "<br>row " in drawn.layout.annotations[0].text


@pytest.mark.parametrize("elsewhere", ["nothing", "other beats"])
def test_without_its_data_a_study_draws_all_but_the_beats(
    trials: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, elsewhere: str
) -> None:
    # Rule: what is at hand counts only if it is what the study was made with.
    from ecg.sources.cache import write_prepared

    other = tmp_path / "other.npz"
    if elsewhere == "other beats":
        write_prepared(other, toy_heartbeats(1500, seed=1))
    monkeypatch.setenv("ECG_DATA", str(other))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NothingToDrawError, match="are not on this machine"):
        confident_mistakes(trials)
    assert reliability_diagram(trials).data
    assert precision_recall_curves(trials).data


@pytest.mark.parametrize("draw", ALL)
def test_predictions_on_another_machine_are_missed(
    sqlite_url: str, beats_at_hand: Heartbeats, draw: Any
) -> None:
    study = fill(sqlite_url, beats=beats_at_hand)
    for path in files(sqlite_url):
        path.unlink()
    with pytest.raises(NothingToDrawError, match="in the folder 'artifacts' beside the database"):
        draw(study_trials(study))


@pytest.mark.parametrize("damage", ["cut", "pickle", "shape", "class"])
def test_damaged_predictions_are_left_out_with_a_warning(
    sqlite_url: str, beats_at_hand: Heartbeats, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    fill(sqlite_url, trials=1, beats=beats_at_hand)
    (path,) = files(sqlite_url)
    n = 4
    arrays: dict[str, Any] = {
        "row": np.zeros(n, np.int32), "label": np.zeros(n, np.int8),
        "probability": np.full((n, 5), 0.2, np.float16),
    }  # fmt: skip
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:100])
    else:
        arrays |= {
            "pickle": {"row": np.array([None] * n)},
            "shape": {"probability": arrays["probability"][1:]},
            "class": {"label": np.full(n, 5, np.int8)},
        }[damage]
        with path.open("wb") as file:
            np.savez(file, **arrays)
    with caplog.at_level(logging.WARNING):
        table = load_trials(sqlite_url, "fake")
    assert "predictions" not in table
    assert f"the predictions in {path} are damaged" in caplog.text
