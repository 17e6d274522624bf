"""Attributes of a trial that are stored together."""

import optuna
import pytest
import sqlalchemy
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage

from study.storage.attributes import get_attribute, set_attributes
from study.storage.lean import LARGE
from study.storage.studies import load_study, open_storage
from tests.support.setting import open_new, taken

ATTRIBUTES = {"scores": {"f1": [0.25, None]}, "text": "N ≥ 1", "waited": 1.5, "none": None}


def test_attributes_are_stored_as_optuna_does(url: str) -> None:
    # Rule: another process reads what was stored, as if Optuna had stored one after another;
    # a second time replaces; other attributes and other trials are left alone.
    study, storage = open_new(url)
    other, trial = taken(study, storage), taken(study, storage)
    kept = dict(trial.user_attrs)
    set_attributes(trial, {"text": "before", "scores": 0})
    set_attributes(trial, ATTRIBUTES)
    one_by_one = taken(study, storage)
    for name, value in ATTRIBUTES.items():
        one_by_one.set_user_attr(name, value)
    seen = load_study(open_storage(url), "s").trials
    assert seen[1].user_attrs == trial.user_attrs == kept | ATTRIBUTES
    assert seen[2].user_attrs == kept | ATTRIBUTES
    assert seen[0].user_attrs == other.user_attrs


def test_many_attributes_are_one_transaction(url: str) -> None:
    # Rule: fifty attributes are one commit.
    study, storage = open_new(url)
    trial = taken(study, storage)
    commits: list[object] = []
    sqlalchemy.event.listen(storage.engine, "commit", commits.append)
    set_attributes(trial, {f"name {number}": number for number in range(50)})
    assert len(commits) == 1


def test_a_trial_that_ended_takes_no_attribute(url: str) -> None:
    # Rule: a worker that was silent for so long that its trial was taken from it learns so,
    # and changes nothing.
    study, storage = open_new(url)
    trial = taken(study, storage)
    study.tell(trial, 0.5)
    before = study.trials[0].user_attrs
    with pytest.raises(UpdateFinishedTrialError):
        set_attributes(trial, ATTRIBUTES)
    assert load_study(open_storage(url), "s").trials[0].user_attrs == before


def test_a_study_in_memory_has_attributes_too() -> None:
    # Rule: any other storage is written by Optuna.
    trial = optuna.create_study().ask()
    set_attributes(trial, ATTRIBUTES)
    assert trial.study.trials[0].user_attrs == ATTRIBUTES


def test_a_worker_reads_no_large_attribute(url: str) -> None:
    # Rule: of the others' trials a worker reads all but the large attributes, which are there
    # for whoever asks for one, and for every other reader.
    study, _ = open_new(url)
    large = {name: [1.5, 2.5] for name in LARGE}
    study.add_trial(optuna.create_trial(value=0.5, user_attrs=ATTRIBUTES | large))
    storage = open_storage(url, lean=True)
    seen = load_study(storage, "s")
    (trial,) = seen.get_trials(deepcopy=False)
    assert trial.user_attrs == storage.get_trial(trial._trial_id).user_attrs == ATTRIBUTES
    assert (trial.value, trial.number) == (0.5, 0)
    assert {name: get_attribute(seen, trial, name) for name in LARGE} == large
    assert get_attribute(seen, trial, "no such") is None
    assert RDBStorage(url).get_all_trials(study._study_id)[0].user_attrs == ATTRIBUTES | large
