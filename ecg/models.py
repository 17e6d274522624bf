"""The four published networks, built by name.

Every network maps (batch, 1, 187) z-scored beats to (batch, 5) logits. The published shapes
have kernel 5, padding 2, stride 1 and a bias in every convolution. Three multipliers, all 1 in
the published tables, let a search vary these shapes. `ecg.networks` registers these networks and
those of space files, and `build` builds any of them.

Internally, signals are images of height 1, because PyTorch keeps the channels last in memory only
for images. That makes a training step on a CPU faster (results/benchmarks/training-cpu.md).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from traceback import extract_tb
from typing import Any

import torch
from torch import Tensor, nn

from ecg.dropout import Dropout
from ecg.errors import UsageError
from ecg.heartbeats import BEAT_LENGTH, CLASSES
from ecg.keras_conventions import with_keras_conventions
from ecg.networks import Network, find_network
from ecg.rhythm import RHYTHM_LENGTH


@dataclass(frozen=True)
class Shape:
    """Multipliers of a published shape.

    Attributes:
        width: multiplies every number of channels and hidden units.
        kernel: multiplies the kernel size 5, rounded to the nearest odd number.
        dropout: multiplies every dropout probability, capped at 0.9.
        extra: how many numbers are appended to the flattened features, 0 in the published
            networks.
    """

    width: float = 1.0
    kernel: float = 1.0
    dropout: float = 1.0
    extra: int = 0

    def units(self, published: int) -> int:
        """Return the number of channels or units that replaces the published one."""
        return max(1, round(published * self.width))

    def kernel_size(self) -> int:
        """Return the odd kernel size that replaces 5."""
        return 2 * round((5 * self.kernel - 1) / 2) + 1

    def drop(self, published: float) -> Dropout:
        """Return the dropout layer that replaces the published one."""
        return Dropout(min(0.9, published * self.dropout))

    def conv(self, inputs: int, outputs: int) -> nn.Conv2d:
        """Return a convolution over time that keeps the length."""
        size = self.kernel_size()
        return nn.Conv2d(inputs, outputs, (1, size), padding=(0, size // 2))


def build(name: str, **fields: Any) -> nn.Module:
    """Build a network with newly initialised weights.

    Args:
        name: name of a network in `ecg.networks`.
        fields: fields of a configuration and other parameters; the network gets those that it
            takes. The shipped networks take `width_multiplier` (of channels and hidden units),
            `kernel_multiplier` (of the kernel size, rounded to an odd number),
            `dropout_multiplier` (of the probabilities) and `rhythm` (whether each beat ends in
            four numbers of the rhythm, (batch, 1, 187 + 4), appended by
            `ecg.training.data.inputs`).

    Raises:
        UsageError: there is no such network.
    """
    made: nn.Module = find_network(name).make(fields)
    return made


def check_network(name: str, fields: Mapping[str, Any]) -> None:
    """Build a network of a space file and train it on two beats of noise.

    Args:
        name: name of the network.
        fields: as for `build`.

    Raises:
        UsageError: the network does not build, run or train; the message names file and line.
    """
    own = find_network(name)
    taken = {one: fields[one] for one in own.parameters if one in fields}
    given = ", ".join(f"{one} = {value!r}" for one, value in taken.items())
    subject = f"the network '{name}'" + (f" with {given}" if given else "")
    length = BEAT_LENGTH + (RHYTHM_LENGTH if fields.get("rhythm") else 0)
    shape = (2, 1, length)
    with torch.random.fork_rng(devices=[]):
        try:
            network = own.make(fields)
            if not isinstance(network, nn.Module):
                raise UsageError(f"{own.place}: {subject} must be an nn.Module, not {network!r}")
            logits = network(torch.randn(shape))
            if not isinstance(logits, Tensor) or logits.shape != (2, len(CLASSES)):
                found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
                raise UsageError(
                    f"{own.place}: {subject} turns beats {shape} into {found}. It must return "
                    f"(2, {len(CLASSES)}): a logit per class."
                )
            if not logits.isfinite().all():
                raise UsageError(
                    f"{own.place}: {subject} returns logits that are not finite numbers."
                )
            loss = nn.functional.cross_entropy(logits, torch.tensor([0, 1]))
            loss.backward()  # type: ignore[no-untyped-call]
        except UsageError:
            raise
        except Exception as error:
            lines = [f.lineno for f in extract_tb(error.__traceback__) if _same(f.filename, own)]
            place = f"{own.file}:{lines[-1]}" if lines else own.place
            raise UsageError(
                f"{place}: {subject} does not train on beats {shape}: "
                f"{type(error).__name__}: {error}"
            ) from error


def _same(filename: str, network: Network) -> bool:
    return Path(filename).resolve() == network.file


Shaped = Callable[[Shape], nn.Sequential]


def shaped(layers: Shaped) -> Callable[..., nn.Sequential]:
    """Turn a function from a shape to image layers into a network of beats; see `build`."""

    def make(
        *,
        width_multiplier: float = 1.0,
        kernel_multiplier: float = 1.0,
        dropout_multiplier: float = 1.0,
        rhythm: object = None,
    ) -> nn.Sequential:
        extra = RHYTHM_LENGTH if rhythm else 0
        shape = Shape(width_multiplier, kernel_multiplier, dropout_multiplier, extra)
        image = nn.Unflatten(1, (1, 1))  # (batch, 1, 187) -> (batch, 1, 1, 187)
        modules = [image, *layers(shape)]
        if rhythm:
            flat = next(i for i, one in enumerate(modules, 1) if isinstance(one, nn.Flatten))
            modules = [WithRhythm(nn.Sequential(*modules[:flat])), *modules[flat:]]
        network = nn.Sequential(*modules)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network

    return make


def count_parameters(model: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


class GlobalAveragePool(nn.Module):
    """The mean over time, (batch, channels, 1, length) -> (batch, channels, 1, 1).

    Bit-identical to `nn.AdaptiveAvgPool2d(1)`. The gradient of that layer has the channels first
    in memory, whatever the layout of its input, and then the layers before it are slow on a CPU.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, length) -> (batch, channels, 1, 1)."""
        return x.sum((2, 3), keepdim=True) / (x.shape[2] * x.shape[3])


class WithRhythm(nn.Module):
    """Appends the numbers of the rhythm to the features of the beat.

    Args:
        features: network that maps (batch, 1, 187) to (batch, features).
    """

    def __init__(self, features: nn.Sequential) -> None:
        """Keep the feature network."""
        super().__init__()
        self.features = features

    def forward(self, x: Tensor) -> Tensor:
        """(batch, 1, 187 + 4) -> (batch, features + 4)."""
        beat, rhythm = x[..., :BEAT_LENGTH], x[..., BEAT_LENGTH:]
        features = self.features(beat)
        return torch.cat([features, rhythm.flatten(1).to(features.dtype)], 1)


def _conv_bn_relu(shape: Shape, inputs: int, outputs: int) -> list[nn.Module]:
    return [shape.conv(inputs, outputs), nn.BatchNorm2d(outputs), nn.ReLU()]


@shaped
def simple(shape: Shape) -> nn.Sequential:
    """Three convolutions and a global average pool; 52,229 parameters."""
    a, b, c = map(shape.units, (32, 64, 128))
    return nn.Sequential(
        *(shape.conv(1, a), nn.ReLU()),  # (batch, 32, 1, 187)
        *(shape.conv(a, b), nn.ReLU()),
        *(shape.conv(b, c), nn.ReLU()),
        *(GlobalAveragePool(), nn.Flatten()),  # (batch, 128)
        nn.Linear(c + shape.extra, len(CLASSES)),
    )


@shaped
def four_layer(shape: Shape) -> nn.Sequential:
    """Four convolutions with batch norm and dropout; 217,925 parameters."""
    a, b, c, d = map(shape.units, (32, 64, 128, 256))
    return nn.Sequential(
        *_conv_bn_relu(shape, 1, a),
        *_conv_bn_relu(shape, a, b),
        *(*_conv_bn_relu(shape, b, c), shape.drop(0.3)),
        *(*_conv_bn_relu(shape, c, d), shape.drop(0.3)),
        *(GlobalAveragePool(), nn.Flatten(), shape.drop(0.3)),  # (batch, 256)
        nn.Linear(d + shape.extra, len(CLASSES)),
    )


class ResidualBlock(nn.Module):
    """conv-BN-ReLU-conv-BN-dropout plus the input of the block (He et al. 2016), then ReLU."""

    def __init__(self, shape: Shape, inputs: int, outputs: int) -> None:
        """Keep the length; a 1x1 convolution adapts the skip path if the channels change."""
        super().__init__()
        self.body = nn.Sequential(
            *_conv_bn_relu(shape, inputs, outputs),
            *(shape.conv(outputs, outputs), nn.BatchNorm2d(outputs), shape.drop(0.3)),
        )
        same = inputs == outputs
        self.skip = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs, 1, length) -> (batch, outputs, 1, length)."""
        total: Tensor = self.body(x) + self.skip(x)
        return total.relu()


@shaped
def residual(shape: Shape) -> nn.Sequential:
    """Five residual blocks; 1,354,981 parameters."""
    a, b, c, d = map(shape.units, (32, 64, 128, 256))
    return nn.Sequential(
        ResidualBlock(shape, 1, a),
        ResidualBlock(shape, a, b),
        ResidualBlock(shape, b, c),
        ResidualBlock(shape, c, d),
        ResidualBlock(shape, d, d),
        *(GlobalAveragePool(), nn.Flatten(), shape.drop(0.3)),  # (batch, 256)
        nn.Linear(d + shape.extra, len(CLASSES)),
    )


def _coupled(shape: Shape) -> nn.Sequential:
    """Two coupled convolution stages and two dense layers; 1,686,725 parameters.

    After IEEE 8952723.
    """
    a, b, hidden, last = map(shape.units, (64, 128, 256, 128))
    pooled = BEAT_LENGTH // 2 // 2  # 46
    return nn.Sequential(
        *_conv_bn_relu(shape, 1, a),
        *(*_conv_bn_relu(shape, a, a), shape.drop(0.2), nn.MaxPool2d((1, 2))),  # (batch, 64, 1, 93)
        *_conv_bn_relu(shape, a, b),
        *(
            *_conv_bn_relu(shape, b, b),
            shape.drop(0.3),
            nn.MaxPool2d((1, 2)),
        ),  # (batch, 128, 1, 46)
        nn.Flatten(),
        nn.Linear(b * pooled + shape.extra, hidden),
        *(nn.BatchNorm1d(hidden), nn.ReLU(), shape.drop(0.5)),
        *(nn.Linear(hidden, last), nn.BatchNorm1d(last), nn.ReLU(), shape.drop(0.5)),
        nn.Linear(last, len(CLASSES)),
    )


coupled = shaped(_coupled)


@shaped
def coupled_tf(shape: Shape) -> nn.Sequential:
    """The coupled network with Keras's default conventions; 1,686,725 parameters."""
    return with_keras_conventions(_coupled(shape))
