"""Sample heartbeats: which are picked, when they are kept, and how they are drawn."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import optuna
import pytest
import torch

from ecg.examples import pick_examples
from ecg.heartbeats import CLASSES, SAMPLING_RATE
from ecg.training import Part, TrainConfig, measure, predict, train
from study.plots import NothingToDrawError
from study.plots.heartbeats import sample_heartbeats
from study.storage.studies import load_study, open_storage
from study.storage.trials_table import study_trials
from tests.support.fake_study import fill
from tests.support.setting import Typed
from tests.support.toy import toy_data as toy_parts


def test_first_right_and_wrong_beats_of_each_class_are_picked() -> None:
    true = torch.tensor([1, 0, 0, 0, 0, 0, 0, 2])
    predicted = torch.tensor([1, 4, 0, 0, 3, 0, 2, 2])
    # The signal of each beat is its row number, so that a picked signal names its row.
    signals = torch.arange(8.0).repeat_interleave(187).view(8, 1, 187) + 0.00049
    picked = pick_examples(Part(signals, true), predicted)
    assert [(e["true"], e["predicted"], e["signal"][0]) for e in picked] == [
        ("N", "N", 2.0), ("N", "N", 3.0), ("N", "Q", 1.0), ("N", "F", 4.0),
        ("S", "S", 0.0), ("V", "V", 7.0),
    ]  # fmt: skip
    assert all(len(example["signal"]) == 187 for example in picked)


def test_predictions_are_those_that_are_counted() -> None:
    data = toy_parts()
    config = TrainConfig(model="simple", width_multiplier=0.1, max_epochs=1)
    result = train(config, data)
    found = predict(config, result.weights, data.validation).argmax(1)
    assert found.device.type == "cpu"
    counts = np.zeros((5, 5), dtype=int)
    np.add.at(counts, (data.validation.labels.numpy(), found.numpy()), 1)
    assert counts.tolist() == [list(row) for row in result.confusion]
    assert measure(config, result.weights, data.validation) == result.confusion


def test_trained_trial_keeps_examples_that_agree_with_its_matrix(
    typed: Callable[..., Typed], toy_data: None, tiny: Path, sqlite_url: str
) -> None:
    words = ("--data", "synthetic", "--budget", "smoke", "--study", "one", "--trials", 1)
    assert typed("run", *words, "--space", tiny, "--storage", sqlite_url).code == 0
    (trial,) = load_study(open_storage(sqlite_url), "one").trials
    matrix = trial.user_attrs["confusion"]
    kept = [(e["true"], e["predicted"]) for e in trial.user_attrs["examples"]]
    for index, name in enumerate(CLASSES):
        right, beats = matrix[index][index], sum(matrix[index])
        assert kept.count((name, name)) == min(2, right)
        assert sum(true == name for true, _ in kept) == min(2, right) + min(2, beats - right)
    assert all(matrix[CLASSES.index(t)][CLASSES.index(p)] for t, p in kept)


def test_records_have_the_examples_of_the_best_trial_with_the_curves(sqlite_url: str) -> None:
    study = fill(sqlite_url)
    trials = study_trials(study)
    (number,) = trials["number"][trials["examples"].notna()]
    assert number == study.best_trial.number
    assert "examples" not in study_trials(study, curves=False)


def test_repeated_trial_shows_the_examples_of_the_first() -> None:
    study = optuna.create_study(direction="maximize")
    study.add_trial(optuna.create_trial(value=0.5, user_attrs={"same_as": 1}))
    study.add_trial(optuna.create_trial(value=0.5, user_attrs={"examples": ["mine"]}))
    assert study_trials(study)["examples"][0] == ["mine"]


def test_the_plot_has_a_row_per_class_and_names_the_prediction(sqlite_url: str) -> None:
    trials = study_trials(fill(sqlite_url))
    figure = sample_heartbeats(trials)
    titles = [note.text for note in figure.layout.annotations]
    assert titles[:4] == ["right", "right", "as S", "as V"]
    assert titles[-2:] == ["-", "-"]
    drawn = [bool(np.isfinite(trace.y).all()) for trace in figure.data]
    assert drawn == [True] * 18 + [False] * 2
    assert figure.data[0].x[-1] == pytest.approx(186 / SAMPLING_RATE, abs=1e-4)
    with pytest.raises(NothingToDrawError, match="has no heartbeats stored"):
        sample_heartbeats(trials.drop(columns="examples"))
