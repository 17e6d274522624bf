"""Heartbeats of running trials: sent by their workers, watched by the others."""

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import optuna
import sqlalchemy
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import TrialState
from sqlalchemy import Connection

from study.storage.lean import utc

HEARTBEAT_SECONDS = 15
GRACE_SECONDS = 60  # without a heartbeat for this long, a worker is considered dead


@contextmanager
def heartbeat(storage: RDBStorage, trial_id: int) -> Iterator[None]:
    """In this block, send heartbeats: the worker of the trial is alive."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(HEARTBEAT_SECONDS):
            try:
                storage.record_heartbeat(trial_id)
            except Exception as error:  # the next beat may get through
                optuna.logging.get_logger("study").debug("no heartbeat: %s", error)

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


class Watch:
    """Finds silent trials: running ones whose heartbeat no longer changes.

    The time of a heartbeat is compared only with its earlier value, by the clock of this process.
    Clocks that are changed, here or on the server, thus make no living trial look dead, nor a dead
    one alive.
    """

    def __init__(self) -> None:
        """Begin without any trial."""
        self._seen: dict[int, tuple[object, float]] = {}

    def silent(self, storage: RDBStorage, trial_ids: Iterable[int]) -> set[int]:
        """Return the IDs of the running trials whose heartbeat has not changed for too long.

        Args:
            storage: the storage of the trials.
            trial_ids: the IDs of all running trials; others are forgotten.
        """
        query = sqlalchemy.text(
            "SELECT trial_id, heartbeat FROM trial_heartbeats WHERE trial_id IN :ids"
        ).bindparams(sqlalchemy.bindparam("ids", expanding=True))
        with storage.engine.connect() as connection:
            rows = connection.execute(query, {"ids": list(trial_ids)}).tuples().all()
        now = time.monotonic()
        before, self._seen = self._seen, {}
        for key, beat in rows:
            known, since = before.get(key, (None, now))
            self._seen[key] = (beat, since if known == beat else now)
        return {i for i, (_, since) in self._seen.items() if now - since > GRACE_SECONDS}


def count_workers(connection: Connection, key: int) -> int:
    """Count the running trials of a study with a recent heartbeat, by the clock of the database."""
    trial, beat = models.TrialModel, models.TrialHeartbeatModel
    heard = connection.execute(
        sqlalchemy.select(beat.heartbeat, sqlalchemy.func.current_timestamp())
        .join(trial, trial.trial_id == beat.trial_id)
        .where(trial.study_id == key, trial.state == TrialState.RUNNING)
    )
    return sum(utc(now) - utc(last) <= timedelta(seconds=GRACE_SECONDS) for last, now in heard)
