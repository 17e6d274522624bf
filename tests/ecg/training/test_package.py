"""The package's names, which are imported on first use."""

import subprocess
import sys

import pytest

import ecg.training
from tests.conftest import REPOSITORY


def test_every_name_is_there() -> None:
    for name in ecg.training.__all__:
        assert getattr(ecg.training, name).__module__.startswith("ecg.training.")
    with pytest.raises(AttributeError, match="no attribute 'no_such'"):
        ecg.training.no_such  # type: ignore[attr-defined]  # noqa: B018


def test_a_configuration_needs_no_pytorch() -> None:
    code = "import sys; from ecg.training import TrainConfig; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True)
