"""The fused and folded forms give the results of the plain network."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from ecg.dropout import Dropout
from ecg.models import build
from ecg.networks import MODELS
from ecg.training import TrainConfig, TrainingData, train
from ecg.training.fusion import FusedChain, for_evaluation, for_training
from tests.support.toy import rule

CHAINS: dict[str, list[nn.Module]] = {
    "norm, relu": [nn.BatchNorm2d(8), nn.ReLU()],
    "norm, dropout": [nn.BatchNorm2d(8), Dropout(0.3)],
    "norm, relu, dropout": [nn.BatchNorm2d(8), nn.ReLU(), Dropout(0.3)],
    "norm, relu, pool": [nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d((1, 2))],
    "all": [nn.BatchNorm2d(8), nn.ReLU(), Dropout(0.2), nn.MaxPool2d((1, 2))],
}
UNIT = 2.0**-8  # the rounding of bfloat16


def batch(seed: int, length: int, kind: torch.dtype = torch.bfloat16) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(16, 8, 1, length, generator=generator) * 2 + 0.5
    return x.to(torch.bfloat16).to(kind).to(memory_format=torch.channels_last)


def passed(network: nn.Module, x: Tensor, seed: int) -> list[Tensor]:
    """Output and gradients (of the input, then of the parameters) as float32."""
    x = x.clone().requires_grad_()
    torch.manual_seed(seed)
    y = network.train()(x)
    towards = torch.randn(y.shape, generator=torch.Generator().manual_seed(seed + 1))
    y.backward(towards.to(torch.bfloat16).to(y.dtype))
    assert x.grad is not None
    found = [y, x.grad, *(p.grad for p in network.parameters() if p.grad is not None)]
    return [tensor.detach().float() for tensor in found]


@rule
@given(name=st.sampled_from(list(CHAINS)), seed=st.integers(0, 2**31), length=st.integers(2, 41))
def test_a_fused_chain_agrees_with_the_plain_one_in_float32(
    name: str, seed: int, length: int
) -> None:
    # The same dropout draws, the same maxima of pairs, the same running statistics; values
    # and gradients agree within the rounding of bfloat16. The maximum of a pair may differ if both
    # values round to the same, so gradients of pooled chains are compared where they do not.
    chain = nn.Sequential(*copy.deepcopy(CHAINS[name]))
    nn.init.uniform_(chain[0].weight, 0.5, 1.5)
    nn.init.normal_(chain[0].bias)
    twin = copy.deepcopy(chain)
    fused = for_training(twin)
    assert isinstance(fused[0], FusedChain)
    plain = passed(chain, batch(seed, length, torch.float32), seed)
    found = passed(fused, batch(seed, length), seed)
    torch.testing.assert_close(found[0], plain[0], rtol=2 * UNIT, atol=2 * UNIT)
    away = (found[1] - plain[1]).abs() > 8 * UNIT * plain[1].abs().max().clamp_min(1)
    assert away.float().mean() <= (0.03 if "pool" in name or name == "all" else 0.005)
    for buffer, expected in zip(twin.buffers(), chain.buffers(), strict=True):
        torch.testing.assert_close(buffer, expected, rtol=UNIT, atol=UNIT)


@pytest.mark.parametrize("length", [6, 7])
def test_a_pair_of_equal_values_gives_its_gradient_to_the_first_and_the_last_odd_one_none(
    length: int,
) -> None:
    fused = for_training(nn.Sequential(*copy.deepcopy(CHAINS["norm, relu, pool"])))
    x = batch(0, length).detach()
    x[..., 1:6:2] = x[..., 0:6:2]
    plain = nn.Sequential(nn.ReLU(), nn.MaxPool2d((1, 2)))
    norm = nn.BatchNorm2d(8)
    between = norm(x.float()).detach().requires_grad_()
    plain(between).sum().backward()
    gradients = []
    for network in (fused, nn.Sequential(nn.BatchNorm2d(8), *plain)):
        one = x.clone().requires_grad_()
        network.train()(one).sum().backward()
        gradients.append(one.grad)
    torch.testing.assert_close(*gradients, rtol=4 * UNIT, atol=4 * UNIT)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_fused_network_is_as_near_to_float32_as_its_plain_form_in_bfloat16(
    model: str, seed: int
) -> None:
    signals = torch.randn(64, 1, 187, generator=torch.Generator().manual_seed(seed))
    labels = torch.arange(64) % 5
    torch.manual_seed(seed)
    drawn = build(model)
    losses, gradients = [], []
    for fused, half in ((False, False), (False, True), (True, True)):
        plain = copy.deepcopy(drawn)
        network = for_training(plain) if fused else plain
        torch.manual_seed(seed)  # of dropout
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = nn.functional.cross_entropy(network.train()(signals), labels)
        loss.backward()
        losses.append(loss.item())
        gradients.append(
            torch.cat([p.grad.flatten() for p in plain.parameters() if p.grad is not None])
        )
    assert len(gradients[2]) == sum(p.numel() for p in drawn.parameters())
    exact, by_plain, by_fused = gradients
    assert (by_fused - exact).norm() < 1.3 * (by_plain - exact).norm() + 0.01 * exact.norm()
    assert losses[2] == pytest.approx(losses[0], rel=0.03)


@pytest.mark.parametrize("model", MODELS)
def test_a_folded_network_predicts_as_the_plain_one(model: str) -> None:
    torch.manual_seed(0)
    network = build(model)
    signals = torch.randn(64, 1, 187)
    for _ in range(3):  # running statistics that are not those of a fresh network
        network.train()(signals * 1.5 + 0.2)
    before = copy.deepcopy(network.state_dict())
    expected = network.eval()(signals)
    found = for_evaluation(network)(signals.to(torch.bfloat16)).float()
    spread = expected.std()
    assert (found - expected).abs().max() < 0.05 * spread
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    kinds = {type(layer) for layer in for_evaluation(network).modules()}
    assert not kinds & {nn.BatchNorm1d, nn.BatchNorm2d}


def test_training_the_fused_form_trains_the_plain_one() -> None:
    plain = build("coupled", width_multiplier=0.2)
    fused = for_training(plain)
    assert sum(isinstance(layer, FusedChain) for layer in fused.modules()) == 4
    assert {id(p) for p in fused.parameters()} == {id(p) for p in plain.parameters()}
    before = copy.deepcopy(plain.state_dict())
    with torch.autocast("cpu", torch.bfloat16):
        fused.train()(torch.randn(8, 1, 187))
    after = plain.state_dict()
    assert after["2.num_batches_tracked"] == before["2.num_batches_tracked"] + 1
    assert not torch.equal(after["2.running_mean"], before["2.running_mean"])


@pytest.mark.parametrize(
    "layers",
    [
        [nn.BatchNorm2d(8)],
        [nn.BatchNorm2d(8), nn.Tanh()],
        [nn.BatchNorm2d(8, affine=False), nn.ReLU()],
        [nn.BatchNorm2d(8, momentum=None), nn.ReLU()],
        [nn.BatchNorm2d(8), nn.MaxPool2d((1, 2))],
        [nn.BatchNorm2d(8), Dropout(1.0)],
        [nn.BatchNorm2d(8), nn.Dropout(0.5)],
    ],
)
def test_unsupported_chains_are_not_changed(layers: list[nn.Module]) -> None:
    rewritten = list(for_training(nn.Sequential(*layers)).children())
    assert rewritten == layers


def test_another_kind_of_pool_stays_outside_the_chain() -> None:
    layers = [nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d((1, 3))]
    rewritten = list(for_training(nn.Sequential(*layers)).children())
    assert isinstance(rewritten[0], FusedChain)
    assert rewritten[1:] == layers[2:]


@pytest.mark.parametrize("model", ["coupled", "residual"])
def test_a_run_in_bfloat16_repeats_to_the_bit_and_learns_as_in_float32(
    data: TrainingData, model: str
) -> None:
    config = TrainConfig(model=model, width_multiplier=0.25, max_epochs=4)
    once, again = (train(config, data, precision="bf16") for _ in range(2))
    assert once == again
    plain = train(config, data, precision="fp32")
    assert once.best.validation_loss == pytest.approx(plain.best.validation_loss, rel=0.3)
