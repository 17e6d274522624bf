"""What a study costs on top of its training: nothing is loaded twice, few transactions are made."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy

from ecg.heartbeats import Heartbeats
from study.storage.studies import open_storage
from tests.conftest import REPOSITORY
from tests.study.conftest import TOY_BEATS
from tests.support.setting import Typed
from tests.support.toy import toy_heartbeats

SMOKE = ("--data", "synthetic", "--budget", "smoke")
WRITES = ("INSERT", "UPDATE", "DELETE")


def test_heartbeats_are_loaded_once(
    typed: Callable[..., Typed], tiny: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Rule: a command that trains by itself loads the data once: to know the study by it and to
    # train on it.
    loaded: list[int] = []

    def generate() -> Heartbeats:
        loaded.append(1)
        return toy_heartbeats(TOY_BEATS)

    monkeypatch.setattr("ecg.sources.synthetic.generate", generate)
    result = typed("run", "--space", tiny, *SMOKE, "--trials", 2, "--storage", sqlite_url)
    assert result.code == 0
    assert len(loaded) == 1


def test_a_trial_writes_few_times(
    typed: Callable[..., Typed], toy_data: None, tiny: Path, sqlite_url: str
) -> None:
    # Rule: a trial writes once per parameter, once per epoch and six times more: start (3), what is
    # known before its training (1) and after it with its files and note (1), end (1).
    # The settings of a run are written once, before its first trial.
    transactions: list[list[str]] = [[]]

    def note(_: object, __: object, statement: str, *___: object) -> None:
        if statement.startswith(WRITES):
            transactions[-1].append(statement)

    def committed(_: object) -> None:
        if transactions[-1]:
            transactions.append([])

    words = ("run", "--space", tiny, *SMOKE, "--storage", sqlite_url, "--trials")
    assert typed(*words, 1).code == 0
    sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", note)
    sqlalchemy.event.listen(sqlalchemy.Engine, "commit", committed)
    try:
        assert typed(*words, 2).code == 0
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "before_cursor_execute", note)
        sqlalchemy.event.remove(sqlalchemy.Engine, "commit", committed)
    last = open_storage(sqlite_url).get_all_trials(1)[-1]
    written = [words for words in transactions if words]
    assert "study_user_attributes" in written[0][0]
    assert len(last.params) + last.user_attrs["last_epoch"] + 6 >= len(written) - 1 > 0


@pytest.mark.parametrize("words", ["spaces", "--help"])
def test_to_list_spaces_takes_no_pytorch(words: str) -> None:
    # Rule: listing the spaces does not load PyTorch, Optuna or pandas.
    code = f"""
import sys
sys.argv = ["study", "{words}"]
try:
    from study.cli import main
    main()
finally:
    heavy = {{"torch", "optuna", "pandas", "sqlalchemy"}} & set(sys.modules)
    assert not heavy, heavy
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "imbalance" in done.stdout or words == "--help"
