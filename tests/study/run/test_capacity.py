"""Rules of how many workers start, and of the cores and memory found on a machine."""

from pathlib import Path

import pytest
import torch

from ecg.errors import EcgError
from study.run import capacity, resources
from study.run.capacity import GIB, count_jobs

CPU, CUDA = torch.device("cpu"), torch.device("cuda:0")


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sixteen cores and 80 GiB of free memory, here and on a GPU; a test may change both."""
    found = [80 * GIB, 16]
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (found[0], 80 * GIB))
    monkeypatch.setattr(capacity, "free_memory", lambda: found[0])
    monkeypatch.setattr(capacity, "usable_cores", lambda: found[1])
    return found


def count(
    typed: int | None, device: torch.device = CPU, *, threads: int = 1, trials: int = 100,
    replay: bool = False,
) -> tuple[int, str]:  # fmt: skip
    """Return how many jobs start, and what is printed about it."""
    said: list[str] = []
    jobs = count_jobs(
        typed, threads=threads, trials=trials, device=device, replay=replay, say=said.append
    )
    return jobs, "\n".join(said)


def test_auto_is_one_process_per_core(free: list[int]) -> None:
    # Rule: one process per core, divided by the threads of each, at least one; no more than trials
    # are left or fit into memory; nothing is printed, because no number was typed.
    assert count(None) == (16, "")
    assert count(None, threads=3) == (5, "")
    assert count(None, threads=64) == (1, "")
    assert count(None, trials=7) == (7, "")
    free[0] = 4 * capacity.CPU_BYTES + 1
    assert count(None) == (4, "")
    free[0] = 0
    assert count(None) == (1, "")


def test_auto_is_one_on_a_gpu_and_in_a_replay(free: list[int]) -> None:
    assert count(None, CUDA) == (1, "")
    assert count(None, replay=True) == (1, "")


@pytest.mark.parametrize("device", [CPU, CUDA])
def test_what_was_typed_is_started(free: list[int], device: torch.device) -> None:
    # Rule: a number that fits is used, however many cores there are.
    assert count(32, device) == (32, "")
    assert count(32, device, replay=device == CPU) == (32, "")


def test_fewer_than_typed_are_started_with_a_reason(free: list[int]) -> None:
    assert count(8, trials=3) == (3, "--jobs 8: starting 3, because only 3 trials are left")
    assert count(8, trials=1) == (1, "--jobs 8: starting 1, because only one trial is left")
    free[0] = 7 * GIB
    jobs, said = count(8, CUDA)
    assert jobs == 3
    assert said == (
        "--jobs 8: starting 3, because 7.0 of 80.0 GiB are free on cuda:0 and a worker may need 2 "
        "GiB"
    )
    free[0] = 3 * capacity.CPU_BYTES
    jobs, said = count(8)
    assert jobs == 3
    assert "GiB of memory are free and a worker may need" in said


def test_a_full_gpu_is_refused_with_what_to_do(free: list[int]) -> None:
    free[0] = GIB
    with pytest.raises(EcgError, match=r"1\.0 of 80\.0 GiB are free .* use --device cpu"):
        count(2, CUDA)


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of 8 cores and 8 GiB whose /proc and control groups a test writes."""
    monkeypatch.setattr(resources, "PROC", tmp_path / "proc")
    monkeypatch.setattr(resources, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(resources.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    write(tmp_path / "proc/meminfo", f"MemTotal: 1 kB\nMemAvailable:   {8 * 2**20} kB\n")
    return tmp_path


def write(path: Path, text: str) -> None:
    """Write a file and its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def found() -> tuple[int, float | None]:
    """Return the cores and the free GiB."""
    free = resources.free_memory()
    return resources.usable_cores(), None if free is None else free / GIB


def test_a_machine_without_control_groups_is_its_cores_and_free_memory(system: Path) -> None:
    assert found() == (8, 8)
    (system / "proc/meminfo").unlink()
    assert found() == (8, None)


def test_control_groups_of_version_2_limit_it_with_their_parents(system: Path) -> None:
    # Rule: the tightest limit of a group and its parents counts; a part of a core is one; cached
    # files can be dropped; "max" means no limit.
    write(system / "proc/self/cgroup", "0::/job/step\n")
    groups = system / "cgroup"
    write(groups / "job/step/cpu.max", "max 100000\n")
    write(groups / "job/step/memory.max", "max\n")
    write(groups / "job/step/memory.current", f"{GIB}\n")
    assert found() == (8, 8)
    write(groups / "job/cpu.max", "250000 100000\n")
    write(groups / "job/memory.max", f"{4 * GIB}\n")
    write(groups / "job/memory.current", f"{3 * GIB}\n")
    write(groups / "job/memory.stat", f"anon 1\ninactive_file {GIB}\n")
    assert found() == (3, 2)
    write(groups / "job/step/cpu.max", "10000 100000\n")
    write(groups / "job/step/memory.max", f"{GIB // 2}\n")
    assert found() == (1, 0)


def test_control_groups_of_version_1_limit_it(system: Path) -> None:
    # Rule: the same of version 1; in a container its own group is the root that it sees.
    write(system / "proc/self/cgroup", "4:memory:/docker/1\n3:cpu,cpuacct:/docker/1\n0::/\n")
    groups = system / "cgroup"
    write(groups / "cpu/cpu.cfs_quota_us", "-1\n")
    write(groups / "cpu/cpu.cfs_period_us", "100000\n")
    write(groups / "memory/memory.limit_in_bytes", f"{2**63 - 4096}\n")
    write(groups / "memory/memory.usage_in_bytes", f"{GIB}\n")
    assert found() == (8, 8)
    write(groups / "cpu/cpu.cfs_quota_us", "200000\n")
    write(groups / "memory/memory.limit_in_bytes", f"{6 * GIB}\n")
    write(groups / "memory/memory.stat", f"inactive_file 7\ntotal_inactive_file {GIB // 2}\n")
    assert found() == (2, 5.5)
    write(system / "proc/self/cgroup", "0::/../../elsewhere\n")
    assert found() == (8, 8)
