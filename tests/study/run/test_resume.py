"""Rules of stopping and resuming: real `python -m study run` processes, stopped in mid-trial."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.trial import FrozenTrial, TrialState
from safetensors import safe_open
from safetensors.torch import save_file

from ecg.training.checkpoint import content_digest
from study.storage.studies import load_study, open_storage
from study.trials.provenance import is_dead
from tests.support.setting import TINY, Typed, finish, found, start, wait_until

NAME = "tiny-synthetic-intra-patient-quick"


class Run:
    """A study in a separate folder.

    Args:
        folder: folder of its database and space.
        trials: asked for.
        jobs: worker processes.
    """

    def __init__(self, folder: Path, trials: int = 1, jobs: int = 1) -> None:
        """Write the space."""
        self.folder, self.jobs = folder, jobs
        (folder / "tiny.py").write_text(TINY)
        self.url = f"sqlite:///{folder}/study.db"
        self.words = (
            *("run", "--space", folder / "tiny.py", "--data", "synthetic", "--budget", "quick"),
            *("--trials", trials, "--jobs", jobs, "--storage", self.url),
            *("--checkpoint-every", 0),
        )

    def start(self) -> subprocess.Popen[str]:
        """Start the command."""
        return start(*self.words)

    def stop(self, ending: signal.Signals, *, group: bool = False) -> Typed:
        """Start the command and send a signal as soon as all workers have saved an epoch."""
        process = self.start()
        wait_until(lambda: len(self.checkpoints()) >= self.jobs, process)
        (os.killpg if group else os.kill)(process.pid, ending)
        return finish(process)

    def checkpoints(self) -> list[Path]:
        """Return the checkpoints of running trials."""
        return list((self.folder / "checkpoints").glob("*.safetensors"))

    def trials(self, *states: TrialState) -> list[FrozenTrial]:
        """Return the trials in these states, all where none is given."""
        storage = open_storage(self.url, create=False)
        trials = load_study(storage, NAME).get_trials(states=states or None)
        storage.engine.dispose()
        return trials


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> FrozenTrial:
    """The baseline trial of a run that nothing disturbed."""
    run = Run(tmp_path_factory.mktemp("undisturbed"))
    assert finish(run.start()).code == 0
    (trial,) = run.trials()
    return trial


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_trial_resumes_where_it_was(
    tmp_path: Path, undisturbed: FrozenTrial, ending: signal.Signals
) -> None:
    # Rule: however a run ends in mid-trial, the same command resumes from the checkpoint, and
    # what it finds is to the bit what an undisturbed run finds.
    run = Run(tmp_path)
    stopped = run.stop(ending)
    (checkpoint,) = run.checkpoints()
    if ending == signal.SIGKILL:  # no time to do or say anything
        assert stopped.code == -ending
        assert [trial.state for trial in run.trials()] == [TrialState.RUNNING]
    else:
        assert stopped.code == 130
        assert "run the same command again:\n  python -m study run --space" in stopped.out
        assert "Traceback" not in stopped.err
        first, queued = run.trials()
        assert (first.state, queued.state) == (TrialState.FAIL, TrialState.WAITING)
        assert queued.params == first.params
    saved = Epochs(checkpoint)
    assert 1 <= saved.number < 10

    Epochs(checkpoint).mark()
    went_on = finish(run.start())
    assert (went_on.code, went_on.err) == (0, "")
    first, again = run.trials()
    assert first.state == TrialState.FAIL
    assert again.state == TrialState.COMPLETE
    assert again.user_attrs["again"]["trial"] == 0
    assert again.user_attrs["baseline"]
    assert found(again) == found(undisturbed)
    # The hours on the clock are of the marked checkpoint: its epochs were not trained again.
    assert again.user_attrs["seconds"] > Epochs.HOURS
    assert run.checkpoints() == []


class Epochs:
    """The epochs in a checkpoint file.

    Args:
        path: path of the file.
    """

    HOURS = 36_000.0  # s

    def __init__(self, path: Path) -> None:
        """Read the file's state."""
        self.path = path
        with safe_open(path, "pt") as file:
            self.tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            self.state = json.loads(file.metadata()["state"])

    @property
    def number(self) -> int:
        """How many epochs are saved."""
        return len(self.state["epochs"])

    def mark(self) -> None:
        """Let the saved epochs have taken hours."""
        self.state["seconds"] = self.HOURS
        text = json.dumps(self.state)
        signed = {"state": text, "digest": content_digest(text, self.tensors)}
        save_file(self.tensors, self.path, metadata=signed)


def test_a_scheduler_ends_a_run_as_ctrl_c_does(tmp_path: Path) -> None:
    # Rule: SIGTERM requeues the running trial, keeps its checkpoint and says how to continue.
    run = Run(tmp_path)
    stopped = run.stop(signal.SIGTERM)
    assert stopped.code == 130
    assert "run the same command again" in stopped.out
    assert [t.state for t in run.trials()] == [TrialState.FAIL, TrialState.WAITING]
    assert len(run.checkpoints()) == 1


def test_ctrl_c_ends_all_workers(tmp_path: Path) -> None:
    # Rule: Ctrl-C, which the terminal sends to every process of a command, ends a run with
    # several workers quietly; each requeues its trial, and the same command finishes.
    run = Run(tmp_path, trials=2, jobs=2)
    stopped = run.stop(signal.SIGINT, group=True)
    assert stopped.code == 130
    assert "run the same command again" in stopped.out
    assert stopped.err == ""
    assert len(run.trials(TrialState.WAITING)) == 2
    assert run.trials(TrialState.RUNNING) == []
    went_on = finish(run.start())
    assert (went_on.code, went_on.err) == (0, "")
    finished = run.trials(TrialState.COMPLETE, TrialState.PRUNED)
    assert sorted(trial.user_attrs["again"]["trial"] for trial in finished) == [0, 1]
    assert run.checkpoints() == []


def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    # Rule: workers whose parent was killed notice it, requeue their trials and end.
    run = Run(tmp_path, trials=2, jobs=2)
    run.stop(signal.SIGKILL)  # returns when the last worker has closed the outputs
    failed = run.trials(TrialState.FAIL)
    assert [trial.user_attrs["failure"] for trial in failed] == ["interrupted"] * 2
    assert len(run.trials(TrialState.WAITING)) == 2
    gone: list[Callable[[], bool]] = [
        lambda trial=trial: is_dead(trial.user_attrs["worker"]) for trial in failed
    ]
    wait_until(lambda: all(is_gone() for is_gone in gone))
