from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState

from ecg.budget import BUDGETS, Budget
from ecg.errors import UsageError
from ecg.heartbeats import BEAT_LENGTH
from ecg.metrics import scores
from ecg.training import Checkpoint, Epoch, Part, TrainConfig, TrainingData, TrainResult
from search_spaces import find_space
from study.run.worker import _run
from study.trials import trial as trial_module
from study.trials.messages import Progress
from study.trials.pruning import PRUNERS, MonitoredCurve, PruningPolicy, best_value
from study.trials.task import Search
from study.trials.trial import Bench
from tests.support.curves import Curve, Walk, curve_epochs, make_study, walk_curves
from tests.support.setting import IDENTITY, make_task
from tests.support.toy import rule

EPOCHS = 8
walks = settings(rule, max_examples=40)  # an example walks up to six curves
# Few losses, so that ties are common; sixty-fourths, so that sums and means are exact.
epochs_of_a_curve = st.tuples(
    st.integers(1, 6).map(lambda n: n / 8), st.integers(0, 32).map(lambda n: n / 64)
)
curves = st.lists(epochs_of_a_curve, min_size=EPOCHS, max_size=EPOCHS)
sets_of_curves = st.lists(curves, min_size=1, max_size=6)
policies = st.builds(
    PruningPolicy,
    pruner=st.sampled_from(["median", "hyperband"]),
    patience=st.integers(0, 3),
    warm_up=st.integers(0, 4),
    startup=st.integers(0, 3),
)
patiences = st.integers(1, EPOCHS + 1)
jobs = st.integers(1, 3)
EAGER = PruningPolicy("median", patience=0, warm_up=0, startup=1)


def flat(value: float, length: int = EPOCHS) -> Curve:
    """A loss that falls all the time, with the same objective all the time."""
    return [(1 - epoch / 64, value) for epoch in range(length)]


def stalled(value: float, length: int = EPOCHS) -> Curve:
    """A loss that is never lower than at the first epoch."""
    return [(0.5, value)] * length


def walk_all(
    given_curves: list[Curve], policy: PruningPolicy, patience: int, n_jobs: int
) -> list[Walk]:
    study = make_study(policy, EPOCHS)
    return walk_curves(
        study, given_curves, policy, max_epochs=EPOCHS, patience=patience, jobs=n_jobs
    )


@walks
@given(sets_of_curves, policies, patiences, jobs)
def test_reports_the_objective_at_the_best_loss_so_far(
    given_curves: list[Curve], policy: PruningPolicy, patience: int, n_jobs: int
) -> None:
    # What the trial would return if it stopped there; of equal losses the first counts.
    for curve, walk in zip(
        given_curves, walk_all(given_curves, policy, patience, n_jobs), strict=True
    ):
        losses = [loss for loss, _ in curve]
        for epoch in range(1, walk.last_epoch + 1):
            assert walk.reported[epoch] == curve[int(np.argmin(losses[:epoch]))][1]


@walks
@given(sets_of_curves, policies, patiences, jobs)
def test_asks_after_the_warm_up_when_the_loss_has_not_improved(
    given_curves: list[Curve], policy: PruningPolicy, patience: int, n_jobs: int
) -> None:
    # Exactly then: neither an epoch more nor one less.
    for curve, walk in zip(
        given_curves, walk_all(given_curves, policy, patience, n_jobs), strict=True
    ):
        losses = [loss for loss, _ in curve]
        assert walk.asked == [
            epoch
            for epoch in range(policy.warm_up + 1, walk.last_epoch + 1)
            if epoch - 1 - int(np.argmin(losses[:epoch])) >= policy.patience
        ]


@pytest.mark.parametrize("warm_up", [0, 3])
def test_patience_0_asks_at_every_epoch_after_the_warm_up(warm_up: int) -> None:
    policy = PruningPolicy("median", patience=0, warm_up=warm_up)
    (walk,) = walk_all([flat(0.5)], policy, EPOCHS, 1)
    assert walk.asked == list(range(warm_up + 1, EPOCHS + 1))


def test_a_loss_that_always_falls_is_never_judged_with_a_patience() -> None:
    # However poor the objective is: early stopping and pruning look at the same loss.
    good, poor = walk_all([flat(0.5), flat(0.125)], replace(EAGER, patience=1), EPOCHS, 1)
    assert good.asked == poor.asked == []
    assert poor.state == TrialState.COMPLETE


@walks
@given(sets_of_curves, policies, patiences, jobs)
def test_the_leader_is_never_pruned(
    given_curves: list[Curve], policy: PruningPolicy, patience: int, n_jobs: int
) -> None:
    # A pruned trial was below the best finished one; so the first is never pruned.
    for walk in walk_all(given_curves, policy, patience, n_jobs):
        if walk.stop_reason == "pruned":
            assert walk.last_value < walk.best_before


@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_a_trial_below_the_leader_is_pruned(pruner: str) -> None:
    # And one that is as good as the leader is not.
    policy = replace(EAGER, pruner=pruner)
    walks = walk_all([stalled(0.5), stalled(0.25), stalled(0.5)], policy, EPOCHS + 1, 1)
    assert [walk.stop_reason for walk in walks] == ["max-epochs", "pruned", "max-epochs"]
    assert walks[1].last_epoch <= 3


@pytest.mark.parametrize("value", [0.375, 0.25])
def test_a_leader_that_the_pruner_would_prune_continues(value: float) -> None:
    # Its peer was better at this epoch, but ended below where it is now, or just there.
    policy = replace(EAGER, warm_up=2)
    peer = [(0.5, 0.5), (0.25, 0.75), (0.25, 0.75), (0.125, 0.25), *[(0.125, 0.25)] * 4]
    study = make_study(policy, EPOCHS)
    walk_curves(study, [peer], policy, max_epochs=EPOCHS)
    assert study.best_value == 0.25
    trial = study.ask()
    monitor = MonitoredCurve(trial, "f1_macro", policy, EPOCHS)
    assert [monitor(epoch) for epoch in curve_epochs(stalled(value, 3))] == [False] * 3
    assert trial.should_prune()


def test_hyperband_measures_others_by_the_leader_too() -> None:
    # It stores a trial's value at a rung only when asked, so it is asked about a leader too.
    policy = PruningPolicy("hyperband", patience=0, warm_up=0)
    study = make_study(policy, 2)  # one bracket
    good, poor = walk_curves(study, [flat(0.5), flat(0.25)], policy, max_epochs=2)
    assert good.asked == [1, 2]
    assert (poor.stop_reason, poor.last_epoch) == ("pruned", 1)


@walks
@given(sets_of_curves, policies, patiences, jobs, st.integers(-64, 64))
def test_a_shift_of_all_curves_changes_no_decision(
    given_curves: list[Curve], policy: PruningPolicy, patience: int, n_jobs: int, shift: int
) -> None:
    # Only the order of values matters, not where they are.
    def decisions(walks: list[Walk]) -> list[tuple[list[int], int, str]]:
        return [(walk.asked, walk.last_epoch, walk.stop_reason) for walk in walks]

    shifted = [[(loss, value + shift / 32) for loss, value in curve] for curve in given_curves]
    assert decisions(walk_all(given_curves, policy, patience, n_jobs)) == decisions(
        walk_all(shifted, policy, patience, n_jobs)
    )


@walks
@given(sets_of_curves, policies, patiences, jobs)
def test_a_finished_trial_counts_at_all_later_epochs(
    given_curves: list[Curve], policy: PruningPolicy, patience: int, n_jobs: int
) -> None:
    # With its final value up to the last epoch possible; a pruned one only where it was.
    for walk in walk_all(given_curves, policy, patience, n_jobs):
        last = walk.last_epoch if walk.stop_reason == "pruned" else EPOCHS
        assert list(walk.reported) == list(range(1, last + 1))
        assert {walk.reported[step] for step in range(walk.last_epoch, last + 1)} == {
            walk.last_value
        }


@pytest.mark.parametrize("carried", [True, False])
def test_a_slower_trial_is_compared_with_one_that_stopped_early(
    carried: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # At epoch 5 the median is 0.5 with the stopped trial (0.75 and 0.25), 0.25 without it.
    if not carried:
        monkeypatch.setattr(MonitoredCurve, "carry_forward", lambda self: None)
    policy = replace(EAGER, warm_up=4)
    three = [stalled(0.75, 3), flat(0.25), flat(0.375)]
    early, _, slower = walk_all(three, policy, 2, 1)
    assert (early.stop_reason, early.last_epoch) == ("early-stopping", 3)
    assert slower.asked[0] == 5
    assert (slower.stop_reason == "pruned") == carried


@walks
@given(sets_of_curves, patiences, jobs)
def test_none_never_asks_nor_prunes(given_curves: list[Curve], patience: int, n_jobs: int) -> None:
    policy = PruningPolicy("none", patience=0, warm_up=0, startup=0)
    for walk in walk_all(given_curves, policy, patience, n_jobs):
        assert walk.asked == []
        assert walk.state == TrialState.COMPLETE


def test_none_builds_a_pruner_that_never_prunes() -> None:
    # It never prunes for other programs that open the study either.
    study = make_study(PruningPolicy("none"), EPOCHS)
    study.add_trial(optuna.create_trial(value=1.0, intermediate_values={1: 1.0}))
    trial = study.ask()
    trial.report(-1.0, 1)
    assert not trial.should_prune()


def test_hyperband_knows_the_last_epoch_before_any_trial_is_finished() -> None:
    # Otherwise it would guess the resource, and judge nothing before.
    study = make_study(PruningPolicy("hyperband", warm_up=1), max_epochs=4)
    answers = []
    for value in (0.75, 0.25):
        trial = study.ask()
        for epoch in (1, 2):
            trial.report(value, epoch)
            answers.append(trial.should_prune())
    # Both wait for the first rung, the epoch after the warm-up; the second is worse there.
    assert answers == [False, False, False, True]


@pytest.mark.parametrize("max_epochs", [1, 2, 3, 100])
@pytest.mark.parametrize("pruner", PRUNERS)
def test_any_policy_serves_any_number_of_epochs(pruner: str, max_epochs: int) -> None:
    # Also a warm-up longer than the trials.
    for warm_up in (0, 2, 5):
        policy = PruningPolicy(pruner, warm_up=warm_up, patience=0)
        study = make_study(policy, max_epochs)
        walks = walk_curves(study, [stalled(0.5, 3)] * 2, policy, max_epochs=max_epochs)
        assert {walk.state for walk in walks} == {TrialState.COMPLETE}


def test_the_startup_trials_are_not_judged() -> None:
    policy = replace(EAGER, startup=3)
    values = (0.5, 0.25, 0.125, 0.0625)
    walks = walk_all([stalled(value) for value in values], policy, EPOCHS + 1, 1)
    assert [walk.stop_reason for walk in walks] == ["max-epochs"] * 3 + ["pruned"]


def test_the_objective_is_taken_from_the_confusion_matrix() -> None:
    confusion = ((8, 2, 0, 0, 0), (1, 3, 0, 0, 0), *[tuple(map(int, r)) for r in np.eye(5)[2:]])
    trial = make_study(EAGER, 1).ask()
    monitor = MonitoredCurve(trial, "recall_macro", EAGER, 1)
    monitor(Epoch(1, 0.5, 0.5, 1e-3, confusion, best_epoch=1, epochs_since_best=0))
    assert monitor.values == [scores(confusion)["recall_macro"]] == [(0.8 + 0.75 + 3) / 5]


def test_the_best_value_ignores_trials_without_one() -> None:
    assert best_value([]) == -float("inf")
    failed = optuna.create_trial(state=TrialState.FAIL)
    assert best_value([failed, *map(_finished, (-0.5, -0.25))]) == -0.25


def _finished(value: float) -> optuna.trial.FrozenTrial:
    return optuna.create_trial(value=value)


def test_an_unknown_pruner_is_refused_and_the_known_ones_are_named() -> None:
    with pytest.raises(
        UsageError, match=r"unknown pruner 'asha'. Use one of: median, hyperband, none"
    ):
        PruningPolicy("asha")


@pytest.mark.parametrize("name", ["patience", "warm_up", "startup"])
def test_negative_numbers_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"--prune-{name.replace('_', '-')} must be 0 or more"):
        PruningPolicy(**{name: -1})


Train = Callable[..., TrainResult]


def train_by(curve: Curve) -> Train:
    """Return a `train` that follows the curve instead of training."""

    def train(
        config: TrainConfig,
        data: TrainingData,
        on_epoch: Callable[[Epoch], bool | None],
        checkpoint: Checkpoint,
        precision: str,
    ) -> TrainResult:
        epochs = []
        reason = "max-epochs"
        for epoch in curve_epochs(curve[: config.max_epochs], config.patience):
            epochs.append(epoch)
            if on_epoch(epoch):
                reason = "pruned"
                break
            if epoch.epochs_since_best >= config.patience:
                reason = "early-stopping"
        return TrainResult(config, tuple(epochs), epochs[-1].best_epoch, reason, 0.5, {})

    return train


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    part = Part(torch.zeros(0, 1, BEAT_LENGTH), torch.zeros(0, dtype=torch.int64))
    space = find_space("imbalance")
    identity = replace(
        IDENTITY, space=space.name, space_digest=space.digest, objective=space.objective
    )
    tiny = Budget("smoke", EPOCHS, 3, None, None, trials=3)
    monkeypatch.setitem(BUDGETS, "smoke", tiny)
    goal = Search(space=space.name, target=3, pruning=EAGER)
    task = make_task(f"sqlite:///{tmp_path}/study.db", goal, identity=identity)
    return Bench(task=task, emit=lambda _: None, space=space, data=TrainingData(part, part))


def run_by(
    study: optuna.Study, bench: Bench, curve: Curve, monkeypatch: pytest.MonkeyPatch
) -> optuna.trial.FrozenTrial:
    """Run the study's next trial, as a worker does, along a curve."""
    monkeypatch.setattr(trial_module, "train", train_by(curve))
    trial = study.ask()
    _run(trial, study, study._storage, bench)
    return study.trials[trial.number]


EARLY: Curve = [(0.5, 0.5), (0.25, 0.75), (0.375, 0.25), (0.375, 0.25), (0.25, 0.25), (0.1, 1.0)]


def test_an_early_stopped_trial_is_complete(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    # Its value is the objective at the best loss; why it stopped, and after how many epochs,
    # are stored separately and are not derived from the steps carried forward.
    study = make_study(EAGER, EPOCHS)
    trial = run_by(study, bench, EARLY, monkeypatch)
    assert (trial.state, trial.value) == (TrialState.COMPLETE, 0.75)
    assert trial.user_attrs["stop_reason"] == "early-stopping"
    assert (trial.user_attrs["best_epoch"], trial.user_attrs["last_epoch"]) == (2, 5)
    assert trial.last_step == EPOCHS
    assert len(trial.user_attrs["curves"]["f1_macro"]) == 5


def test_a_trial_of_all_epochs_is_complete(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    trial = run_by(make_study(EAGER, EPOCHS), bench, flat(0.5), monkeypatch)
    assert (trial.state, trial.value) == (TrialState.COMPLETE, 0.5)
    assert trial.user_attrs["stop_reason"] == "max-epochs"
    assert trial.user_attrs["last_epoch"] == EPOCHS


def test_a_pruned_trial_keeps_its_last_reported_value(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    # That is the objective at its best loss, not the one of its last epoch.
    study = make_study(EAGER, EPOCHS)
    run_by(study, bench, stalled(0.75, 3), monkeypatch)
    goal = replace(bench.task.goal, pruning=replace(EAGER, patience=2))  # type: ignore[call-arg]
    late = replace(bench, task=replace(bench.task, goal=goal))
    trial = run_by(study, late, [(0.5, 0.25), (0.25, 0.5), (0.5, 0.0), (0.5, 0.0)], monkeypatch)
    assert (trial.state, trial.value) == (TrialState.PRUNED, 0.5)
    assert trial.intermediate_values == {1: 0.25, 2: 0.5, 3: 0.5, 4: 0.5}
    assert trial.user_attrs["stop_reason"] == "pruned"
    assert (trial.user_attrs["best_epoch"], trial.user_attrs["last_epoch"]) == (2, 4)
    assert trial.user_attrs["validation"]["f1_macro"] == 0.5
    assert trial.user_attrs["curves"]["validation_loss"] == [0.5, 0.25, 0.5, 0.5]


def test_the_news_of_a_trial_give_the_value_as_it_stands(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    news: list[Progress] = []
    watched = replace(bench, emit=news.append)
    run_by(make_study(EAGER, EPOCHS), watched, EARLY, monkeypatch)
    assert [(item.epoch, item.value) for item in news if item.state == "running"] == [
        (0, None),
        (1, 0.5),
        *[(epoch, 0.75) for epoch in range(2, 6)],
    ]
    assert (news[-1].state, news[-1].value) == ("complete", 0.75)


@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_the_baseline_is_never_pruned(pruner: str) -> None:
    # Rule: all others are compared with it, also where it comes last, as after `retry`.
    policy = PruningPolicy(pruner, patience=0, warm_up=0, startup=1)
    study = make_study(policy, EPOCHS)
    for value in (0.75, 0.5):
        walk_curves(study, [stalled(value, EPOCHS)], policy, max_epochs=EPOCHS)
    answers = []
    for attributes in ({}, {"baseline": True}):
        study.enqueue_trial({}, user_attrs=attributes)
        curve = MonitoredCurve(study.ask(), "f1_macro", policy, EPOCHS)
        answers.append([curve(epoch) for epoch in curve_epochs(stalled(0.125, EPOCHS), EPOCHS)])
    assert any(answers[0])
    assert not any(answers[1])


@pytest.mark.parametrize(
    ("budget", "patience", "warm_up"), [("smoke", 0, 2), ("quick", 0, 2), ("short", 1, 2),
                                        ("paper", 1, 10)]
)  # fmt: skip
def test_a_policy_follows_the_budget(budget: str, patience: int, warm_up: int) -> None:
    # Rule: the warm-up is a tenth of the epochs, at least 2; with all beats the patience is 1;
    # typed values override both.
    chosen = PruningPolicy.within(BUDGETS[budget])
    assert chosen == PruningPolicy("median", patience=patience, warm_up=warm_up, startup=4)
    typed = PruningPolicy.within(BUDGETS[budget], patience=3, warm_up=0, startup=9)
    assert typed == PruningPolicy("median", patience=3, warm_up=0, startup=9)
