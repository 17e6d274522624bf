"""The loops that the yardstick times, each in a process of its own."""

import resource
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, multiprocessing, nn
from torch.func import functional_call, stack_module_state, vmap

from ecg import sources
from ecg.budget import find_budget
from ecg.dropout import Dropout
from ecg.splits import make_split
from ecg.training import TrainConfig, TrainingData, find_device, training_data
from ecg.training.order import epoch_order
from ecg.training.precision import computing_in
from ecg.training.run import Run
from ecg.training.step import EVALUATION_BATCH, batch_sizes, evaluate, train_epoch
from tests.benchmarks.plain import BATCH, PlainLoop

PLAIN, OURS = "plain", "ours"
PROCESSES, THREADS, FUSED = "processes", "threads", "fused"
WAYS = (PROCESSES, THREADS, FUSED)
Change = Callable[[Run], object]


@dataclass(frozen=True)
class Setting:
    """What is trained where; plain values, so that it can cross processes."""

    data: str
    split: str
    budget: str
    device: str
    precision: str

    def load(self) -> TrainingData:
        """Put the beats on the device."""
        beats = sources.load(self.data)
        split = make_split(self.split, beats)
        return training_data(beats, split, find_budget(self.budget), find_device(self.device))


class Loop(Protocol):
    """What is timed."""

    def epoch(self) -> None:
        """Train and validate one epoch, of every trial where there are several."""

    def validate(self) -> None:
        """Measure the validation part."""


class OurLoop:
    """The shared trainer, with one thing changed where a change is given."""

    def __init__(
        self, config: TrainConfig, data: TrainingData, precision: str, change: Change | None = None
    ) -> None:
        self.run, self.precision = Run(config, data), precision
        if change is not None:
            change(self.run)

    def epoch(self) -> None:
        with computing_in(self.precision, self.run.data.device):
            self.run.next_epoch()

    def validate(self) -> None:
        with computing_in(self.precision, self.run.data.device):
            evaluate(self.run.model, self.run.data.validation, self.run._loss_weights)


class ThreadedLoops:
    """Trials in threads of one process: one copy of the data, on CUDA a stream for each.

    Only good for timing: on CUDA the threads share one random generator.
    """

    def __init__(
        self, configs: list[TrainConfig], data: TrainingData, precision: str, threads: int
    ) -> None:
        self._threads, self._pool = threads, ThreadPoolExecutor(len(configs))
        self._loops = [OurLoop(config, data, precision) for config in configs]
        self._streams = [_own_stream(data.device) for _ in configs]
        for loop, stream in zip(self._loops, self._streams, strict=True):
            self._epoch(loop, stream)  # one after another: a CUDA graph is recorded undisturbed

    def epoch(self) -> None:
        list(self._pool.map(self._epoch, self._loops, self._streams))

    def validate(self) -> None:
        for loop in self._loops:
            loop.validate()

    def _epoch(self, loop: OurLoop, stream: AbstractContextManager[object]) -> None:
        torch.set_num_threads(self._threads)  # of this thread
        with stream:
            loop.epoch()


class FusedLoop:
    """Trials of one architecture fused into one model: stacked weights under `torch.func.vmap`.

    Convolutions become grouped ones, and each member has its own weights, statistics, draws and
    class weights. Members share the learning rate, and none stops: enough for timing.
    """

    def __init__(self, configs: list[TrainConfig], data: TrainingData, precision: str) -> None:
        self.configs, self.data, self.precision = configs, data, precision
        models = [_with_torch_dropout(Run(config, data).model) for config in configs]
        self._model, self.epochs = models[0], 0
        self.parameters, self.buffers = stack_module_state(models)  # type: ignore[arg-type]
        self._optimizer = torch.optim.AdamW(
            list(self.parameters.values()),
            configs[0].learning_rate,
            weight_decay=configs[0].weight_decay,
            fused=True,
        )
        self._class_weights = torch.stack([Run(c, data)._loss_weights for c in configs])

    def epoch(self) -> None:
        self.epochs += 1
        train = self.data.train
        orders = torch.stack(
            [epoch_order(train.labels, None, config.seed, self.epochs) for config in self.configs]
        )
        sizes = batch_sizes(len(train), BATCH)
        self._model.train()
        with computing_in(self.precision, self.data.device):
            for rows in torch.split(orders[:, : sum(sizes)], sizes, dim=1):  # (members, batch)
                self._optimizer.zero_grad(set_to_none=True)
                self.losses(train.signals[rows], train.labels[rows]).sum().backward()
                self._optimizer.step()
        self.validate()

    @torch.inference_mode()
    def validate(self) -> None:
        self._model.eval()
        device, part = self.data.device, self.data.validation
        with computing_in(self.precision, device):
            size = EVALUATION_BATCH[device.type]
            batches = zip(
                torch.split(part.signals, size), torch.split(part.labels, size), strict=True
            )
            members = len(self.configs)
            total = torch.zeros(members, device=device)
            for signals, labels in batches:
                total += self.losses(
                    signals.expand(members, *signals.shape), labels.expand(members, *labels.shape)
                )
            total.tolist()

    def losses(self, signals: Tensor, labels: Tensor) -> Tensor:
        """(members, batch, 1, 187), (members, batch) -> (members,) losses."""
        loss = vmap(self._loss, randomness="different")
        return loss(self.parameters, self.buffers, signals, labels, self._class_weights)

    def _loss(
        self,
        parameters: Mapping[str, Tensor],
        buffers: Mapping[str, Tensor],
        signals: Tensor,
        labels: Tensor,
        class_weights: Tensor,
    ) -> Tensor:
        logits = functional_call(self._model, (parameters, buffers), (signals,))
        return nn.functional.cross_entropy(logits, labels, class_weights)


def contiguous(run: Run) -> None:
    """Keep the channels first in memory, as PyTorch does by default."""
    run.model.to(memory_format=torch.contiguous_format)


def compiled(run: Run) -> None:
    """Let TorchInductor write the kernels."""
    import torch._dynamo  # takes seconds

    torch._dynamo.config.recompile_limit = 64  # blocks of all shapes share one method
    run.model.compile()


def torch_dropout(run: Run) -> None:
    """Draw dropout as PyTorch does."""
    _with_torch_dropout(run.model)


def without_graphs(run: Run) -> None:
    """Launch every kernel from Python."""
    run._train_epoch = partial(
        train_epoch, run.model, run.optimizer, run.data.train, run._loss_weights, BATCH
    )


def chosen_by_trial(_: Run) -> None:
    """Let cuDNN try its convolutions before it chooses."""
    torch.backends.cudnn.benchmark = True


VARIANTS: dict[str, dict[str, Change]] = {
    "cpu": {
        "ours, channels first": contiguous,
        "ours, PyTorch's dropout": torch_dropout,
        "ours, torch.compile": compiled,
    },
    "cuda": {
        "ours, without graphs": without_graphs,
        "ours, channels first": contiguous,
        "ours, cudnn.benchmark": chosen_by_trial,
        "ours, torch.compile": compiled,
    },
}


class Remote:
    """A loop in a process of its own, so that none profits from what another one set up.

    Args:
        title: of the loop: `PLAIN`, `OURS`, one of `VARIANTS`, `THREADS` or `FUSED`.
        model: what to train.
        setting: where, and on what.
        threads: on a CPU, of each trial; of all together where they are fused.
        trials: at once, in `THREADS` and `FUSED`.
    """

    def __init__(
        self, title: str, model: str, setting: Setting, threads: int, trials: int = 1
    ) -> None:
        """Start the process; `ready` waits until the loop can be timed."""
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        arguments = (other, title, model, setting, threads, trials)
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
        self._process.start()
        other.close()

    def ready(self) -> str | None:
        """Wait for the end of the first epoch, which is not counted; return why it failed."""
        try:
            failure: str | None = self._pipe.recv()
        except EOFError:
            failure = "its process died"
        if failure is not None:
            self._process.join()
        return failure

    def begin(self, what: str) -> None:
        """Let it do an "epoch" (validation included), or a "validate" alone."""
        self._pipe.send(what)

    def seconds(self) -> float:
        """Wait for what was begun, and return how long it took."""
        return float(self._pipe.recv())

    def time(self, what: str) -> float:
        """Do it and return how long it took."""
        self.begin(what)
        return self.seconds()

    def end(self) -> int:
        """End the process and return its peak memory in bytes, see `_peak_memory`."""
        self._pipe.send("end")
        peak = int(self._pipe.recv())
        self._process.join()
        return peak


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """Do some work and return how long it took."""
    began = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def make_loop(
    title: str, model: str, setting: Setting, data: TrainingData, threads: int, trials: int
) -> Loop:
    """Return the loop of that title, see `Remote`."""
    config = TrainConfig(model=model)
    configs = [config.replace(seed=seed) for seed in range(trials)]
    if title == PLAIN:
        return PlainLoop(config, data.train, data.validation, setting.device)
    if title == THREADS:
        return ThreadedLoops(configs, data, setting.precision, threads)
    if title == FUSED:
        return FusedLoop(configs, data, setting.precision)
    changes = {OURS: None, **VARIANTS[data.device.type]}
    return OurLoop(config, data, setting.precision, changes[title])


def _serve(pipe: Any, title: str, model: str, setting: Setting, threads: int, trials: int) -> None:
    torch.set_num_threads(threads)
    data = setting.load()
    try:
        loop = make_loop(title, model, setting, data, threads, trials)
        loop.epoch()
    except Exception as error:  # such as a full GPU, or no compiler on this machine
        first, *_ = str(error).splitlines() or [""]
        pipe.send(f"{type(error).__name__}: {first}"[:200])
        return
    pipe.send(None)
    while (what := pipe.recv()) != "end":
        pipe.send(seconds_of(getattr(loop, what), data.device))
    pipe.send(_peak_memory(data.device))


def _peak_memory(device: torch.device) -> int:
    """Return the most bytes so far: of the whole process on a CPU, of the tensors on CUDA."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _own_stream(device: torch.device) -> AbstractContextManager[object]:
    return torch.cuda.stream(torch.cuda.Stream(device)) if device.type == "cuda" else nullcontext()


def _with_torch_dropout(model: nn.Module) -> nn.Module:
    for module in model.modules():
        if isinstance(module, Dropout):
            module.__class__ = nn.Dropout
    return model
