"""Many workers on one study, on recorded curves: no trial twice, none lost; and large studies."""

from pathlib import Path

import pytest
import sqlalchemy

from search_spaces import find_space
from study.run.queue import check_failures
from study.storage.recordings import read_recording
from tests.soak import SOAK, record
from tests.support.growth import add_together, recorded_trials
from tests.support.load import RECORDING, SPACE, drain
from tests.support.pooler import find_pooler, pooled
from tests.support.postgres import new_database
from tests.support.setting import open_new, taken

TRIALS, WORKERS = (500, 8) if SOAK else (60, 4)
POOLED, POOLED_WORKERS = 5, 40 if SOAK else 10


@pytest.mark.soak
def test_no_trial_is_run_twice_or_lost(url: str, tmp_path: Path) -> None:
    # Rule: workers that search with the default sampler and pruner finish exactly the trials
    # asked for, each run once by one of them, on either database.
    drained = drain(url, tmp_path / "drained", TRIALS, WORKERS)
    drained.check(TRIALS, WORKERS)
    kind = sqlalchemy.make_url(url).get_backend_name()
    note = f"{TRIALS / drained.seconds:.1f} trials a second"
    record("load", f"trials by {WORKERS} workers, {kind}", TRIALS, note=note)


@pytest.mark.soak
@pytest.mark.skipif(find_pooler() is None, reason="no PgBouncer: apt-get install pgbouncer")
def test_many_workers_share_the_connections_of_a_pooler(postgres_url: str, tmp_path: Path) -> None:
    # Rule: PgBouncer in front, pooling transactions: workers with five server connections in all
    # run each trial once. One that opens the database takes three, one that claims a trial two.
    with pooled(new_database(postgres_url), POOLED) as url:
        drained = drain(url, tmp_path / "drained", TRIALS, POOLED_WORKERS)
    drained.check(TRIALS, POOLED_WORKERS)
    note = f"{POOLED} connections to the server; {TRIALS / drained.seconds:.1f} trials a second"
    record("load", f"trials by {POOLED_WORKERS} workers behind PgBouncer", TRIALS, note=note)


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_large_study_asks_the_database_no_more(sqlite_url: str, sampler: str) -> None:
    # Rule: as many statements claim, sample, prune and end a trial of a study ten times as
    # large; what grows is at most the time that the sampler takes in memory.
    study, storage = open_new(sqlite_url)
    trials = recorded_trials(read_recording(RECORDING), find_space(SPACE), 20)
    statements: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        statements.append(statement)

    numbers = []
    for copies in (1, 9):
        for _ in range(copies):
            add_together(study, trials)
        study.get_trials(deepcopy=False)
        sqlalchemy.event.listen(storage.engine, "before_cursor_execute", note)
        trial = taken(study, storage, sampler=sampler, target=1000)
        trial.suggest_float("x", 0, 1)  # and with it, in one go, all that the sampler knows of
        trial.report(0.5, 3)
        trial.should_prune()
        study.tell(trial, 0.5)
        check_failures(study)
        sqlalchemy.event.remove(storage.engine, "before_cursor_execute", note)
        numbers.append(len(statements))
        statements.clear()
    assert len(study.get_trials(deepcopy=False)) == 202
    assert numbers[0] >= numbers[1] > 0
