"""The loops that the yardstick times."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

import torch
from torch import nn

from benchmarks import peers
from benchmarks.plain import BATCH, train_plainly
from benchmarks.turns import Remote, Turns
from ecg import sources
from ecg.budget import find_budget
from ecg.splits import make_split
from ecg.training import Part, TrainConfig, TrainingData, find_device, training_data
from ecg.training.order import epoch_order
from ecg.training.precision import computing_in
from ecg.training.run import Run
from ecg.training.step import EVALUATION_BATCH, batch_sizes, evaluate, train_step

OURS, OURS_PLAIN, PLAIN = "ours", "ours-plain", "plain"
EVALUATING = (OURS, OURS_PLAIN, PLAIN)  # the loops that can evaluate
EVALUATED = 512  # validation beats
Train = Callable[[TrainConfig, TrainingData, str, Turns], None]


@dataclass(frozen=True)
class Setting:
    """What is trained where; plain values, so that it can cross processes."""

    data: str
    device: str
    network: str
    precision: str

    @property
    def config(self) -> TrainConfig:
        """The published baseline of the network."""
        return TrainConfig(model=self.network, batch_size=BATCH)

    def load(self) -> TrainingData:
        """Put the training beats and some validation beats on the device."""
        beats = sources.load(self.data)
        split, budget = make_split("inter-patient", beats), find_budget("paper")
        data = training_data(beats, split, budget, find_device(self.device))
        signals, labels = data.validation.signals[:EVALUATED], data.validation.labels[:EVALUATED]
        return TrainingData(data.train, Part(signals, labels))


def train_ours(config: TrainConfig, data: TrainingData, precision: str, turns: Turns) -> None:
    """Train with the shared trainer's own steps."""
    run = Run(config, data)
    with computing_in(precision, data.device):
        train_epoch = run._make_train_epoch()
        turns.evaluate = lambda: evaluate(run.model, data.validation)
        for epoch in count(1):
            order = epoch_order(data.train.labels, None, config.seed, epoch)
            for rows in order.split(turns.steps * BATCH):
                total, weight = train_epoch(rows)
                turns.step(total / weight, len(batch_sizes(len(rows), BATCH)))


def train_ours_plainly(
    config: TrainConfig, data: TrainingData, precision: str, turns: Turns
) -> None:
    """Train as `train_ours`, with the layers as `ecg.models` builds them and no CUDA graph."""
    run, part = Run(config, data), data.train
    weights = run._loss_weights

    @torch.inference_mode()
    def evaluate() -> None:
        run.model.eval()
        size, validation = EVALUATION_BATCH[data.device.type], data.validation
        batches = zip(validation.signals.split(size), validation.labels.split(size), strict=True)
        losses = [nn.functional.cross_entropy(run.model(x), y, weights) for x, y in batches]
        torch.stack(losses).tolist()
        run.model.train()

    turns.evaluate = evaluate
    with computing_in(precision, data.device):
        run.model.train()
        for epoch in count(1):
            order = epoch_order(part.labels, None, config.seed, epoch)
            for rows in order.split(batch_sizes(len(order), BATCH)):
                total, weight = train_step(run.model, run.optimizer, part, rows, weights)
                turns.step(total / weight)


@dataclass(frozen=True)
class Loop:
    """A training that can be timed.

    Attributes:
        title: what people read.
        train: the loop.
        precisions: precisions that it can train in.
    """

    title: str
    train: Train
    precisions: tuple[str, ...]


LOOPS = {
    OURS: Loop("ours", train_ours, ("fp32", "tf32", "bf16")),
    OURS_PLAIN: Loop("ours, plain layers", train_ours_plainly, ("bf16",)),
    PLAIN: Loop("plain loop", train_plainly, ("fp32", "tf32", "bf16")),
    "lightning": Loop("Lightning", peers.train_in_lightning, ("fp32", "tf32", "bf16")),
    "skorch": Loop("skorch", peers.train_in_skorch, ("fp32", "tf32")),
    "keras": Loop("Keras (TensorFlow)", peers.train_in_keras, ("fp32", "bf16")),
}
PEERS = tuple(name for name in LOOPS if name != OURS)


def start(loop: str, setting: Setting, *, steps: int, threads: int = 1) -> Remote:
    """Start one of the `LOOPS`, in turns of `steps` steps."""
    device = torch.device(setting.device)
    return Remote(_train, (loop, setting), steps=steps, device=device, threads=threads)


def _train(loop: str, setting: Setting, turns: Turns) -> None:
    data, precision = setting.load(), setting.precision
    # TF32 is a setting of the process; each loop turns bf16 on itself, as its users do.
    with computing_in("tf32" if precision == "tf32" else "fp32", data.device):
        LOOPS[loop].train(setting.config, data, precision, turns)
