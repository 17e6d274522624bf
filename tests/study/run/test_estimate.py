"""Rules of the time that a study prints before its first training."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ecg.budget import find_budget
from ecg.splits import make_split
from ecg.training import TrainConfig
from study.run import estimate as module
from study.run.estimate import Pace, estimate, time_network, time_of_all
from tests.support.setting import Typed
from tests.support.toy import toy_heartbeats

BEATS = toy_heartbeats(1500)
SPLIT = make_split("intra-patient", BEATS)
TINY = TrainConfig(model="simple", width_multiplier=0.1)


def test_timing_a_network_changes_no_random_state() -> None:
    # Rule: a study finds the same to the bit whether its time was estimated before or not: the
    # generators of PyTorch, NumPy and Python are as they were.
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # type: ignore[index,union-attr]
    pace = time_network(TINY, BEATS, SPLIT, "fp32")
    assert pace.training > 0
    assert pace.evaluation > 0
    after = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # type: ignore[index,union-attr]
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]


@pytest.mark.parametrize("fields", [{"ratio": 0.5}, {"alpha": 1.0}, {"learning_rate": 1.0}])
def test_what_a_configuration_asks_for_stops_no_estimate(fields: dict[str, float]) -> None:
    assert time_network(TINY.replace(**fields), BEATS, SPLIT, "fp32").training > 0


def test_runs_are_shared_by_the_jobs_as_they_come_free() -> None:
    # Rule: the first free job takes the next run; the last run to end counts.
    assert time_of_all([], 2) == 0
    assert time_of_all([3, 1, 1, 1], 2) == 3
    assert time_of_all([1, 1, 1], 2) == 2
    assert time_of_all([1, 1, 4], 2) == 5
    assert time_of_all([2] * 15, 1) == 30


def test_a_network_is_timed_once_and_scaled_to_the_beats_of_the_budget(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Rule: configurations of one network share its pace; a run is its epochs of training and
    # validation, a prediction of the validation part, and the test part where it is read.
    timed: list[str] = []

    def pace(config: TrainConfig, *_: object) -> Pace:
        timed.append(config.model)
        return Pace(3.0, 1.0) if config.model == "simple" else Pace(30.0, 10.0)

    monkeypatch.setattr(module, "time_network", pace)
    ahead = [TINY, TINY.replace(alpha=0.5, seed=3), TrainConfig(model="coupled"), TINY]
    budget = find_budget("paper")
    sizes = {name: len(rows) for name, rows in SPLIT.parts()}

    def seconds(epochs: int, *, is_tested: bool) -> float:
        test = sizes["test"] if is_tested else 0
        one = epochs * sizes["train"] * 3.0 + (epochs + 1) * sizes["validation"] + test
        return one * 13  # of which the coupled network takes ten

    for is_tested in (False, True):
        found = estimate(
            ahead, 1, BEATS, SPLIT, budget, epochs=20, precision="fp32", is_tested=is_tested
        )
        assert found == (seconds(100, is_tested=is_tested), seconds(20, is_tested=is_tested))
    assert timed == ["simple", "coupled"] * 2
    most, about = estimate(
        ahead, 2, BEATS, SPLIT, budget, epochs=None, precision="fp32", is_tested=False
    )
    assert about is None
    assert most == pytest.approx(seconds(100, is_tested=False) / 13 * 11)


def test_a_study_prints_how_long_it_will_take(
    typed: Callable[..., Typed], toy_data: None, tiny: Path, sqlite_url: str
) -> None:
    # Rule: before the first training a line has the trials left, jobs, threads and the time: at
    # most, and from the epochs of finished trials where there are some; a smoke run has no time.
    def line(*words: object) -> str:
        setting = ("--data", "synthetic", "--space", tiny, "--storage", sqlite_url)
        result = typed("run", *setting, *words)
        assert result.code == 0
        (line,) = [line for line in result.out.splitlines() if " left, 1 job of 1 thread" in line]
        assert result.out.index(line) < result.out.index("trial ")
        return line

    first = line("--budget", "quick", "--trials", 1)
    assert first.startswith("1 trial left, 1 job of 1 thread: at most ")
    assert "on this machine with the baseline's network; early stopping usually" in first
    more = line("--budget", "quick", "--trials", 3)
    assert more.startswith("2 trials left, 1 job of 1 thread: about ")
    assert more.endswith(" without early stopping")
    assert line("--budget", "smoke", "--trials", 1) == "1 trial left, 1 job of 1 thread"
