"""How fast the shared trainer is, beside the loop that people write.

    python -m tests.benchmarks.training

Both train the same network on the same beats, in turns, in one run, each in a process of its own;
ratios are of neighbouring measurements, with median and range. Writes `training-cpu` or
`training-cuda` (.json and .md).
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ecg import models, sources
from ecg.training import TrainConfig, TrainingData, find_device, find_precision
from ecg.training.precision import computing_in
from ecg.training.run import Run
from ecg.training.step import batch_sizes
from study.environment import describe_device, versions
from study.files import write_text
from tests.benchmarks.loops import (
    FUSED,
    OURS,
    PLAIN,
    PROCESSES,
    THREADS,
    VARIANTS,
    WAYS,
    Remote,
    Setting,
    seconds_of,
)
from tests.benchmarks.plain import BATCH
from tests.benchmarks.training_report import render


def measure_model(
    name: str, setting: Setting, data: TrainingData, repeats: int, *, variants: bool
) -> dict[str, Any]:
    """Time one network in all loops, in turns."""
    titles = [PLAIN, OURS, *(VARIANTS[data.device.type] if variants else ())]
    loops = {title: Remote(title, name, setting, torch.get_num_threads()) for title in titles}
    failed = _wait_for({title: [loop] for title, loop in loops.items()})
    loops = {title: loop for title, loop in loops.items() if title not in failed}
    times: dict[str, list[tuple[float, float]]] = {title: [] for title in loops}
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
    return {"model": name, "flops_a_step": flops, "loops": rows, "failed": failed}


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
        return 2 * size**3 / statistics.median(seconds_of(product, device) for _ in range(7))


def measure_jobs(
    model: str, jobs: int, ways: Sequence[str], setting: Setting, repeats: int
) -> list[dict[str, Any]]:
    """Time epochs of `jobs` trials at once, in some of the `WAYS`, against the plain loop alone."""
    threads = torch.get_num_threads()
    share = max(1, threads // jobs)
    plain = Remote(PLAIN, model, setting, threads)
    loops = {
        PROCESSES: lambda: [Remote(OURS, model, setting, share) for _ in range(jobs)],
        THREADS: lambda: [Remote(THREADS, model, setting, share, jobs)],
        FUSED: lambda: [Remote(FUSED, model, setting, threads, jobs)],
    }
    ours = {way: loops[way]() for way in ways}
    failed = _wait_for({PLAIN: [plain], **ours})
    alone: list[float] = []
    together: dict[str, list[float]] = {way: [] for way in ways if way not in failed}
    for _ in range(repeats):
        alone.append(plain.time("epoch"))
        for way, times in together.items():
            began = time.perf_counter()
            for loop in ours[way]:
                loop.begin("epoch")
            for loop in ours[way]:
                loop.seconds()
            times.append(time.perf_counter() - began)
    for loop in chain([plain], *(ours[way] for way in together)):
        loop.end()
    return [
        {
            "model": model,
            "jobs": jobs,
            "way": way,
            "threads_a_job": threads if way == FUSED else share,
            "plain_seconds_an_epoch": alone,
            "seconds_of_an_epoch_of_all_jobs": together[way],
            "ratio": [jobs * one / all_ for one, all_ in zip(alone, together[way], strict=True)],
        }
        for way in together
    ] + [
        {"model": model, "jobs": jobs, "way": way, "failed": reason}
        for way, reason in failed.items()
    ]


def _wait_for(loops: Mapping[str, Sequence[Remote]]) -> dict[str, str]:
    """Wait until all loops are ready; return why some are not, and end what goes with them.

    Raises:
        RuntimeError: the plain loop failed.
    """
    failed = {}
    for title, group in loops.items():
        reasons = [loop.ready() for loop in group]
        if found := [reason for reason in reasons if reason]:
            failed[title] = found[0]
            for loop, reason in zip(group, reasons, strict=True):
                if reason is None:
                    loop.end()
    if PLAIN in failed:
        raise RuntimeError(f"the plain loop failed: {failed[PLAIN]}")
    return failed


def main(words: list[str] | None = None) -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, prog="python -m tests.benchmarks.training"
    )
    parser.add_argument("--data", default="auto")
    parser.add_argument("--split", default="intra-patient")
    parser.add_argument("--budget", help="default: paper on CUDA, else smoke")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--models", nargs="+", default=models.MODELS, choices=models.MODELS)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--jobs", type=int, nargs="*", help="default: 2 on a CPU, 1 to 16 on CUDA")
    parser.add_argument("--ways", nargs="+", default=WAYS, choices=WAYS, help="of many trials")
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
            "mps": on_cuda and "CUDA_MPS_PIPE_DIRECTORY" in os.environ,
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
            report["jobs"] += measure_jobs(model, number, options.ways, setting, options.repeats)
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
