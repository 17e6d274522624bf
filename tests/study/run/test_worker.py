"""Rules of workers, tried with real processes: nothing is lost, nothing is run twice."""

import os
from collections import Counter
from pathlib import Path

import optuna
import pytest
import torch
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import OperationalError

from ecg.errors import EcgError
from study.run import processes
from study.run.worker import decide
from study.storage.studies import load_study, open_storage
from tests.support.setting import die_or_watch, finish, start

TRIALS, WORKERS = 64, 8
ROUNDS = 3 if os.environ.get("ECG_SOAK") else 1


def drain(url: str, folder: Path, trials: int, *killed: int) -> tuple[int, str, list[FrozenTrial]]:
    """Let the workers finish the study; return how many died, what they said, and the trials."""
    folder.mkdir()
    words = (url, folder, trials, WORKERS, *killed)
    result = finish(start(*words, script=("-m", "tests.support.drain")))
    storage = open_storage(url, create=False)
    found = load_study(storage, "s").trials
    storage.engine.dispose()
    return result.code, result.err, found


@pytest.mark.parametrize("repeat", range(ROUNDS))
def test_eight_workers_drain_a_study(url: str, tmp_path: Path, repeat: int) -> None:
    # Rule: 8 workers on 64 trials: every trial is run by one worker, once; exactly 64 finish,
    # none fails, none is left running, no worker dies, and all of them had something to do.
    died, said, trials = drain(url, tmp_path / "runs", TRIALS)
    assert (died, said) == (0, "")
    assert [trial.number for trial in trials] == list(range(TRIALS))
    assert {trial.state for trial in trials} <= {TrialState.COMPLETE, TrialState.PRUNED}
    assert sorted(int(path.name) for path in (tmp_path / "runs").iterdir()) == list(range(TRIALS))
    shares = Counter(trial.user_attrs["worker"] for trial in trials)
    assert len(shares) == WORKERS, shares
    assert trials[0].user_attrs["baseline"]


@pytest.mark.parametrize("repeat", range(ROUNDS))
def test_workers_outlive_one_of_them(sqlite_url: str, tmp_path: Path, repeat: int) -> None:
    # Rule: one worker killed in mid-trial costs nothing: the others run its trial again, with
    # its parameters, and as many as asked for finish.
    died, said, trials = drain(sqlite_url, tmp_path / "runs", 24, 10)
    assert (died, said) == (1, "")
    states = Counter(trial.state for trial in trials)
    assert states[TrialState.FAIL] == 1
    assert states[TrialState.COMPLETE] + states[TrialState.PRUNED] == 24
    assert len(trials) == 25
    (again,) = [trial for trial in trials if "again" in trial.user_attrs]
    assert again.user_attrs["again"]["trial"] == 10
    assert again.params == trials[10].params


def test_a_killed_worker_is_known_dead_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Rule: the parent reaps a killed worker while others live, so that they see at once that it is
    # dead and requeue its trial; when they have ended, the command says that one died.
    monkeypatch.setattr(processes, "_work_for_parent", die_or_watch)
    with pytest.raises(EcgError, match=r"1 of 2 workers died \(exit code -9\)"):
        processes.work_in_processes(str(tmp_path), 2, print)  # type: ignore[arg-type]


OPEN = """
import os, sys
import optuna
from tests.support.setting import open_new
optuna.logging.set_verbosity(optuna.logging.WARNING)
pids = []
for _ in range(8):
    pid = os.fork()
    if pid == 0:
        open_new(sys.argv[1])
        os._exit(0)
    pids.append(pid)
sys.exit(sum(os.waitpid(pid, 0)[1] != 0 for pid in pids))
"""


@pytest.mark.parametrize("repeat", range(ROUNDS))
def test_several_processes_can_create_a_database_at_once(url: str, repeat: int) -> None:
    # Rule: 8 processes that create a database and the same new study at the same moment all
    # get it.
    result = finish(start(url, script=("-c", OPEN)))
    assert (result.code, result.err) == (0, "")
    assert load_study(open_storage(url), "s").trials == []


GPU = RuntimeError("CUDA error: device-side assert triggered")
OUTAGE = OperationalError("SELECT 1", None, Exception("database is locked"))
FAIL = TrialState.FAIL


@pytest.mark.parametrize(
    ("outcome", "state", "stored", "is_requeued", "stops"),
    [
        ((0.5,), "complete", TrialState.COMPLETE, False, False),
        (None, "pruned", TrialState.PRUNED, False, False),
        (KeyboardInterrupt(), "interrupted", FAIL, True, True),
        (UpdateFinishedTrialError(), "interrupted", None, False, False),
        (OUTAGE, "interrupted", FAIL, True, False),
        (GPU, "interrupted", FAIL, True, True),
        (torch.OutOfMemoryError("CUDA out of memory"), "failed", FAIL, False, False),
        (EcgError("no such luck"), "failed", FAIL, False, False),
        (ZeroDivisionError("division by zero"), "failed", FAIL, False, False),
    ],
)
def test_every_way_a_trial_can_end_is_decided(
    outcome: tuple[float, ...] | BaseException | None,
    state: str,
    stored: TrialState | None,
    is_requeued: bool,
    stops: bool,
) -> None:
    # Rule: a trial is requeued unless it failed by itself; an error that would fail every other
    # trial too ends the worker.
    ending = decide(outcome, 3, optuna.create_study())
    assert (ending.state, ending.stored, ending.is_requeued) == (state, stored, is_requeued)
    assert (ending.stop is not None) == stops
    assert ending.values == ((0.5,) if state == "complete" else None)


def test_an_error_after_a_deletion_ends_the_worker() -> None:
    # Rule: nothing is stored in a study that is no longer there.
    study = optuna.create_study()
    optuna.delete_study(study_name=study.study_name, storage=study._storage)
    ending = decide(ZeroDivisionError(), 3, study)
    assert (ending.stored, ending.message) == (None, "the study was deleted")
    assert isinstance(ending.stop, ZeroDivisionError)
