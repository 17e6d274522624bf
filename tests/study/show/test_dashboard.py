"""Rules of the dashboard that need no browser: notes and plots follow the study."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import optuna
import pytest
from optuna.storages import RDBStorage

from study.show import dashboard
from study.show.dashboard import keep_fresh, refresh
from study.storage.studies import open_storage
from tests.support.fake_study import fake_trial, fill


@pytest.fixture
def study(sqlite_url: str) -> optuna.Study:
    return fill(sqlite_url, trials=4)


@pytest.fixture
def watched(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[RDBStorage]:
    """A storage that is kept up to date as by an open dashboard, only faster."""
    monkeypatch.setattr(dashboard, "REFRESH_SECONDS", 0.05)
    storage, ended = open_storage(sqlite_url), threading.Event()
    thread = threading.Thread(target=keep_fresh, args=(storage, ended))
    thread.start()
    yield storage
    ended.set()
    thread.join()


def shown(study: optuna.Study) -> dict[str, Any]:
    """Return what the dashboard shows of a study."""
    return study._storage.get_study_system_attrs(study._study_id)


def note(study: optuna.Study) -> str:
    return str(shown(study).get("dashboard:note_str:0", ""))


def wait_for(rule: Callable[[], bool]) -> None:
    for _ in range(400):
        if rule():
            return
        time.sleep(0.05)
    pytest.fail("still false after 20 s")


def test_an_open_dashboard_follows_the_trials(study: optuna.Study, watched: RDBStorage) -> None:
    # Rule: note and plots are of the current trials, without a restart.
    wait_for(lambda: "4 trials" in note(study))
    study.add_trial(fake_trial(4))
    wait_for(lambda: "5 trials" in note(study))
    wait_for(lambda: any(key.startswith("dashboard:plot_data:") for key in shown(study)))


def test_a_deleted_study_does_not_end_the_updates(
    study: optuna.Study, watched: RDBStorage, sqlite_url: str
) -> None:
    # Rule: an update that fails is tried again; other studies are updated meanwhile.
    wait_for(lambda: "4 trials" in note(study))
    optuna.delete_study(study_name=study.study_name, storage=study._storage)
    other = fill(sqlite_url, name="other", trials=3)
    wait_for(lambda: "3 trials" in note(other))


def test_a_note_that_a_person_wrote_is_left_alone(study: optuna.Study) -> None:
    from optuna_dashboard import save_note

    refresh(study)
    assert "4 trials" in note(study)
    save_note(study, "remember: the lead was reversed")
    study.add_trial(fake_trial(4))
    refresh(study)
    assert note(study) == "remember: the lead was reversed"
