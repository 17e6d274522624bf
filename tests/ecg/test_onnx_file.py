"""Every network as an ONNX file, in onnxruntime."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ecg.networks import MODELS
from ecg.onnx_file import save_onnx
from ecg.rhythm import rhythm
from ecg.training import TrainConfig, make_part, predict
from ecg.training.run import build_model
from tests.support.toy import CPU, toy_heartbeats

runtime: Any = pytest.importorskip("onnxruntime", reason="no extra: pip install -e '.[onnx]'")
pytest.importorskip("onnxscript", reason="no extra: pip install -e '.[onnx]'")


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("options", [{}, {"rhythm": "rr", "logit_adjustment": 0.5}])
def test_every_network_gives_the_same_logits_for_any_number_of_beats(
    name: str, options: Any, tmp_path: Path
) -> None:
    config = TrainConfig(model=name, width_multiplier=0.1, **options)
    network = build_model(config)
    if options:
        network[-1].shift.copy_(torch.tensor([0.1, -0.2, 0.3, 0.0, 1.0]))
    beats = toy_heartbeats(30)
    beats.signals[3] = 0.25  # a beat without any variation
    part = make_part(beats, np.arange(30), CPU)
    expected = predict(config, network.state_dict(), part, "fp32").numpy()
    path = tmp_path / "network.onnx"
    save_onnx(path, config, network.state_dict(), {"split": "inter-patient"})
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    given = {"beats": beats.signals} | ({"rhythm": rhythm(beats)} if options else {})
    for number in (1, 30):
        (found,) = session.run(None, {k: values[:number] for k, values in given.items()})
        assert found == pytest.approx(expected[:number], abs=1e-5)
    stated = session.get_modelmeta().custom_metadata_map
    assert json.loads(stated["config"]) == config.to_fields()
    assert json.loads(stated["split"]) == "inter-patient"
