import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ecg.metrics import per_class, scores
from ecg.training import TrainConfig, TrainingData, measure, predict, trade_off, train
from ecg.training.adjustment import LogitShift, choose_tau, find_shifts, find_taus
from tests.support.toy import rule

CONFIG = TrainConfig(model="simple", width_multiplier=0.25, max_epochs=4, logit_adjustment=0.5)


def test_taus_go_to_both_ends_through_0() -> None:
    taus = find_taus(0.5)
    assert (taus[0], taus[10], taus[-1]) == (-0.5, 0.0, 0.5)
    assert list(taus) == sorted(set(taus))
    assert find_taus(0.0) == (0.0,)


def test_shifts_are_the_logarithms_of_the_shares_of_the_training_beats() -> None:
    # Rounded to bfloat16; a class without beats is not shifted.
    labels = torch.tensor([0] * 90 + [1] * 9 + [3])
    found = find_shifts(labels, (0.0, 0.5, -1.0))
    logs = torch.tensor([0.9, 0.09, 1.0, 0.01, 1.0]).log()
    torch.testing.assert_close(found, torch.stack([0 * logs, 0.5 * logs, -logs]), rtol=4e-3, atol=0)
    assert torch.equal(found.to(torch.bfloat16).float(), found)


def test_the_last_layer_subtracts_its_shift() -> None:
    layer = LogitShift()
    logits = torch.randn(3, 5)
    assert torch.equal(layer(logits), logits)
    layer.shift[1] = 2.0
    assert torch.equal(layer(logits), logits - torch.tensor([0.0, 2, 0, 0, 0]))


matrices = st.lists(st.lists(st.integers(0, 9), min_size=5, max_size=5), min_size=5, max_size=5)


@rule
@given(st.lists(matrices, min_size=21, max_size=21))
def test_the_best_f1_is_chosen_and_of_equal_ones_the_smallest_change(found: list) -> None:
    taus = find_taus(0.5)
    f1 = [scores(one)["f1_macro"] for one in found]
    chosen = choose_tau(taus, found)
    equal = [abs(tau) for tau, one in zip(taus, f1, strict=True) if one == max(f1)]
    assert f1[chosen] == max(f1)
    assert abs(taus[chosen]) == min(equal)
    assert taus[choose_tau(taus, [found[0]] * 21)] == 0


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("model", ["simple", "coupled"])
def test_the_kept_weights_predict_with_the_tau_that_was_chosen(
    data: TrainingData, precision: str, model: str
) -> None:
    # Measuring or predicting with them needs nothing else.
    result = train(CONFIG.replace(model=model), data, precision=precision)
    assert result.best.tau in find_taus(0.5)
    confusion = measure(result.config, result.weights, data.validation, precision)
    assert confusion == result.confusion
    predicted = predict(result.config, result.weights, data.validation, precision).argmax(1)
    right = sum(confusion[label][label] for label in range(5))
    assert (predicted == data.validation.labels).sum() == right


def test_the_training_is_the_same_and_no_epoch_scores_lower(data: TrainingData) -> None:
    plain = train(CONFIG.replace(logit_adjustment=0.0), data)
    adjusted = train(CONFIG, data)
    for one, other in zip(plain.epochs, adjusted.epochs, strict=True):
        assert one.validation_loss == other.validation_loss
        assert one.scores["f1_macro"] <= other.scores["f1_macro"]
        assert one.tau == 0
    assert any(epoch.tau for epoch in adjusted.epochs)


def test_one_training_gives_a_curve_of_recall_against_precision(data: TrainingData) -> None:
    # With a larger tau fewer beats are called N, so its recall falls and that of the rest rises.
    config = CONFIG.replace(logit_adjustment=0.0)
    result = train(config, data)
    taus = (-0.5, 0.0, 0.5, 2.0)
    found = trade_off(config, result.weights, data, taus)
    assert found[1] == result.confusion
    recalls = [per_class(confusion)["recall"][0] for confusion in found]
    assert recalls == sorted(recalls, reverse=True)
    assert recalls[0] > recalls[-1]
    called = [sum(row[0] for row in confusion) for confusion in found]
    assert called == sorted(called, reverse=True)
