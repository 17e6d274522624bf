"""The report of the yardstick as markdown."""

import statistics
from collections.abc import Iterable
from typing import Any

from ecg.networks import TITLES
from tests.benchmarks.plain import BATCH

MIB = 2**20


def render(report: dict[str, Any]) -> str:
    """Return the report as markdown."""
    setting, beats = report["setting"], report["beats"]
    peak = report["matmul_flops_a_second"]
    known = report["versions"]
    lines = [
        "# Speed of the shared trainer",
        "",
        f"`{report['command']}`, {report['date']}",
        "",
        f"- {report['device']}{', under MPS' if setting['mps'] else ''}, precision "
        f"{setting['precision']}; Python {known['python']}, "
        f"PyTorch {known['torch']}, commit {known['commit']}",
        f"- budget `{setting['budget']}`: {beats['train']:,} training and "
        f"{beats['validation']:,} validation beats, batch {BATCH}, AdamW; data {report['source']}",
        f"- a large matrix product of the same precision: {peak / 1e9:,.0f} GFLOP/s; convolutions "
        "come from another library, which may be faster: then a share is above 100%",
        f"- median [least, most] of {report['repeats']} repeats, loops in turns; the ratio is the "
        "plain loop's seconds an epoch, validation included, over the loop's own",
        "",
    ]
    for measured in report["models"]:
        lines += _render_model(measured, peak)
    if report["jobs"]:
        lines += _render_jobs(report["jobs"])
    return "\n".join(lines)


def _render_model(measured: dict[str, Any], peak: float) -> list[str]:
    gigaflops = measured["flops_a_step"] / 1e9
    lines = [
        f"## {TITLES[measured['model']]} ({gigaflops:.2f} GFLOP a step)",
        "",
        "| loop | ms a step | s an epoch | beats/s | GFLOP/s | of product | peak memory | ratio |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for title, row in measured["loops"].items():
        cells = (
            title,
            f"{row['ms_a_step']:.3g}",
            f"{statistics.median(row['seconds_an_epoch']):.3g}",
            f"{row['training_beats_a_second']:,.0f}",
            f"{row['flops_a_second'] / 1e9:,.0f}",
            f"{row['flops_a_second'] / peak:.0%}",
            f"{row['peak_memory_bytes'] / MIB:,.0f} MiB",
            _spread(row["ratio"]),
        )
        lines.append(f"| {' | '.join(cells)} |")
    for title, reason in measured["failed"].items():
        lines.append(f"| {title} | failed: {reason} |")
    return [*lines, ""]


def _render_jobs(rows: Iterable[dict[str, Any]]) -> list[str]:
    lines = [
        "## Trials at once",
        "",
        "Trials an hour, so many at once, over those of one plain loop that has the machine to "
        "itself: as processes (what `--jobs N` does), as threads of one process (on CUDA with a "
        "stream each), and fused into one model (stacked weights under `torch.func.vmap`).",
        "",
        "| network | trials at once | way | CPU threads of each | ratio |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        title = TITLES[row["model"]]
        if "failed" in row:
            lines.append(f"| {title} | {row['jobs']} | {row['way']} | failed: {row['failed']} |")
            continue
        cells = (title, str(row["jobs"]), row["way"], str(row["threads_a_job"]))
        lines.append(f"| {' | '.join(cells)} | {_spread(row['ratio'])} |")
    return [*lines, ""]


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} [{min(values):.2f}, {max(values):.2f}]"
