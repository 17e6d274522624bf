import math

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, dropout

from ecg import networks
from ecg.dropout import Dropout
from ecg.errors import UsageError
from ecg.training import (
    DivergedError,
    Epoch,
    Part,
    TrainConfig,
    TrainingData,
    TrainResult,
    measure,
    train,
)
from ecg.training.config import OPTIMIZERS
from ecg.training.loop import build_model
from tests.support.toy import contrary, loss_weights

FAST = TrainConfig(
    model="simple", width_multiplier=0.25, batch_size=32, learning_rate=5e-3, max_epochs=3
)
NOISY = FAST.replace(  # all that is random in a run: weights, order, sampler, dropout
    model="four-layer", width_multiplier=0.1, ratio=0.5, alpha=0.5, max_epochs=2
)


@pytest.fixture(scope="module")
def learnt(data: TrainingData) -> TrainResult:
    return train(FAST.replace(width_multiplier=0.5, batch_size=16, max_epochs=7), data)


@pytest.fixture(scope="module")
def stopped(data: TrainingData) -> TrainResult:
    """A run on partly wrong validation labels with a scheduler: better, worse, stopped early."""
    config = FAST.replace(
        max_epochs=40, patience=5, scheduler_factor=0.5, scheduler_patience=1, alpha=0.7
    )
    return train(config, contrary(data))


def equal_weights(a: TrainResult, b: TrainResult) -> bool:
    return a.weights.keys() == b.weights.keys() and all(
        torch.equal(a.weights[key], b.weights[key]) for key in a.weights
    )


def losses(result: TrainResult) -> list[float]:
    return [epoch.validation_loss for epoch in result.epochs]


def logits_of(config: TrainConfig, weights: object, part: Part) -> torch.Tensor:
    model = build_model(config).eval()
    model.load_state_dict(weights)
    with torch.no_grad():
        return model(part.signals)


# --- What determines a run


@pytest.mark.parametrize("config", [FAST, NOISY], ids=["plain", "noisy"])
def test_same_configuration_gives_the_same_result_to_the_bit(
    config: TrainConfig, data: TrainingData
) -> None:
    # Whatever the state of the global generators before each run.
    torch.manual_seed(1)
    first = train(config, data)
    torch.manual_seed(2)
    second = train(config, data)
    assert first == second
    assert first.epochs == second.epochs
    assert first.confusion == second.confusion
    assert equal_weights(first, second)


def test_another_seed_is_another_run(data: TrainingData) -> None:
    one = train(FAST.replace(max_epochs=1), data)
    two = train(FAST.replace(max_epochs=1, seed=1), data)
    assert losses(one) != losses(two)
    assert not equal_weights(one, two)


def test_running_longer_does_not_change_the_epochs_before(data: TrainingData) -> None:
    # An epoch's random numbers depend only on the seed and the epoch.
    short, long = (train(NOISY.replace(max_epochs=n), data) for n in (1, 2))
    assert long.epochs[:1] == short.epochs


def test_every_epoch_drops_other_units(data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    # The same seed for every epoch would drop the same units at the same steps of each.
    masks: list[torch.Tensor] = []

    def spy(layer: Dropout, x: torch.Tensor) -> torch.Tensor:
        mask = dropout(torch.ones_like(x), layer.p, layer.training)
        if layer.training:
            masks.append(mask)
        return x * mask

    monkeypatch.setattr(Dropout, "forward", spy)
    train(NOISY, data)
    first, second = masks[: len(masks) // 2], masks[len(masks) // 2 :]
    assert len(first) == len(second) >= 3  # the network's three dropouts at each step
    assert not any(map(torch.equal, first, second))


def test_global_random_state_is_left_alone(data: TrainingData) -> None:
    torch.manual_seed(987)  # a state that no run leaves behind
    before = torch.get_rng_state()
    result = train(NOISY, data)
    measure(NOISY, result.weights, data.validation)
    assert torch.equal(torch.get_rng_state(), before)


def test_data_is_left_alone(data: TrainingData) -> None:
    # It is shared by all trials of a process.
    before = [t.clone() for t in (data.train.signals, data.train.labels, data.validation.signals)]
    train(NOISY, data)
    after = [data.train.signals, data.train.labels, data.validation.signals]
    assert all(map(torch.equal, before, after))


def test_the_validation_part_does_not_affect_the_weights(data: TrainingData) -> None:
    # Without a scheduler, other validation beats do not change the training curve.
    other = TrainingData(data.train, contrary(data).validation)
    curves = [[e.train_loss for e in train(FAST, each).epochs] for each in (data, other)]
    assert curves[0] == curves[1]


# --- Learning


def test_learns_the_toy_set(learnt: TrainResult) -> None:
    # A constant prediction has a macro F1 of 0.15 here.
    assert learnt.best.scores["f1_macro"] > 0.7
    assert learnt.best.scores["recall_weighted"] > 0.9
    assert learnt.epochs[-1].train_loss < 0.5 * learnt.epochs[0].train_loss


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_lowers_the_training_loss(optimizer: str, data: TrainingData) -> None:
    rate = 0.05 if optimizer == "sgd" else 5e-3
    result = train(FAST.replace(optimizer=optimizer, learning_rate=rate), data)
    curve = [epoch.train_loss for epoch in result.epochs]
    assert curve[-1] < 0.9 * curve[0]


@pytest.mark.parametrize("model", networks.MODELS)
def test_every_model_trains(model: str, data: TrainingData) -> None:
    # 240 beats in batches of 239 leave a single beat, for which batch norm has no variance.
    config = FAST.replace(model=model, width_multiplier=0.1, batch_size=239, max_epochs=1)
    result = train(config, data)
    assert math.isfinite(result.best.train_loss)
    assert np.sum(result.confusion) == len(data.validation)


def test_sgd_without_momentum_is_plain_gradient_descent(data: TrainingData) -> None:
    # 0 is in the configuration's range of momentum.
    train(FAST.replace(optimizer="sgd", momentum=0.0, max_epochs=1), data)


def test_batches_of_one_beat_are_refused_by_name() -> None:
    # Batch norm has no variance for a single value.
    with pytest.raises(UsageError, match="batch_size"):
        FAST.replace(batch_size=1)


# --- When it stops


def test_stops_after_exactly_patience_epochs_without_a_better_loss(stopped: TrainResult) -> None:
    curve = losses(stopped)
    assert stopped.stop_reason == "early-stopping"
    assert stopped.best_epoch == np.argmin(curve) + 1
    assert len(curve) == stopped.best_epoch + stopped.config.patience
    assert 1 < stopped.best_epoch < len(curve) < stopped.config.max_epochs


@pytest.mark.parametrize("run", ["learnt", "stopped"])
def test_every_epoch_reports_the_best_so_far(run: str, request: pytest.FixtureRequest) -> None:
    result: TrainResult = request.getfixturevalue(run)
    curve = losses(result)
    for number, epoch in enumerate(result.epochs, start=1):
        assert epoch.number == number
        assert epoch.best_epoch == np.argmin(curve[:number]) + 1
        assert epoch.epochs_since_best == number - epoch.best_epoch
    assert result.best_epoch == np.argmin(curve) + 1
    assert result.best is result.epochs[result.best_epoch - 1]
    assert result.confusion == result.best.confusion


def test_stops_at_max_epochs(data: TrainingData) -> None:
    result = train(FAST, data)
    assert result.stop_reason == "max-epochs"
    assert len(result.epochs) == FAST.max_epochs


def test_on_epoch_sees_every_epoch_and_stops_the_run_as_pruned(data: TrainingData) -> None:
    seen: list[Epoch] = []

    def on_epoch(epoch: Epoch) -> bool:
        seen.append(epoch)
        return epoch.number == 2

    result = train(FAST, data, on_epoch)
    assert result.stop_reason == "pruned"
    assert result.epochs == tuple(seen)
    assert [epoch.number for epoch in seen] == [1, 2]
    assert result.weights


@pytest.mark.parametrize("answer", [None, False])
def test_on_epoch_without_a_result_lets_the_run_continue(
    answer: bool | None, data: TrainingData
) -> None:
    assert train(FAST, data, lambda _: answer) == train(FAST, data)


# --- Which weights are kept


@pytest.mark.parametrize("run", ["learnt", "stopped"])
def test_kept_weights_are_those_of_the_best_epoch(
    run: str, data: TrainingData, request: pytest.FixtureRequest
) -> None:
    # The unweighted cross-entropy mean of the whole validation part, recomputed in plain
    # PyTorch, is the loss recorded at the best epoch; so is the confusion matrix.
    result: TrainResult = request.getfixturevalue(run)
    part = (contrary(data) if run == "stopped" else data).validation
    logits = logits_of(result.config, result.weights, part)
    loss = cross_entropy(logits, part.labels)
    assert result.best.validation_loss == pytest.approx(loss.item(), rel=1e-5)
    expected = torch.zeros(5, 5, dtype=torch.int64)
    for true, predicted in zip(part.labels.tolist(), logits.argmax(1).tolist(), strict=True):
        expected[true, predicted] += 1
    assert torch.tensor(result.confusion).equal(expected)


@pytest.mark.parametrize("run", ["learnt", "stopped"])
def test_measure_finds_the_confusion_of_the_best_epoch(
    run: str, data: TrainingData, request: pytest.FixtureRequest
) -> None:
    # Every validation beat is in the matrix once.
    result: TrainResult = request.getfixturevalue(run)
    part = (contrary(data) if run == "stopped" else data).validation
    assert measure(result.config, result.weights, part) == result.confusion
    counts = torch.bincount(part.labels, minlength=5)
    assert torch.tensor(result.confusion).sum(1).equal(counts)
    assert all(np.sum(epoch.confusion) == len(part) for epoch in result.epochs)


def test_kept_weights_do_not_follow_later_epochs(stopped: TrainResult, data: TrainingData) -> None:
    # A run of only the best epoch's length ends with the very same weights.
    short = stopped.config.replace(max_epochs=stopped.best_epoch)
    assert equal_weights(train(short, contrary(data)), stopped)


# --- The learning rate


def replayed_rates(result: TrainResult) -> list[float]:
    """The learning rates of ReduceLROnPlateau for the recorded validation losses."""
    config = result.config
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], config.learning_rate)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer,
        mode="min",
        factor=config.scheduler_factor,
        patience=config.scheduler_patience,
        min_lr=config.min_learning_rate,
    )
    rates = []
    for loss in losses(result):
        rates.append(optimizer.param_groups[0]["lr"])
        scheduler.step(loss)
    return rates


def test_the_scheduler_lowers_the_learning_rate_when_pytorch_does(stopped: TrainResult) -> None:
    # The recorded losses, replayed through ReduceLROnPlateau, give the recorded rates.
    rates = [epoch.learning_rate for epoch in stopped.epochs]
    assert rates == replayed_rates(stopped)
    assert len(set(rates)) >= 3


def test_the_scheduler_stops_at_the_minimum_rate(data: TrainingData) -> None:
    # Patience 0: every epoch that is not the best so far lowers the rate, the second included.
    config = FAST.replace(
        max_epochs=8, scheduler_factor=0.2, scheduler_patience=0, min_learning_rate=2e-3
    )
    wrong = Part(data.validation.signals, (data.validation.labels + 1) % 5)
    result = train(config, TrainingData(data.train, wrong))
    rates = [epoch.learning_rate for epoch in result.epochs]
    assert losses(result)[1] > losses(result)[0]
    assert rates == replayed_rates(result)
    assert rates[-1] == 2e-3


def test_without_a_scheduler_the_rate_stays(learnt: TrainResult) -> None:
    assert {epoch.learning_rate for epoch in learnt.epochs} == {learnt.config.learning_rate}


# --- The losses


def test_class_weights_are_in_the_training_loss_alone(data: TrainingData) -> None:
    # The validation loss is unweighted for any alpha, so trials are comparable.
    config = FAST.replace(alpha=1.0, max_epochs=1)
    result = train(config, data)
    logits = logits_of(config, result.weights, data.validation)
    loss = cross_entropy(logits, data.validation.labels)
    assert result.best.validation_loss == pytest.approx(loss.item(), rel=1e-5)
    plain = train(config.replace(alpha=0.0), data)
    assert plain.best.train_loss != result.best.train_loss


def test_class_weights_are_of_the_training_part(data: TrainingData) -> None:
    # At learning rate 0 the network does not change, so its training loss can be computed.
    config = FAST.replace(alpha=1.0, max_epochs=1, learning_rate=0.0, min_learning_rate=0.0)
    result = train(config, data)
    logits = logits_of(config, result.weights, data.train)
    loss = cross_entropy(logits, data.train.labels, loss_weights(config, data.train))
    assert result.best.train_loss == pytest.approx(loss.item(), rel=1e-5)


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_early_stopping_and_scheduler_watch_the_unweighted_loss(
    data: TrainingData, alpha: float
) -> None:
    config = FAST.replace(alpha=alpha, max_epochs=6, scheduler_factor=0.5, scheduler_patience=0)
    result = train(config, contrary(data))
    assert result.best_epoch == 1 + int(np.argmin(losses(result)))
    assert [epoch.learning_rate for epoch in result.epochs] == replayed_rates(result)


# --- Divergence


def poisoned(part: Part) -> Part:
    signals = part.signals.clone()
    signals[7, 0, 100] = torch.nan
    return Part(signals, part.labels)


def test_nan_in_training_is_reported_with_its_epoch(data: TrainingData) -> None:
    with pytest.raises(DivergedError, match=r"training loss is nan at epoch 1. .*learning rate"):
        train(FAST, TrainingData(poisoned(data.train), data.validation))


def test_nan_in_validation_is_reported_with_its_epoch(data: TrainingData) -> None:
    with pytest.raises(DivergedError, match="validation loss is nan at epoch 1"):
        train(FAST, TrainingData(data.train, poisoned(data.validation)))


def test_later_divergence_is_reported_with_its_epoch(data: TrainingData) -> None:
    # on_epoch is called for the epochs before it, but not for the bad one.
    train_part = Part(data.train.signals.clone(), data.train.labels)
    seen = []

    def on_epoch(epoch: Epoch) -> None:
        seen.append(epoch.number)
        if epoch.number == 2:
            train_part.signals[0] = torch.nan

    with pytest.raises(DivergedError, match="at epoch 3"):
        train(FAST, TrainingData(train_part, data.validation), on_epoch)
    assert seen == [1, 2]


def test_random_state_is_restored_after_divergence(data: TrainingData) -> None:
    torch.manual_seed(987)  # a state that no run leaves behind
    before = torch.get_rng_state()
    with pytest.raises(DivergedError):
        train(FAST, TrainingData(poisoned(data.train), data.validation))
    assert torch.equal(torch.get_rng_state(), before)
