import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ecg import models
from ecg.training import TrainConfig, TrainingData, train
from ecg.training.ema import WeightAverage
from ecg.training.run import Run
from tests.support.toy import rule

SMALL = TrainConfig(model="four-layer", width_multiplier=0.1, max_epochs=2, ema=0.9)


def spoil(model: torch.nn.Module, seed: int) -> dict[str, torch.Tensor]:
    """Change every weight and statistic, as a step does."""
    generator = torch.Generator().manual_seed(seed)
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.randn(tensor.shape, generator=generator))
        else:
            tensor.add_(1)
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@rule
@given(decay=st.floats(0.5, 0.9995), steps=st.integers(1, 12))
def test_the_average_weights_every_step_by_the_decay(decay: float, steps: int) -> None:
    # decay^age, divided by the sum of the weights; running statistics like weights; counts are
    # copied.
    model = models.build("four-layer", width_multiplier=0.05)
    average = WeightAverage(model, decay)
    seen = []
    for step in range(steps):
        seen.append(spoil(model, step))
        average.update()
    shares = torch.tensor([decay ** (steps - 1 - step) for step in range(steps)])
    shares /= shares.sum()
    found = average.read(steps).state_dict()
    assert list(found) == list(model.state_dict())
    for name, value in found.items():
        if not value.is_floating_point():
            assert value == steps
            continue
        expected = sum(share * one[name] for share, one in zip(shares, seen, strict=True))
        torch.testing.assert_close(value, expected, rtol=1e-3, atol=1e-4)


def test_the_network_in_training_is_not_changed() -> None:
    model = models.build("coupled", width_multiplier=0.05)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    average = WeightAverage(model, 0.99)
    average.update()
    average.read(1)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_an_average_of_equal_weights_is_those_weights() -> None:
    # From the first step on: the initial zeros do not count.
    model = models.build("coupled", width_multiplier=0.05)
    average = WeightAverage(model, 0.9995)
    average.update()
    for value, expected in zip(average.read(1).parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_averaged_weights_are_kept_and_the_training_is_the_same(
    data: TrainingData, precision: str
) -> None:
    # The training ignores the average; validation and the kept weights use it.
    plain = train(SMALL.replace(ema=None), data, precision=precision)
    averaged = train(SMALL, data, precision=precision)
    losses = [[epoch.train_loss for epoch in result.epochs] for result in (plain, averaged)]
    assert losses[0] == losses[1]
    assert plain.epochs[0].validation_loss != averaged.epochs[0].validation_loss
    assert not torch.equal(plain.weights["1.weight"], averaged.weights["1.weight"])


def test_every_step_of_a_run_enters_the_average(data: TrainingData) -> None:
    run = Run(SMALL.replace(learning_rate=0.0, weight_decay=0.0), data)
    run.next_epoch()
    run.next_epoch()
    torch.testing.assert_close(run.best_weights["1.weight"], run.model.state_dict()["1.weight"])
