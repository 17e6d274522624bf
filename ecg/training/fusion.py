"""The same network with fewer passes over memory, for bfloat16 on a CPU.

On a CPU with a matrix unit, the products of a bfloat16 step are so fast that batch norm, ReLU,
dropout and pooling take most of the time. `for_training` runs each such chain as one function, and
`for_evaluation` folds batch norm into the preceding weights. The original network is the one that
is saved and trained in float32: both forms share or copy its weights, and tests compare them with
it.
"""

import copy
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from ecg.dropout import DRAWS, Dropout, draw

PAIR = (1, 2)  # kernel of the only max pool with a fused form
Layers = Iterable[nn.Module]


def for_training(model: nn.Module) -> nn.Module:
    """Return the network with every chain that `FusedChain` supports as one layer.

    Args:
        model: any network; its parameters and buffers are shared, so training one trains both.
    """
    return _rebuilt(model, _fuse_chains)


def for_evaluation(model: nn.Module) -> nn.Module:
    """Return a bfloat16 copy of the network for predictions, with batch norm folded in.

    Args:
        model: any network; it is not changed.
    """
    return _rebuilt(copy.deepcopy(model).eval(), _fold_norms).to(torch.bfloat16)


class FusedChain(nn.Module):
    """Batch norm, then ReLU, dropout and a max pool of pairs if the chain has them.

    Args:
        chain: layers in this order, batch norm first.
    """

    def __init__(self, chain: list[nn.Module]) -> None:
        """Keep the plain layers: they hold the parameters and process other types."""
        super().__init__()
        self.plain = nn.Sequential(*chain)
        self._has_relu = any(map(_is_relu, chain))
        self._has_pool = any(map(_is_pool, chain))
        self._dropped = sum(layer.dropped for layer in chain if isinstance(layer, Dropout))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, 1, length) -> the same shape, or (batch, channels, 1, length // 2)."""
        norm = self.plain[0]
        if not self.training or x.dtype != torch.bfloat16 or x.device.type != "cpu":
            return self.plain(x)  # type: ignore[no-any-return]
        norm.num_batches_tracked.add_(1)  # type: ignore[operator]
        return _Chain.apply(  # type: ignore[no-any-return, no-untyped-call]
            x, norm.weight, norm.bias, norm, self._has_relu, self._dropped, self._has_pool
        )


class _Chain(torch.autograd.Function):
    """Treats bfloat16 as 16-bit integers, which have the same order for non-negative values.

    Multiplying a value by a mask of 0 and 1 is then a product of integers, of which a CPU
    computes 16 or 32 at a time.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        norm: nn.BatchNorm2d,
        has_relu: bool,
        dropped: int,
        has_pool: bool,
    ) -> Tensor:
        """Return the chain's output; the layers after the norm work in place on its output."""
        # Dropout scales the kept values; scaling the affine part of the norm has the same effect.
        scale = DRAWS / (DRAWS - dropped)
        y, mean, deviation = torch.native_batch_norm(
            x, weight * scale, bias * scale, norm.running_mean, norm.running_var,
            True, norm.momentum or 0.0, norm.eps,
        )  # fmt: skip
        bits = y.view(torch.int16)
        kept = None
        if has_relu:
            y.clamp_min_(0)
        if dropped:
            kept = draw(y, dropped)
            bits.mul_(kept)
        # With ReLU, values that are not above 0 have no gradient, dropped or not.
        mask_of = bits if has_relu else kept
        ctx.save_for_backward(x, weight, mean, deviation, mask_of)
        ctx.settings = scale, norm.eps, has_relu, has_pool
        return torch.maximum(*_pairs(y)) if has_pool else y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x, weight and bias."""
        x, weight, mean, deviation, mask_of = ctx.saved_tensors
        scale, eps, has_relu, has_pool = ctx.settings
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        if has_pool:
            gradient = _unpooled(gradient, mask_of)
        elif mask_of is not None:
            mask = _compare(torch.gt, mask_of, 0) if has_relu else mask_of
            gradient = _masked(gradient, mask)
        to_x, to_weight, to_bias = torch.ops.aten.native_batch_norm_backward(
            gradient, x, weight * scale, None, None, mean, deviation, True, eps, [True] * 3
        )
        return to_x, to_weight * scale, to_bias * scale, None, None, None, None


def _unpooled(gradient: Tensor, bits: Tensor) -> Tensor:
    """Route the gradient of each pair to its larger value, or to the first of two equal ones.

    Args:
        gradient: (batch, channels, 1, length // 2) bfloat16.
        bits: (batch, channels, 1, length) int16 view of the values after ReLU; 0 has no gradient.
    """
    found = torch.empty_like(bits)
    first, second = _pairs(bits)
    to_first, to_second = _pairs(found)
    from_above = gradient.view(torch.int16)
    torch.ge(first, second, out=to_first)
    to_first.mul_(_compare(torch.gt, first, 0)).mul_(from_above)
    torch.gt(second, first, out=to_second)
    to_second.mul_(from_above)
    found[..., 2 * gradient.shape[-1] :] = 0  # with an odd length, the last value has no pair
    return found.view(torch.bfloat16)


def _pairs(x: Tensor) -> tuple[Tensor, Tensor]:
    even = x.shape[-1] // 2 * 2
    return x[..., 0:even:2], x[..., 1:even:2]


def _compare(how: Callable[..., Tensor], one: Tensor, other: int) -> Tensor:
    """Compare integers; the result is 0 or 1 in their own type, which is faster than bool."""
    return how(one, other, out=torch.empty_like(one))


def _masked(values: Tensor, mask: Tensor) -> Tensor:
    """Return bfloat16 values times an int16 mask of 0 and 1."""
    return torch.mul(values.view(torch.int16), mask).view(torch.bfloat16)


def _rebuilt(module: nn.Module, rewrite: Callable[[list[nn.Module]], Layers]) -> nn.Module:
    """Copy a tree of modules and rewrite the layers of every `nn.Sequential`; share the leaves."""
    if not module._modules:
        return module
    children = {name: _rebuilt(child, rewrite) for name, child in module.named_children()}
    if type(module) is nn.Sequential:
        return nn.Sequential(*rewrite(list(children.values())))
    twin = copy.copy(module)
    twin._modules = dict(children)
    return twin


def _fuse_chains(layers: list[nn.Module]) -> Iterator[nn.Module]:
    while layers:
        length = _chain_length(layers)
        yield FusedChain(layers[:length]) if length > 1 else layers[0]
        layers = layers[max(1, length) :]


def _chain_length(layers: list[nn.Module]) -> int:
    """Return how many of the first layers form a chain that `FusedChain` supports."""
    first = layers[0]
    if type(first) is not nn.BatchNorm2d or not first.affine or first.momentum is None:
        return 0
    length = 1
    for fits in (_is_relu, _is_dropout, _is_pool):
        if length < len(layers) and fits(layers[length]):
            length += 1
    has_pool = _is_pool(layers[length - 1])
    # Without ReLU, the integers do not have the order of the values.
    return length - has_pool if has_pool and not _is_relu(layers[1]) else length


def _is_relu(layer: nn.Module) -> bool:
    return type(layer) is nn.ReLU


def _is_dropout(layer: nn.Module) -> bool:
    return type(layer) is Dropout and layer.dropped < DRAWS


def _is_pool(layer: nn.Module) -> bool:
    """Whether the layer is a max pool of pairs along time."""
    plain = nn.MaxPool2d(PAIR)
    return type(layer) is nn.MaxPool2d and layer.extra_repr() == plain.extra_repr()


def _fold_norms(layers: list[nn.Module]) -> Iterator[nn.Module]:
    while layers:
        match layers:
            case [nn.Conv2d() as conv, nn.BatchNorm2d() as norm, *layers]:
                yield fuse_conv_bn_eval(conv, norm)
            case [nn.Linear() as linear, nn.BatchNorm1d() as norm, *layers]:
                yield fuse_linear_bn_eval(linear, norm)
            case [layer, *layers]:
                yield layer
