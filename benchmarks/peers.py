"""The same training in other libraries' own loops (`pip install -e '.[benchmarks]'`).

Everything else that a library does (logs, progress bars, checkpoints, validation) is switched off.
"""

import os
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.plain import BATCH, make_loader, make_optimizer, plain_network
from benchmarks.turns import Turns
from ecg.heartbeats import BEAT_LENGTH
from ecg.models import ResidualBlock, count_parameters
from ecg.training import TrainConfig, TrainingData

FOREVER = 10**9  # epochs


def train_in_lightning(
    config: TrainConfig, data: TrainingData, precision: str, turns: Turns
) -> None:
    """Train with Lightning's Trainer."""
    import logging

    import pytorch_lightning as lightning

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = plain_network(config)
            self.criterion = nn.CrossEntropyLoss()

        def training_step(self, batch: list[Tensor], _: int) -> Tensor:
            signals, labels = batch
            return self.criterion(self.network(signals), labels)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return make_optimizer(config, self.network)

    class Waiting(lightning.Callback):
        def on_train_batch_end(self, _: Any, __: Any, outputs: Any, *___: Any) -> None:
            turns.step(outputs["loss"])

    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    trainer = lightning.Trainer(
        accelerator="gpu" if data.device.type == "cuda" else "cpu",
        devices=1,
        precision="bf16-mixed" if precision == "bf16" else "32-true",
        max_epochs=FOREVER,
        callbacks=[Waiting()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Module(), make_loader(data.train, shuffle=True))


def train_in_skorch(config: TrainConfig, data: TrainingData, _: str, turns: Turns) -> None:
    """Train with skorch's NeuralNetClassifier."""
    from skorch import NeuralNetClassifier
    from skorch.callbacks import Callback

    class Waiting(Callback):
        def on_batch_end(self, *_: Any, loss: Tensor, **__: Any) -> None:
            turns.step(loss)

    net = NeuralNetClassifier(
        plain_network(config),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.AdamW,
        optimizer__lr=config.learning_rate,
        optimizer__weight_decay=config.weight_decay,
        batch_size=BATCH,
        iterator_train__shuffle=True,
        iterator_train__drop_last=True,
        train_split=None,
        max_epochs=FOREVER,
        callbacks=[Waiting()],
        callbacks__print_log=None,
        device=str(data.device),
        verbose=0,
    )
    net.fit(data.train.signals.cpu().numpy(), data.train.labels.cpu().numpy())


def train_in_keras(config: TrainConfig, data: TrainingData, precision: str, turns: Turns) -> None:
    """Train with Keras on TensorFlow, on a CPU.

    Raises:
        RuntimeError: the network has other parameters than ours.
    """
    os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="2")
    import keras
    import tensorflow

    tensorflow.config.threading.set_intra_op_parallelism_threads(torch.get_num_threads())
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bf16" else "float32")

    class Waiting(keras.callbacks.Callback):
        def on_train_batch_end(self, _: int, logs: Any = None) -> None:
            turns.step(logs["loss"])

    model = keras_network(config)
    model.compile(
        keras.optimizers.AdamW(config.learning_rate, weight_decay=config.weight_decay),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,  # what "auto" takes, XLA, is slower on a CPU
    )
    signals = data.train.signals.numpy().transpose(0, 2, 1)  # (n, 187, 1)
    model.fit(
        signals,
        data.train.labels.numpy(),
        batch_size=BATCH,
        epochs=FOREVER,
        shuffle=True,
        callbacks=[Waiting()],
        verbose=0,
    )


def keras_network(config: TrainConfig) -> Any:
    """Return the configured network of Keras' layers: (batch, 187, 1) in, (batch, 5) logits out.

    Raises:
        RuntimeError: if its parameters differ from ours.
    """
    import keras

    network = plain_network(config)
    signals = keras.Input((BEAT_LENGTH, 1))
    model = keras.Model(signals, _in_keras(network, signals))
    ours = count_parameters(network)
    keras_ones = sum(weight.numpy().size for weight in model.trainable_weights)
    if keras_ones != ours:
        raise RuntimeError(f"Keras' network has {keras_ones} parameters, ours {ours}")
    return model


def _in_keras(module: nn.Module, x: Any) -> Any:
    """Apply to a symbolic Keras tensor what corresponds to a layer of `plain_network`."""
    from keras import layers

    match module:
        case nn.Sequential():
            for layer in module:
                x = _in_keras(layer, x)
            return x
        case ResidualBlock():
            total = layers.Add()([_in_keras(module.body, x), _in_keras(module.skip, x)])
            return layers.ReLU()(total)
    return _keras_layer(module)(x)


def _keras_layer(module: nn.Module) -> Any:
    from keras import layers

    make: dict[type, Callable[[Any], Any]] = {
        nn.Conv1d: lambda m: layers.Conv1D(m.out_channels, m.kernel_size[0], padding="same"),
        # Keras' momentum is that of the old mean.
        nn.BatchNorm1d: lambda m: layers.BatchNormalization(momentum=1 - m.momentum, epsilon=m.eps),
        nn.ReLU: lambda _: layers.ReLU(),
        nn.MaxPool1d: lambda m: layers.MaxPooling1D(m.kernel_size),
        nn.AdaptiveAvgPool1d: lambda _: layers.GlobalAveragePooling1D(),
        nn.Flatten: lambda _: layers.Flatten(),
        nn.Dropout: lambda m: layers.Dropout(m.p),
        nn.Linear: lambda m: layers.Dense(m.out_features),
        nn.Identity: lambda _: layers.Identity(),
    }
    return make[type(module)](module)
