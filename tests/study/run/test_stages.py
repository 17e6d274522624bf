"""Rules of searches in stages: winners of one study in another, several seeds, and an early end."""

from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import FrozenTrial, TrialState

from ecg.training import TrainConfig
from study.run.gain import since_gain
from study.run.samplers import startup_trials
from study.storage.studies import find_identity, load_study, open_storage
from study.trials.trial import describe_repeats, repeat_of
from tests.support.setting import Typed
from tests.support.toy import rule

Command = Callable[..., Typed]
NAME = "tiny-synthetic-intra-patient-smoke"
LARGER = "tiny-synthetic-intra-patient-quick"


@pytest.fixture
def run(typed: Command, toy_data: None, tiny: Path, sqlite_url: str) -> Command:
    """A function that runs `study run` in one database, with nothing typed but its words."""

    def command(*words: object) -> Typed:
        return typed("run", "--storage", sqlite_url, *words)

    return command


@pytest.fixture
def searched(run: Command, tiny: Path) -> Command:
    """The same, after a search of four trials at the budget smoke."""
    words = ("--space", tiny, "--data", "synthetic", "--budget", "smoke", "--seed", 3)
    assert run(*words, "--trials", 4, "--pruner", "none").code == 0
    return run


def trials_of(url: str, name: str) -> list[FrozenTrial]:
    """Return the trials of a study."""
    return load_study(open_storage(url, create=False), name).trials


def winners(trials: list[FrozenTrial]) -> list[dict[str, Any]]:
    """Return the parameters of all trials but the baseline, the best first."""
    return [t.params for t in sorted(trials[1:], key=lambda trial: -(trial.value or 0.0))]


def test_a_second_stage_trains_the_best_and_the_baseline(
    searched: Command, sqlite_url: str
) -> None:
    # Rule: `--from` takes space, data, split and seed from the first study; it runs its baseline
    # and its best, no other, unpruned, at the larger budget; the same command continues it.
    first = trials_of(sqlite_url, NAME)
    command = ("--from", NAME, "--top", 2, "--budget", "quick")
    found = searched(*command)
    assert found.code == 0, found.err
    study = load_study(open_storage(sqlite_url), LARGER)
    identity = find_identity(study)
    assert (identity["seed"], identity["budget"], identity["space"]) == (3, "quick", "tiny")
    assert [trial.params for trial in study.trials] == [first[0].params, *winners(first)[:2]]
    assert study.trials[0].user_attrs["baseline"]
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}
    assert {trial.user_attrs["config"]["max_epochs"] for trial in study.trials} == {10}
    assert not any("test" in trial.user_attrs for trial in study.trials)
    for again in (searched(*command), searched("--study", LARGER)):
        assert "all 3 trials are already finished" in again.out
    assert searched("--study", LARGER, "--trials", 4).code == 0
    assert len(trials_of(sqlite_url, LARGER)) == 4


def test_a_second_stage_needs_a_larger_budget(searched: Command) -> None:
    for words in ((), ("--budget", "smoke")):
        refused = searched("--from", NAME, *words)
        assert refused.code == 2
        assert f"--from {NAME} needs a larger budget than 'smoke'" in (
            refused.err.replace("\n", " ")
        )
    refused = searched("--from", NAME, "--budget", "quick", "--trials", 9)
    assert (refused.code, "Use --top" in refused.err) == (2, True)
    refused = searched("--from", "nothing", "--budget", "quick", "--data", "synthetic")
    assert (refused.code, "no study named 'nothing'" in refused.err) == (2, True)


def test_a_warm_start_tries_the_winners_of_another_study_first(
    searched: Command, tiny: Path, sqlite_url: str
) -> None:
    # Rule: after the baseline come the best of the other study; then the sampler takes over.
    best = winners(trials_of(sqlite_url, NAME))[:2]
    words = ("--space", tiny, "--data", "synthetic", "--budget", "smoke", "--study", "warm")
    found = searched(*words, "--warm-start", NAME, "--top", 2, "--trials", 4)
    assert found.code == 0, found.err
    trials = trials_of(sqlite_url, "warm")
    assert [trial.params for trial in trials[1:3]] == best
    assert trials[3].params not in (trials[0].params, *best)
    refused = searched(
        "--space", "imbalance", "--data", "synthetic", "--budget", "smoke", "--warm-start", NAME
    )
    assert refused.code == 2
    assert f"the study '{NAME}' searched the space 'tiny'" in refused.err


def test_repeats_are_trained_with_other_seeds_and_their_mean_is_searched(
    run: Command, tiny: Path, sqlite_url: str
) -> None:
    # Rule: each configuration is trained with K seeds that follow from study and configuration;
    # the value is the mean; the first training is that of a study without repeats; another K is
    # another study; a configuration tried again has the same value.
    words = ("--space", tiny, "--data", "synthetic", "--budget", "smoke", "--pruner", "none")
    grid = (*words, "--sampler", "grid")
    assert run(*grid, "--trials", 2, "--study", "one").code == 0
    found = run(*grid, "--trials", 2, "--study", "two", "--repeats", 2)
    assert found.code == 0, found.err
    singles, doubles = (trials_of(sqlite_url, name)[:2] for name in ("one", "two"))
    for single, double in zip(singles, doubles, strict=True):
        kept = double.user_attrs["repeats"]
        assert [each["seed"] for each in kept] == [
            repeat_of(TrainConfig.from_fields(double.user_attrs["config"]), 0, repeat).seed
            for repeat in (0, 1)
        ]
        assert kept[0]["validation"] == single.user_attrs["validation"]
        assert kept[1]["seed"] != kept[0]["seed"]
        assert double.value == fmean(each["validation"]["f1_macro"] for each in kept)
        assert double.value == double.user_attrs["validation"]["f1_macro"]
        assert double.user_attrs["confusion"] == single.user_attrs["confusion"]
    refused = run(*grid, "--study", "two", "--repeats", 3)
    assert (refused.code, "repeats is 2 there, 3 here" in refused.err) == (2, True)
    study = load_study(open_storage(sqlite_url), "two")
    study.enqueue_trial(doubles[1].params)
    assert run("--study", "two", "--trials", 7, "--sampler", "random").code == 0
    twin = next(t for t in trials_of(sqlite_url, "two") if t.user_attrs.get("same_as") == 1)
    assert (twin.value, twin.user_attrs["repeats"]) == (doubles[1].value, kept)


def test_the_scores_of_repeats_are_means() -> None:
    repeats = [{"validation": {"f1_macro": v}, "seconds": 1.5} for v in (0.25, 0.75)]
    found = describe_repeats(repeats)
    assert (found["validation"], found["seconds"]) == ({"f1_macro": 0.5}, 3.0)
    assert describe_repeats(repeats[:1]) == {}


def test_the_noise_of_a_search_is_that_of_its_best_trial(searched: Command) -> None:
    # Rule: the noise comes from the confusion matrix of the best trial, on the whole way from the
    # command line.
    stopped = searched("--study", NAME, "--trials", 30, "--stop-after", 2, "--sampler", "random")
    assert stopped.code == 0, stopped.err
    assert "stopped: the last 2 finished trials brought no gain" in stopped.out
    assert searched("--study", NAME, "--trials", 30).code == 0


def test_a_search_ends_where_nothing_is_gained(
    searched: Command, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Rule: N finished trials in a row without a gain beyond noise end the search with a
    # message; 0 never ends it.
    monkeypatch.setattr("study.run.gain._noise", lambda *_: [1.0])
    ended = searched("--study", NAME, "--trials", 9, "--stop-after", 4)
    assert ended.code == 0, ended.err
    assert "stopped: the last 4 finished trials brought no gain beyond noise" in ended.out
    assert len(trials_of(sqlite_url, NAME)) == 5
    again = searched("--study", NAME)
    assert "stopped: the last 4 finished trials" in again.out
    assert searched("--study", NAME, "--stop-after", 0, "--trials", 6).code == 0
    assert len(trials_of(sqlite_url, NAME)) == 6


def test_a_confirmation_at_another_budget_is_another_study(
    searched: Command, typed: Command, sqlite_url: str
) -> None:
    # Rule: a winner of a small budget can be confirmed at a larger one, with the study's own data.
    words = ("confirm", NAME, "--top", 1, "--seeds", 1, "--storage", sqlite_url)
    found = typed(*words, "--budget", "quick")
    assert found.code == 0, found.err
    name = f"{NAME}-confirm-quick"
    identity = find_identity(load_study(open_storage(sqlite_url), name))
    assert identity["budget"] == "quick"
    refused = typed("run", "--study", name, "--storage", sqlite_url)
    assert (refused.code, f"python -m study confirm {NAME}" in refused.err) == (2, True)
    shown = typed("show", name, "--storage", sqlite_url).out.replace("\n", "")
    assert f"to continue: python -m study confirm {NAME} --top 1 --seeds 1 --budget quick" in shown


def test_the_winner_of_a_reduced_budget_comes_with_a_caution(
    searched: Command, typed: Command, sqlite_url: str
) -> None:
    command = f"python -m study run --from {NAME} --budget paper --storage {sqlite_url}"
    assert command in searched("--study", NAME).out
    shown = " ".join(typed("show", NAME, "--storage", sqlite_url).out.split())
    assert "The ranking at the budget smoke may be the opposite of that at paper" in shown


@pytest.mark.parametrize(
    ("values", "noise", "since"),
    [
        ([], 0.0, 0),
        ([0.5], 0.1, 0),
        ([0.5, 0.55, 0.59], 0.1, 2),
        ([0.5, 0.55, 0.61, None], 0.1, 1),
        ([0.5, 0.5], 0.0, 1),
        ([None, None], 0.0, 2),
    ],
)
def test_small_gains_are_none(values: list[float | None], noise: float, since: int) -> None:
    assert since_gain([None if v is None else (v,) for v in values], [noise]) == since


@rule
@given(st.lists(st.floats(0, 1), max_size=12), st.floats(0, 0.5))
def test_more_noise_is_never_more_gain(values: list[float], noise: float) -> None:
    found = [(value,) for value in values]
    assert since_gain(found, [noise]) <= len(values)
    if values:
        assert since_gain([*found, (max(values) + noise + 0.01,)], [noise]) == 0


def test_a_gain_in_one_of_several_objectives_is_one() -> None:
    # Rule: with several objectives a trial is a gain unless a gain before it is as good in all.
    assert since_gain([(0.5, -9), (0.4, -8), (0.4, -8), (0.45, -9)], [0.0, 0.0]) == 2
    assert since_gain([(0.5, -9), (0.55, -9)], [0.1, 0.0]) == 1


def test_start_up_trials_scale_with_the_search() -> None:
    # Rule: a third of the trials, at least 4, at most 10; a Gaussian process models after 4.
    assert [startup_trials("tpe", n) for n in (1, 12, 15, 30, 60)] == [4, 4, 5, 10, 10]
    assert [startup_trials("gp", n) for n in (1, 60)] == [4, 4]
