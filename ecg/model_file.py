"""Model files: a trained network in safetensors, described by the file's metadata.

Each value of the metadata is JSON. `FORMAT` increases when an older file could be misread.
docs/models.md documents the layout.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from ecg.errors import DataError, EcgError, UsageError
from ecg.files import expanded, replacing
from ecg.heartbeats import BEAT_LENGTH, CLASSES, SAMPLING_RATE
from ecg.networks import MODELS, digest_of, find_network, load_user_file
from ecg.training.checkpoint import content_digest
from ecg.training.config import TrainConfig
from ecg.training.data import Part, find_device, inputs, normalise
from ecg.training.loop import restore
from ecg.training.precision import computing_in
from ecg.training.step import predict_logits

FORMAT = 1
PROJECT = "ecg-study"
# Input and output of a network: the same for every network of this version.
INTERFACE: Mapping[str, Any] = {
    "classes": list(CLASSES),
    "sampling_rate": SAMPLING_RATE,
    "beat_length": BEAT_LENGTH,
    "window": "from the R peak over one RR interval and a fifth of the next, every third sample of "
    "360 Hz, min-max scaled to [0, 1], cropped or zero-padded at the end",
    "normalisation": "z-score per beat over all its values (population standard deviation + 1e-8)",
}
EXPORT_AGAIN = "Export it again with `python -m study export-model`."


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network that classifies beats in float32.

    Attributes:
        config: configuration of the training.
        network: network from (n, 1, 187) z-scored beats to (n, 5) logits, in evaluation mode.
        facts: the other metadata of the file: "split", "data", "scores", "versions" and more.
    """

    config: TrainConfig
    network: nn.Module
    facts: Mapping[str, Any]

    def logits(
        self, signals: NDArray[np.float32], rhythm: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Return the logits of beats.

        Args:
            signals: (n, 187) beats cut by the window rule, as in `Heartbeats.signals`. Their
                scale does not matter, because each beat is z-scored first.
            rhythm: (n, 4) from `ecg.rhythm`, for a network that takes it; others ignore it.

        Returns:
            (n, 5) float32.

        Raises:
            UsageError: the beats have another shape or a value that is not finite, or the
                network needs the rhythm and `rhythm` is None.
        """
        signals = np.asarray(signals, dtype=np.float32)
        if signals.ndim != 2 or signals.shape[1] != BEAT_LENGTH:
            raise UsageError(
                f"beats must have the shape (n, {BEAT_LENGTH}), not {signals.shape}. Cut them by "
                "the rule in docs/models.md."
            )
        if not np.isfinite(signals).all():
            row = int(np.flatnonzero(~np.isfinite(signals).all(axis=1))[0])
            raise UsageError(f"beat {row} has a value that is not finite. Leave the beat out.")
        device = next(self.network.parameters()).device
        beats = torch.from_numpy(normalise(signals)).unsqueeze(1)
        around = None if rhythm is None else torch.from_numpy(np.asarray(rhythm, dtype=np.float32))
        part = inputs(self.config, Part(beats, torch.zeros(len(beats)), around))
        with computing_in("fp32", device):
            found = predict_logits(self.network, part.signals.to(device))
        logits: NDArray[np.float32] = found.cpu().numpy()
        return logits

    def probabilities(
        self, signals: NDArray[np.float32], rhythm: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Return the probability of each class, (n, 5); see `logits`."""
        found = torch.from_numpy(self.logits(signals, rhythm)).softmax(1)
        probabilities: NDArray[np.float32] = found.numpy()
        return probabilities

    def labels(
        self, signals: NDArray[np.float32], rhythm: NDArray[np.float32] | None = None
    ) -> NDArray[np.int64]:
        """Return the most probable class of each beat as an index into `CLASSES`, (n,)."""
        found: NDArray[np.int64] = self.logits(signals, rhythm).argmax(axis=1)
        return found


def save_model(
    path: Path, config: TrainConfig, weights: Mapping[str, Tensor], facts: Mapping[str, Any]
) -> None:
    """Write trained weights as a file that `load_model` reads.

    Args:
        path: file to write; an existing file is replaced.
        config: configuration of the training.
        weights: state of the trained network.
        facts: JSON values by name, such as "split", "data", "scores" and "versions".

    Raises:
        OSError: the file cannot be written.
    """
    described = {**facts, **INTERFACE, "config": config.to_fields()}
    if (network := find_network(config.model)).file is not None:
        described["own_network"] = {"file": network.file.name, "digest": network.digest}
    metadata = {"project": json.dumps(PROJECT), "format": json.dumps(FORMAT)}
    metadata |= {name: json.dumps(value) for name, value in described.items()}
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    metadata["digest"] = json.dumps(_digest(metadata, plain))
    with replacing(path) as temporary:
        temporary.write_bytes(to_bytes(plain, metadata))


def load_model(
    path: str | Path, device: str = "cpu", *, networks: str | Path | None = None
) -> Model:
    """Read a model file, as `python -m study export-model` writes it.

    A model file contains no code. If its network is the user's own, the file that defines it must
    be named or already loaded. It is run only if its text is the one the model was trained with.

    Args:
        path: path of the file.
        device: as for `find_device`.
        networks: Python file that defines the network, such as a space file; None for a shipped
            network, or one whose file has been loaded.

    Returns:
        The network, ready for (n, 187) beats.

    Raises:
        UsageError: there is no such file, `networks` does not load or is not needed, or the
            device is unknown.
        DataError: this is not a model file of this project, it is damaged or of a newer format,
            its network is unknown, or `networks` is not the file it was trained with. The message
            says what to do.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import ecg
        >>> from ecg.models import build
        >>> config = ecg.TrainConfig(model="simple")
        >>> file = Path(tempfile.mkdtemp()) / "best.safetensors"
        >>> ecg.save_model(file, config, build("simple").state_dict(), {"split": "inter-patient"})
        >>> model = ecg.load_model(file)
        >>> beats = ecg.load("synthetic")
        >>> model.probabilities(beats.signals[:3]).shape, model.facts["split"]
        ((3, 5), 'inter-patient')
    """
    path, place = Path(path), find_device(device)
    facts, weights = _read(path)
    _check_interface(path, facts)
    _require_network(path, facts, None if networks is None else expanded(networks))
    try:
        config = TrainConfig.from_fields(facts.pop("config"))
    except EcgError as error:
        reason = str(error).rstrip(".")
        raise DataError(
            f"{path}: {reason}. Use the version of the project that wrote it."
        ) from None
    try:
        network = restore(config, weights, place).eval()
    except RuntimeError:
        raise DataError(
            f"{path}: the weights do not fit the network '{config.model}' of this version. "
            "Use the version of the project that wrote the file "
            f"({facts.get('versions', {}).get('ecg-study', 'unknown')})."
        ) from None
    return Model(config, network, facts)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the parsed metadata of a model file, and its weights on the CPU."""
    if not os.path.isfile(path):  # False for a name that no file can have
        raise UsageError(f"{path}: no such file. Write one with `python -m study export-model`.")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path}: not a model file, or damaged ({error}). {EXPORT_AGAIN}") from None
    if metadata.get("project") != json.dumps(PROJECT):
        raise DataError(
            f"{path}: a safetensors file that does not say which network it holds. It may be the "
            "weights of a trial, or of another project. Write a model file with "
            "`python -m study export-model`."
        )
    _check_format(path, metadata.get("format", "null"))
    try:
        facts = {name: json.loads(text) for name, text in metadata.items()}
    except ValueError as error:
        raise DataError(f"{path}: damaged ({error}). {EXPORT_AGAIN}") from None
    if facts.pop("digest", None) != _digest(metadata, weights):
        raise DataError(f"{path}: damaged: the content does not match its digest. {EXPORT_AGAIN}")
    if broken := [name for name, one in weights.items() if not one.isfinite().all()]:
        raise DataError(
            f"{path}: the weights {broken[0]} are not all finite numbers. Export another trial."
        )
    if not _is_described(facts):
        raise DataError(f"{path}: does not say which network it holds. {EXPORT_AGAIN}")
    return facts, weights


def _is_described(facts: Mapping[str, Any]) -> bool:
    """Whether the metadata names the network, and the file of a user's own network."""
    config, own = facts.get("config"), facts.get("own_network", {"file": "", "digest": ""})
    return (
        isinstance(config, dict)
        and isinstance(config.get("model"), str)
        and isinstance(own, dict)
        and all(isinstance(own.get(name), str) for name in ("file", "digest"))
    )


def _check_format(path: Path, text: str) -> None:
    if text == json.dumps(FORMAT):
        return
    if text.isdecimal() and int(text) > FORMAT:
        raise DataError(
            f"{path}: written by a newer version of this project (format {text}, this version "
            f"reads {FORMAT}). Update the project."
        )
    raise DataError(f"{path}: unknown format {text:.40}. {EXPORT_AGAIN}")


def _check_interface(path: Path, facts: Mapping[str, Any]) -> None:
    for name in ("classes", "sampling_rate", "beat_length"):
        if facts.get(name) != INTERFACE[name]:
            raise DataError(
                f"{path}: its {name} is {facts.get(name)!r}, but this version has "
                f"{INTERFACE[name]!r}. Use the version of the project that wrote the file."
            )


def _require_network(path: Path, facts: Mapping[str, Any], networks: Path | None) -> None:
    """Make sure that the network of a model file is known, and is the one that was trained.

    Args:
        path: path of the model file.
        facts: metadata of the model file.
        networks: as for `load_model`.
    """
    name, own = facts["config"].get("model"), facts.get("own_network")
    if own is None:
        if name not in MODELS:
            raise DataError(
                f"{path}: unknown model '{name}', not one of {', '.join(MODELS)}. Use the version "
                "of the project that wrote the file."
            )
        if networks is not None:
            raise UsageError(
                f"{path}: its network '{name}' is shipped with this project. Leave `networks` out."
            )
        return
    if networks is not None and _digest_of_networks(networks) != own["digest"]:
        raise DataError(
            f"{path}: {networks} differs from the file {own['file']} that defined the network "
            f"'{name}' in the training, so it was not run. Name an unchanged copy of {own['file']} "
            "with `networks`."
        )
    if networks is not None and not _is_known(name, own["digest"]):
        load_user_file(networks)
    if not _is_known(name, own["digest"]):
        raise DataError(
            f"{path}: its network '{name}' is your own, and a model file contains no code. Name "
            f"an unchanged copy of {own['file']}, which defines it, with `networks`."
        )


def _is_known(name: str, digest: str) -> bool:
    try:
        return find_network(name).digest == digest
    except UsageError:
        return False


def _digest_of_networks(networks: Path) -> str:
    try:
        return digest_of(networks)
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise UsageError(f"`networks` {networks}: cannot be read ({reason}).") from None


def _digest(metadata: Mapping[str, str], weights: Mapping[str, Tensor]) -> str:
    """Return the digest of a file's content without the digest itself."""
    stated = {name: text for name, text in metadata.items() if name != "digest"}
    return content_digest(json.dumps(stated, sort_keys=True), weights)
