"""The cores and the memory that this process may use, within its control groups.

A scheduler limits a job to some cores by their affinity (SLURM's `--cpus-per-task`). A container
limits its share of CPU time and memory by a control group (Docker's `--cpus` and `--memory`).
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")


def usable_cores() -> int:
    """Return the number of cores that this process may use, rounded up."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min([cores, *(max(1, math.ceil(share)) for share in _cpu_shares())])


def free_memory() -> int | None:
    """Return the bytes that new processes may take without swapping; None where it is unknown."""
    found = [*_memory_of_groups()]
    if (available := _entry(PROC / "meminfo", "MemAvailable:")) is not None:
        found.append(1024 * available)
    return max(0, min(found)) if found else None


def _cpu_shares() -> Iterator[float]:
    """Yield the CPU time, in cores, that each control group of this process grants."""
    for group in _groups("cpu"):
        words = _read(group / "cpu.max").split() or [  # version 2, else version 1
            _read(group / "cpu.cfs_quota_us"),
            _read(group / "cpu.cfs_period_us"),
        ]
        if len(words) == 2 and all(word.isdecimal() and int(word) for word in words):
            yield int(words[0]) / int(words[1])  # "max" or -1 means no quota


def _memory_of_groups() -> Iterator[int]:
    """Yield the free bytes of each control group of this process that has a limit."""
    for group in _groups("memory"):
        limit = _read(group / "memory.max") or _read(group / "memory.limit_in_bytes")
        used = _read(group / "memory.current") or _read(group / "memory.usage_in_bytes")
        if limit.isdecimal() and used.isdecimal():
            files = _entry(group / "memory.stat", "total_inactive_file")  # version 1, with children
            if files is None:
                files = _entry(group / "memory.stat", "inactive_file") or 0
            yield int(limit) - int(used) + files  # cached files can be dropped


def _groups(controller: str) -> Iterator[Path]:
    """Yield the folders of this process's control group and its parents, where visible."""
    for line in _read(PROC / "self" / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root = CGROUPS / (controller if controllers else "")
        inner = root / path.lstrip("/")
        yield root
        if ".." not in inner.parts:
            yield from (folder for folder in (inner, *inner.parents) if root in folder.parents)


def _entry(path: Path, name: str) -> int | None:
    """Return the number that follows a name in a file of such lines."""
    for line in _read(path).splitlines():
        words = line.split()
        if words[:1] == [name]:
            return int(words[1])
    return None


def _read(path: Path) -> str:
    """Return a file's text, stripped; "" if it cannot be read."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
