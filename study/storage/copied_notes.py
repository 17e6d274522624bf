"""Notes after `optuna.copy_study`: they follow their trials, which have other keys in the copy."""

import json
import re
from typing import Any

import sqlalchemy
from optuna.storages import RDBStorage
from optuna.storages._rdb import models

NUMBER = "ecg_number"  # beside a note: the number of its trial, which a copy keeps
_OF_TRIAL = re.compile(rf"dashboard:(\d+):(note_ver|note_str:\d+|{NUMBER})")


def place_notes(storage: RDBStorage, study: int, attributes: dict[str, Any]) -> bool:
    """Move notes that stand at the keys of another study's trials to the trials of this one.

    Args:
        storage: of the study.
        study: its key.
        attributes: Optuna's own attributes of the study.

    Returns:
        Whether any was moved.
    """
    notes: dict[int, dict[str, Any]] = {}
    for name, value in attributes.items():
        if match := _OF_TRIAL.fullmatch(name):
            notes.setdefault(int(match[1]), {})[match[2]] = value
    numbers = {key: parts[NUMBER] for key, parts in notes.items() if NUMBER in parts}
    if not numbers:
        return False
    trial, table = models.TrialModel, models.StudySystemAttributeModel
    with storage.engine.begin() as connection:
        mine = sqlalchemy.select(trial.number, trial.trial_id).where(trial.study_id == study)
        keys = dict(connection.execute(mine).tuples().all())
        strayed = {key: n for key, n in numbers.items() if keys.get(n) != key}
        if not strayed:
            return False
        names = [f"dashboard:{key}:{part}" for key in strayed for part in notes[key]]
        placed = {
            f"dashboard:{keys[number]}:{part}": value
            for key, number in strayed.items()
            if number in keys and keys[number] not in numbers.keys() - strayed.keys()
            for part, value in notes[key].items()
        }
        here = table.study_id == study
        for name in {*names, *placed}:
            connection.execute(sqlalchemy.delete(table).where(here, table.key == name))
        if placed:
            connection.execute(
                sqlalchemy.insert(table),
                [
                    {"study_id": study, "key": name, "value_json": json.dumps(value)}
                    for name, value in placed.items()
                ],
            )
    return True
