"""Creating a study and its identity in one transaction."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.study import StudyDirection

from study.storage.facts import IDENTITY_KEY
from study.storage.front import aims_of

METRIC_NAMES = "study:metric_names"  # Optuna's own attribute: what its dashboard writes at axes


def make_study(
    storage: RDBStorage, name: str, identity: Mapping[str, Any], objectives: Sequence[str]
) -> None:
    """Create a study and its identity in one transaction, so that no process sees one without.

    Args:
        storage: storage without a study of this name.
        name: name of the study.
        identity: see `study.storage.studies.Identity.to_fields`.
        objectives: their names; scores are maximised, `ecg.costs.COSTS` minimised.
    """
    study, direction = models.StudyModel, models.StudyDirectionModel
    with storage.engine.begin() as connection:
        made = connection.execute(sqlalchemy.insert(study).values(study_name=name))
        (key,) = made.inserted_primary_key or (None,)
        for place, aim in enumerate(aims_of(objectives)):
            wanted = StudyDirection[aim.upper()]
            connection.execute(
                sqlalchemy.insert(direction).values(study_id=key, direction=wanted, objective=place)
            )
        connection.execute(
            sqlalchemy.insert(models.StudyUserAttributeModel).values(
                study_id=key, key=IDENTITY_KEY, value_json=json.dumps(identity)
            )
        )
        if len(objectives) > 1:
            connection.execute(
                sqlalchemy.insert(models.StudySystemAttributeModel).values(
                    study_id=key, key=METRIC_NAMES, value_json=json.dumps(objectives)
                )
            )
