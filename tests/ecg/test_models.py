import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from ecg.errors import UsageError
from ecg.heartbeats import BEAT_LENGTH
from ecg.models import GlobalAveragePool, Shape, build, count_parameters
from ecg.networks import MODELS, TITLES
from tests.support.toy import rule

PARAMETERS = {  # as published, to the last one
    "simple": 52_229,
    "four-layer": 217_925,
    "residual": 1_354_981,
    "coupled": 1_686_725,
    "coupled-tf": 1_686_725,
}
CHANNELS = {
    "simple": [32, 64, 128],
    "four-layer": [32, 64, 128, 256],
    "residual": [32, 32, 64, 64, 128, 128, 256, 256, 256, 256],
    "coupled": [64, 64, 128, 128],
    "coupled-tf": [64, 64, 128, 128],
}
multipliers = st.floats(0.1, 10)


def layers(name: str, kind: type[nn.Module]) -> list:
    return [layer for layer in build(name).modules() if isinstance(layer, kind)]


def convolutions(name: str) -> list[nn.Conv2d]:
    """The convolutions of the published table; not those that match channels in a block."""
    return [layer for layer in layers(name, nn.Conv2d) if layer.kernel_size != (1, 1)]


def order(model: nn.Module) -> list[str]:
    """Names of the layers in the order in which they are applied to a batch."""
    names: list[str] = []
    leaves = [layer for layer in model.modules() if not list(layer.children())]
    hooks = [
        layer.register_forward_hook(lambda layer, *_: names.append(type(layer).__name__))
        for layer in leaves
    ]
    model.eval()(torch.zeros(2, 1, BEAT_LENGTH))
    for hook in hooks:
        hook.remove()
    return names


@pytest.mark.parametrize("name", MODELS)
def test_parameter_count_is_the_published_one(name: str) -> None:
    assert count_parameters(build(name)) == PARAMETERS[name]


def test_every_model_has_a_title_and_a_published_count() -> None:
    assert set(MODELS) == set(TITLES) == set(PARAMETERS)
    assert list(TITLES.values()) == [
        "Simple CNN",
        "Four-layer CNN",
        "Residual CNN",
        "Coupled CNN",
        "Coupled CNN, Keras conventions",
    ]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("batch", [1, 3])
def test_a_batch_of_beats_gives_five_logits_each(name: str, batch: int) -> None:
    beats = torch.randn(batch, 1, BEAT_LENGTH, generator=torch.Generator().manual_seed(0))
    assert build(name).eval()(beats).shape == (batch, 5)


@pytest.mark.parametrize("name", MODELS)
def test_convolutions_are_the_published_ones(name: str) -> None:
    # Kernel 5, padding 2, stride 1, bias on, and the published channels, along time only: a
    # beat is an image of height 1.
    found = convolutions(name)
    assert [layer.out_channels for layer in found] == CHANNELS[name]
    assert found[0].in_channels == 1
    for layer in found:
        assert (layer.kernel_size, layer.padding, layer.stride) == ((1, 5), (0, 2), (1, 1))
        assert (layer.dilation, layer.groups, layer.padding_mode) == ((1, 1), 1, "zeros")
        assert layer.bias is not None


@pytest.mark.parametrize(
    ("name", "probabilities"),
    [
        ("simple", []),
        ("four-layer", [0.3, 0.3, 0.3]),
        ("residual", [0.3] * 6),
        ("coupled", [0.2, 0.3, 0.5, 0.5]),
        ("coupled-tf", [0.2, 0.3, 0.5, 0.5]),
    ],
)
def test_dropout_probabilities_are_the_published_ones(
    name: str, probabilities: list[float]
) -> None:
    assert [layer.p for layer in layers(name, nn.Dropout)] == probabilities


@pytest.mark.parametrize(
    ("name", "channels", "units"),
    [
        ("simple", [], []),
        ("four-layer", CHANNELS["four-layer"], []),
        ("residual", CHANNELS["residual"], []),
        ("coupled", CHANNELS["coupled"], [256, 128]),
    ],
)
def test_batch_norm_follows_every_convolution_except_in_the_simple_cnn(
    name: str, channels: list[int], units: list[int]
) -> None:
    # The Coupled CNN's two hidden dense layers have one as well.
    assert [layer.num_features for layer in layers(name, nn.BatchNorm2d)] == channels
    assert [layer.num_features for layer in layers(name, nn.BatchNorm1d)] == units


def test_only_the_coupled_cnn_pools_by_maximum() -> None:
    # Twice by 2: 187 -> 93 -> 46 samples, flattened to 128 * 46.
    assert [layer.kernel_size for layer in layers("coupled", nn.MaxPool2d)] == [(1, 2)] * 2
    assert [layer.stride for layer in layers("coupled", nn.MaxPool2d)] == [(1, 2)] * 2
    assert not layers("coupled", GlobalAveragePool)
    assert [layer.in_features for layer in layers("coupled", nn.Linear)] == [128 * 46, 256, 128]
    for name in ("simple", "four-layer", "residual"):
        assert not layers(name, nn.MaxPool2d)
        assert len(layers(name, GlobalAveragePool)) == 1


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_the_global_pool_equals_pytorchs_to_the_bit(memory_format: torch.memory_format) -> None:
    # Rule: its mean and its gradient are those of nn.AdaptiveAvgPool2d(1), and the layer before
    # it gets a gradient in its own memory layout.
    beats = torch.randn(64, 128, 1, 187).to(memory_format=memory_format)
    inputs, means = [], []
    for pool in (GlobalAveragePool(), nn.AdaptiveAvgPool2d(1)):
        x = beats.detach().requires_grad_()
        before = x.relu()
        before.register_hook(inputs.append)
        mean = pool(before)
        (mean * torch.linspace(-1, 1, 128)[:, None, None]).sum().backward()
        assert x.grad is not None
        assert x.grad.is_contiguous(memory_format=memory_format)
        means.append((mean, x.grad))
    for ours, theirs in zip(*means, strict=True):
        assert torch.equal(ours, theirs)
    assert inputs[0].stride()[-1] == 0  # spread over time without a copy in some other layout


IMAGE = ["Unflatten"]  # a beat becomes an image of height 1
CONV, STAGE = ["Conv2d", "ReLU"], ["Conv2d", "BatchNorm2d", "ReLU"]
DENSE = ["Linear", "BatchNorm1d", "ReLU", "Dropout"]
POOL = ["GlobalAveragePool", "Flatten"]
ORDER = {
    "simple": [*IMAGE, *CONV * 3, *POOL, "Linear"],
    "four-layer": [
        *IMAGE,
        *STAGE * 2,
        *(*STAGE, "Dropout") * 2,
        *(*POOL, "Dropout", "Linear"),
    ],
    "coupled": [
        *IMAGE,
        *(*STAGE * 2, "Dropout", "MaxPool2d") * 2,
        *("Flatten", *DENSE * 2, "Linear"),
    ],
}


@pytest.mark.parametrize("name", ORDER)
def test_layers_are_applied_in_the_published_order(name: str) -> None:
    assert order(build(name)) == ORDER[name]


def test_residual_blocks_add_their_input() -> None:
    # conv-BN-ReLU-conv-BN-dropout plus the input, through a 1x1 convolution with bias only
    # where the channels change: in four of the five blocks.
    model = build("residual")
    skips = [layer for layer in model.modules() if getattr(layer, "kernel_size", 0) == (1, 1)]
    assert [(skip.in_channels, skip.out_channels) for skip in skips] == [
        (1, 32),
        (32, 64),
        (64, 128),
        (128, 256),
    ]
    assert all(skip.bias is not None for skip in skips)
    body = ["Conv2d", "BatchNorm2d", "ReLU", "Conv2d", "BatchNorm2d", "Dropout"]
    assert order(model) == [
        *IMAGE,
        *(*body, "Conv2d") * 4,
        *(*body, "Identity"),
        *(*POOL, "Dropout", "Linear"),
    ]


def test_a_residual_block_with_a_zero_body_passes_its_input() -> None:
    # The last block keeps 256 channels: with a body of zeros it is ReLU of its input.
    block = build("residual").eval()[5]
    for parameter in block.body.parameters():
        nn.init.zeros_(parameter)
    x = torch.randn(2, 256, 1, 11, generator=torch.Generator().manual_seed(0))
    assert torch.equal(block(x), x.relu())


def stage(inputs: int, outputs: int) -> list[nn.Module]:
    conv = nn.Conv1d(inputs, outputs, kernel_size=5, padding=2)
    return [conv, nn.BatchNorm1d(outputs), nn.ReLU()]


def pool_and_classify(channels: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(channels, 5)]


class PlainBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*stage(inputs, outputs), *stage(outputs, outputs)[:2])
        self.skip = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.relu(self.body(x) + self.skip(x))


def plain(name: str) -> nn.Sequential:
    """The published table in one-dimensional layers, without dropout, which is not tested here."""
    if name == "simple":
        return nn.Sequential(
            *(nn.Conv1d(1, 32, 5, padding=2), nn.ReLU()),
            *(nn.Conv1d(32, 64, 5, padding=2), nn.ReLU()),
            *(nn.Conv1d(64, 128, 5, padding=2), nn.ReLU()),
            *pool_and_classify(128),
        )
    if name == "four-layer":
        stages = [*stage(1, 32), *stage(32, 64), *stage(64, 128), *stage(128, 256)]
        return nn.Sequential(*stages, *pool_and_classify(256))
    if name == "residual":
        channels = [1, 32, 64, 128, 256, 256]
        blocks = map(PlainBlock, channels, channels[1:])
        return nn.Sequential(*blocks, *pool_and_classify(256))
    return nn.Sequential(
        *(*stage(1, 64), *stage(64, 64), nn.MaxPool1d(2)),
        *(*stage(64, 128), *stage(128, 128), nn.MaxPool1d(2), nn.Flatten()),
        *(nn.Linear(128 * 46, 256), nn.BatchNorm1d(256), nn.ReLU()),
        *(nn.Linear(256, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, 5)),
    )


@pytest.mark.parametrize("name", MODELS)
def test_images_of_height_one_give_the_logits_of_one_dimensional_layers(name: str) -> None:
    # The published networks are one-dimensional; images are an implementation detail.
    torch.manual_seed(0)
    network, reference = build(name).eval(), plain(name).eval()
    for layer in reference.modules():
        if name == "coupled-tf" and isinstance(layer, nn.BatchNorm1d):
            layer.eps = 1e-3
    state = network.state_dict()
    for key, value in state.items():  # fresh batch norm would be all but the identity
        if key.endswith("running_var"):
            value.uniform_(0.5, 2)
        elif value.dim() == 1:
            value.add_(torch.randn_like(value), alpha=0.3)
    with torch.no_grad():
        for target, source in zip(reference.state_dict().values(), state.values(), strict=True):
            target.copy_(source.squeeze(2) if source.dim() == 4 else source)
        # The amplitude grows, because pooled noise would give all beats nearly the same logits.
        beats = torch.randn(16, 1, BEAT_LENGTH) * torch.linspace(0, 5, 16)[:, None, None]
        logits = network(beats)
        assert logits.std(0).min() > 1e-3
        torch.testing.assert_close(logits, reference(beats), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_multipliers_of_one_are_the_published_shape(name: str) -> None:
    explicit = build(name, width_multiplier=1.0, kernel_multiplier=1.0, dropout_multiplier=1.0)
    assert repr(explicit) == repr(build(name))


@rule
@given(multipliers)
def test_kernels_are_odd_and_keep_the_length(multiplier: float) -> None:
    # An even kernel cannot be centred on a sample.
    shape = Shape(kernel=multiplier)
    assert shape.kernel_size() % 2 == 1
    assert abs(shape.kernel_size() - 5 * multiplier) <= 1.5
    assert shape.conv(1, 2)(torch.zeros(1, 1, 1, BEAT_LENGTH)).shape == (1, 2, 1, BEAT_LENGTH)


@pytest.mark.parametrize(("multiplier", "size"), [(0.1, 1), (0.6, 3), (1, 5), (1.4, 7), (3, 15)])
def test_kernel_sizes_are_those_of_the_multiplier(multiplier: float, size: int) -> None:
    assert Shape(kernel=multiplier).kernel_size() == size


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("width", "kernel"), [(0.1, 0.1), (0.25, 3.0), (1.5, 0.6)])
def test_every_multiplied_shape_classifies(name: str, width: float, kernel: float) -> None:
    model = build(name, width_multiplier=width, kernel_multiplier=kernel)
    assert model.eval()(torch.zeros(2, 1, BEAT_LENGTH)).shape == (2, 5)


def test_width_scales_channels_and_hidden_units() -> None:
    half = build("coupled", width_multiplier=0.5)
    channels = [m.out_channels for m in half.modules() if isinstance(m, nn.Conv2d)]
    units = [m.out_features for m in half.modules() if isinstance(m, nn.Linear)]
    assert channels == [32, 32, 64, 64]
    assert units == [128, 64, 5]  # the five classes stay


def test_dropout_scales_and_stops_at_nine_tenths() -> None:
    def probabilities(multiplier: float) -> list[float]:
        model = build("coupled", dropout_multiplier=multiplier)
        return [m.p for m in model.modules() if isinstance(m, nn.Dropout)]

    assert probabilities(0) == [0, 0, 0, 0]
    assert probabilities(0.5) == [0.1, 0.15, 0.25, 0.25]
    assert probabilities(3) == pytest.approx([0.6, 0.9, 0.9, 0.9])


def test_frozen_parameters_are_not_counted() -> None:
    model = build("simple")
    model[1].weight.requires_grad_(False)
    assert count_parameters(model) == PARAMETERS["simple"] - 32 * 5


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_is_used(name: str) -> None:
    # A layer that is built but never applied has no gradient.
    model = build(name)
    x = torch.randn(2, 1, BEAT_LENGTH, generator=torch.Generator().manual_seed(0))
    logits: Tensor = model(x)
    logits.square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_unknown_model_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"unknown model 'resnet'\. Use one of: simple, four-"):
        build("resnet")
