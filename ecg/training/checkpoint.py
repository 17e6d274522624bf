"""Saves a run between epochs and resumes it bit-identically, in safetensors without pickle."""

import dataclasses
import hashlib
import json
import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from ecg.files import replacing
from ecg.training.config import TrainConfig
from ecg.training.data import TrainingData
from ecg.training.early_stopping import EarlyStopping
from ecg.training.result import Epoch
from ecg.training.run import Run

logger = logging.getLogger(__name__)

# What reading a damaged or forged file may raise.
DAMAGE = (ValueError, KeyError, TypeError, RuntimeError, OverflowError)

# The entries of the scheduler's state that change during a run.
SCHEDULER_STATE = ("best", "num_bad_epochs", "cooldown_counter", "last_epoch")


@dataclass
class Checkpoint:
    """The saved state of one run.

    Attributes:
        path: path of the file.
        key: identifies configuration and data; a file with another key is not used.
        every_seconds: minimum time between two saves, which happen between epochs.
        resumed: number of epochs that were restored.
    """

    path: Path
    key: str
    every_seconds: float = 30.0
    resumed: int = 0
    _last: float = field(default_factory=time.monotonic)
    _warned: bool = False

    def save_if_due(self, run: Run, seconds: float) -> None:
        """Save the run if the last save is long enough ago.

        If the file cannot be written, a warning is logged once and the training continues.

        Args:
            run: the run, between two epochs.
            seconds: training time so far.
        """
        if time.monotonic() - self._last < self.every_seconds:
            return
        try:
            self.save(run, seconds)
        except OSError as error:
            if not self._warned:
                reason = error.strerror or error
                logger.warning("cannot save a checkpoint in %s: %s", self.path.parent, reason)
            self._warned = True
        self._last = time.monotonic()

    def save(self, run: Run, seconds: float) -> None:
        """Save the run.

        Raises:
            OSError: the file cannot be written.
        """
        tensors = {f"model.{k}": v for k, v in run.model.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in run.best_weights.items()}
        if run.average is not None:
            tensors |= {f"average.{k}": v for k, v in run.average.sums.items()}
        tensors |= {f"optimizer.{k}": v for k, v in _optimizer_tensors(run).items()}
        state = {
            "key": self.key,
            "config": run.config.to_fields(),
            "epochs": [dataclasses.asdict(epoch) for epoch in run.epochs],
            "stopping": dataclasses.asdict(run.stopping),
            "learning_rate": float(run.optimizer.param_groups[0]["lr"]),
            "scheduler": _scheduler_state(run),
            "seconds": seconds,
        }
        plain = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
        text = json.dumps(state)
        with replacing(self.path) as temporary:
            # Not `save_file`, which does not raise OSError on a full disk.
            digest = content_digest(text, plain)
            temporary.write_bytes(to_bytes(plain, {"state": text, "digest": digest}))

    def resume(self, config: TrainConfig, data: TrainingData) -> tuple[Run, float]:
        """Return the saved run if there is a matching one, else a new run.

        A file that is damaged or belongs to another run is not used.

        Returns:
            The run, and its training time so far in seconds.
        """
        run = Run(config, data)
        try:
            with safe_open(self.path, "pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if metadata["digest"] != content_digest(metadata["state"], tensors):
                raise ValueError("its content does not match its digest")
            state = dict(json.loads(metadata["state"]))
            if state.get("key") != self.key or state.get("config") != config.to_fields():
                raise ValueError("it belongs to another run")
            seconds = _apply(run, state, tensors)
            self.resumed = len(run.epochs)
            return run, seconds
        except FileNotFoundError:
            return run, 0.0
        except (OSError, SafetensorError, *DAMAGE) as error:
            logger.warning("ignoring the checkpoint %s: %s", self.path, error)
            return Run(config, data), 0.0

    def remove(self) -> None:
        """Delete the file if possible. No other run can use it."""
        with suppress(OSError):
            self.path.unlink()


def content_digest(state: str, tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 (hex) of the content of a file of weights, to detect damage.

    Args:
        state: the metadata of the file.
        tensors: tensors on the CPU, contiguous.
    """
    digest = hashlib.sha256(state.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _optimizer_tensors(run: Run) -> dict[str, Tensor]:
    """Return the optimizer's tensors by parameter and entry, such as `0.weight/exp_avg`."""
    return {
        f"{name}/{entry}": value
        for name, parameter in run.model.named_parameters()
        for entry, value in run.optimizer.state[parameter].items()
        if isinstance(value, Tensor)
    }


def _scheduler_state(run: Run) -> dict[str, Any]:
    if run.scheduler is None:
        return {}
    state = run.scheduler.state_dict()
    return {name: state[name] for name in SCHEDULER_STATE}


def _apply(run: Run, state: dict[str, Any], tensors: dict[str, Tensor]) -> float:
    def under(prefix: str) -> dict[str, Tensor]:
        return {
            name.removeprefix(prefix): tensor
            for name, tensor in tensors.items()
            if name.startswith(prefix)
        }

    # The best weights and the moments are copied into tensors with the memory layout of the
    # network, because a fused optimizer reads weights and moments together.
    layout = run.model.state_dict()
    best = {k: torch.empty_like(layout[k]).copy_(v) for k, v in under("best.").items()}
    run.model.load_state_dict(under("model."))
    if run.average is not None:
        run.average.load(under("average."))
    parameters = dict(run.model.named_parameters())
    for name, saved in under("optimizer.").items():
        owner, entry = name.split("/")
        parameter = parameters[owner].detach()
        like = torch.empty_like(parameter) if saved.shape == parameter.shape else saved
        run.optimizer.state[parameters[owner]][entry] = like.copy_(saved).to(parameter.device)
    for group in run.optimizer.param_groups:
        group["lr"] = state["learning_rate"]
    if run.scheduler is not None:
        run.scheduler.load_state_dict(state["scheduler"])
    run.stopping = EarlyStopping(**state["stopping"])
    run.epochs[:] = [_as_epoch(fields) for fields in state["epochs"]]
    run.best_weights = best
    return float(state["seconds"])


def _as_epoch(fields: dict[str, Any]) -> Epoch:
    confusion = tuple(tuple(row) for row in fields["confusion"])
    return Epoch(**{**fields, "confusion": confusion})
