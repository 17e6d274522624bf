from typing import Any

import pytest
import torch

from ecg import networks
from ecg.training import Part, TrainConfig, TrainingData, train
from ecg.training.config import OPTIMIZERS
from ecg.training.graphs import GraphedSteps
from ecg.training.order import beat_weights, epoch_order
from ecg.training.run import Run
from ecg.training.step import train_epoch
from tests.support.toy import ALL_OPTIONS, EACH_OPTION, loss_weights

# A learning rate that is exact in float32, in which the graph reads it.
SMALL = TrainConfig(width_multiplier=0.1, alpha=0.5, ratio=0.5, learning_rate=2**-7)
needs_cuda = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="compares CUDA graphs, and there is no CUDA device"
)


def on(device: str, data: TrainingData) -> TrainingData:
    parts = (data.train, data.validation)
    return TrainingData(*(Part(*(t.to(device) for t in parts_of(p))) for p in parts))


def parts_of(part: Part) -> tuple[torch.Tensor, ...]:
    assert part.rhythm is not None
    return part.signals, part.labels, part.rhythm


def trained(
    config: TrainConfig, data: TrainingData, *, graphed: bool, epochs: int = 3
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Return the sums of every epoch, and weights, buffers and moments after the last."""
    run = Run(config, data)
    weights = loss_weights(config, data.train)
    common = (run.model, run.optimizer, run.data.train, weights, config.batch_size)
    steps = GraphedSteps(*common, config, run.average)
    labels, totals = data.train.labels, []
    for epoch in range(1, epochs + 1):
        order = epoch_order(labels, beat_weights(labels, config.ratio), 0, epoch)
        torch.manual_seed(epoch)
        if graphed:
            totals.append(steps.train_epoch(order))
        else:
            totals.append(train_epoch(*common, order, config, run.average))
        run.optimizer.param_groups[0]["lr"] /= 2  # as a scheduler does
    moments = [value for state in run.optimizer.state.values() for value in state.values()]
    averages = run.average.sums.values() if run.average is not None else ()
    return totals, [*run.model.state_dict().values(), *moments, *averages]


@pytest.mark.parametrize("model", networks.MODELS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_graphed_steps_train_as_plain_ones_do_to_the_bit(
    data: TrainingData, model: str, optimizer: str
) -> None:
    # 240 beats in batches of 64: three full ones and a smaller one, with another rate each epoch.
    config = SMALL.replace(model=model, optimizer=optimizer, batch_size=64)
    found, expected = (trained(config, data, graphed=graphed) for graphed in (True, False))
    for some, others in zip(found, expected, strict=True):
        assert len(some) == len(others) > 0
        assert all(map(torch.equal, some, others))


@pytest.mark.parametrize("options", [*EACH_OPTION, ALL_OPTIONS], ids="-".join)
def test_graphed_steps_follow_the_options_to_the_bit(
    data: TrainingData, options: dict[str, Any]
) -> None:
    config = SMALL.replace(**options)
    found, expected = (trained(config, data, graphed=graphed) for graphed in (True, False))
    for some, others in zip(found, expected, strict=True):
        assert all(map(torch.equal, some, others))


@pytest.mark.parametrize("batch_size", [7, 119, 239, 240, 1000])
def test_every_size_of_the_last_batch_is_trained(data: TrainingData, batch_size: int) -> None:
    config = SMALL.replace(batch_size=batch_size)
    found, expected = (trained(config, data, graphed=graphed) for graphed in (True, False))
    assert all(map(torch.equal, found[1], expected[1]))


def test_what_recording_does_to_weights_and_optimizer_is_undone(
    data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The averaged weights too.
    # A recording on CUDA warms up with real steps, and so it does here. Later training,
    # from the start or continued, must not be affected.
    def record(steps: GraphedSteps, size: int) -> object:
        steps._position.zero_()
        steps._learning_rate.fill_(0.5)
        steps._step(size)
        return lambda: steps._step(size)

    config = SMALL.replace(ema=0.9)
    plain = trained(config, data, graphed=True)
    monkeypatch.setattr(GraphedSteps, "_record", record)
    found = trained(config, data, graphed=True)
    for some, others in zip(found, plain, strict=True):
        assert all(map(torch.equal, some, others))


@needs_cuda
@pytest.mark.parametrize("model", networks.MODELS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_cuda_graph_trains_as_the_plain_steps_do(
    data: TrainingData, model: str, optimizer: str
) -> None:
    # The same random draws and kernels; sums may be taken in another order, so losses may
    # differ by 0.1 % after three epochs of a small learning rate.
    config = SMALL.replace(model=model, optimizer=optimizer, learning_rate=2**-10)
    there = on("cuda", data)
    found, expected = (trained(config, there, graphed=graphed)[0] for graphed in (True, False))
    for some, others in zip(found, expected, strict=True):
        torch.testing.assert_close(some, others, rtol=1e-3, atol=0)


@needs_cuda
@pytest.mark.parametrize("options", [*EACH_OPTION, ALL_OPTIONS], ids="-".join)
def test_a_cuda_graph_follows_the_options(data: TrainingData, options: dict[str, Any]) -> None:
    config = SMALL.replace(learning_rate=2**-10, **options)
    there = on("cuda", data)
    found, expected = (trained(config, there, graphed=graphed)[0] for graphed in (True, False))
    for some, others in zip(found, expected, strict=True):
        torch.testing.assert_close(some, others, rtol=1e-3, atol=0)


@needs_cuda
@pytest.mark.parametrize("scheduler", [None, 0.1])
def test_both_paths_on_cuda_take_the_same_decisions(
    data: TrainingData, scheduler: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = SMALL.replace(
        model="simple", scheduler_factor=scheduler, scheduler_patience=1, patience=2, max_epochs=12
    )
    there = on("cuda", data)
    graphed = train(config, there, precision="fp32")
    monkeypatch.setattr(GraphedSteps, "train_epoch", _plain_epoch)
    plain = train(config, there, precision="fp32")
    assert graphed.stop_reason == plain.stop_reason
    assert graphed.best_epoch == plain.best_epoch
    rates = [[epoch.learning_rate for epoch in result.epochs] for result in (graphed, plain)]
    assert rates[0] == rates[1]


def _plain_epoch(steps: GraphedSteps, order: torch.Tensor) -> torch.Tensor:
    arguments = (steps._model, steps._optimizer, steps._part, steps._class_weights, 64)
    return train_epoch(*arguments, order)


@needs_cuda
def test_an_epoch_of_replays_never_waits_for_the_device(data: TrainingData) -> None:
    there = on("cuda", data)
    run, weights = Run(SMALL, there), torch.ones(5, device="cuda")
    steps = GraphedSteps(run.model, run.optimizer, there.train, weights, 64)
    order = epoch_order(there.train.labels, None, 0, 1)
    mode = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        steps.train_epoch(order)
    finally:
        torch.cuda.set_sync_debug_mode(mode)
