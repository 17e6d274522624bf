import platform
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY

FAULTS = """
import resource, sys, torch
from ecg.training.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
torch.set_num_threads(1)
def step():  # as one does: much is made, then all of it is given back
    tensors = [torch.ones(12 << 20) for _ in range(2)]  # 48 MiB each: never kept by default
for _ in range(20):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, how], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc's malloc")
def test_the_memory_of_a_step_is_reused() -> None:
    # 20 steps touch 96 MiB each. Pages returned and cleared again cause faults: 48 for the huge
    # pages of a step, or 24,576 for the small ones.
    assert faults("keep") < 100
    assert faults("default") > 500  # else the setting would be of no use
