import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from ecg import models, networks
from ecg.training import Part, TrainConfig, TrainingData
from ecg.training.augment import mixed
from ecg.training.config import OPTIMIZERS
from ecg.training.loop import build_model
from ecg.training.order import epoch_order
from ecg.training.step import evaluate, make_optimizer, train_epoch, train_step
from tests.support.toy import loss_weights, rule, toy_data

SMALL = toy_data(100, validation=29)


def test_optimizers_are_configured_as_published() -> None:
    # AdamW decays the weights themselves; Adam and SGD add an L2 penalty to the gradient.
    model = models.build("simple", width_multiplier=0.1)
    kinds = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}
    assert set(kinds) == set(OPTIMIZERS)
    for name, kind in kinds.items():
        config = TrainConfig(optimizer=name, learning_rate=0.02, weight_decay=0.3, momentum=0.7)
        optimizer = make_optimizer(config, model)
        assert type(optimizer) is kind
        (group,) = optimizer.param_groups
        assert (group["lr"], group["weight_decay"]) == (0.02, 0.3)
        if name == "sgd":
            assert (group["momentum"], group["nesterov"]) == (0.7, True)
        else:
            assert group["betas"] == (0.9, 0.999)


@rule
@given(batch=st.integers(2, 250), alpha=st.sampled_from([0.0, 0.3, 1.0]))
def test_losses_are_the_weighted_mean_whatever_the_batch_size(batch: int, alpha: float) -> None:
    # At learning rate 0 the network does not change, so the epoch's training loss is the
    # weighted cross-entropy mean over all its beats, ragged last batch included; a single
    # left-over beat is left out.
    data = SMALL
    config = TrainConfig(model="simple", width_multiplier=0.1, alpha=alpha, batch_size=batch)
    torch.manual_seed(0)
    model = build_model(config)
    optimizer = make_optimizer(config.replace(learning_rate=0.0), model)
    order = epoch_order(data.train.labels, None, 0, 1)
    weights = loss_weights(config, data.train)
    total, weight = train_epoch(model, optimizer, data.train, weights, batch, order).tolist()
    used = order[:-1] if len(order) % batch == 1 else order
    expected = mean_loss(model, Part(data.train.signals[used], data.train.labels[used]), weights)
    assert total / weight == pytest.approx(expected, rel=1e-5)
    assert weight == pytest.approx(weights[data.train.labels[used]].double().sum().item())


@rule
@given(smoothing=st.floats(0, 1), alpha=st.sampled_from([0.0, 1.0]), seed=st.integers(0, 9))
def test_smoothed_and_mixed_losses_are_weighted_means_over_shares_of_classes(
    smoothing: float, alpha: float, seed: int
) -> None:
    # By definition, every beat's loss is the mean of its classes' losses weighted by its shares of
    # them and by the class weights; a share is (1 - smoothing) of the label's share plus
    # smoothing / 5 of every class.
    config = TrainConfig(
        model="simple", width_multiplier=0.1, alpha=alpha, label_smoothing=smoothing,
        learning_rate=0.0, weight_decay=0.0,
    )  # fmt: skip
    part, weights = SMALL.train, loss_weights(config, SMALL.train)
    model = build_model(config)
    rows = torch.arange(20)
    for mixup in (0.0, 0.4):
        options = config.replace(mixup=mixup)
        torch.manual_seed(seed)
        shares = torch.nn.functional.one_hot(part.labels[rows], 5).float()
        signals = part.signals[rows]
        if mixup:
            signals, shares = mixed(signals, part.labels[rows], mixup)
        smoothed = shares * (1 - smoothing) + smoothing / 5
        losses = -(smoothed * weights * model(signals).log_softmax(1)).sum(1)
        weight = (shares * weights).sum()
        torch.manual_seed(seed)
        optimizer = make_optimizer(config, model)
        total, found = train_step(model, optimizer, part, rows, weights, options).tolist()
        assert found == pytest.approx(weight.item(), rel=1e-5)
        assert total == pytest.approx(losses.sum().item(), rel=1e-4)


def test_jitter_and_mixup_change_the_batch_and_not_the_part() -> None:
    data, config = SMALL, TrainConfig(model="simple", width_multiplier=0.1)
    before = data.train.signals.clone()
    totals = set()
    for options in (config, config.replace(jitter=1.0), config.replace(mixup=0.4)):
        torch.manual_seed(0)
        model = build_model(config)
        optimizer = make_optimizer(config, model)
        rows = torch.arange(20)
        totals.add(train_step(model, optimizer, data.train, rows, torch.ones(5), options)[0].item())
    assert len(totals) == 3
    assert torch.equal(data.train.signals, before)


def mean_loss(model: torch.nn.Module, part: Part, weights: torch.Tensor | None = None) -> float:
    with torch.no_grad():
        return cross_entropy(model(part.signals), part.labels, weights).item()


@pytest.mark.parametrize("beats", [1, 2, 63, 64, 65, 129])
def test_evaluation_counts_every_beat_of_a_ragged_part(beats: int, data: TrainingData) -> None:
    # A single left-over beat is measured like any other.
    signals = torch.cat([data.train.signals, data.validation.signals])[:beats]
    labels = torch.cat([data.train.labels, data.validation.labels])[:beats]
    part = Part(signals, labels)
    torch.manual_seed(0)
    model = models.build("four-layer", width_multiplier=0.1)
    total, cells = evaluate(model, part)
    assert cells.sum() == beats
    assert not model.training
    assert total.item() / beats == pytest.approx(mean_loss(model, part), rel=1e-5)


def test_a_left_over_single_beat_is_skipped(data: TrainingData) -> None:
    # 240 beats in batches of 239 train exactly like the first 239 of the order.
    results = []
    for beats in (240, 239):
        torch.manual_seed(0)
        model = models.build("simple", width_multiplier=0.1)
        order = epoch_order(data.train.labels, None, 0, 1)[:beats]
        optimizer = make_optimizer(TrainConfig(model="simple"), model)
        train_epoch(model, optimizer, data.train, torch.ones(5), 239, order)
        results.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(*results)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="counts waits for a CUDA device")
@pytest.mark.parametrize("model_name", networks.MODELS)
def test_the_training_loop_never_waits_for_the_device(model_name: str) -> None:
    # A whole epoch, trained and measured, is queued without one host synchronisation; its
    # results are copied in a single transfer afterwards.
    device = torch.device("cuda")
    parts = [
        Part(part.signals.to(device), part.labels.to(device))
        for part in (SMALL.train, SMALL.validation)
    ]
    config = TrainConfig(model=model_name, width_multiplier=0.25, batch_size=16)
    model = build_model(config).to(device)
    optimizer = make_optimizer(config, model)
    weights = torch.ones(5, device=device)
    order = epoch_order(parts[0].labels, None, 0, 1)

    def epoch() -> None:
        train_epoch(model, optimizer, parts[0], weights, config.batch_size, order)
        evaluate(model, parts[1])

    epoch()  # the libraries set themselves up, and may wait, once
    mode = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        epoch()
    finally:
        torch.cuda.set_sync_debug_mode(mode)
