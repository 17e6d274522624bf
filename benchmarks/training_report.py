"""The report of `benchmarks.training` as Markdown."""

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.loops import LOOPS, OURS
from benchmarks.plain import BATCH
from ecg.networks import TITLES

KINDS = {"process": "CPU time (of all threads of a process)", "wall": "time on the clock"}


def render(report: dict[str, Any]) -> str:
    """Return the report as Markdown."""
    known, beats = report["versions"], report["beats"]
    libraries = [
        f"{name} {known[name]}"
        for name in known
        if name in ("torch", "pytorch-lightning", "skorch", "keras") or "tensorflow" in name
    ]
    features = report["cpu_features"]
    lines = [
        "# Speed of the shared trainer",
        "",
        f"`{report['command']}`, {report['date']}",
        "",
        f"- {report['device']} per training{', under MPS' if report['mps'] else ''}; "
        f"{report['cores']} cores; has {_listed(k for k, v in features.items() if v)}; lacks "
        f"{_listed(k for k, v in features.items() if not v)}; its default precision is "
        f"{report['default_precision']}",
        f"- Python {known['python']}, {', '.join(libraries)}; commit {known['commit']}",
        f"- batch {BATCH}, AdamW, the same network for all, {beats['train']:,} training beats; "
        f"data {report['source']}; no loop validates, logs or saves while its steps are timed",
        f"- each loop in its own process, one at a time, in turns; medians [least, most] of "
        f"{report['repeats']} turns after a first one that is not counted; ratios compare "
        f"{KINDS[report['time']]} in neighboring turns; above 1, ours is faster",
        "",
        *_render_summary(report),
    ]
    for measured in report["networks"]:
        lines += _render_network(measured, report["time"])
    if report["jobs"]:
        lines += _render_jobs(report["jobs"])
    return "\n".join(lines)


def ratios(theirs: Sequence[float], ours: Sequence[float]) -> list[float]:
    """Return how many times faster ours is in each turn."""
    return [their / our for their, our in zip(theirs, ours, strict=True)]


def _render_summary(report: dict[str, Any]) -> list[str]:
    """One row per peer and precision, one column per network; both sides in the same precision."""
    networks = report["networks"]
    times = {
        (row["precision"], row["loop"], measured["network"]): row[f"{report['time']}_ms"]
        for measured in networks
        for row in measured["loops"]
    }
    rows = dict.fromkeys((precision, loop) for precision, loop, _ in times if loop != OURS)
    lines = [
        "## Ours over each peer, in the same precision",
        "",
        _row(["peer", "precision", *(TITLES[one["network"]] for one in networks)]),
        _row(["---"] * (2 + len(networks))),
    ]
    for precision, loop in rows:
        cells = []
        for measured in networks:
            theirs = times.get((precision, loop, measured["network"]))
            ours = times.get((precision, OURS, measured["network"]))
            cells.append(_spread(ratios(theirs, ours)) if theirs and ours else "-")
        lines.append(_row([LOOPS[loop].title, precision, *cells]))
    return [*lines, ""]


def _render_network(measured: dict[str, Any], time: str) -> list[str]:
    ours = {row["precision"]: row[f"{time}_ms"] for row in measured["loops"] if row["loop"] == OURS}
    lines = [
        f"## {TITLES[measured['network']]}",
        "",
        f"{measured['parameters']:,} parameters, {measured['flops_a_step'] / 1e9:.2f} GFLOP in the "
        f'matrix products of a step; steps per turn: {measured["steps_a_turn"]}. "Evaluation" is '
        f"of {BATCH} beats, as many as a step trains.",
        "",
        _row(
            ["loop", "precision", "CPU ms per step", "clock ms per step"]
            + [f"ours in {precision} over it" for precision in ours]
            + ["CPU ms per evaluation", "evaluation / step"]
        ),
        _row(["---"] * (6 + len(ours))),
    ]
    for row in measured["loops"]:
        evaluations, steps = row[f"evaluation_{time}_ms"], row[f"{time}_ms"]
        shares = [e / s for e, s in zip(evaluations, steps, strict=False)]
        cells = [
            LOOPS[row["loop"]].title,
            row["precision"],
            _spread(row["process_ms"], 1),
            _spread(row["wall_ms"], 1),
            *(_spread(ratios(steps, one)) for one in ours.values()),
            _spread(row["evaluation_process_ms"], 1) if evaluations else "-",
            f"{statistics.median(shares):.0%}" if evaluations else "-",
        ]
        lines.append(_row(cells))
    if measured["left_out"]:
        lines += ["", "Left out:", ""]
        lines += [
            f"- {LOOPS[row['loop']].title}, {row['precision']}: {row['reason']}"
            for row in measured["left_out"]
        ]
    return [*lines, ""]


def _render_jobs(rows: Iterable[dict[str, Any]]) -> list[str]:
    lines = [
        "## Trials at once",
        "",
        "Trials per hour of several processes with one thread each (what `--jobs N` starts), by "
        "the clock, over one such process alone, and over one plain loop with a thread per core.",
        "",
        _row(["network", "precision", "jobs", "over one process", "over the plain loop"]),
        _row(["---"] * 5),
    ]
    for row in rows:
        cells = [TITLES[row["network"]], row["precision"], str(row["jobs"])]
        if "failed" in row:
            lines.append(_row([*cells, f"failed: {row['failed']}", "-"]))
            continue
        times, jobs = row["wall_ms_a_step"], row["jobs"]
        for alone in (times["alone"], times["plain"]):
            cells.append(_spread([jobs * one for one in ratios(alone, times["together"])]))
        lines.append(_row(cells))
    return [*lines, ""]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "nothing"


def _spread(values: Sequence[float], digits: int = 2) -> str:
    least, most = min(values), max(values)
    return f"{statistics.median(values):.{digits}f} [{least:.{digits}f}, {most:.{digits}f}]"
