"""What Keras does by default where PyTorch does otherwise, for a network that imitates it.

Kernels are drawn Glorot-uniform (Glorot & Bengio 2010) and biases start at zero; batch norm has
momentum 0.99 (0.01 in PyTorch's words), epsilon 1e-3, and averages the variance of the batch
itself; Adam and AdamW have epsilon 1e-7. tests/ecg/test_keras_network.py compares them with Keras.
"""

from torch import Tensor, nn

MOMENTUM = 0.01  # the share of a new batch
EPSILON = 1e-3


class _KerasNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm whose moving variance is that of batches, not its unbiased estimate."""

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, ...) -> the same shape."""
        if not self.training:
            return super().forward(x)
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        unbiased = self.running_var.clone()  # kept for the gradient, so not to be changed after
        found = nn.functional.batch_norm(
            x, self.running_mean, unbiased, self.weight, self.bias, True, MOMENTUM, EPSILON
        )
        values = x.numel() // x.shape[1]  # of a channel
        kept = self.running_var * (1 - MOMENTUM)
        self.running_var.copy_((unbiased - kept) * ((values - 1) / values) + kept)
        return found


class KerasNorm1d(_KerasNorm, nn.BatchNorm1d):
    """`nn.BatchNorm1d` as Keras has it."""


class KerasNorm2d(_KerasNorm, nn.BatchNorm2d):
    """`nn.BatchNorm2d` as Keras has it."""


def with_keras_conventions(network: nn.Sequential) -> nn.Sequential:
    """Return the network with Keras's batch norm and freshly drawn weights.

    Args:
        network: of plain layers; its convolutions and linear layers are kept and drawn anew.
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
