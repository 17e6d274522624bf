"""Rules of studies of own data: the data and what decides its split are part of what a study is."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from study.storage.reading import read_identity
from study.storage.studies import load_study, open_storage
from tests.study.conftest import PEOPLE
from tests.support.setting import Typed
from tests.support.toy import toy_heartbeats

Command = Callable[..., Typed]
LISTED = re.compile(r"tiny-lab-inter-patient-[0-9a-f]{8}-smoke")


@pytest.fixture
def run(
    typed: Command, lab: Path, tiny: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> Command:
    """A function that runs `study run` on the table, one trial where no number is named."""

    def command(*words: object) -> Typed:
        number = () if "--trials" in words else ("--trials", 1)
        setting = ("--data", lab, "--space", tiny, "--budget", "smoke", "--storage", sqlite_url)
        return typed("run", *setting, *number, *words)

    return command


def write_lists(path: Path, validation: int = 3) -> Path:
    """Write lists in which person `validation` validates and the next one tests."""
    others = [f"p{n}" for n in range(PEOPLE) if n not in (validation, validation + 1)]
    path.write_text(
        f"train = {json.dumps(others)}\nvalidation = ['p{validation}']\n"
        f"test = ['p{validation + 1}']\n"
    )
    return path


@pytest.mark.parametrize("split", ["intra-patient", "inter-patient"])
def test_a_study_of_own_data_says_which_data_it_is(
    run: Command, typed: Command, split: str, sqlite_url: str
) -> None:
    ended = run("--split", split)
    assert ended.code == 0, ended.err
    name = f"tiny-lab-{split}-smoke"
    assert f"new study '{name}'" in ended.out
    assert f"data lab (1,200 beats), split {split}," in ended.out
    shown = typed("show", name, "--storage", sqlite_url).out
    assert f"data lab ({read_identity(sqlite_url, name)['data'][:12]})" in shown
    # By patient the objective comes first, then F; missing Q limits macro scores.
    by_patient = split == "inter-patient"
    assert ("F1(N, S, V)" in shown, "F1(F)" in shown) == (by_patient, by_patient)
    assert ("F1(M)" in shown) != by_patient


def test_listed_records_are_kept_with_the_study(
    run: Command, typed: Command, lab: Path, tmp_path: Path, sqlite_url: str
) -> None:
    # Workers, `run` by the split's name and `confirm` need no file; it may be gone.
    lists = write_lists(tmp_path / "split.toml")
    ended = run("--split", "inter-patient", "--records-file", lists)
    assert ended.code == 0, ended.err
    found = LISTED.search(ended.out)
    assert found is not None
    name = found[0]
    lists.unlink()
    split = name.removeprefix("tiny-lab-").removesuffix("-smoke")
    ended = run("--split", split, "--trials", 2)
    assert ended.code == 0, ended.err
    assert f"continuing study '{name}'" in ended.out
    means = ("--data", lab, "--top", 1, "--seeds", 1, "--storage", sqlite_url)
    ended = typed("confirm", name, *means)
    assert ended.code == 0, ended.err
    assert f"split {split}," in ended.out
    confirmed = read_identity(sqlite_url, f"{name}-confirm")
    assert confirmed["records"] == read_identity(sqlite_url, name)["records"] != ""
    # The matrices of the records are kept, add up, and give an interval over records.
    for study, part, whole in (
        (name, "validation_by_record", "confusion"),
        (f"{name}-confirm", "test_by_record", "test_confusion"),
    ):
        for trial in load_study(open_storage(sqlite_url), study).get_trials():
            matrices = list(trial.user_attrs[part].values())
            assert np.sum(matrices, axis=0).tolist() == trial.user_attrs[whole]
    shown = " ".join(typed("show", f"{name}-confirm", "--storage", sqlite_url).out.split())
    assert "95% interval of F1(N, S, V) from resampled test records: baseline 0." in shown


def test_two_splits_never_mix(run: Command, tmp_path: Path, sqlite_url: str) -> None:
    # Neither under the default names nor under one that is typed.
    first = write_lists(tmp_path / "first.toml", validation=3)
    other = write_lists(tmp_path / "other.toml", validation=6)
    split = ("--split", "inter-patient")
    names = set()
    for lists in (first, other):
        found = LISTED.search(run(*split, "--records-file", lists).out)
        assert found is not None
        names.add(found[0])
    assert len(names) == 2
    assert run(*split, "--records-file", first, "--study", "mine").code == 0
    for words in ((*split, "--records-file", other), split):
        ended = run(*words, "--study", "mine")
        assert ended.code == 2
        assert "split is 'inter-patient-" in ended.err
        assert "Nothing was changed" in ended.err


def test_lists_that_leak_or_do_not_fit_start_no_study(
    run: Command, tmp_path: Path, sqlite_url: str
) -> None:
    path = tmp_path / "split.toml"
    split = ("--split", "inter-patient", "--records-file", path)
    for text, cause in (
        ("train = ['p0']\nvalidation = ['p1']\ntest = ['p0']", "record p0 is in train and in test"),
        ("train = ['p0']\nvalidation = ['p1']\ntest = ['x']", "--records-file lists the record x"),
        (
            "train = ['p0']\nvalidation = ['p1']\ntest = ['p2']\n[patients]\na = ['p0', 'p2']",
            "is in two parts",
        ),
    ):
        path.write_text(text)
        ended = run(*split)
        assert ended.code == 2
        assert cause in ended.err
    write_lists(path)
    ended = run("--records-file", path)
    assert ended.code == 2
    assert "Use --split inter-patient" in ended.err
    ended = run("--split", "inter-patient-00000000")
    assert ended.code == 2
    assert "Pass that file as --records-file" in ended.err


def test_classes_without_beats_are_reported_before_a_study_starts(run: Command, lab: Path) -> None:
    beats = toy_heartbeats(600)
    few = beats.labels != 4
    np.savez(lab, signals=beats.signals[few], labels=beats.labels[few])
    ended = run()
    assert ended.code == 0
    assert "caution: no Q beat in validation: F1(M) is at most 0.8000" in ended.out


def test_results_of_listed_records_are_imported_and_continued(
    typed: Command, lab: Path, small_table: str, tmp_path: Path, sqlite_url: str
) -> None:
    # A results file has the split's name; the lists come with the command that continues.
    lists = write_lists(tmp_path / "split.toml")

    def train(storage: str, seeds: int) -> Typed:
        return typed(
            "run", "--space", small_table, "--data", lab, "--budget", "smoke", "--seeds", seeds,
            "--split", "inter-patient", "--records-file", lists, "--storage", storage,
        )  # fmt: skip

    assert train(sqlite_url, 1).code == 0
    ended = typed("export-results", "--output", tmp_path / "out", "--storage", sqlite_url)
    assert ended.code == 0, ended.err
    (results,) = (tmp_path / "out").rglob("results.csv")
    other = f"sqlite:///{tmp_path}/other.db"
    assert typed("import-results", results, "--storage", other).code == 0
    ended = train(other, 2)
    assert ended.code == 0, ended.err
    assert "2 added to the queue" in ended.out


def test_data_that_are_gone_are_named(
    run: Command, typed: Command, lab: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Rule: a study whose data were moved does not continue with others; the message says where
    # they were.
    assert run("--study", "mine").code == 0
    lab.rename(lab.with_name(f"moved-{lab.name}"))
    monkeypatch.setenv("ECG_DATA", "synthetic")
    refused = typed("run", "--study", "mine", "--storage", sqlite_url)
    assert refused.code == 2
    assert "The study 'mine' was made with other data (lab, " in refused.err
    assert f"It used {lab}." in refused.err
