"""`python -m study` with trials that take seconds: `python -m tests.support.slow_worker WORDS`.

For replays, whose trials take no time otherwise, while a test changes the machine.
"""

import os
import time
from typing import Any

import optuna

from study import cli
from study.run import worker

SECONDS = float(os.environ.get("TRIAL_SECONDS", "2"))


def main() -> None:
    """Run the command; this process must be its only worker."""
    run_trial = worker.run_trial

    def slow(trial: optuna.Trial, bench: Any) -> float | None:
        time.sleep(SECONDS)
        return run_trial(trial, bench)

    worker.run_trial = slow
    cli.main()


if __name__ == "__main__":
    main()
