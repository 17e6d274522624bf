"""The defaults of Keras that differ from PyTorch's, for a network that imitates Keras.

Kernels are drawn Glorot-uniform (Glorot & Bengio 2010) and biases start at zero. Batch norm has
momentum 0.99 (0.01 in PyTorch's convention) and epsilon 1e-3, and averages the biased variance of
the batch. Adam and AdamW have epsilon 1e-7. tests/ecg/test_keras_network.py compares with Keras.
"""

from torch import Tensor, nn

MOMENTUM = 0.01  # weight of a new batch in the moving average
EPSILON = 1e-3


class _KerasNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm whose moving variance averages the biased variance of each batch."""

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, ...) -> the same shape."""
        if not self.training:
            return super().forward(x)
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        unbiased = self.running_var.clone()  # autograd keeps it, so it must not change later
        found = nn.functional.batch_norm(
            x, self.running_mean, unbiased, self.weight, self.bias, True, MOMENTUM, EPSILON
        )
        values = x.numel() // x.shape[1]  # per channel
        kept = self.running_var * (1 - MOMENTUM)
        self.running_var.copy_((unbiased - kept) * ((values - 1) / values) + kept)
        return found


class KerasNorm1d(_KerasNorm, nn.BatchNorm1d):
    """`nn.BatchNorm1d` with Keras's conventions."""


class KerasNorm2d(_KerasNorm, nn.BatchNorm2d):
    """`nn.BatchNorm2d` with Keras's conventions."""


def with_keras_conventions(network: nn.Sequential) -> nn.Sequential:
    """Return the network with Keras's batch norm and newly initialised weights.

    Args:
        network: plain layers; its convolutions and linear layers are kept and initialised again.
    """
    for layer in network:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return nn.Sequential(*map(_converted, network))


def _converted(layer: nn.Module) -> nn.Module:
    if isinstance(layer, nn.BatchNorm1d):
        return KerasNorm1d(layer.num_features, eps=EPSILON, momentum=MOMENTUM)
    if isinstance(layer, nn.BatchNorm2d):
        return KerasNorm2d(layer.num_features, eps=EPSILON, momentum=MOMENTUM)
    return layer
