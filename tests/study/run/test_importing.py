"""Rules of `import-results`: what is imported, what is refused, and that a study continues."""

import csv
import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState

from study import load_trials
from study.cli import main
from study.run.importing import import_files
from study.storage.artifacts import MADE_ON_DEMAND
from study.storage.attributes import PLANNED
from study.storage.studies import Identity, load_study, open_storage, open_study, study_lock
from study.tables.export import export_result_files, find_studies
from tests.study.conftest import TOY_BEATS, cut_table
from tests.support.fake_runs import fake_runs
from tests.support.setting import Typed, count_states, found
from tests.support.toy import toy_heartbeats

Command = Callable[..., Typed]
NAME = "tables-synthetic-intra-patient-smoke"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study of two configurations, trained with two seeds each, and its export."""
    folder = tmp_path_factory.mktemp("trained")
    url = f"sqlite:///{folder}/study.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ecg.sources.synthetic.generate", lambda: toy_heartbeats(TOY_BEATS))
        words = (
            *options(cut_table(patch), url),
            "--seeds",
            "2",
            "--jobs",
            "1",
            "--precision",
            "fp32",
        )
        patch.setattr(sys, "argv", ["study", "run", *words])
        with pytest.raises(SystemExit, match="0"):
            main()
    export_result_files(find_studies(url, [NAME]), folder)
    return folder


@pytest.fixture
def exported(trained: Path, tmp_path: Path) -> Path:
    """The results file of a copy of that folder."""
    return shutil.copytree(trained, tmp_path / "first") / NAME / "results.csv"


def options(table: str, url: str) -> tuple[str, ...]:
    return ("--space", table, "--data", "synthetic", "--budget", "smoke", "--storage", url)


def contents(results: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in results.parent.iterdir()}


def test_export_and_import_are_inverse(
    typed: Command, exported: Path, sqlite_url: str, tmp_path: Path
) -> None:
    # Rule: export, import into an empty database, export: equal bytes, curves included; and a
    # imported trial has what the trained one has.
    taken = typed("import-results", exported, "--storage", sqlite_url)
    assert (taken.code, taken.err) == (0, "")
    assert taken.out == f"new study '{NAME}': imported 4 runs from {exported}\n"
    typed("export-results", "--storage", sqlite_url, "--output", tmp_path / "again")
    assert contents(tmp_path / "again" / NAME / "results.csv") == contents(exported)
    assert set(contents(exported)) == {"results.csv", "curves.jsonl"}
    first = load_study(open_storage(f"sqlite:///{tmp_path}/first/study.db"), NAME)
    second = load_study(open_storage(sqlite_url), NAME)
    assert first.user_attrs["identity"] == second.user_attrs["identity"]
    own = {trial.user_attrs[PLANNED]["configuration"]: trial for trial in first.trials}
    for trial in second.trials:
        twin = own[trial.user_attrs[PLANNED]["configuration"]]
        missing = twin.user_attrs.keys() - trial.user_attrs.keys()
        assert missing <= {"worker", "examples", "pruned_epoch", "weights"}
        assert trial.user_attrs["imported"] == str(exported)
        assert trial.user_attrs["versions"] == twin.user_attrs["versions"]
        assert trial.user_attrs["device_name"] == twin.user_attrs["device_name"]
        files = [json.loads(entry)["filename"] for entry in trial.system_attrs.values()]
        assert sorted(files) == sorted(MADE_ON_DEMAND)
    one, other = (
        sorted(json.dumps(found(trial), sort_keys=True) for trial in study.trials)
        for study in (first, second)
    )
    assert one == other


def test_a_study_continues_from_imported_runs(
    typed: Command, exported: Path, toy_data: None, small_table: str, sqlite_url: str,
    tmp_path: Path,
) -> None:  # fmt: skip
    # Rule: after an import `run` trains only what is missing, and what shows a study shows these.
    typed("import-results", exported, "--storage", sqlite_url)
    more = typed("run", *options(small_table, sqlite_url), "--seeds", 3)
    assert more.code == 0, more.err
    assert "6 planned runs (configuration x seed), 2 added to the queue" in more.out
    study = load_study(open_storage(sqlite_url), NAME)
    assert count_states(study) == {"complete": 6}
    assert ["imported" in trial.user_attrs for trial in study.trials] == [True] * 4 + [False] * 2
    for words in (("show", NAME), ("list",), ("report", NAME, "-o", tmp_path / "report.html")):
        assert typed(*words, "--storage", sqlite_url).code == 0
    tables = typed("export-tables", "--storage", sqlite_url, "--output", tmp_path / "tables")
    assert tables.code == 0
    assert "The test part was read 6 times" in typed("show", NAME, "--storage", sqlite_url).out


def test_nothing_is_taken_twice(typed: Command, exported: Path, sqlite_url: str) -> None:
    # Rule: a run that is complete in the study is counted and left alone.
    for expected in ("imported 4 runs", "imported 0 runs"):
        again = typed("import-results", exported, exported, "--storage", sqlite_url)
        assert again.code == 0
        assert expected in again.out
    assert "skipped 4: already complete in the study" in again.out
    assert count_states(load_study(open_storage(sqlite_url), NAME)) == {"complete": 4}


def test_a_queued_run_is_not_trained_beside_the_imported_one(
    typed: Command, exported: Path, toy_data: None, small_table: str, sqlite_url: str
) -> None:
    # Rule: an imported run replaces the queued one, which is never trained.
    open_studies(sqlite_url, exported)
    typed("import-results", exported, "--storage", sqlite_url)
    study = load_study(open_storage(sqlite_url), NAME)
    assert count_states(study) == {"complete": 4, "fail": 1}
    assert "no failed trials" in typed("retry", NAME, "--storage", sqlite_url).out
    more = typed("run", *options(small_table, sqlite_url), "--seeds", 2)
    assert "4 planned runs (configuration x seed), 0 added to the queue" in more.out
    assert "all 4 planned runs are already finished" in more.out


def open_studies(url: str, exported: Path) -> None:
    """Make the study of an exported one, with its first run waiting."""
    first = load_study(open_storage(f"sqlite:///{exported.parents[1]}/study.db"), NAME)
    storage = open_storage(url)
    with study_lock(storage, NAME):
        study, _ = open_study(storage, NAME, Identity(**first.user_attrs["identity"]))
        planned = first.trials[0]
        study.add_trial(
            optuna.create_trial(
                state=TrialState.WAITING, params=planned.params,
                distributions=planned.distributions,
                user_attrs={PLANNED: planned.user_attrs[PLANNED]},
            )
        )  # fmt: skip


def test_an_import_that_died_is_finished_by_the_same_command(
    typed: Command, exported: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Rule: after a kill halfway, the same command imports the rest.
    add = optuna.Study.add_trial

    def dying(study: optuna.Study, trial: Any) -> None:
        if len(study.trials) == 2:
            raise KeyboardInterrupt
        add(study, trial)

    with monkeypatch.context() as patch:
        patch.setattr(optuna.Study, "add_trial", dying)
        assert typed("import-results", exported, "--storage", sqlite_url).code == 130
    again = typed("import-results", exported, "--storage", sqlite_url)
    assert "imported 2 runs" in again.out
    assert "skipped 2: already complete" in again.out


def test_results_without_curves_say_what_is_missing(
    typed: Command, exported: Path, sqlite_url: str, tmp_path: Path
) -> None:
    # Rule: the curves beside the file may be missing; then a line says so, and all else works.
    exported.with_name("curves.jsonl").unlink()
    taken = typed("import-results", exported, "--storage", sqlite_url)
    assert taken.code == 0
    assert f"4 without learning curves, which {exported.with_name('curves.jsonl')}" in taken.out
    assert "curves" not in load_trials(sqlite_url, NAME)
    for words in (("show", NAME), ("report", NAME, "-o", tmp_path / "report.html")):
        assert typed(*words, "--storage", sqlite_url).code == 0
    typed("export-results", "--storage", sqlite_url, "--output", tmp_path / "again")
    assert contents(tmp_path / "again" / NAME / "results.csv") == contents(exported)


def change(path: Path, column: str, value: str, line: int | None = None) -> None:
    """Change a column of every line of a results file, or of one."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows if line is None else [rows[line]]:
        row[column] = value
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def alone(path: Path, column: str, value: str) -> None:
    """Change a column of every line of a results file that has no curves beside it."""
    path.with_name("curves.jsonl").unlink()
    change(path, column, value)


def curves_of_another_run(path: Path) -> None:
    beside = path.with_name("curves.jsonl")
    header, *lines = beside.read_text().splitlines()
    runs = [json.loads(line) for line in lines]
    runs[0]["curves"], runs[1]["curves"] = runs[1]["curves"], runs[0]["curves"]
    runs[0]["curves"]["confusion"][0][0][0] += 1
    runs[0]["curves"]["confusion"][1][0][0] += 1
    beside.write_text("\n".join([header, *map(json.dumps, runs)]) + "\n")


def curves_of_another_precision(path: Path) -> None:
    beside = path.with_name("curves.jsonl")
    beside.write_text(beside.read_text().replace('"precision":"fp32"', '"precision":"bf16"'))


BAD = {
    "another protocol": (lambda p: change(p, "protocol", "1"), "has runs of protocol 1, and"),
    "an unknown precision": (lambda p: change(p, "precision", "fp8"), "precision is 'fp8'. Only"),
    "two precisions": (lambda p: change(p, "precision", "bf16", 0), r"several precisions \("),
    "an unknown budget": (lambda p: change(p, "budget", "huge"), "budget is 'huge'. Only these"),
    "another budget": (lambda p: alone(p, "budget", "quick"), "would not train this run"),
    "another study seed": (lambda p: alone(p, "study_seed", "5"), "would not train this run"),
    "an edited seed": (lambda p: change(p, "seed", "5", 0), "the seed was changed"),
    "an edited score": (lambda p: change(p, "test_f1_macro", "0.99", 0), "one of them was changed"),
    "an edited network": (lambda p: change(p, "config_model", "mlp", 0), "unknown model 'mlp'"),
    "an edited epoch": (lambda p: change(p, "last_epoch", "9", 0), "last_epoch differs from what"),
    "no time": (lambda p: change(p, "seconds", "", 0), "complete but has no seconds"),
    "a confirmation": (lambda p: change(p, "space", "confirm:x"), "space is 'confirm:x'. Only"),
    "a newer format": (lambda p: change(p, "format", "3"), "newer version .* Update the project"),
    "a cut file": (lambda p: p.write_bytes(p.read_bytes()[:-300]), "values for|not CSV"),
    "no file": (Path.unlink, "Cannot read the results"),
    "other curves": (curves_of_another_run, "confusion differs from what its curves"),
    "curves of another precision": (curves_of_another_precision, "precision is 'bf16' there"),
    "damaged curves": (
        lambda p: p.with_name("curves.jsonl").write_text("{"), "not a line of a recording",
    ),
}  # fmt: skip


def test_bad_files_are_refused_and_nothing_is_written(
    typed: Command, exported: Path, tmp_path: Path
) -> None:
    # Rule: an invalid file is refused with code 2 by name before a database is created,
    # even if a good one precedes it.
    for number, (what, (damage, message)) in enumerate(BAD.items()):
        copy = tmp_path / f"bad-{number}"
        shutil.copytree(exported.parent, copy)
        damage(copy / "results.csv")
        database = copy / "study.db"
        refused = typed(
            "import-results", exported, copy / "results.csv", "--storage", f"sqlite:///{database}"
        )
        assert refused.code == 2, what
        assert refused.err.startswith("error: ")
        assert re.search(message, refused.err), (what, refused.err)
        assert not database.exists(), what


def test_a_file_that_does_not_fit_its_study_is_refused(
    typed: Command, exported: Path, toy_data: None, small_table: str, sqlite_url: str
) -> None:
    # Rule: what differs from the study is named, and nothing is imported.
    other = typed("run", *options(small_table, sqlite_url), "--seed", 3, "--precision", "bf16")
    assert other.code == 0
    refused = typed("import-results", exported, "--storage", sqlite_url)
    assert refused.code == 2
    assert "precision is 'bf16' there, 'fp32' here; seed is 3 there, 0 here" in refused.err
    assert count_states(load_study(open_storage(sqlite_url), NAME)) == {"complete": 2}


@settings(max_examples=5, deadline=None)
@given(
    seed=st.integers(0, 2**31), seeds=st.integers(1, 2), budget=st.sampled_from(["smoke", "quick"])
)
def test_any_study_comes_back_to_the_byte(
    tmp_path_factory: pytest.TempPathFactory, seed: int, seeds: int, budget: str
) -> None:
    # Rule: whatever the runs, export -> import -> export gives equal bytes.
    place = tmp_path_factory.mktemp("inverse")
    study = fake_runs(f"sqlite:///{place}/a.db", "s", seeds=seeds, budget=budget, seed=seed)
    one = export_result_files([study], place / "one")
    list(import_files([one[0]], f"sqlite:///{place}/b.db", "s"))
    again = load_study(open_storage(f"sqlite:///{place}/b.db"), "s")
    assert count_states(again) == count_states(study)
    other = export_result_files([again], place / "other")
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in other]
