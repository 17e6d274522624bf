"""Rules of model files: they give back the network, and unusable ones are refused by name."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import ecg
from ecg.errors import DataError, UsageError
from ecg.model_file import FORMAT, INTERFACE
from ecg.networks import MODELS, forget_networks, load_user_file
from ecg.training import TrainConfig, make_part, predict
from ecg.training.run import build_model
from tests.support.toy import CPU, toy_heartbeats

SMALL = TrainConfig(model="simple", width_multiplier=0.1, alpha=0.3)
FACTS = {"split": "inter-patient", "data": "ab12", "versions": {"ecg-study": "0.1.0"}}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A model file of a small network."""
    path = tmp_path / "model.safetensors"
    ecg.save_model(path, SMALL, build_model(SMALL).state_dict(), FACTS)
    return path


def rewrite(path: Path, *, digest: bool = False, **changes: Any) -> None:
    """Write the file again with other metadata."""
    from ecg.model_file import _digest

    with safe_open(path, "pt") as opened:
        metadata = dict(opened.metadata())
        weights = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    for name, value in changes.items():
        metadata[name] = json.dumps(value)
    if digest:
        metadata["digest"] = json.dumps(_digest(metadata, weights))
    save_file(weights, path, metadata)


@pytest.mark.parametrize("name", MODELS)
def test_a_loaded_network_gives_the_logits_of_the_trained_one(name: str, tmp_path: Path) -> None:
    config = TrainConfig(model=name, width_multiplier=0.1)
    network = build_model(config)
    for layer in network.modules():  # a trained network has seen some beats
        if isinstance(layer, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            layer.running_mean += 0.3
    path = tmp_path / "model.safetensors"
    ecg.save_model(path, config, network.state_dict(), FACTS)
    model = ecg.load_model(path)
    assert model.config == config
    assert model.facts.items() >= {**FACTS, **INTERFACE}.items()
    beats = toy_heartbeats(100)
    part = make_part(beats, np.arange(100), CPU)
    expected = predict(config, network.state_dict(), part, "fp32").numpy()
    assert (model.logits(beats.signals) == expected).all()
    assert (model.labels(beats.signals) == expected.argmax(1)).all()
    assert model.probabilities(beats.signals).sum(axis=1) == pytest.approx(1, abs=1e-6)
    # Each beat is z-scored, so its scale does not matter.
    assert model.logits(beats.signals * 200 + 7) == pytest.approx(expected, abs=1e-3)
    assert model.logits(beats.signals[:0]).shape == (0, 5)


def test_every_value_of_the_metadata_is_json(file: Path) -> None:
    with safe_open(file, "pt") as opened:
        facts = {name: json.loads(text) for name, text in opened.metadata().items()}
    assert facts["format"] == FORMAT
    assert TrainConfig.from_fields(facts["config"]) == SMALL


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"project": "another"}, "does not say which network it holds"),
        ({"format": FORMAT + 1}, "newer version of this project .* Update the project"),
        ({"format": "x"}, "unknown format \"x\""),
        ({"format": 0}, "unknown format 0"),
        ({"split": "changed"}, "the content does not match its digest"),
        ({"digest": True, "classes": ["N", "V"]}, "its classes is .* Use the version"),
        ({"digest": True, "sampling_rate": 125.0}, "its sampling_rate is 125.0"),
        ({"digest": True, "config": {"model": "gru"}}, "model 'gru', not one of .* Use the"),
        ({"digest": True, "config": {"model": "simple", "speed": 1}}, "has no field 'speed'"),
        ({"digest": True, "config": [1]}, "does not say which network it holds"),
        ({"digest": True, "config": {"model": 3}}, "does not say which network it holds"),
        ({"digest": True, "own_network": "x.py"}, "does not say which network it holds"),
        ({"digest": True, "own_network": {"file": "x.py"}}, "does not say which network it holds"),
        ({"digest": True, "config": {"model": "coupled"}}, "do not fit the network 'coupled'"),
    ],
)  # fmt: skip
def test_a_file_that_this_version_cannot_use_is_refused(
    file: Path, changes: dict[str, Any], message: str
) -> None:
    rewrite(file, **changes)
    with pytest.raises(DataError, match=message) as refused:
        ecg.load_model(file)
    assert str(file) in str(refused.value)


def test_weights_that_are_no_numbers_are_refused(file: Path) -> None:
    # A network of them would call every beat normal.
    with safe_open(file, "pt") as opened:
        metadata = dict(opened.metadata())
        weights = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    name = min(weights)
    weights[name] = torch.full_like(weights[name], torch.nan)
    save_file(weights, file, metadata)
    rewrite(file, digest=True)
    with pytest.raises(DataError, match=f"the weights {name} are not all finite numbers"):
        ecg.load_model(file)


def test_a_file_of_weights_is_not_a_model_file(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({"1.weight": torch.ones(3)}, path, {"epoch": "3"})
    with pytest.raises(DataError, match="python -m study export-model"):
        ecg.load_model(path)
    with pytest.raises(UsageError, match="no such file"):
        ecg.load_model(tmp_path / "none")


@pytest.mark.parametrize(
    ("signals", "message"),
    [
        (np.zeros((3, 186)), r"shape \(n, 187\), not \(3, 186\)"),
        (np.zeros(187), r"shape \(n, 187\), not \(187,\)"),
        (np.full((2, 187), np.nan), "beat 0 has a value that is not finite"),
    ],
)
def test_beats_of_another_form_are_refused(file: Path, signals: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ecg.load_model(file).logits(signals)


# --- A user's own network

OWN = """\
from torch import nn

from ecg.networks import network


@network("linear", title="Linear")
def linear(units):
    return nn.Sequential(nn.Flatten(), nn.Linear(187, units), nn.ReLU(), nn.Linear(units, 5))
"""


@pytest.fixture
def networks(tmp_path: Path) -> Iterator[Path]:
    """A Python file that defines the network "linear"; it is unknown before and after the test."""
    path = tmp_path / "mine.py"
    path.write_text(OWN)
    yield path
    forget_networks(path)


@pytest.fixture
def own(networks: Path, tmp_path: Path) -> Path:
    """A model file of that network, which is unknown, as in another process."""
    path = tmp_path / "own.safetensors"
    load_user_file(networks)
    config = TrainConfig.from_fields({"model": "linear", "units": 7})
    ecg.save_model(path, config, build_model(config).state_dict(), FACTS)
    forget_networks(networks)
    return path


def test_an_own_network_is_loaded_with_the_file_that_defines_it(own: Path, networks: Path) -> None:
    # Rule: the text of the file counts, not its name; once it is loaded, it need not be named.
    with pytest.raises(DataError, match=r"'linear' is your own.* copy of mine\.py.*`networks`"):
        ecg.load_model(own)
    beats = toy_heartbeats(10).signals
    model = ecg.load_model(own, networks=networks)
    assert dict(model.config.own) == {"units": 7}
    copy = networks.with_name("copy.py")
    copy.write_text(OWN)
    for place in (None, copy, str(networks)):
        assert (ecg.load_model(own, networks=place).logits(beats) == model.logits(beats)).all()


@pytest.mark.parametrize("was_loaded", [False, True])
def test_a_file_that_differs_from_that_of_the_training_is_not_run(
    own: Path, networks: Path, tmp_path: Path, was_loaded: bool
) -> None:
    if was_loaded:
        load_user_file(networks)
    mark = tmp_path / "was run"
    networks.write_text(f"open({str(mark)!r}, 'w')\n{OWN}")
    with pytest.raises(DataError, match=r"mine\.py differs from .* so it was not run\. Name an"):
        ecg.load_model(own, networks=networks)
    assert not mark.exists()


def test_an_edited_network_that_was_loaded_is_refused(own: Path, networks: Path) -> None:
    networks.write_text(OWN.replace("ReLU", "SiLU"))
    load_user_file(networks)
    with pytest.raises(DataError, match=r"unchanged copy of mine\.py"):
        ecg.load_model(own)


def test_networks_that_cannot_be_used_are_refused(
    file: Path, own: Path, networks: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"'simple' is shipped .* Leave `networks` out"):
        ecg.load_model(file, networks=networks)
    networks.write_bytes(b"\xff\xfe")
    for place in (tmp_path / "none.py", tmp_path, networks):
        with pytest.raises(UsageError, match=r"`networks` .* cannot be read"):
            ecg.load_model(own, networks=place)


def test_an_own_network_is_never_used_for_a_file_that_does_not_name_its_source(
    file: Path, networks: Path
) -> None:
    # Rule: a network of the same name that happens to be loaded is another network.
    load_user_file(networks)
    rewrite(file, digest=True, config={"model": "linear", "units": 7})
    with pytest.raises(DataError, match=r"unknown model 'linear', not one of simple, .* Use the"):
        ecg.load_model(file)
