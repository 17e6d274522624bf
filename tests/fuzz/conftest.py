"""A soak test logs how many cases of each target were run, and with which seed."""

from typing import Any

import pytest

from tests.fuzz.fuzzing import SEED, cases
from tests.soak import SOAK, record


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    number = cases[report.nodeid]
    if report.when == "call" and report.passed and number:
        name = report.nodeid.rsplit("::", 1)[1].removeprefix("test_").replace("_", " ")
        record("input", name, number, note=f"{report.duration:.0f} s, seed {SEED}")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if SOAK:  # a failed target is not logged, and must be run again with its seed
        terminalreporter.write_line(f"fuzzing: ECG_SOAK_SEED={SEED}")
