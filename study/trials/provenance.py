"""What a figure depends on besides its configuration: versions, commit, device, host."""

import os
import platform
import subprocess
import uuid
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
    """Return machine, PID namespace and process number: who runs a trial."""
    return f"{_host()}:{os.getpid()}"


def is_dead(worker: object) -> bool:
    """Whether a worker is certainly gone: of this machine and namespace, where it runs no more.

    A number that another process has by now counts as alive, and so does whoever cannot be seen
    from here, such as a worker in another container: its heartbeats tell.
    """
    host, _, pid = str(worker).rpartition(":")
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
    """Return a name of this machine since it was started, and of the PID namespace in it.

    Machines may share a plain name, and containers a machine: a process number means something
    in its own namespace only. Where neither can be told, the name is this process's alone.
    """
    if platform.system() == "Linux":
        try:
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
            namespace = Path("/proc/self/ns/pid").stat().st_ino
        except OSError:
            return f"{platform.node()}/{uuid.uuid4().hex}"
        return f"{platform.node()}/{boot}/{namespace}"
    return f"{platform.node()}/{uuid.getnode():x}"


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
