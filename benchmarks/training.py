"""How fast the shared trainer is, compared with loops that people write or take from a library.

    python -m benchmarks.training

All train the same network on the same beats, each in its own process with one CPU thread. They
take turns, so no two run at once, and a ratio compares neighboring turns. Writes `training-cpu` or
`training-cuda` (.json and .md).
"""

import argparse
import json
import os
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.loops import EVALUATED, EVALUATING, LOOPS, OURS, PEERS, PLAIN, Setting, start
from benchmarks.plain import BATCH
from benchmarks.training_report import render
from benchmarks.turns import Remote, Timed
from ecg import models, sources
from ecg.files import write_text
from ecg.training import TrainConfig, find_device, find_precision
from ecg.training.run import build_model
from study.run.resources import usable_cores
from study.trials.provenance import describe_device, versions

NETWORKS = ("simple", "four-layer", "residual", "coupled")  # the published ones
PRECISIONS = {"cpu": ("fp32", "bf16"), "cuda": ("fp32", "tf32", "bf16")}
TURN_FLOPS = {"cpu": 60e9, "cuda": 10e12}  # about half a second of one core, or of a GPU
FEATURES = ("avx2", "avx512_f", "avx512_bf16", "amx_bf16")
LIBRARIES = ("pytorch-lightning", "skorch", "keras", "tensorflow", "tensorflow-cpu")


def measure_network(
    network: str, setting: dict[str, str], precisions: list[str], peers: list[str], repeats: int
) -> dict[str, Any]:
    """Time one network in all loops and precisions, in turns."""
    flops = count_flops(network)
    steps = steps_per_turn(flops, setting["device"])
    pairs = [
        (loop, precision)
        for precision in precisions
        for loop in (OURS, *peers)
        if precision in LOOPS[loop].precisions
    ]
    remotes = {
        (loop, precision): start(
            loop, Setting(network=network, precision=precision, **setting), steps=steps
        )
        for loop, precision in pairs
    }
    failed = {pair: reason for pair, remote in remotes.items() if (reason := remote.ready())}
    turns: dict[tuple[str, str], list[Timed]] = {p: [] for p in pairs if p not in failed}
    evaluations: dict[tuple[str, str], list[Timed]] = {pair: [] for pair in turns}
    for _ in range(repeats):
        for pair, timed in turns.items():
            timed.append(remotes[pair].time("train"))
            if pair[0] in EVALUATING:
                evaluations[pair].append(remotes[pair].time("evaluate"))
    for remote in remotes.values():
        remote.stop()
    return {
        "network": network,
        "parameters": models.count_parameters(build_model(TrainConfig(model=network))),
        "flops_a_step": flops,
        "steps_a_turn": steps,
        "loops": [
            {
                "loop": loop,
                "precision": precision,
                "process_ms": [1e3 * turn.process / turn.steps for turn in timed],
                "wall_ms": [1e3 * turn.wall / turn.steps for turn in timed],
                "evaluation_process_ms": _ms_per_batch(evaluations[loop, precision], "process"),
                "evaluation_wall_ms": _ms_per_batch(evaluations[loop, precision], "wall"),
            }
            for (loop, precision), timed in turns.items()
        ],
        "left_out": [
            {"loop": loop, "precision": precision, "reason": reason}
            for (loop, precision), reason in failed.items()
        ],
    }


def measure_jobs(
    network: str, setting: dict[str, str], precision: str, jobs: int, repeats: int
) -> dict[str, Any]:
    """Time ours alone and in several processes at once, and the plain loop with all cores."""
    steps, cores = steps_per_turn(count_flops(network), setting["device"]), usable_cores()
    where = Setting(network=network, precision=precision, **setting)
    plain = start(PLAIN, where, steps=steps, threads=cores)
    ours = [start(OURS, where, steps=steps) for _ in range(jobs)]
    reasons = [reason for remote in (plain, *ours) if (reason := remote.ready())]
    times: dict[str, list[float]] = {"plain": [], "alone": [], "together": []}
    for _ in range(0 if reasons else repeats):
        times["plain"].append(_wall_ms_per_step([plain]))
        times["alone"].append(_wall_ms_per_step(ours[:1]))
        times["together"].append(_wall_ms_per_step(ours))
    for remote in (plain, *ours):
        remote.stop()
    about = {"network": network, "precision": precision, "jobs": jobs, "plain_threads": cores}
    return {**about, "failed": reasons[0]} if reasons else {**about, "wall_ms_a_step": times}


def count_flops(network: str) -> int:
    """Count the floating-point operations of products in one step, forward and backward."""
    model = build_model(TrainConfig(model=network)).train()
    with FlopCounterMode(display=False) as counter:
        logits = model(torch.randn(BATCH, 1, 187))
        nn.functional.cross_entropy(logits, torch.zeros(BATCH, dtype=torch.int64)).backward()
    return counter.get_total_flops()


def steps_per_turn(flops: int, device: str) -> int:
    """Return how many steps make a turn of about the same length for every network."""
    return max(1, round(TURN_FLOPS[torch.device(device).type] / flops))


def describe_features() -> dict[str, bool]:
    """Return whether PyTorch found each of the CPU features that matter here."""
    found = torch.cpu.get_capabilities()
    return {name: bool(found.get(name, False)) for name in FEATURES}


def main(words: list[str] | None = None) -> None:
    """Measure and write the report."""
    words = sys.argv[1:] if words is None else words
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.training")
    parser.add_argument("--data", default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precisions", nargs="+", help="default: all that the device has")
    parser.add_argument("--networks", nargs="+", default=NETWORKS, choices=NETWORKS)
    parser.add_argument("--peers", nargs="*", default=PEERS, choices=PEERS)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--jobs", type=int, nargs="*", help="default: the cores; nothing on CUDA")
    parser.add_argument("--name", help="of the files, default: training-DEVICE")
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks"))
    options = parser.parse_args(words)

    device = find_device(options.device)
    torch.set_num_threads(1)
    precisions = options.precisions or PRECISIONS[device.type]
    precisions = [find_precision(name, device) for name in precisions]
    default = find_precision("auto", device)
    setting = {"data": str(sources.resolve(options.data).location), "device": str(device)}
    jobs = [usable_cores()] if device.type == "cpu" else []
    jobs = jobs if options.jobs is None else options.jobs
    source = Setting(network="simple", precision=default, **setting).load()
    report: dict[str, Any] = {
        "command": " ".join(["python -m benchmarks.training", *words]),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "device": describe_device(str(device)),
        "time": "process" if device.type == "cpu" else "wall",
        "cores": usable_cores(),
        "cpu_features": describe_features(),
        "mps": device.type == "cuda" and "CUDA_MPS_PIPE_DIRECTORY" in os.environ,
        "versions": versions() | _library_versions(),
        "source": sources.load(setting["data"]).source,
        "beats": {"train": len(source.train), "evaluated": EVALUATED},
        "default_precision": default,
        "repeats": options.repeats,
        "networks": [],
        "jobs": [],
    }
    name = options.name or f"training-{device.type}"
    for network in options.networks:
        report["networks"].append(
            measure_network(network, setting, precisions, options.peers, options.repeats)
        )
        for number in jobs:
            report["jobs"].append(measure_jobs(network, setting, default, number, options.repeats))
        write_text(options.out / f"{name}.json", json.dumps(report, indent=1) + "\n")
        write_text(options.out / f"{name}.md", render(report))
    print(render(report))


def _ms_per_batch(evaluations: list[Timed], kind: str) -> list[float]:
    """Return milliseconds for as many evaluated beats as a training step has."""
    return [1e3 * getattr(timed, kind) * BATCH / EVALUATED for timed in evaluations]


def _wall_ms_per_step(remotes: list[Remote]) -> float:
    """Let some loops train for a turn at once; return milliseconds for a step of each."""
    began = time.perf_counter()
    for remote in remotes:
        remote.begin("train")
    steps = [remote.end().steps for remote in remotes]
    return 1e3 * (time.perf_counter() - began) * len(steps) / sum(steps)


def _library_versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    main()
