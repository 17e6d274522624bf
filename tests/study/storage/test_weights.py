"""Which trials keep their weights, and what `clean` removes."""

from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState, create_trial

from study.storage.artifacts import VALIDATION_PREDICTIONS, WEIGHTS, artifact_folder
from study.storage.reading import read_files
from study.storage.studies import load_study, open_storage
from study.storage.weights import BEST_KEPT, is_kept, kept_trials
from tests.support.setting import Typed
from tests.support.toy import rule

Command = Callable[..., Typed]
NAME = "tiny-synthetic-intra-patient-smoke"
values = st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4, 0.5]) | st.floats(0, 1), max_size=40)


def trials_of(found: list[float]) -> list[optuna.trial.FrozenTrial]:
    """Return complete trials with these values, the first of them the baseline."""
    made = [
        create_trial(value=value, user_attrs={"baseline": n == 0}) for n, value in enumerate(found)
    ]
    for number, trial in enumerate(made):
        trial.number = number
    return made


@rule
@given(values)
def test_whoever_stays_was_kept_when_it_ended(found: list[float]) -> None:
    # Rule: a trial that belongs to the best ten in the end did so when it ended.
    stays = kept_trials("best", trials_of(found))
    kept = {
        number
        for number, value in enumerate(found)
        if is_kept("best", value, found[:number], is_baseline=number == 0)
    }
    assert stays <= kept
    assert len(stays) <= BEST_KEPT + 1
    assert not found or 0 in stays
    left = sorted((v for n, v in enumerate(found) if n not in stays), reverse=True)
    assert all(found[n] >= v for n in stays - {0} for v in left[:1])
    assert kept_trials("all", trials_of(found)) == set(range(len(found)))
    assert all(is_kept("all", value, found, is_baseline=False) for value in found)


def test_only_trained_trials_take_a_place() -> None:
    trials = trials_of([0.5] * 30)
    for trial in trials[1:25]:
        trial.user_attrs = {"same_as": 0}
    trials[25].state = TrialState.PRUNED
    assert kept_trials("best", trials) == {0, 26, 27, 28, 29}


def files(url: str, name: str) -> dict[int, Path]:
    """Return the files of that name by trial, each of which is there."""
    found = {n: artifact_folder(url) / file for n, file in read_files(url, NAME, name).items()}
    assert all(path.is_file() for path in found.values())
    return found


def test_clean_removes_what_is_not_kept(
    typed: Command, toy_data: None, tiny: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Rule: weights of other trials go, with their entries; predictions of all trials stay.
    monkeypatch.setattr("study.storage.weights.BEST_KEPT", 2)
    common = ("--storage", sqlite_url)
    words = ("--data", "synthetic", "--budget", "smoke", "--space", tiny, "--pruner", "none")
    assert (
        typed("run", *words, "--trials", 6, "--sampler", "random", "--keep", "all", *common).code
        == 0
    )
    assert set(files(sqlite_url, WEIGHTS)) == set(range(6))
    done = typed("clean", NAME, *common)
    assert (done.code, "deleted the weights of 0 trials" in done.out) == (0, True)
    trials = load_study(open_storage(sqlite_url), NAME).trials
    ranked = sorted(range(6), key=lambda n: (-(trials[n].value or 0), n))
    expected = {0, *ranked[:2]}
    done = typed("clean", NAME, "--keep", "best", *common)
    assert f"deleted the weights of {6 - len(expected)} trials" in done.out
    assert f"Trials with weights: {', '.join(map(str, sorted(expected)))}." in done.out
    assert set(files(sqlite_url, WEIGHTS)) == expected
    assert set(files(sqlite_url, VALIDATION_PREDICTIONS)) == set(range(6))
    kept = [t.user_attrs["weights"] for t in load_study(open_storage(sqlite_url), NAME).trials]
    assert {n for n, one in enumerate(kept) if one} == expected
    assert "weights kept for 3 of 6 complete trials" in typed("show", NAME, *common).out
    # The next run keeps all again, as the one before; with --keep best no worse ones are written.
    more = ("run", *words, "--sampler", "random", *common)
    assert typed(*more, "--trials", 8).code == 0
    assert len(files(sqlite_url, WEIGHTS)) == len(expected) + 2
    assert typed("clean", NAME, "--keep", "best", *common).code == 0
    assert typed(*more, "--trials", 12, "--keep", "best").code == 0
    assert len(files(sqlite_url, WEIGHTS)) <= 3 + 2
    assert typed("clean", NAME, *common).code == 0
    assert len(files(sqlite_url, WEIGHTS)) <= 3


def test_an_unknown_rule_is_refused(typed: Command, toy_data: None, sqlite_url: str) -> None:
    for command in (("run", "--data", "synthetic"), ("clean", NAME)):
        done = typed(*command, "--keep", "some", "--storage", sqlite_url)
        assert done.code == 2
        assert "unknown rule --keep some. Use one of: best, all" in done.err
