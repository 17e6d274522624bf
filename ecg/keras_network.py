"""A trained network as a Keras model; needs the extra 'tensorflow'."""

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ecg.dropout import Dropout
from ecg.errors import UsageError
from ecg.files import replacing
from ecg.heartbeats import BEAT_LENGTH
from ecg.models import GlobalAveragePool, ResidualBlock, WithRhythm
from ecg.rhythm import RHYTHM_LENGTH
from ecg.training.adjustment import LogitShift
from ecg.training.config import TrainConfig
from ecg.training.loop import restore

CPU = torch.device("cpu")
Layer = Any  # a Keras layer; Keras has no type hints


def save_keras(path: Path, config: TrainConfig, weights: Mapping[str, Tensor]) -> None:
    """Write trained weights as a `.keras` file of a network from (batch, 187) to logits.

    The network z-scores the beats itself. The file holds only the network, no facts about the
    study.

    Args:
        path: file to write; an existing file is replaced.
        config: configuration of the training.
        weights: state of the trained network.

    Raises:
        UsageError: the extra is not installed, or a layer has no counterpart in Keras.
        OSError: the file cannot be written.
    """
    model = as_keras(restore(config, weights, CPU))
    with tempfile.TemporaryDirectory(prefix="ecg-keras-") as folder:
        file = Path(folder) / "network.keras"  # Keras requires this suffix
        model.save(file)
        with replacing(path) as temporary:
            shutil.copyfile(file, temporary)


def as_keras(network: nn.Module) -> Any:
    """Return a Keras model of a network of `ecg.models`, with the weights copied.

    Args:
        network: the network, on the CPU.

    Returns:
        A `keras.Model` from `beats` (batch, 187), which it z-scores, to (batch, 5) logits. If the
        network takes the rhythm, it has a second input `rhythm` (batch, 4). Its weights are
        trainable.

    Raises:
        UsageError: the extra is not installed, or a layer has no counterpart in Keras.
    """
    keras = import_keras()
    beats = keras.Input((BEAT_LENGTH,), name="beats")
    # sqrt(variance + 1e-16) equals the deviation + 1e-8, except for constant beats.
    normal = keras.layers.LayerNormalization(
        epsilon=1e-16, center=False, scale=False, name="normalisation"
    )(beats)
    signal = keras.layers.Reshape((BEAT_LENGTH, 1))(normal)
    copies: list[Callable[[], None]] = []
    inputs = {"beats": beats}
    logits = _apply(keras, network, signal, inputs, copies)
    model = keras.Model(inputs if len(inputs) > 1 else beats, logits)
    for copy in copies:
        copy()
    return model


def import_keras() -> Any:
    """Import Keras.

    Raises:
        UsageError: if it is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # silence TensorFlow's start-up messages
    try:
        import keras  # which imports TensorFlow
    except ImportError:
        raise UsageError(
            "Keras files need the extra 'tensorflow'. Run: pip install -e '.[tensorflow]'"
        ) from None
    return keras


def _apply(
    keras: Any,
    module: nn.Module,
    x: Layer,
    inputs: dict[str, Layer],
    copies: list[Callable[[], None]],
) -> Layer:
    """Apply the counterpart of a module to (batch, length, channels) or (batch, features).

    Args:
        keras: the package.
        module: PyTorch module.
        x: input of the layer.
        inputs: inputs of the model by name; the input of the rhythm is added when needed.
        copies: functions that copy weights; those of the module are appended.
    """
    if isinstance(module, nn.Sequential):
        for child in module:
            x = _apply(keras, child, x, inputs, copies)
        return x
    if isinstance(module, ResidualBlock):
        body = _apply(keras, module.body, x, inputs, copies)
        skip = _apply(keras, module.skip, x, inputs, copies)
        return keras.layers.ReLU()(keras.layers.Add()([body, skip]))
    if isinstance(module, WithRhythm):
        features = _apply(keras, module.features, x, inputs, copies)
        inputs["rhythm"] = keras.Input((RHYTHM_LENGTH,), name="rhythm")
        return keras.layers.Concatenate()([features, inputs["rhythm"]])
    if isinstance(module, nn.Flatten) and len(x.shape) == 3:
        x = keras.layers.Permute((2, 1))(x)  # channels first, as in PyTorch
    layer, values = _counterpart(keras.layers, module)
    if values:
        copies.append(lambda: layer.set_weights([value.detach().numpy() for value in values]))
    return layer(x)


def _counterpart(layers: Any, module: nn.Module) -> tuple[Layer, list[Tensor]]:
    """Return the Keras layer for a PyTorch layer, and the weights to copy into it."""
    layer, values = None, list[Any]()
    match module:
        case nn.Conv2d():
            layer = layers.Conv1D(module.out_channels, module.kernel_size[1], padding="same")
            kernel = module.weight[:, :, 0].permute(2, 1, 0)  # (size, inputs, outputs)
            values = [kernel, module.bias]
        case nn.Linear():
            layer = layers.Dense(module.out_features)
            values = [module.weight.T, module.bias]
        case nn.BatchNorm1d() | nn.BatchNorm2d():
            momentum = 1 - (module.momentum or 0.0)
            layer = layers.BatchNormalization(momentum=momentum, epsilon=module.eps)
            values = [module.weight, module.bias, module.running_mean, module.running_var]
        case nn.ReLU():
            layer = layers.ReLU()
        case Dropout():
            layer = layers.Dropout(module.p)
        case nn.MaxPool2d():
            layer = layers.MaxPooling1D(2)
        case GlobalAveragePool():
            layer = layers.GlobalAveragePooling1D()
        case LogitShift():
            layer = layers.Rescaling(1.0, (-module.shift).tolist())
        case nn.Flatten():
            layer = layers.Flatten()
        case nn.Unflatten() | nn.Identity():
            layer = layers.Identity()
    if layer is None:
        raise UsageError(
            f"Keras has no counterpart for the layer {type(module).__name__}. Export the network "
            "in another format."
        )
    return layer, values
