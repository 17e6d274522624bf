"""Rules of `study run`: what is created, continued and stored, and what is never read."""

import math
from collections.abc import Callable
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import OperationalError

from ecg.budget import find_budget
from ecg.splits import make_split
from ecg.training import TrainConfig
from ecg.training import step as step_module
from ecg.training.step import evaluate
from search_spaces import find_space
from study import load_trials
from study.run import worker as workers
from study.run.options import RunOptions
from study.run.setting import continue_settings
from study.storage.attributes import PLANNED
from study.storage.studies import load_study, open_storage
from study.trials.task import Machine
from study.trials.trial import configure
from tests.study.conftest import TOY_BEATS
from tests.support.setting import Typed, finish, open_new, start
from tests.support.toy import toy_data as toy_parts
from tests.support.toy import toy_heartbeats

Command = Callable[..., Typed]
NAME = "tiny-synthetic-intra-patient-smoke"
STORED = {
    *("config", "seed", "data", "source", "split", "budget", "device", "precision", "protocol"),
    "device_name",
    *("versions", "worker"),
    *("validation", "per_class", "confusion", "curves", "best_epoch", "last_epoch"),
    *("stop_reason", "seconds", "finished_at"),
}
CLOCKS = ("seconds", "finished_at", "worker")


@pytest.fixture
def run(typed: Command, toy_data: None, tiny: Path, sqlite_url: str) -> Command:
    """A function that runs `study run` on toy data, with the tiny space where none is named."""

    def command(*words: object, storage: str = sqlite_url) -> Typed:
        space = () if "--space" in words else ("--space", tiny)
        setting = ("--data", "synthetic", "--budget", "smoke", "--storage", storage)
        return typed("run", *space, *setting, *words)

    return command


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Errors that the next trainings end with, None for one that ends well."""
    plan: list[Any] = []
    train = workers.run_trial

    def may_fail(trial: Any, bench: Any) -> Any:
        if plan and (error := plan.pop(0)) is not None:
            raise error
        return train(trial, bench)

    monkeypatch.setattr(workers, "run_trial", may_fail)
    return plan


def trials_of(url: str, name: str = NAME) -> list[FrozenTrial]:
    """Return the trials of a study."""
    return load_study(open_storage(url, create=False), name).trials


def states(trials: list[FrozenTrial]) -> list[str]:
    """Return the states of some trials."""
    return [trial.state.name.lower() for trial in trials]


def lasting(trial: FrozenTrial) -> tuple[Any, ...]:
    """Return the parameters and findings of a trial, without times."""
    attributes = {k: v for k, v in trial.user_attrs.items() if k not in CLOCKS}
    return trial.number, trial.params, trial.value, trial.intermediate_values, attributes


def test_a_run_from_the_command_line(tiny: Path, sqlite_url: str) -> None:
    # Rule: `python -m study run` on simulated beats makes a study, ends with code 0 and a
    # summary in plain lines, and says what to type next.
    words = ("run", "--space", tiny, "--data", "synthetic", "--budget", "smoke", "--trials", 2)
    result = finish(start(*words, "--storage", sqlite_url))
    assert (result.code, result.err) == (0, "")
    assert f"new study '{NAME}'" in result.out
    assert "the test part is not read" in result.out
    assert "trial 1 complete" in result.out
    assert f"python -m study confirm {NAME}" in result.out
    assert "\x1b" not in result.out
    assert states(trials_of(sqlite_url)) == ["complete"] * 2


def test_the_first_trial_is_the_baseline(run: Command, tiny: Path, sqlite_url: str) -> None:
    # Rule: a search begins with the baseline of its space, and only that trial is marked.
    assert run("--trials", 2).code == 0
    first, second = trials_of(sqlite_url)
    assert first.params == dict(find_space(str(tiny)).baseline)
    assert first.user_attrs["baseline"]
    assert "baseline" not in second.user_attrs


def test_the_same_command_continues(run: Command, sqlite_url: str) -> None:
    # Rule: the same command again has nothing to do; with more trials it adds the missing ones
    # and touches no other.
    assert "new study" in run("--trials", 1).out
    before = [lasting(trial) for trial in trials_of(sqlite_url)]
    again = run("--trials", 1)
    assert again.code == 0
    assert "continuing study" in again.out
    assert "the trial is already finished" in again.out
    assert [lasting(trial) for trial in trials_of(sqlite_url)] == before
    assert run("--trials", 3).code == 0
    trials = trials_of(sqlite_url)
    assert states(trials) == ["complete"] * 3
    assert lasting(trials[0]) == before[0]


def test_trials_count_finished_ones(run: Command, failing: list[Any], sqlite_url: str) -> None:
    # Rule: a failed trial does not count: as many as asked for finish all the same.
    failing += [None, RuntimeError("out of luck")]
    assert run("--trials", 3).code == 0
    assert states(trials_of(sqlite_url)) == ["complete", "fail", "complete", "complete"]


def test_a_study_of_other_options_is_refused(run: Command, sqlite_url: str) -> None:
    # Rule: the same study name with another seed is refused with code 2 and left alone.
    run("--trials", 1)
    before = [lasting(trial) for trial in trials_of(sqlite_url)]
    refused = run("--trials", 2, "--seed", 5)
    assert refused.code == 2
    assert "seed is 0 there, 5 here" in refused.err
    assert [lasting(trial) for trial in trials_of(sqlite_url)] == before


def test_no_trial_begins_after_the_timeout(run: Command, sqlite_url: str) -> None:
    # Rule: no trial starts after --timeout, and a line says so; 0 is no special case; the study
    # can be continued.
    for seconds in (0, 0.000001):
        ended = run("--trials", 3, "--timeout", seconds)
        assert ended.code == 0
        assert "--timeout ended before a trial began. Run the same" in ended.out
        assert states(trials_of(sqlite_url)) == ["waiting"]
    assert run("--trials", 1).code == 0


def test_a_search_never_has_the_test_part(
    run: Command, monkeypatch: pytest.MonkeyPatch, sqlite_url: str
) -> None:
    # Rule: no process of a search puts a beat of the test part on the device, and no trial has
    # a test score.
    beats = toy_heartbeats(TOY_BEATS)
    test_rows = set(make_split("intra-patient", beats).test.tolist())
    used: set[int] = set()
    benches: list[Any] = []
    make_part = workers.make_part
    run_trial = workers.run_trial

    def spy(beats: Any, rows: np.ndarray, device: torch.device) -> Any:
        used.update(rows.tolist())
        return make_part(beats, rows, device)

    monkeypatch.setattr(workers, "make_part", spy)
    monkeypatch.setattr("ecg.training.data.make_part", spy)
    monkeypatch.setattr(
        workers,
        "run_trial",
        lambda trial, bench: (benches.append(bench), run_trial(trial, bench))[1],
    )
    result = run("--trials", 2)
    assert result.code == 0
    assert len(used) > 500
    assert not used & test_rows
    assert [bench.test for bench in benches] == [None, None]
    assert not any("test" in name for trial in trials_of(sqlite_url) for name in trial.user_attrs)
    assert "The test part was not read." in result.out


def test_everything_about_a_trial_is_stored(run: Command, tiny: Path, sqlite_url: str) -> None:
    # Rule: a trial holds its whole configuration, where it comes from, and all it found; the
    # scores agree with each other.
    run("--trials", 1)
    (trial,) = trials_of(sqlite_url)
    found = trial.user_attrs
    assert found.keys() >= STORED
    config = TrainConfig.from_fields(found["config"])
    assert config == configure(find_space(str(tiny)), trial.params, find_budget("smoke"), 0)
    assert found["seed"] == config.seed
    beats = toy_heartbeats(TOY_BEATS)
    assert found["data"] == beats.fingerprint
    assert (found["source"], found["split"]) == ("synthetic", "intra-patient")
    assert found["budget"] == "smoke"
    curves, best = found["curves"], found["best_epoch"] - 1
    assert {len(curve) for curve in curves.values()} == {found["last_epoch"]} == {2}
    assert best == int(np.argmin(curves["validation_loss"]))
    assert curves["confusion"][best] == found["confusion"]
    assert trial.value == found["validation"]["f1_macro"]
    assert trial.value == pytest.approx(curves["f1_macro"][best], abs=1e-6)
    assert np.sum(found["confusion"]) == len(
        workers.training_data(
            beats, make_split("intra-patient", beats), find_budget("smoke"), torch.device("cpu")
        ).validation
    )
    recall = np.diag(found["confusion"]) / np.sum(found["confusion"], axis=1)
    assert found["per_class"]["recall"] == pytest.approx(recall.tolist())
    assert found["stop_reason"] == "max-epochs"
    assert found["seconds"] > 0
    assert found["device"] == "cpu"
    assert found["device_name"].startswith("cpu: ")
    assert {"python", "torch", "optuna", "numpy", "commit"} <= found["versions"].keys()


def test_a_training_seed_is_of_study_seed_and_configuration(tiny: Path) -> None:
    # Rule: the seed of a training run follows from the study's seed and the configuration
    # alone; another study seed or configuration has another one.
    space, budget = find_space(str(tiny)), find_budget("smoke")
    baseline = dict(space.baseline)
    other = {**baseline, "learning_rate": 0.001}
    one = configure(space, baseline, budget, 7)
    assert one == configure(space, dict(reversed(baseline.items())), budget, 7)
    seeds = {one.seed, configure(space, other, budget, 7).seed}
    seeds.add(configure(space, baseline, budget, 8).seed)
    assert len(seeds) == 3


def test_two_runs_of_one_seed_are_the_same(run: Command, tmp_path: Path) -> None:
    # Rule: in new databases the same command gives the same trials, parameters and scores.
    found = []
    for name in ("one", "two"):
        url = f"sqlite:///{tmp_path}/{name}.db"
        assert run("--trials", 3, storage=url).code == 0
        found.append([lasting(trial) for trial in trials_of(url)])
    assert found[0] == found[1]


def test_a_grid_is_run_whole(run: Command, sqlite_url: str) -> None:
    # Rule: `--sampler grid` runs the baseline and every other point once, without `--trials`.
    assert run("--sampler", "grid").code == 0
    trials = trials_of(sqlite_url)
    assert states(trials) == ["complete"] * 6  # the baseline is no point of the grid
    assert len({trial.params["learning_rate"] for trial in trials}) == 6
    assert "all 6 trials are already finished" in run("--sampler", "grid").out


def test_a_trial_added_by_hand_is_not_the_best_so_far(run: Command, sqlite_url: str) -> None:
    assert run("--trials", 1).code == 0
    study = load_study(open_storage(sqlite_url, create=False), NAME)
    for value in (2.0, math.inf):
        study.add_trial(optuna.create_trial(value=value))
    said = run("--trials", 5).out
    best = max(trial.value or 0.0 for trial in study.trials if "best_epoch" in trial.user_attrs)
    assert "best 2.0" not in said
    assert f"best {best:.4f}" in said


def test_a_search_becomes_a_whole_grid(run: Command, sqlite_url: str) -> None:
    # Rule: `--sampler grid` on a study that had another sampler runs every point, whatever
    # --trials was then.
    assert run("--study", "s", "--sampler", "random", "--trials", 2).code == 0
    assert run("--study", "s", "--sampler", "grid").code == 0
    finished = [t for t in trials_of(sqlite_url, "s") if t.state == TrialState.COMPLETE]
    assert len({trial.params["learning_rate"] for trial in finished[2:]}) == 5
    assert not any(t.state == TrialState.WAITING for t in trials_of(sqlite_url, "s"))


def test_a_failed_trial_does_not_end_the_study(
    run: Command, failing: list[Any], sqlite_url: str
) -> None:
    # Rule: an error in a trial fails that trial with its reason, printed and stored, and the
    # study continues; no traceback without --debug.
    failing += [None, ZeroDivisionError("division by zero")]
    result = run("--trials", 2)
    assert (result.code, result.err) == (0, "")
    assert "trial 1 failed: ZeroDivisionError: division by zero" in result.out
    failed = trials_of(sqlite_url)[1]
    assert failed.state == TrialState.FAIL
    assert failed.user_attrs["failure"] == "ZeroDivisionError: division by zero"


def test_a_loss_that_is_no_number_fails_the_trial(
    run: Command, monkeypatch: pytest.MonkeyPatch, sqlite_url: str
) -> None:
    # Rule: a diverged training is a failed trial whose reason names loss, epoch and a remedy.
    broken = torch.full((2,), math.nan, dtype=torch.float64)
    real, calls = step_module.train_epoch, []

    def once_broken(*arguments: Any, **options: Any) -> torch.Tensor:
        calls.append(1)
        return broken if len(calls) == 3 else real(*arguments, **options)

    monkeypatch.setattr("ecg.training.run.train_epoch", once_broken)
    assert run("--trials", 2).code == 0
    failed = trials_of(sqlite_url)[1]
    assert failed.state == TrialState.FAIL
    assert failed.user_attrs["failure"] == (
        "the training loss is nan at epoch 1. A lower learning rate may help."
    )


def test_the_precision_asked_for_is_computed_in_and_stored(run: Command, sqlite_url: str) -> None:
    # Rule: `--precision` reaches the training, is named at the start and kept with every trial.
    names = (f"{NAME}-{precision}" for precision in ("fp32", "bf16"))
    plain, half = (run("--trials", 1, "--study", n, "--precision", n[-4:]) for n in names)
    assert "device cpu (fp32)" in plain.out
    assert "device cpu (bf16)" in half.out
    one, other = (trials_of(sqlite_url, f"{NAME}-{p}")[0] for p in ("fp32", "bf16"))
    assert (one.user_attrs["precision"], other.user_attrs["precision"]) == ("fp32", "bf16")
    assert one.user_attrs["config"] == other.user_attrs["config"]
    assert list(load_trials(sqlite_url, f"{NAME}-bf16")["precision"]) == ["bf16"]
    assert one.user_attrs["curves"]["train_loss"] != other.user_attrs["curves"]["train_loss"]


def test_a_study_keeps_its_own_precision(run: Command, sqlite_url: str) -> None:
    # Rule: without `--precision` a study keeps its own; another one that is typed is refused.
    assert run("--trials", 1, "--precision", "bf16").code == 0
    again = run("--trials", 2)
    assert again.code == 0
    assert "device cpu (bf16)" in again.out
    assert set(load_trials(sqlite_url, NAME)["precision"]) == {"bf16"}
    refused = run("--trials", 3, "--precision", "fp32")
    assert refused.code == 2
    assert "precision is 'bf16' there, 'fp32' here" in refused.err


@pytest.mark.parametrize("fast", [True, False])
def test_slow_bf16_on_a_cpu_is_warned_of_with_the_measured_factor(
    run: Command, monkeypatch: pytest.MonkeyPatch, fast: bool
) -> None:
    monkeypatch.setattr("study.run.setting.is_bf16_fast", lambda: fast)
    monkeypatch.setattr("study.run.setting.bf16_gain", lambda: 0.4)
    done = run("--precision", "bf16")
    assert done.code == 0
    assert ("its convolutions take 2.5 times as long as those of fp32" in done.out) is not fast


def test_another_pytorch_is_reported(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    # Rule: versions are no part of a study's identity; one line says that they differ.
    alone = run("--trials", 1)
    monkeypatch.setattr("study.run.command.versions", lambda: {"torch": "9.9"})
    again = run("--trials", 2)
    assert (alone.code, again.code) == (0, 0)
    assert "new ones are trained with" not in alone.out
    warned = (
        f"trials trained with PyTorch {version('torch')}; new ones are trained with PyTorch 9.9"
    )
    assert warned in again.out


def test_tf32_on_a_cpu_is_refused(run: Command) -> None:
    # Rule: a precision that the device does not have ends with code 2 before anything is made.
    refused = run("--device", "cpu", "--precision", "tf32")
    assert refused.code == 2
    assert "tf32 needs a CUDA device" in refused.err


def test_three_failures_in_a_row_end_the_study(
    run: Command, typed: Command, failing: list[Any], sqlite_url: str
) -> None:
    # Rule: after three failures in a row the study stops with code 1 and the last reason;
    # `retry` queues the failed trials and the same command finishes them.
    failing += [None, *(RuntimeError(f"out of luck {number}") for number in range(3))]
    stopped = run("--trials", 4)
    assert stopped.code == 1
    assert "Stopped after 3 failures in a row" in stopped.err
    assert "out of luck 2" in stopped.err
    assert "Traceback" not in stopped.err
    assert states(trials_of(sqlite_url)) == ["complete", "fail", "fail", "fail"]
    queued = typed("retry", NAME, "--storage", sqlite_url)
    assert f"requeued 3 failed trials of '{NAME}'" in queued.out
    assert "no failed trials" in typed("retry", NAME, "--storage", sqlite_url).out
    assert run("--trials", 4).code == 0
    trials = trials_of(sqlite_url)
    assert states(trials[4:]) == ["complete"] * 3
    assert [trial.user_attrs["again"]["trial"] for trial in trials[4:]] == [1, 2, 3]


def test_debugging_shows_the_traceback_of_a_failed_trial(run: Command, failing: list[Any]) -> None:
    # Rule: with --debug the traceback of a failed trial is on the error output.
    failing += [RuntimeError("out of luck")]
    assert "Traceback" in run("--trials", 1, "--debug").err


def test_finished_runs_are_never_run_again(run: Command, small_table: str, sqlite_url: str) -> None:
    # Rule: more seeds of a table run only the new ones; the test part is read once by each,
    # and when and why is stored.
    name = "tables-synthetic-intra-patient-smoke"
    first = run("--space", small_table)
    assert first.code == 0, first.err
    assert "2 planned runs (configuration x seed), 2 added to the queue" in first.out
    before = [lasting(trial) for trial in trials_of(sqlite_url, name)]
    more = run("--space", small_table, "--seeds", 2)
    assert "4 planned runs (configuration x seed), 2 added to the queue" in more.out
    trials = trials_of(sqlite_url, name)
    assert states(trials) == ["complete"] * 4
    assert [lasting(trial) for trial in trials[:2]] == before
    assert [trial.user_attrs[PLANNED]["repeat"] for trial in trials] == [0, 0, 1, 1]
    seeds = [trial.user_attrs["seed"] for trial in trials]
    assert seeds[0] == seeds[1] != seeds[2] == seeds[3]
    size = len(make_split("intra-patient", toy_heartbeats(TOY_BEATS)).test)
    for trial in trials:
        assert np.sum(trial.user_attrs["test_confusion"]) == size
        assert trial.user_attrs["test"].keys() == trial.user_attrs["validation"].keys()
        assert trial.user_attrs["test_read"]["reason"] == "a published table"
    fewer = run("--space", small_table)
    assert "2 planned runs (configuration x seed), 0 added to the queue" in fewer.out
    assert "all 2 planned runs are already finished" in fewer.out


def test_a_failed_planned_run_is_run_again(
    run: Command, small_table: str, failing: list[Any], sqlite_url: str
) -> None:
    # Rule: the same command queues a failed run once more and runs that one only.
    failing += [RuntimeError("out of luck")]
    run("--space", small_table)
    name = "tables-synthetic-intra-patient-smoke"
    assert states(trials_of(sqlite_url, name)) == ["fail", "complete"]
    assert "1 added to the queue" in run("--space", small_table).out
    assert states(trials_of(sqlite_url, name)) == ["fail", "complete", "complete"]


class Hungry(torch.nn.Module):
    """A network that runs out of memory on more than `most` beats at once."""

    def __init__(self, most: int) -> None:
        """Begin with no batches seen."""
        super().__init__()
        self.most = most
        self.sizes: list[int] = []

    def forward(self, signals: torch.Tensor) -> torch.Tensor:
        """Return the first five values of each beat as logits."""
        self.sizes.append(len(signals))
        if len(signals) > self.most:
            raise torch.OutOfMemoryError("no memory is left")
        return signals[:, 0, :5]


def test_evaluation_out_of_memory_is_tried_with_half_the_batch() -> None:
    # Rule: where a batch does not fit, the part is measured once more from its start with half
    # the batch, with the same scores; where that does not fit either, the error stays.
    part = toy_parts(300, 150).validation
    roomy, narrow, tiny = Hungry(64), Hungry(32), Hungry(31)
    losses, confusion = evaluate(roomy, part)
    halved_losses, halved_confusion = evaluate(narrow, part)
    assert roomy.sizes == [64, 64, 22]
    assert narrow.sizes == [64, 32, 32, 32, 32, 22]
    assert torch.equal(confusion, halved_confusion)
    assert torch.allclose(losses, halved_losses)
    with pytest.raises(torch.OutOfMemoryError):
        evaluate(tiny, part)


@pytest.mark.parametrize("text", ["CUDA error: device-side assert", "CUDA error: no device\nmore"])
def test_a_gpu_that_fails_costs_no_trial(
    run: Command, failing: list[Any], sqlite_url: str, text: str
) -> None:
    # Rule: an error of CUDA itself ends this worker with code 1 and what to do, and requeues
    # the trial: it is not the trial that failed.
    failing += [None, RuntimeError(text)]
    ended = run("--trials", 3)
    assert ended.code == 1
    assert ended.err.startswith("error: the GPU failed in trial 1: CUDA error: ")
    assert "nvidia-smi" in ended.err
    assert len(ended.err.splitlines()) == 1
    trials = trials_of(sqlite_url)
    assert states(trials) == ["complete", "fail", "waiting"]
    assert trials[2].params == trials[1].params
    assert "failed" not in trials[1].user_attrs
    assert run("--trials", 3).code == 0


def test_a_gpu_without_memory_left_fails_the_trial(
    run: Command, failing: list[Any], sqlite_url: str
) -> None:
    # Rule: what does not fit into the GPU never will: the trial fails and the next one starts.
    failing += [None, torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")]
    assert run("--trials", 2).code == 0
    assert states(trials_of(sqlite_url)) == ["complete", "fail", "complete"]


def test_ctrl_c_ends_a_run_whose_database_is_gone(
    run: Command, failing: list[Any], monkeypatch: pytest.MonkeyPatch, sqlite_url: str
) -> None:
    # Rule: Ctrl-C ends a run even if the database cannot be reached; the trial is later found as
    # one whose worker was lost, and run again.
    failing += [KeyboardInterrupt()]

    def gone(*_: Any) -> None:
        raise OperationalError("SELECT", {}, Exception("server closed the connection"))

    with monkeypatch.context() as patch:
        patch.setattr(workers, "interrupt", gone)
        ended = run("--trials", 1)
    assert ended.code == 130
    assert "run the same command again" in ended.out
    assert states(trials_of(sqlite_url)) == ["running"]
    monkeypatch.setattr("study.run.requeue.is_dead", lambda _: True)
    assert run("--trials", 1).code == 0
    assert states(trials_of(sqlite_url)) == ["fail", "complete"]


def test_a_named_study_takes_its_own_settings(
    run: Command, typed: Command, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Rule: `run --study NAME` alone is the command that made the study: space, data, split, budget,
    # seed, sampler and number of trials, from any folder; `show` prints it.
    first = run(
        "--study", "my own", "--trials", 2, "--seed", 3, "--sampler", "random", "--pruner", "none"
    )
    assert first.code == 0, first.err
    before = [lasting(trial) for trial in trials_of(sqlite_url, "my own")]
    monkeypatch.chdir(tmp_path)
    shown = typed("show", "my own", "--storage", sqlite_url).out
    command = f"to continue: python -m study run --study 'my own' --storage {sqlite_url}"
    assert command in shown.replace("\n", "")
    again = typed("run", "--study", "my own", "--storage", sqlite_url)
    assert again.code == 0, again.err
    assert "all 2 trials are already finished" in again.out
    assert [lasting(trial) for trial in trials_of(sqlite_url, "my own")] == before


def test_a_typed_option_overrides_the_setting_of_the_study(
    run: Command, typed: Command, sqlite_url: str
) -> None:
    # Rule: a typed setting replaces the stored one; one that is part of the identity is refused.
    assert run("--study", "one", "--trials", 1, "--seed", 3).code == 0
    alone = ("run", "--study", "one", "--storage", sqlite_url)
    refused = typed(*alone, "--seed", 4)
    assert (refused.code, "seed is 3 there, 4 here" in refused.err) == (2, True)
    refused = typed(*alone, "--space", "optimizer")
    assert (refused.code, "space is 'tiny' there, 'optimizer' here" in refused.err) == (2, True)
    assert typed(*alone, "--trials", 2, "--sampler", "random").code == 0
    settings = load_study(open_storage(sqlite_url), "one").user_attrs["settings"]
    assert (settings["trials"], settings["sampler"], settings["seed"]) == (2, "random", 3)
    assert "all 2 trials are already finished" in typed(*alone).out


def test_a_named_study_keeps_weights_by_its_own_rule(
    run: Command, typed: Command, sqlite_url: str
) -> None:
    # Rule: `run --study NAME` alone continues the study's --keep; a typed one replaces it.
    alone = ("run", "--study", "one", "--storage", sqlite_url)
    for words, rule in (
        (("--keep", "all"), "all"), ((), "all"), (("--keep", "best"), "best"), ((), "best"),
    ):  # fmt: skip
        done = (
            run("--study", "one", "--trials", 1, *words) if rule == "all" else typed(*alone, *words)
        )
        assert done.code == 0, done.err
        study = load_study(open_storage(sqlite_url), "one")
        assert study.user_attrs.get("keep", "best") == rule


def test_damaged_settings_are_named(run: Command, typed: Command, sqlite_url: str) -> None:
    assert run("--study", "one", "--trials", 1).code == 0
    load_study(open_storage(sqlite_url), "one").set_user_attr("settings", "none")
    refused = typed("run", "--study", "one", "--storage", sqlite_url)
    assert refused.code == 2
    assert "The study 'one' has a damaged attribute 'settings'" in refused.err


def test_a_study_that_keeps_no_settings_is_continued_by_what_it_is(sqlite_url: str) -> None:
    # Rule: studies from before settings were kept, and those of another version whose settings do
    # not fit, give budget, split and seed of their identity; the rest is the default.
    study, _ = open_new(sqlite_url)
    untyped = dict.fromkeys(field.name for field in fields(RunOptions))
    for settings in ({}, {"trials": "x", "sampler": 3, "replay": 5, "nothing": 1, "data": [1]}):
        study.set_user_attr("settings", settings)
        machine, options = continue_settings(Machine(storage=sqlite_url), {**untyped, "study": "s"})
        assert machine.data == "auto"
        assert options == RunOptions(study="s", budget="smoke", seed=7)
