"""How fast the shared trainer is, beside the loop that people write.

    python -m tests.benchmarks.training

Both train the same network on the same beats, in turns, in one run, each in a process of its own;
ratios are of neighbouring measurements, with median and range. Writes `training-cpu` or
`training-cuda` (.json and .md).
"""

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch._dynamo
from torch import multiprocessing, nn
from torch.utils.flop_counter import FlopCounterMode

from ecg import models, sources
from ecg.budget import find_budget
from ecg.dropout import Dropout
from ecg.splits import make_split
from ecg.training import TrainConfig, TrainingData, find_device, find_precision, training_data
from ecg.training.precision import computing_in
from ecg.training.run import Run
from ecg.training.step import batch_sizes, evaluate, train_epoch
from study.environment import describe_device, versions
from study.files import write_text
from tests.benchmarks.plain import BATCH, PlainLoop
from tests.benchmarks.training_report import render

PLAIN, OURS = "plain", "ours"
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


class OurLoop:
    """The shared trainer, with one thing changed where a change is given."""

    def __init__(
        self, config: TrainConfig, data: TrainingData, precision: str, change: Change | None = None
    ) -> None:
        self.run, self.precision = Run(config, data), precision
        if change is not None:
            change(self.run)

    def epoch(self) -> None:
        """Train and validate one epoch."""
        with computing_in(self.precision, self.run.data.device):
            self.run.next_epoch()

    def validate(self) -> None:
        """Measure the validation part."""
        with computing_in(self.precision, self.run.data.device):
            evaluate(self.run.model, self.run.data.validation, self.run._loss_weights)


def contiguous(run: Run) -> None:
    """Keep the channels first in memory, as PyTorch does by default."""
    run.model.to(memory_format=torch.contiguous_format)


def compiled(run: Run) -> None:
    """Let TorchInductor write the kernels."""
    torch._dynamo.config.recompile_limit = 64  # blocks of all shapes share one method
    run.model.compile()


def torch_dropout(run: Run) -> None:
    """Draw dropout as PyTorch does."""
    for module in run.model.modules():
        if isinstance(module, Dropout):
            module.__class__ = nn.Dropout


def without_graphs(run: Run) -> None:
    """Launch every kernel from Python."""
    run._train_epoch = partial(
        train_epoch, run.model, run.optimizer, run.data.train, run._loss_weights, BATCH
    )


VARIANTS: dict[str, dict[str, Change]] = {
    "cpu": {
        "ours, channels first": contiguous,
        "ours, PyTorch's dropout": torch_dropout,
        "ours, torch.compile": compiled,
    },
    "cuda": {
        "ours, without graphs": without_graphs,
        "ours, channels first": contiguous,
        "ours, torch.compile": compiled,
    },
}


class Remote:
    """A loop in a process of its own, so that none profits from what another one set up."""

    def __init__(self, title: str, model: str, setting: Setting, threads: int) -> None:
        """Start the process; `ready` waits until the loop can be timed."""
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        arguments = (other, title, model, setting, threads)
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
        self._process.start()
        other.close()

    def ready(self) -> None:
        """Wait for the end of the first epoch, which is not counted."""
        self._pipe.recv()

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


def _serve(pipe: Any, title: str, model: str, setting: Setting, threads: int) -> None:
    torch.set_num_threads(threads)
    data, config = setting.load(), TrainConfig(model=model)
    if title == PLAIN:
        loop: Any = PlainLoop(config, data.train, data.validation, setting.device)
    else:
        changes = {OURS: None, **VARIANTS[data.device.type]}
        loop = OurLoop(config, data, setting.precision, changes[title])
    loop.epoch()
    pipe.send(None)
    while (what := pipe.recv()) != "end":
        pipe.send(_seconds(getattr(loop, what), data.device))
    pipe.send(_peak_memory(data.device))


def _peak_memory(device: torch.device) -> int:
    """Return the most bytes so far: of the whole process on a CPU, of the tensors on CUDA."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure_model(
    name: str, setting: Setting, data: TrainingData, repeats: int, *, variants: bool
) -> dict[str, Any]:
    """Time one network in all loops, in turns."""
    titles = [PLAIN, OURS, *(VARIANTS[data.device.type] if variants else ())]
    loops = {title: Remote(title, name, setting, torch.get_num_threads()) for title in titles}
    for loop in loops.values():
        loop.ready()
    times: dict[str, list[tuple[float, float]]] = {title: [] for title in titles}
    for _ in range(repeats):
        for title, loop in loops.items():
            times[title].append((loop.time("epoch"), loop.time("validate")))
    steps = len(batch_sizes(len(data.train), BATCH))
    flops = count_flops(TrainConfig(model=name), data)
    rows = {}
    for title, pairs in times.items():
        epochs = [epoch for epoch, _ in pairs]
        step = statistics.median((epoch - validation) / steps for epoch, validation in pairs)
        rows[title] = {
            "ms_a_step": 1e3 * step,
            "seconds_an_epoch": epochs,
            "training_beats_a_second": BATCH / step,
            "flops_a_second": flops / step,
            "peak_memory_bytes": loops[title].end(),
            "ratio": [one / epoch for (one, _), epoch in zip(times[PLAIN], epochs, strict=True)],
        }
    return {"model": name, "flops_a_step": flops, "loops": rows}


def count_flops(config: TrainConfig, data: TrainingData) -> int:
    """Count the floating-point operations of products in one step, forward and backward."""
    run = Run(config, data)
    run.model.train()
    rows = torch.arange(min(BATCH, len(data.train)), device=data.device)
    with FlopCounterMode(display=False) as counter:
        logits = run.model(data.train.signals[rows])
        nn.functional.cross_entropy(logits, data.train.labels[rows]).backward()
    return counter.get_total_flops()


def measure_matmul(device: torch.device, precision: str) -> float:
    """Return the FLOP/s of a large matrix product, the median of 7."""
    size = 8192 if device.type == "cuda" else 2048
    a, b = (torch.randn(size, size, device=device) for _ in range(2))
    with computing_in(precision, device):
        product = partial(torch.mm, a, b)
        product()
        return 2 * size**3 / statistics.median(_seconds(product, device) for _ in range(7))


def measure_jobs(model: str, jobs: int, setting: Setting, repeats: int) -> dict[str, Any]:
    """Time epochs of `jobs` trials at once, a process each, against the plain loop alone."""
    threads = max(1, torch.get_num_threads() // jobs)
    plain = Remote(PLAIN, model, setting, torch.get_num_threads())
    ours = [Remote(OURS, model, setting, threads) for _ in range(jobs)]
    for loop in (plain, *ours):
        loop.ready()
    alone, together = [], []
    for _ in range(repeats):
        alone.append(plain.time("epoch"))
        began = time.perf_counter()
        for loop in ours:
            loop.begin("epoch")
        for loop in ours:
            loop.seconds()
        together.append(time.perf_counter() - began)
    for loop in (plain, *ours):
        loop.end()
    return {
        "model": model,
        "jobs": jobs,
        "threads_a_job": threads,
        "plain_seconds_an_epoch": alone,
        "seconds_of_an_epoch_of_all_jobs": together,
        "ratio": [jobs * one / all_ for one, all_ in zip(alone, together, strict=True)],
    }


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    began = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def main(words: list[str] | None = None) -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, prog="python -m tests.benchmarks.training"
    )
    parser.add_argument("--data", default="auto")
    parser.add_argument("--split", default="paper")
    parser.add_argument("--budget", help="default: paper on CUDA, else smoke")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--models", nargs="+", default=models.MODELS, choices=models.MODELS)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--jobs", type=int, nargs="*", help="default: 2 on a CPU, 1 to 16 on CUDA")
    parser.add_argument("--no-variants", action="store_true")
    parser.add_argument("--name", help="of the files, default: training-DEVICE")
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks"))
    options = parser.parse_args(words)

    device = find_device(options.device)
    on_cuda = device.type == "cuda"
    setting = Setting(
        data=str(sources.resolve(options.data).location),
        split=options.split,
        budget=options.budget or ("paper" if on_cuda else "smoke"),
        device=str(device),
        precision=find_precision(options.precision, device),
    )
    data = setting.load()
    jobs = options.jobs if options.jobs is not None else [1, 2, 4, 8, 16] if on_cuda else [2]
    typed = " ".join(words) if words is not None else None
    report: dict[str, Any] = {
        "command": _command(typed),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "device": describe_device(str(device)),
        "versions": versions(),
        "source": sources.load(setting.data).source,
        "setting": {
            "split": setting.split,
            "budget": setting.budget,
            "precision": setting.precision,
        },
        "beats": {"train": len(data.train), "validation": len(data.validation)},
        "repeats": options.repeats,
        "matmul_flops_a_second": measure_matmul(device, setting.precision),
        "models": [],
        "jobs": [],
    }
    for model in options.models:
        report["models"].append(
            measure_model(model, setting, data, options.repeats, variants=not options.no_variants)
        )
        for number in jobs:
            report["jobs"].append(measure_jobs(model, number, setting, options.repeats))
        name = options.name or f"training-{device.type}"
        write_text(options.out / f"{name}.json", json.dumps(report, indent=1) + "\n")
        write_text(options.out / f"{name}.md", render(report))
    print(render(report))


def _command(typed: str | None) -> str:
    import sys

    words = " ".join(sys.argv[1:]) if typed is None else typed
    return f"python -m tests.benchmarks.training {words}".strip()


if __name__ == "__main__":
    main()
