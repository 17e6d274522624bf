"""What a figure depends on besides its configuration: versions, commit, device, host."""

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from study.wording import counted

PACKAGES = ("torch", "optuna", "numpy", "wfdb", "ecg-study")


@cache
def versions() -> dict[str, str]:
    """Return the versions of Python, of the packages that matter, and the commit."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    found["commit"] = _commit()
    return found


def describe_device(device: str) -> str:
    """Return the name of a device as a person knows it, such as "cpu: AMD EPYC, 1 thread"."""
    import torch

    if device.startswith("cuda"):
        return f"cuda: {torch.cuda.get_device_name(torch.device(device))}"
    return f"cpu: {_processor()}, {counted(torch.get_num_threads(), 'thread')}"


def worker_name() -> str:
    """Return host and process number: who runs a trial."""
    return f"{_host()}:{os.getpid()}"


def is_dead(worker: str) -> bool:
    """Whether a worker of this host is certainly gone (a reused number counts as alive)."""
    host, _, pid = worker.rpartition(":")
    if host != _host() or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return False


@cache
def _host() -> str:
    """Return a name of this machine since it was started: hosts may share a plain name."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
    except OSError:
        boot = ""
    return f"{platform.node()}/{boot}"


@cache
def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _commit() -> str:
    """Return the commit of this checkout, marked where files differ from it."""
    folder = Path(__file__).resolve().parent
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            cwd=folder, capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()
