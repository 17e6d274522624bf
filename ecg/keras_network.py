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
from ecg.models import BesideRhythm, GlobalAveragePool, ResidualBlock
from ecg.rhythm import RHYTHM_LENGTH
from ecg.training.adjustment import LogitShift
from ecg.training.config import TrainConfig
from ecg.training.loop import restore

CPU = torch.device("cpu")
Layer = Any  # of Keras, which has no types


def save_keras(path: Path, config: TrainConfig, weights: Mapping[str, Tensor]) -> None:
    """Write trained weights as a `.keras` file of a network from (batch, 187) to logits.

    The beats are z-scored inside. The file holds the network alone, not what the study says of it.

    Args:
        path: of the file; one that is there is replaced.
        config: what was trained.
        weights: state of its network.

    Raises:
        UsageError: the extra is not installed, or Keras has no such network.
        OSError: the file cannot be written.
    """
    model = as_keras(restore(config, weights, CPU))
    with tempfile.TemporaryDirectory(prefix="ecg-keras-") as folder:
        file = Path(folder) / "network.keras"  # Keras insists on this ending
        model.save(file)
        with replacing(path) as beside:
            shutil.copyfile(file, beside)


def as_keras(network: nn.Module) -> Any:
    """Return the Keras model of a network of `ecg.models`, with its weights copied over.

    Args:
        network: on the CPU.

    Returns:
        A `keras.Model` from `beats` (batch, 187), which it z-scores, to (batch, 5) logits; with
        an input `rhythm` (batch, 4) where the network takes it. Its weights can be trained.

    Raises:
        UsageError: the extra is not installed, or a layer has no counterpart.
    """
    keras = import_keras()
    beats = keras.Input((BEAT_LENGTH,), name="beats")
    # (beat - mean) / sqrt(variance + 1e-16), which is the deviation + 1e-8 but for constant beats.
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
        UsageError: it is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow talks a lot as it starts
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
        module: of ours.
        x: what it is applied to.
        inputs: of the model by name; that of the rhythm is added where it is met.
        copies: functions that copy weights, to which those of the module are added.
    """
    if isinstance(module, nn.Sequential):
        for child in module:
            x = _apply(keras, child, x, inputs, copies)
        return x
    if isinstance(module, ResidualBlock):
        body = _apply(keras, module.body, x, inputs, copies)
        skip = _apply(keras, module.skip, x, inputs, copies)
        return keras.layers.ReLU()(keras.layers.Add()([body, skip]))
    if isinstance(module, BesideRhythm):
        features = _apply(keras, module.features, x, inputs, copies)
        inputs["rhythm"] = keras.Input((RHYTHM_LENGTH,), name="rhythm")
        return keras.layers.Concatenate()([features, inputs["rhythm"]])
    if isinstance(module, nn.Flatten) and len(x.shape) == 3:
        x = keras.layers.Permute((2, 1))(x)  # the channels come first, as in ours
    layer, values = _counterpart(keras.layers, module)
    if values:
        copies.append(lambda: layer.set_weights([value.detach().numpy() for value in values]))
    return layer(x)


def _counterpart(layers: Any, module: nn.Module) -> tuple[Layer, list[Tensor]]:
    """Return the Keras layer of a plain layer, and the weights that it gets."""
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
        raise UsageError(f"Keras has no counterpart of the layer {type(module).__name__}")
    return layer, values
