"""Fixtures of the trainer's tests."""

from collections.abc import Iterator

import pytest
import torch

from ecg.training import TrainingData
from tests.support.toy import toy_data


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Use one thread: the runs are small, and their sums must not depend on the machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", autouse=True)
def _float32() -> Iterator[None]:
    """Let "auto" be float32 on any CPU, because the tests assume its rounding."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ecg.training.precision.is_bf16_fast", lambda: False)
        yield


@pytest.fixture(scope="session")
def data() -> TrainingData:
    return toy_data(360, validation=120)
