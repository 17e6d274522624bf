"""The loop that people write, on the networks as they write them: the yardstick's baseline."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.turns import Turns
from ecg.dropout import Dropout
from ecg.models import GlobalAveragePool
from ecg.training import Part, TrainConfig, TrainingData
from ecg.training.run import build_model

BATCH = 64


def plain_network(config: TrainConfig) -> nn.Module:
    """Return the configured network of one-dimensional PyTorch layers: (batch, 1, 187) in."""
    return _plain(build_model(config))


def make_optimizer(config: TrainConfig, model: nn.Module) -> torch.optim.Optimizer:
    """Return AdamW as people write it."""
    return torch.optim.AdamW(
        model.parameters(), config.learning_rate, weight_decay=config.weight_decay
    )


def make_loader(part: Part, *, shuffle: bool) -> DataLoader[tuple[Tensor, ...]]:
    """Return the beats in batches, on the CPU."""
    beats = TensorDataset(part.signals.cpu(), part.labels.cpu())
    # Batch norm has no variance of one value.
    return DataLoader(beats, BATCH, shuffle=shuffle, drop_last=shuffle)


def train_plainly(config: TrainConfig, data: TrainingData, precision: str, turns: Turns) -> None:
    """Train with a DataLoader, a copy to the device and a `loss.item()` for every batch."""
    device = data.device
    model = plain_network(config).to(device)
    optimizer = make_optimizer(config, model)
    criterion = nn.CrossEntropyLoss()
    validation = make_loader(data.validation, shuffle=False)

    def computing() -> AbstractContextManager[object]:
        return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")

    def evaluate() -> None:
        model.eval()
        total, predicted = 0.0, []
        with torch.no_grad(), computing():
            for batch, batch_labels in validation:
                signals, labels = batch.to(device), batch_labels.to(device)
                logits = model(signals)
                total += criterion(logits, labels).item() * len(labels)
                predicted.append(logits.argmax(1).cpu())
        model.train()

    turns.evaluate = evaluate
    model.train()
    while True:
        for batch, batch_labels in make_loader(data.train, shuffle=True):
            signals, labels = batch.to(device), batch_labels.to(device)
            optimizer.zero_grad()
            with computing():
                loss = criterion(model(signals), labels)
            loss.backward()
            optimizer.step()
            turns.step(loss.item())


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
