import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg.training import TrainConfig, TrainingData, train
from ecg.training.schedule import rate_factor
from tests.support.toy import rule

TINY = TrainConfig(model="simple", width_multiplier=0.1, max_epochs=4)


@given(st.integers(1, 1000))
def test_without_a_schedule_the_factor_is_exactly_1(epoch: int) -> None:
    assert rate_factor(TrainConfig(), epoch) == 1


@rule
@given(epochs=st.integers(1, 100), warm_up=st.integers(0, 120))
def test_a_cosine_rises_then_falls_to_nearly_zero(epochs: int, warm_up: int) -> None:
    config = TrainConfig(schedule="cosine", warm_up=warm_up, max_epochs=epochs)
    factors = [rate_factor(config, epoch) for epoch in range(1, epochs + 1)]
    rising, falling = factors[:warm_up], factors[warm_up:]
    assert rising == sorted(rising)
    assert falling == sorted(falling, reverse=True)
    assert all(0 < factor <= 1 for factor in factors)
    if falling:
        half_an_epoch = math.pi / 2 / len(falling)
        assert falling[-1] == pytest.approx((1 - math.cos(half_an_epoch)) / 2)
        assert sum(falling) == pytest.approx(len(falling) / 2)


def test_the_factors_of_the_budget_short() -> None:
    config = TrainConfig(schedule="cosine", warm_up=1, max_epochs=12)
    factors = [round(rate_factor(config, epoch), 3) for epoch in (1, 2, 7, 12)]
    assert factors == [0.5, 0.995, 0.5, 0.005]


def test_epochs_use_and_report_the_scheduled_rate(data: TrainingData) -> None:
    config = TINY.replace(schedule="cosine", warm_up=1, learning_rate=0.01)
    rates = [epoch.learning_rate for epoch in train(config, data).epochs]
    assert rates == [0.01 * rate_factor(config, epoch) for epoch in range(1, 5)]
    still = train(config.replace(learning_rate=0.0), data)
    assert len({epoch.validation_loss for epoch in still.epochs}) == 1


def test_a_warm_up_multiplies_the_rate_of_the_plateau(data: TrainingData) -> None:
    # The rate is too small for any progress, so every epoch after the first is a plateau.
    config = TINY.replace(
        optimizer="sgd", momentum=0.0, learning_rate=1e-6, min_learning_rate=0.0, warm_up=2,
        scheduler_factor=0.5, scheduler_patience=0,
    )  # fmt: skip
    rates = [epoch.learning_rate for epoch in train(config, data).epochs]
    assert rates == pytest.approx([0.25e-6, 0.75e-6, 0.5e-6, 0.25e-6])
