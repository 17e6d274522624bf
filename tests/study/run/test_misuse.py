"""Rules of a study that is used wrongly: a message says what happened, and nothing is lost."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from study.run import worker as workers
from study.storage.studies import FORMAT, load_study, open_storage
from tests.soak import record
from tests.study.conftest import TOY_BEATS
from tests.support.crash import Target, grid
from tests.support.disk import Disk
from tests.support.setting import TINY, Typed, finish, wait_until
from tests.support.toy import toy_heartbeats

Command = Callable[..., Typed]

pytestmark = pytest.mark.soak


@pytest.fixture
def run(typed: Command, toy_data: None, tiny: Path, sqlite_url: str) -> Command:
    """A function that runs the study `s`; later words count more."""

    def command(*words: object) -> Typed:
        usual = ("--space", tiny, "--data", "synthetic", "--budget", "smoke", "--study", "s")
        return typed("run", *usual, "--storage", sqlite_url, "--trials", 2, *words)

    return command


def everything(url: str) -> list[Any]:
    """Return all trials of the study, and what it is."""
    storage = open_storage(url)
    study = load_study(storage, "s")
    content = [study.user_attrs, *study.trials]
    storage.engine.dispose()
    return content


OTHER_RANGE = TINY.replace("1e-4, 1e-2", "1e-4, 1e-1")
OTHER_AIM = TINY.replace("    baseline=", '    objective="f1_weighted",\n    baseline=')


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--split", "inter-patient"), "split is 'intra-patient' there, 'inter-patient' here"),
        (("--budget", "quick"), "budget is 'smoke' there, 'quick' here"),
        (("--seed", 1), "seed is 0 there, 1 here"),
        (("--precision", "bf16"), "precision is 'fp32' there, 'bf16' here"),
        (("--space", "full"), "space is 'tiny' there, 'full' here"),
        (("--space", "table1"), "space is 'tiny' there, 'tables' here"),
        (("--space", OTHER_RANGE), "definition of the space is "),
        (("--space", OTHER_AIM), "objective is 'f1_macro' there, 'f1_weighted' here"),
        ((), "data fingerprint is "),
    ],
)
def test_another_study_of_the_same_name_is_refused(
    run: Command, tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch,
    words: tuple[Any, ...], message: str,
) -> None:  # fmt: skip
    # Rule: other data, split, budget, seed, space or objective under one name, and two spaces
    # of one name: code 2, the difference by name, and not a byte of the study is changed.
    assert run("--precision", "fp32").code == 0
    before = everything(sqlite_url)
    if words and "Space(" in str(words[1]):
        (tmp_path / "other.py").write_text(words[1])
        words = ("--space", tmp_path / "other.py")
    others = toy_heartbeats(TOY_BEATS, seed=1)
    with monkeypatch.context() as patch:
        if not words:
            patch.setattr("ecg.sources.synthetic.generate", lambda: others)
        refused = run(*words, "--trials", 5)
    assert refused.code == 2
    assert message in refused.err
    assert "Nothing was changed" in refused.err
    assert everything(sqlite_url) == before
    assert run().code == 0
    record("misuse", f"the same name with another {message.split(' is', 1)[0]}", 1)


def test_a_study_of_a_newer_version_is_left_alone(run: Command, sqlite_url: str) -> None:
    # Rule: a study of a newer version of this project: code 2, what to do, nothing changed.
    assert run().code == 0
    study = load_study(open_storage(sqlite_url), "s")
    study.set_user_attr("identity", {**study.user_attrs["identity"], "format": FORMAT + 1})
    before = everything(sqlite_url)
    refused = run("--trials", 3)
    assert refused.code == 2
    assert "newer version" in refused.err
    assert everything(sqlite_url) == before
    record("misuse", "a study of a newer version of the project", 1)


def test_a_database_on_a_read_only_disk_is_named(
    run: Command, typed: Command, tmp_path: Path, sqlite_url: str
) -> None:
    # Rule: a study on a disk that is mounted for reading only: code 1 and the place, for every
    # command that writes; the others show it; what is there stays.
    assert run().code == 0
    disk = Disk(tmp_path / "disk")
    try:
        for path in tmp_path.glob("study.db*"):
            shutil.copy(path, disk.folder)
        disk.set_writable(False)
        url = f"sqlite:///{disk.folder}/study.db"
        refused = run("--trials", 3, "--storage", url)
        assert refused.code == 1
        assert f"you have no write permission for {disk.folder}" in refused.err
        for words in (("show", "s"), ("list",)):
            shown = typed(*words, "--storage", url)
            assert (shown.code, shown.err) == (0, "")
        disk.set_writable(True)
        assert everything(url) == everything(sqlite_url)
    finally:
        disk.unmount()
    record("misuse", "a database on a disk mounted for reading only", 1)


def test_a_study_deleted_in_mid_trial_ends(
    run: Command, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Rule: a study deleted while it runs (the dashboard has a button) ends with code 1 and one
    # sentence; other studies in the database stay as they are, and the command starts it again.
    assert run("--study", "other").code == 0
    run_trial = workers.run_trial

    def deleted(trial: Any, bench: Any) -> Any:
        if trial.number == 1:
            optuna.delete_study(study_name="s", storage=open_storage(sqlite_url))
        return run_trial(trial, bench)

    with monkeypatch.context() as patch:
        patch.setattr(workers, "run_trial", deleted)
        ended = run()
    assert ended.code == 1
    assert ended.err == (
        "error: the study 's' was deleted while it ran. Run the same command to start it again.\n"
    )
    others = load_study(open_storage(sqlite_url), "other").trials
    assert [trial.state for trial in others] == [TrialState.COMPLETE] * 2
    anew = run()
    assert anew.code == 0
    assert "new study 's'" in anew.out


def test_a_study_deleted_under_several_workers_ends(tmp_path: Path) -> None:
    # Rule: the same with real workers: all end, one line says why, no traceback.
    target = Target(tmp_path, *grid(tmp_path, 30))
    process = target.start("--jobs", 2)
    wait_until(lambda: len(target.workers(process)) == 2, process)
    optuna.delete_study(study_name="s", storage=open_storage(target.url))
    ended = finish(process)
    assert ended.code == 1
    assert "the study 's' was deleted while it ran" in ended.err
    assert len(ended.err.splitlines()) == 1
    record("misuse", "a study deleted while two workers ran", 1)


@pytest.mark.parametrize("hours", [-9, 9])
def test_a_deadline_is_not_moved_by_a_clock(
    run: Command, sqlite_url: str, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    # Rule: a clock set back or forward by hours in mid-study moves neither the end asked for
    # nor the length of a trial.
    import time

    true = time.time
    run_trial = workers.run_trial

    def jump(trial: Any, bench: Any) -> Any:
        monkeypatch.setattr("time.time", lambda: true() + hours * 3600)
        return run_trial(trial, bench)

    monkeypatch.setattr(workers, "run_trial", jump)
    assert run("--timeout", 600).code == 0
    trials = load_study(open_storage(sqlite_url), "s").trials
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 2
    assert all(0 < trial.user_attrs["seconds"] < 60 for trial in trials)
    record("misuse", f"a clock set by {hours} hours", 1)
