"""`study enqueue`: a configuration of your choice is the next trial, if it is in the space."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ecg.errors import UsageError
from search_spaces import find_space
from study.run.enqueue import read_point
from study.storage.reading import read_study
from tests.support.setting import Typed

SHARED = ("--data", "synthetic", "--device", "cpu", "--storage")
NAME = "mine"


def test_a_queued_configuration_is_trained_next(
    typed: Callable[..., Typed], toy_data: None, tiny: Path, sqlite_url: str
) -> None:
    name, value = "learning_rate", 0.0025
    search = ("run", "--space", tiny, "--study", NAME, "--budget", "smoke", *SHARED, sqlite_url)
    assert typed(*search, "--trials", 1).code == 0
    word = f"{name}={value}"
    done = typed("enqueue", NAME, word, "--storage", sqlite_url)
    assert done.code == 0, done.err
    assert f"queued in '{NAME}'" in done.out
    assert "--trials 2" in done.out
    again = typed("enqueue", NAME, word, "--storage", sqlite_url)
    assert (again.code, "trial 1 of 'mine' already (queued)" in again.err) == (2, True)
    assert typed("run", "--study", NAME, "--trials", 2, "--storage", sqlite_url).code == 0
    rows = read_study(sqlite_url, NAME).rows
    assert [row["state"] for row in rows][1] in ("complete", "pruned")
    assert rows[1]["config"][name] == value

    tiny.write_text(
        tiny.read_text() + "\nSPACE = SPACE.__class__(**{**vars(SPACE), 'objective': "
        "'f1_weighted'})\n"
    )
    edited = typed("enqueue", NAME, f"{name}=0.003", "--storage", sqlite_url)
    assert (edited.code, "has changed" in edited.err) == (2, True)


def test_parameters_that_are_not_typed_are_those_of_the_baseline() -> None:
    space = find_space("imbalance")
    assert read_point(space, []) == dict(space.baseline)
    assert read_point(space, ["ratio=0.1"]) == {"strategy": "sampler", "ratio": 0.1}
    both = {"strategy": "both", "alpha": 0.5, "ratio": 0.1}
    assert read_point(space, ["alpha=0.5", "ratio=0.1"]) == both
    full = find_space("full")
    assert read_point(full, ["model=simple"])["model"] == "simple"


@pytest.mark.parametrize(
    ("space", "words", "message"),
    [
        ("imbalance", ["learning_rate"], "must be a parameter and its value"),
        ("imbalance", ["strateg=none"], "Did you mean 'strategy'"),
        ("imbalance", ["strategy=nothing"], r"strategy = nothing is not in none \| "),
        ("imbalance", ["strategy=none", "alpha=0.1"], "there is no 'alpha' with strategy"),
        ("imbalance", ["strategy=class weights", "alpha=7"], "alpha = 7 is not in"),
        ("imbalance", ["strategy=class weights", "alpha=x"], "alpha = x is not in"),
        (
            "imbalance",
            ["strategy=class weights"],
            "'alpha' .* needs a value with strategy=class weights",
        ),
        ("imbalance", ["strategy=none", "strategy=none"], "'strategy' is there twice"),
    ],
)
def test_what_is_not_in_the_space_is_refused(space: str, words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_point(find_space(space), words)
