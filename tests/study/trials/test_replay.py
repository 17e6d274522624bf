"""Recorded curves instead of training."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ecg.budget import find_budget
from ecg.errors import DataError, UsageError
from search_spaces import find_space
from study.storage.recordings import RecordedTrial, distance, read_recording
from study.storage.trials_table import load_trials
from study.trials.replay import follow
from study.trials.trial import configure
from tests.support.setting import REPOSITORY, Typed

RECORDING = REPOSITORY / "results" / "search" / "imbalance-quick.jsonl"
HEADER, FIRST = RECORDING.read_text().splitlines()[:2]
SPACE = find_space("imbalance")


def test_a_replayed_study_takes_seconds_and_reads_no_data(
    typed: Callable[..., Typed], sqlite_url: str
) -> None:
    # The identity says that it is a replay; the baseline has its recorded score.
    words = ("run", "--replay", RECORDING, "--trials", 6, "--data", "/nowhere")
    result = typed(*words, "--storage", sqlite_url)
    assert (result.code, result.err) == (0, "")
    trials = load_trials(sqlite_url, "imbalance-replay-of-mitdb-intra-patient-quick")
    assert trials.attrs["identity"]["source"] == "replay of mitdb"
    recording = read_recording(RECORDING)
    baseline = recording.nearest(SPACE, {"strategy": "none"})
    assert baseline.params == {"strategy": "none"}
    found = trials.loc[0, "curves"]["validation_loss"]
    assert found == list(baseline.curves["validation_loss"][: len(found)])


def test_the_nearest_trial_shares_the_choice_before_the_numbers() -> None:
    one = {"strategy": "sampler", "ratio": 0.9}
    near = {"strategy": "sampler", "ratio": 0.1}
    other = {"strategy": "both", "ratio": 0.9, "alpha": 0.5}
    assert distance(SPACE, one, one) == 0
    assert distance(SPACE, one, near) < distance(SPACE, one, other)
    assert distance(SPACE, one, near) == pytest.approx((0.8 / 0.95) ** 2)


def test_a_followed_curve_stops_as_training_would() -> None:
    # Early stopping is computed again; a callback that returns True prunes.
    confusion = [[9, 1, 0, 0, 0]] + [[0] * 5] * 4
    losses = [1.0, 0.5, 0.6, 0.7, 0.8, 0.1]
    curves = {"train_loss": losses, "validation_loss": losses, "learning_rate": [1e-3] * 6,
              "confusion": [confusion] * 6}  # fmt: skip
    trial = RecordedTrial({}, curves)
    config = configure(SPACE, {"strategy": "none"}, find_budget("quick"), 0).replace(patience=2)
    stopped = follow(trial, config, lambda _: False)
    assert (stopped.stop_reason, stopped.best_epoch, len(stopped.epochs)) == (
        "early-stopping",
        2,
        4,
    )
    pruned = follow(trial, config, lambda epoch: epoch.number == 3)
    assert (pruned.stop_reason, len(pruned.epochs)) == ("pruned", 3)
    whole = follow(trial, config.replace(patience=9, max_epochs=5), lambda _: False)
    assert (whole.stop_reason, len(whole.epochs)) == ("max-epochs", 5)


def test_a_recording_of_another_space_is_refused(
    typed: Callable[..., Typed], sqlite_url: str
) -> None:
    words = ("run", "--space", "full", "--replay", RECORDING, "--storage", sqlite_url)
    refused = typed(*words)
    assert refused.code == 2
    assert "is of the space 'imbalance', not 'full'" in refused.err


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (1, "{}"),
        (1, '{"identity": {"space": "imbalance"}}'),
        (1, HEADER.replace('"f1_macro"', '"luck"')),
        (2, "not json"),
        (2, "[" * 100_000),
        (2, "[1]"),
        (2, FIRST.replace('"none"', '["none"]')),
        (2, FIRST.replace("0.001", "NaN", 1)),
        (2, FIRST.replace("0.001", "9" * 400, 1)),
        (2, FIRST.replace("0.001,", "", 1)),
        (2, FIRST.replace("[[1663,", "[[1e400,")),
        (2, FIRST.replace("[[1663,", '[["1",')),
        (3, '{"params": {}, "curves": {}}'),
    ],
)
def test_a_damaged_recording_names_the_line(tmp_path: Path, line: int, text: str) -> None:
    lines = RECORDING.read_text().splitlines()
    assert lines[line - 1] != text
    lines[line - 1] = text
    path = tmp_path / "damaged.jsonl"
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match=rf"damaged.jsonl, line {line}: "):
        read_recording(path)


def test_a_recorded_parameter_outside_the_space_is_refused(
    typed: Callable[..., Typed], sqlite_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "odd.jsonl"
    path.write_text("\n".join([HEADER, FIRST, FIRST.replace('"strategy"', '"ratio"')]))
    refused = typed("run", "--replay", path, "--storage", sqlite_url)
    assert refused.code == 1
    assert f"{path}, line 3: ratio = 'none' is not in 0.05 .. 1" in refused.err


def test_a_recording_without_trials_or_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Cannot read the recording"):
        read_recording(tmp_path / "none.jsonl")
    path = tmp_path / "empty.jsonl"
    path.write_text(RECORDING.read_text().splitlines()[0] + "\n")
    with pytest.raises(DataError, match="has no trials"):
        read_recording(path)
