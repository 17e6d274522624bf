"""The shared trainer: trains epoch by epoch until the validation loss stops falling.

Early stopping, the scheduler and the choice of weights use the unweighted validation loss, whatever
the class weights. In the published code, nearly every batch holds one class, so the weights cancel
there. It also makes the losses of all trials comparable.
"""

import time
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from ecg.training.adjustment import find_shifts
from ecg.training.checkpoint import Checkpoint
from ecg.training.config import TrainConfig
from ecg.training.data import Part, TrainingData, inputs
from ecg.training.precision import computing_in, find_precision
from ecg.training.result import Confusion, Epoch, TrainResult
from ecg.training.run import Run, as_confusion, build_model
from ecg.training.step import evaluate, predict_logits

OnEpoch = Callable[[Epoch], bool | None]


def train(
    config: TrainConfig,
    data: TrainingData,
    on_epoch: OnEpoch | None = None,
    checkpoint: Checkpoint | None = None,
    precision: str = "auto",
) -> TrainResult:
    """Train one network by the published protocol.

    The same configuration on the same CPU and number of threads gives a bit-identical result,
    even if resumed. The host waits for the device once per epoch.

    Args:
        config: configuration of the run.
        data: training and validation parts, on the device.
        on_epoch: called after every epoch; if it returns True, the run stops as "pruned". A
            resumed run first calls it for the restored epochs and ignores the result.
        checkpoint: where to save and resume the run; None for nowhere.
        precision: as for `find_precision`.

    Returns:
        All epochs, and the weights of the epoch with the lowest validation loss.

    Raises:
        DivergedError: a loss is NaN or infinite.
        UsageError: the precision is unknown, or the device does not support it.

    Example:
        >>> from ecg import TrainConfig, find_budget, find_device, load, make_split
        >>> from ecg import train, training_data
        >>> beats = load("synthetic")
        >>> split = make_split("inter-patient", beats)
        >>> data = training_data(beats, split, find_budget("smoke"), find_device("cpu"))
        >>> result = train(TrainConfig(width_multiplier=0.1, max_epochs=2), data)
        >>> len(result.epochs), result.stop_reason
        (2, 'max-epochs')
    """
    began = time.perf_counter()
    device = data.device
    precision = find_precision(precision, device)
    with torch.random.fork_rng(_cuda_indices(device)), computing_in(precision, device):
        run, before = checkpoint.resume(config, data) if checkpoint else (Run(config, data), 0.0)
        for epoch in run.epochs:
            if on_epoch is not None:
                on_epoch(epoch)
        stop_reason = run.stop_reason
        while stop_reason is None:
            epoch = run.next_epoch()
            pruned = on_epoch is not None and on_epoch(epoch)
            stop_reason = "pruned" if pruned else run.stop_reason
            if checkpoint and stop_reason is None:
                checkpoint.save_if_due(run, before + time.perf_counter() - began)
    return TrainResult(
        config=config,
        epochs=tuple(run.epochs),
        best_epoch=run.stopping.best_epoch,
        stop_reason=stop_reason,
        seconds=before + time.perf_counter() - began,
        weights=run.best_weights,
    )


def measure(
    config: TrainConfig, weights: Mapping[str, Tensor], part: Part, precision: str = "auto"
) -> Confusion:
    """Return the (5, 5) confusion matrix of trained weights on a part."""
    device = part.labels.device
    model = restore(config, weights, device)
    with computing_in(find_precision(precision, device), device):
        return as_confusion(evaluate(model, inputs(config, part))[1])


def trade_off(
    config: TrainConfig,
    weights: Mapping[str, Tensor],
    data: TrainingData,
    taus: Sequence[float],
    precision: str = "auto",
) -> list[Confusion]:
    """Return the validation confusion matrix of trained weights for each logit adjustment.

    So one training gives a curve of recall against precision. An adjustment that the weights
    already contain is added.

    Args:
        config: configuration of the training.
        weights: state of the trained network.
        data: training part, for the shares of the classes, and validation part.
        taus: as in `ecg.training.adjustment`; 0 changes nothing.
        precision: as for `find_precision`.

    Example:
        >>> from ecg import TrainConfig, find_budget, find_device, load, make_split
        >>> from ecg import train, training_data
        >>> from ecg.training import trade_off
        >>> beats = load("synthetic")
        >>> split = make_split("inter-patient", beats)
        >>> data = training_data(beats, split, find_budget("smoke"), find_device("cpu"))
        >>> result = train(TrainConfig(width_multiplier=0.1, max_epochs=2), data)
        >>> plain, rare = trade_off(result.config, result.weights, data, (0.0, 0.5))
        >>> plain == result.confusion
        True
    """
    model = restore(config, weights, data.device)
    shifts = find_shifts(data.train.labels, taus)
    with computing_in(find_precision(precision, data.device), data.device):
        _, counts = evaluate(model, inputs(config, data.validation), shifts)
    return [as_confusion(one) for one in counts]


def predict(
    config: TrainConfig, weights: Mapping[str, Tensor], part: Part, precision: str = "auto"
) -> Tensor:
    """Return the logits of trained weights for the beats of a part, (n, 5) on the CPU."""
    device = part.labels.device
    model = restore(config, weights, device)
    with computing_in(find_precision(precision, device), device):
        return predict_logits(model, inputs(config, part).signals).cpu()


def restore(config: TrainConfig, weights: Mapping[str, Tensor], device: torch.device) -> nn.Module:
    """Return the configured network with trained weights.

    Raises:
        RuntimeError: the weights belong to another network.
    """
    with torch.random.fork_rng(_cuda_indices(device)):
        model = build_model(config).to(device)
    model.load_state_dict(weights)
    return model


def _cuda_indices(device: torch.device) -> list[int]:
    return [device.index or 0] if device.type == "cuda" else []
