"""A trained network as an ONNX file for programs without PyTorch; needs the extra 'onnx'."""

import json
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ecg.errors import UsageError
from ecg.files import replacing
from ecg.heartbeats import BEAT_LENGTH
from ecg.model_file import FORMAT, INTERFACE, PROJECT
from ecg.rhythm import RHYTHM_LENGTH
from ecg.training.config import TrainConfig
from ecg.training.loop import restore

OPSET = 18
CPU = torch.device("cpu")


class FromBeats(nn.Module):
    """A network preceded by the normalisation.

    Args:
        network: network from z-scored beats to (batch, 5) logits; if it takes the rhythm, each
            beat ends in the numbers of the rhythm.
    """

    def __init__(self, network: nn.Module) -> None:
        """Keep the network."""
        super().__init__()
        self.network = network

    def forward(self, beats: Tensor, rhythm: Tensor | None = None) -> Tensor:
        """(batch, 187) beats and (batch, 4) rhythm -> (batch, 5) logits."""
        centred = beats - beats.mean(1, keepdim=True)
        deviation = centred.square().mean(1, keepdim=True).sqrt()  # of the population
        # Not `+ 1e-8`: the exporter treats that as adding 0 and drops it.
        normal = centred / deviation.clamp(min=1e-8)
        inputs = normal if rhythm is None else torch.cat([normal, rhythm], 1)
        logits: Tensor = self.network(inputs.unsqueeze(1))
        return logits


def save_onnx(
    path: Path, config: TrainConfig, weights: Mapping[str, Tensor], facts: Mapping[str, Any]
) -> None:
    """Write trained weights as an ONNX network from `beats` (batch, 187) to `logits` (batch, 5).

    The batch size is dynamic. The network z-scores the beats itself. If it takes the rhythm, it
    has a second input, `rhythm` (batch, 4). The metadata is that of `ecg.save_model`.

    Args:
        path: file to write; an existing file is replaced.
        config: configuration of the training.
        weights: state of the trained network.
        facts: JSON values by name.

    Raises:
        UsageError: the extra is not installed.
        OSError: the file cannot be written.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401  the exporter of PyTorch needs it
    except ImportError:
        raise UsageError(
            "ONNX files need the extra 'onnx'. Run: pip install -e '.[onnx]'"
        ) from None
    network = FromBeats(restore(config, weights, CPU)).eval()
    given = {"beats": torch.zeros(2, BEAT_LENGTH)}
    if config.rhythm is not None:
        given["rhythm"] = torch.zeros(2, RHYTHM_LENGTH)
    batch = torch.export.Dim("batch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's warnings are for its developers
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            network, tuple(given.values()), input_names=list(given), output_names=["logits"],
            dynamic_shapes=tuple({0: batch} for _ in given),
            dynamo=True, opset_version=OPSET, verbose=False,
        )  # fmt: skip
    assert program is not None
    model = program.model_proto
    described = {**facts, **INTERFACE, "config": config.to_fields()}
    described |= {"project": PROJECT, "format": FORMAT}
    onnx.helper.set_model_props(model, {name: json.dumps(v) for name, v in described.items()})
    onnx.checker.check_model(model, full_check=True)
    with replacing(path) as temporary:
        temporary.write_bytes(model.SerializeToString())
