"""What this process may use of the machine: cores and memory, control groups heeded.

A scheduler or a container gives a job some of the cores by its affinity (SLURM's
`--cpus-per-task`), or a share of their time and of the memory by a control group (Docker's
`--cpus` and `--memory`).
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")


def usable_cores() -> int:
    """Return the cores that this process may use, at least 1; a part of one counts as one."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min([cores, *(max(1, math.ceil(share)) for share in _cpu_shares())])


def free_memory() -> int | None:
    """Return the bytes that new processes may take without swapping; None where nobody says."""
    found = [*_memory_of_groups()]
    if (available := _entry(PROC / "meminfo", "MemAvailable:")) is not None:
        found.append(1024 * available)
    return max(0, min(found)) if found else None


def _cpu_shares() -> Iterator[float]:
    """The cores' worth of time that each control group of this process grants."""
    for group in _groups("cpu"):
        words = _read(group / "cpu.max").split() or [  # version 2, else version 1
            _read(group / "cpu.cfs_quota_us"),
            _read(group / "cpu.cfs_period_us"),
        ]
        if len(words) == 2 and all(word.isdecimal() and int(word) for word in words):
            yield int(words[0]) / int(words[1])  # no quota is "max", or -1


def _memory_of_groups() -> Iterator[int]:
    """The free bytes of each control group of this process that has a limit."""
    for group in _groups("memory"):
        limit = _read(group / "memory.max") or _read(group / "memory.limit_in_bytes")
        used = _read(group / "memory.current") or _read(group / "memory.usage_in_bytes")
        if limit.isdecimal() and used.isdecimal():
            files = _entry(group / "memory.stat", "total_inactive_file")  # version 1, with children
            if files is None:
                files = _entry(group / "memory.stat", "inactive_file") or 0
            yield int(limit) - int(used) + files  # cached files make room


def _groups(controller: str) -> Iterator[Path]:
    """The folders of this process's control group and of those around it, as far as seen here."""
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
    """Return the number behind a name in a file of such lines."""
    for line in _read(path).splitlines():
        words = line.split()
        if words[:1] == [name]:
            return int(words[1])
    return None


def _read(path: Path) -> str:
    """Return a file's text without the space around it; nothing where it cannot be read."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
