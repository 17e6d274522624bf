import pytest
import torch
from rich.console import Console

from ecg.errors import EcgError
from study.capacity import GIB, fitting_jobs

CPU, CUDA = torch.device("cpu"), torch.device("cuda:0")


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A GPU of 80 GiB; the first number is what is free of it."""
    memory = [80 * GIB]
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (memory[0], 80 * GIB))
    return memory


def test_a_cpu_takes_as_many_workers_as_asked_for() -> None:
    assert fitting_jobs(64, CPU, Console()) == 64


def test_workers_that_fit_on_a_gpu_are_all_started(
    free: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert fitting_jobs(8, CUDA, Console()) == 8
    assert capsys.readouterr().out == ""


def test_too_many_workers_for_a_gpu_are_as_many_as_fit_and_it_is_said(
    free: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    free[0] = 7 * GIB
    assert fitting_jobs(8, CUDA, Console(width=200)) == 3
    assert "7.0 of 80.0 GiB are free on cuda:0: 3 workers" in capsys.readouterr().out


def test_a_full_gpu_is_refused_with_what_to_do(free: list[int]) -> None:
    free[0] = GIB
    with pytest.raises(EcgError, match=r"1\.0 of 80\.0 GiB are free .* use --device cpu"):
        fitting_jobs(2, CUDA, Console())
