"""The loop that people write, on the networks as they write them: the yardstick's baseline."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from ecg.dropout import Dropout
from ecg.models import GlobalAveragePool
from ecg.training import Part, TrainConfig
from ecg.training.run import build_model

BATCH = 64


def plain_network(config: TrainConfig) -> nn.Module:
    """Return the configured network of one-dimensional PyTorch layers: (batch, 1, 187) in."""
    return _plain(build_model(config))


class PlainLoop:
    """Trains with a DataLoader, a copy to the device and a `loss.item()` for every batch."""

    def __init__(self, config: TrainConfig, train: Part, validation: Part, device: str) -> None:
        self.device = torch.device(device)
        self.model = plain_network(config).to(self.device)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), config.learning_rate, weight_decay=config.weight_decay
        )
        self.criterion = nn.CrossEntropyLoss()
        single = len(train) % BATCH == 1  # batch norm has no variance of one value
        self.train_loader = DataLoader(_dataset(train), BATCH, shuffle=True, drop_last=single)
        self.validation_loader = DataLoader(_dataset(validation), BATCH)

    def epoch(self) -> None:
        """Train and validate one epoch."""
        self.model.train()
        total = 0.0
        for batch, batch_labels in self.train_loader:
            signals, labels = batch.to(self.device), batch_labels.to(self.device)
            self.optimizer.zero_grad()
            loss = self.criterion(self.model(signals), labels)
            loss.backward()
            self.optimizer.step()
            total += loss.item() * len(labels)
        self.validate()

    def validate(self) -> None:
        """Measure the validation part."""
        self.model.eval()
        total, predicted = 0.0, []
        with torch.no_grad():
            for batch, batch_labels in self.validation_loader:
                signals, labels = batch.to(self.device), batch_labels.to(self.device)
                logits = self.model(signals)
                total += self.criterion(logits, labels).item() * len(labels)
                predicted.append(logits.argmax(1).cpu())


def _dataset(part: Part) -> TensorDataset:
    return TensorDataset(part.signals.cpu(), part.labels.cpu())


def _plain(module: nn.Module) -> nn.Module:
    """Replace the layers over images of height 1 by those over signals, weights and all."""
    for name, child in module.named_children():
        module.add_module(name, _plain(child))
    replace = _REPLACED.get(type(module))
    return module if replace is None else replace(module)


def _conv(layer: nn.Conv2d) -> nn.Module:
    size, padding = layer.kernel_size[1], int(layer.padding[1])
    plain = nn.Conv1d(layer.in_channels, layer.out_channels, size, padding=padding)
    return _with_state(plain, {k: _without_height(v) for k, v in layer.state_dict().items()})


def _without_height(weights: Tensor) -> Tensor:
    return weights.squeeze(2) if weights.dim() == 4 else weights


def _norm(layer: nn.BatchNorm2d) -> nn.Module:
    return _with_state(nn.BatchNorm1d(layer.num_features), layer.state_dict())


def _with_state(layer: nn.Module, state: dict[str, Tensor]) -> nn.Module:
    layer.load_state_dict(state)
    return layer


_REPLACED: dict[type, Callable[..., nn.Module]] = {
    nn.Conv2d: _conv,
    nn.BatchNorm2d: _norm,
    nn.MaxPool2d: lambda layer: nn.MaxPool1d(layer.kernel_size[1]),
    GlobalAveragePool: lambda layer: nn.AdaptiveAvgPool1d(1),
    nn.Unflatten: lambda layer: nn.Identity(),
    Dropout: lambda layer: nn.Dropout(layer.p),
}
