"""`confirm --folds`: winners are cross-validated by patient, and the test part is never read."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ecg.inter_patient import cross_validated_scores
from ecg.sources import load
from ecg.splits import make_split
from study.comparison import compare_confirmed, conclude_confirmed, confirmed_scores
from study.show.report import render_report
from study.storage.attributes import PLANNED
from study.storage.confirmation import Confirmation, make_confirmation
from study.storage.reading import read_identity
from study.storage.trials_table import load_trials
from study.trials import trial as trial_module
from tests.support.setting import IDENTITY, Typed

Command = Callable[..., Typed]
NAME = "tiny-lab-inter-patient-smoke"
FOLDED = f"{NAME}-confirm-3-folds"


@pytest.fixture
def searched(typed: Command, lab: Path, tiny: Path, sqlite_url: str) -> Command:
    """A function that confirms a search of one trial, by patient unless another split is named."""

    def confirm(*words: object, split: str = "inter-patient") -> Typed:
        at = ("--data", lab, "--storage", sqlite_url)
        run = ("run", *at, "--space", tiny, "--budget", "smoke", "--split", split, "--trials", 2)
        assert typed(*run).code == 0
        return typed("confirm", NAME.replace("inter-patient", split), *at, "--top", 1, *words)

    return confirm


def test_winners_are_cross_validated_without_the_test_part(
    searched: Command, typed: Command, lab: Path, sqlite_url: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    # Rule: each configuration is trained per fold and seed, on the records of the other folds; no
    # run reads the test part, whose beats no worker even has.
    parts: list[Any] = []
    real = trial_module.train

    def trained(config: Any, data: Any, *rest: Any) -> Any:
        parts.append((config.seed, data.train.rows.tolist(), data.validation.rows.tolist()))
        return real(config, data, *rest)

    def measured(*_: Any) -> None:
        raise AssertionError("the test part is read")

    with monkeypatch.context() as patch:
        patch.setattr(trial_module, "train", trained)
        patch.setattr(trial_module, "measure", measured)
        done = searched("--folds", 3, "--seeds", 2)
    assert (done.code, done.err) == (0, "")
    assert "12 planned runs (configuration x seed x fold), 12 added to the queue" in done.out
    said = " ".join(done.out.split())
    assert "The test part was not read." in said
    assert "Use 7 folds or more." in said

    beats = load(lab)
    tested = set(make_split("inter-patient", beats).test.tolist())
    runs = parts[-12:]
    assert len({seed for seed, _, _ in runs}) == 6  # a seed per repeat, shared for pairing
    for _, train, validation in runs:
        assert not tested & {*train, *validation}
        assert not {*beats.record[train]} & {*beats.record[validation]}
    assert len({tuple({*beats.record[validation].tolist()}) for _, _, validation in runs}) == 3
    trials = load_trials(sqlite_url, FOLDED)
    assert "test_read" not in trials
    assert read_identity(sqlite_url, FOLDED)["split"] == "inter-patient-3-folds"

    # The same command trains nothing again, and more seeds only the new ones.
    assert "all 12 planned runs are already finished" in searched("--folds", 3, "--seeds", 2).out
    assert "18 planned runs (configuration x seed x fold), 6 newly" in searched(
        "--folds", 3, "--seeds", 3
    ).out  # fmt: skip

    # The findings are kept, and say what they were measured on.
    for name in (NAME, FOLDED):
        shown = typed("show", name, "--storage", sqlite_url).out
        assert "confirmed on 3 folds of the training records" in shown
        assert "The test part was not read." in shown
        assert "Se(V)" in shown
        page = render_report([load_trials(sqlite_url, name)])
        assert "Confirmed on 3 folds of the training records" in page
        assert "folds share training records" in page
    assert "--folds 3" in typed("show", FOLDED, "--storage", sqlite_url).out
    continued = typed("run", "--study", FOLDED, "--storage", sqlite_url)
    assert continued.code == 2
    assert f"study confirm {NAME} --top 1 --seeds 3 --folds 3" in continued.err
    exported = typed("export-tables", FOLDED, "--output", tmp_path / "t", "--storage", sqlite_url)
    assert (exported.code, exported.err) == (0, "")
    table = (tmp_path / "t" / FOLDED / "confirmation.md").read_text("utf-8")
    assert "jk index" in table
    assert "the p-values too small" in table


def test_several_workers_share_the_folds(
    searched: Command, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Rule: with two worker processes every run is trained once, on the fold of its repeat.
    done = searched("--folds", 2, "--seeds", 1, "--jobs", 2)
    assert (done.code, done.err) == (0, "")
    trials = load_trials(sqlite_url, f"{NAME}-confirm-2-folds")
    assert trials["state"].tolist() == ["complete"] * 4
    beats: dict[int, set[int]] = {0: set(), 1: set()}
    for planned, confusion in zip(trials[PLANNED], trials["confusion"], strict=True):
        beats[planned["repeat"] % 2].add(int(np.sum(confusion)))
    assert [len(found) for found in beats.values()] == [1, 1]  # the same part for both


@pytest.mark.parametrize(
    ("words", "split", "message"),
    [
        (("--folds", 3), "intra-patient", "has the split intra-patient, which puts beats of a pat"),
        (("--folds", 1), "inter-patient", "--folds must be at least 2, not 1"),
        (("--folds", 12), "inter-patient", "12 folds need 12 patients or more"),
    ],
)
def test_folds_that_cannot_be_are_refused(
    searched: Command, words: tuple[object, ...], split: str, message: str
) -> None:
    # Rule: code 2 and the reason before anything is trained.
    refused = searched(*words, split=split)
    assert refused.code == 2
    assert message in refused.err


def test_folds_are_no_split_of_a_run(typed: Command, sqlite_url: str) -> None:
    # Rule: neither a search nor a table is trained on folds; the message says what is for them.
    refused = typed("run", "--split", "inter-patient-5-folds", "--storage", sqlite_url)
    assert refused.code == 2
    assert "Use `confirm --folds` to train on them" in refused.err


def confirmation(runs: dict[str, dict[int, int]]) -> Confirmation:
    """Return a confirmation on two folds.

    Args:
        runs: how many of 100 beats of each of N, S and V are right, by label and repeat.
    """
    identity = asdict(replace(IDENTITY, split="inter-patient-2-folds", objective="f1_nsv"))
    rows = [
        {
            "state": "complete",
            "config": {"alpha": number, "seed": repeat},
            PLANNED: {"repeat": repeat},
            "confusion": matrix(right),
        }
        for number, of_repeat in enumerate(runs.values())
        for repeat, right in of_repeat.items()
    ]
    chosen = {label: {"alpha": number} for number, label in enumerate(runs)}
    return make_confirmation("s", identity, {"chosen": json.loads(json.dumps(chosen))}, rows)


def matrix(right: int) -> list[list[int]]:
    """Return counts in which the beats of S and V that are wrong are taken for N."""
    wrong = 100 - right
    found = [[100, 0, 0, 0, 0], [wrong, right, 0, 0, 0], [wrong, 0, right, 0, 0]]
    return [*found, [0] * 5, [0] * 5]


def test_seeds_are_averaged_within_folds() -> None:
    # Rule: n is the number of folds; a score of a fold is the mean over its seeds, and a class
    # without beats has none. The difference is over the seeds that both have.
    found = confirmation({"baseline": {0: 50, 1: 60, 2: 70}, "trial 1": {0: 60, 1: 80, 3: 90}})
    scores = {(one.label, one.score): one for one in confirmed_scores(found)}
    recall = scores["baseline", "sensitivity_S"]
    assert recall.runs == 2
    assert recall.mean == pytest.approx((np.mean([0.5, 0.7]) + 0.6) / 2)
    assert ("baseline", "sensitivity_F") not in scores
    one = {right: cross_validated_scores(matrix(right)) for right in (50, 60, 80)}
    for score in ("f1_nsv", "jk_index"):
        expected = ((one[60][score] - one[50][score]) + (one[80][score] - one[60][score])) / 2
        assert scores["trial 1", score].difference == pytest.approx(expected)
    assert {(c.score, c.pairs) for c in compare_confirmed(found)} == {
        ("f1_nsv", 2),
        ("jk_index", 2),
    }
    assert "with 2 folds, the smallest p" in conclude_confirmed(found, "the baseline")


def test_a_single_fold_says_nothing() -> None:
    # Rule: a confirmation that was interrupted in its first fold shows no mean and no interval.
    found = confirmation({"baseline": {0: 50}, "trial 1": {0: 60}})
    assert list(confirmed_scores(found)) == []
