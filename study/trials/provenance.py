"""What a score depends on besides its configuration: versions, commit, device, host."""

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
    """Return the commit, and the versions of Python and of the packages that matter."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    found["commit"] = _commit()
    return found


def describe_device(device: str) -> str:
    """Return the name of a device for people, such as "cpu: AMD EPYC, 1 thread"."""
    import torch

    if device.startswith("cuda"):
        return f"cuda: {torch.cuda.get_device_name(torch.device(device))}"
    return f"cpu: {_processor()}, {counted(torch.get_num_threads(), 'thread')}"


def worker_name() -> str:
    """Return the name of this worker: machine, PID namespace and process ID."""
    return f"{_host()}:{os.getpid()}"


def is_dead(worker: object) -> bool:
    """Whether a worker of this machine and PID namespace no longer runs.

    A worker whose process ID is in use again counts as alive. So does one that cannot be seen from
    here, such as in another container; it is judged by its heartbeats.
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
    """Return a name for this boot of this machine and for the PID namespace.

    Machines may share a host name, and containers a machine, and a process ID has a meaning only
    in its namespace. Where the namespace is unknown, the name is unique to this process.
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
    """Return the commit of this checkout, marked as dirty if files other than results differ."""

    def git(*words: str, codes: tuple[int, ...] = (0,)) -> subprocess.CompletedProcess[str]:
        folder = Path(__file__).resolve().parent
        done = subprocess.run(
            ["git", *words],
            cwd=folder, capture_output=True, text=True, timeout=10, check=False
        )  # fmt: skip
        if done.returncode not in codes:
            raise OSError(done.stderr)
        return done

    try:
        commit = git("rev-parse", "--short=12", "HEAD").stdout.strip()
        changed = git("diff", "--quiet", "HEAD", "--", ":/", ":(top,exclude)results", codes=(0, 1))
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return commit + "-dirty" * changed.returncode
