"""The training step as a CUDA graph, recorded once and replayed for every batch.

A step of these networks is about a hundred small kernels. If Python launches them one by one, the
GPU waits for Python; a replay launches them all at once. The recorded step is `step.train_step`,
the same as on a CPU.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ecg.training.config import TrainConfig
from ecg.training.data import Part
from ecg.training.ema import WeightAverage
from ecg.training.step import PUBLISHED, batch_sizes, train_step

WARM_UP_STEPS = 3  # before a recording, so that libraries choose algorithms and allocate memory


class GraphedSteps:
    """Trains epochs like `step.train_epoch`, by replays. Nothing else may train in between.

    A graph reads and writes fixed addresses in memory, so the order of the epoch, the position in
    it, the learning rate and the sums are tensors that are never reallocated. Full batches have
    one graph and the smaller last batch has another. On a CPU, which has no graphs, the steps
    are called directly, so tests can compare them with `train_epoch` bit by bit.

    Args:
        model: network on the device of the part; left in training mode.
        optimizer: optimizer of the model, "capturable" if PyTorch has that option for it.
        part: the training part.
        class_weights: (5,) float32 weights in the cross-entropy.
        batch_size: beats per step.
        options: as for `step.train_step`.
        average: as for `step.train_step`.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        part: Part,
        class_weights: Tensor,
        batch_size: int,
        options: TrainConfig = PUBLISHED,
        average: WeightAverage | None = None,
    ) -> None:
        """Record the steps, then restore weights and optimizer."""
        self._model, self._optimizer = model, optimizer
        self._part, self._class_weights = part, class_weights
        self._options, self._average = options, average
        device = part.labels.device
        self._order = torch.zeros_like(part.labels)
        self._position = torch.zeros(1, dtype=torch.int64, device=device)
        self._learning_rate = torch.zeros((), device=device)
        self._totals = torch.zeros(2, dtype=torch.float64, device=device)
        self._sizes = batch_sizes(len(part), batch_size)
        model.train()
        with _undone(model, optimizer, average):
            self._replays = {size: self._record(size) for size in set(self._sizes)}

    def train_epoch(self, order: Tensor) -> Tensor:
        """Train one epoch.

        Args:
            order: (n,) int64 rows to train on, in order.

        Returns:
            (2,) float64 on the device: sum of the weighted losses, sum of the weights.
        """
        self._model.train()
        self._order.copy_(order)
        self._position.zero_()
        self._totals.zero_()
        self._learning_rate.fill_(self._optimizer.param_groups[0]["lr"])
        for size in self._sizes:
            self._replays[size]()
        return self._totals.clone()

    def _step(self, size: int) -> None:
        rows = self._order[self._position + torch.arange(size, device=self._order.device)]
        with self._device_learning_rate():
            self._totals += train_step(
                *(self._model, self._optimizer, self._part, rows, self._class_weights),
                *(self._options, self._average),
            )
        self._position += size

    def _record(self, size: int) -> Callable[[], None]:
        device = self._order.device
        if device.type != "cuda":
            return lambda: self._step(size)
        with torch.cuda.device(device):
            side_stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            side_stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side_stream):
                for _ in range(WARM_UP_STEPS):
                    self._position.zero_()
                    self._step(size)
            torch.cuda.current_stream().wait_stream(side_stream)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                self._step(size)
        return graph.replay

    @contextmanager
    def _device_learning_rate(self) -> Iterator[None]:
        """Let the optimizer read the learning rate on the device, then restore the host's."""
        group = self._optimizer.param_groups[0]
        on_host, group["lr"] = group["lr"], self._learning_rate
        try:
            yield
        finally:
            group["lr"] = on_host


@contextmanager
def _undone(
    model: nn.Module, optimizer: torch.optim.Optimizer, average: WeightAverage | None
) -> Iterator[None]:
    """Restore weights, average and optimizer after the steps, at the same addresses in memory."""
    kept = [*model.state_dict().values(), *(average.sums.values() if average else ())]

    def tensors() -> list[Tensor]:
        states = [value for state in optimizer.state.values() for value in state.values()]
        return [*kept, *(s for s in states if isinstance(s, Tensor))]

    before = [tensor.clone() for tensor in tensors()]
    yield
    after = tensors()
    for tensor, value in zip(after, before, strict=False):
        tensor.copy_(value)
    for tensor in after[len(before) :]:  # an optimizer's state starts at zero
        tensor.zero_()
