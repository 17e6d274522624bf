"""The Coupled CNN with Keras's conventions against Keras, and every network as a Keras model."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ecg.keras_network import as_keras
from ecg.models import build
from ecg.networks import MODELS
from ecg.training import TrainConfig, make_part
from ecg.training.run import build_model
from ecg.training.step import make_optimizer, predict_logits, train_step
from tests.support.toy import CPU, toy_heartbeats

keras: Any = pytest.importorskip("keras", reason="no extra: pip install -e '.[tensorflow]'")
# PyTorch and Keras add the epsilon of Adam in different places, see docs/models.md.
LARGE = 1e-4  # gradients for which that is no matter


def published(dropout: float = 1.0) -> Any:
    """The network of the published TensorFlow file, with Keras's defaults."""
    layers = keras.layers

    def stage(x: Any, channels: int) -> Any:
        x = layers.Conv1D(channels, 5, padding="same")(x)
        return layers.Activation("relu")(layers.BatchNormalization()(x))

    def dense(x: Any, units: int) -> Any:
        x = layers.BatchNormalization()(layers.Dense(units)(x))
        return layers.Dropout(0.5 * dropout)(layers.Activation("relu")(x))

    signal = keras.Input((187, 1))
    x = stage(stage(signal, 64), 64)
    x = layers.MaxPooling1D(2)(layers.Dropout(0.2 * dropout)(x))
    x = stage(stage(x, 128), 128)
    x = layers.MaxPooling1D(2)(layers.Dropout(0.3 * dropout)(x))
    # PyTorch flattens channel by channel, so that the weights of both can be the same.
    x = dense(dense(layers.Flatten()(layers.Permute((2, 1))(x)), 256), 128)
    return keras.Model(signal, layers.Dense(5)(x))


@pytest.fixture
def twins() -> tuple[nn.Sequential, Any]:
    """Our network and Keras's own, with the same weights."""
    torch.manual_seed(0)
    network = build("coupled-tf", dropout_multiplier=0.0)
    for layer in network:
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.running_mean.uniform_(-0.2, 0.2)
            layer.running_var.uniform_(0.5, 2)
    twin = published(dropout=0.0)
    twin.set_weights(as_keras(network).get_weights())
    return network, twin


def test_the_twins_give_the_same_logits(twins: tuple[nn.Sequential, Any]) -> None:
    network, twin = twins
    part = make_part(toy_heartbeats(200), np.arange(200), CPU)
    found = predict_logits(network, part.signals).numpy()
    expected = twin.predict(part.signals[:, 0, :, None].numpy(), verbose=0)
    assert found.std() > 0.01
    assert found == pytest.approx(expected, abs=1e-5)


def test_a_training_step_is_that_of_keras(twins: tuple[nn.Sequential, Any]) -> None:
    # Loss, gradients, updated weights and batch-norm statistics, dropout left out.
    import tensorflow as tf

    network, twin = twins
    part = make_part(toy_heartbeats(64), np.arange(64), CPU)
    optimizer = make_optimizer(TrainConfig(model="coupled-tf"), network)
    network.train()
    ours = train_step(network, optimizer, part, torch.arange(64), torch.ones(5))
    gradients = [parameter.grad.clone() for parameter in network.parameters()]

    signals = tf.constant(part.signals[:, 0, :, None].numpy())
    with tf.GradientTape() as tape:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(
            part.labels.numpy(), twin(signals, training=True)
        )
    theirs = [np.asarray(g) for g in tape.gradient(loss, twin.trainable_variables)]
    keras.optimizers.AdamW(1e-3, weight_decay=1e-3, epsilon=1e-7).apply(
        list(map(tf.constant, theirs)), twin.trainable_variables
    )

    assert (ours[0] / ours[1]).item() == pytest.approx(float(loss), rel=1e-5)
    # With Keras's names and shapes: our gradients replace our weights.
    after = as_keras(network).get_weights()
    with torch.no_grad():
        for parameter, gradient in zip(network.parameters(), gradients, strict=True):
            parameter.copy_(gradient)
    found = [variable.numpy() for variable in as_keras(network).trainable_variables]
    assert len(found) == len(theirs) == len(list(network.parameters()))
    for one, other in zip(found, theirs, strict=True):
        # A bias before batch norm has no gradient except for rounding.
        assert np.abs(one - other).max() < 1e-3 * np.abs(other).max() + 1e-5
    expected = twin.get_weights()
    assert [one.shape for one in after] == [one.shape for one in expected]
    moving = {id(variable) for variable in twin.non_trainable_variables}
    steps = iter(theirs)
    for variable, one, other in zip(twin.weights, after, expected, strict=True):
        if id(variable) in moving:
            assert np.abs(one - other).max() < 1e-5
            continue
        is_large = np.abs(next(steps)) > LARGE
        assert is_large.mean() > 0.9 or one.ndim == 1
        assert np.abs(one - other)[is_large].max(initial=0) < 5e-5


def test_initial_weights_are_distributed_like_those_of_keras() -> None:
    # Kernels uniform up to Glorot's limit; biases and moving means 0, scales and variances 1.
    torch.manual_seed(1)
    ours = as_keras(build("coupled-tf")).get_weights()
    theirs = published().get_weights()
    for one, other in zip(ours, theirs, strict=True):
        assert one.shape == other.shape
        if one.ndim == 1:
            assert (one == other).all()
            continue
        *size, inputs, outputs = one.shape
        limit = np.sqrt(6 / ((inputs + outputs) * np.prod(size)))
        for values in (one, other):
            assert np.abs(values).max() <= limit
            assert np.abs(values).max() > 0.95 * limit
            noise = 1 / np.sqrt(values.size)
            assert values.std() == pytest.approx(limit / np.sqrt(3), rel=3 * noise)
            assert abs(values.mean()) < 4 * limit * noise
    plain = [parameter for parameter in build("coupled").parameters() if parameter.dim() == 1]
    assert any((parameter != parameter[0]).any() for parameter in plain)  # PyTorch draws biases


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("options", [{}, {"rhythm": "rr", "logit_adjustment": 0.5}])
def test_every_network_gives_the_same_logits_as_a_keras_model(name: str, options: Any) -> None:
    network = build_model(TrainConfig(model=name, width_multiplier=0.1, **options))
    if options:
        network[-1].shift.copy_(torch.tensor([0.1, -0.2, 0.3, 0.0, 1.0]))
    beats = toy_heartbeats(20)
    part = make_part(beats, np.arange(20), CPU)
    signals = part.signals
    given: Any = beats.signals
    if options:
        signals = torch.cat([signals, part.rhythm.unsqueeze(1)], -1)
        given = {"beats": beats.signals, "rhythm": part.rhythm.numpy()}
    found = as_keras(network.eval()).predict(given, verbose=0)
    assert found == pytest.approx(predict_logits(network, signals).numpy(), abs=1e-5)
