"""The command line: `python -m study`, or `ecg-study`."""

import sys

from ecg.console import run_command
from study.commands.base import app

# Importing them registers their commands, in the order of the help.
from study.commands import running  # noqa: F401  # isort: skip
from study.commands import looking  # noqa: F401  # isort: skip
from study.commands import files  # noqa: F401  # isort: skip


def main() -> None:
    """Run `python -m study`, or `ecg-study`."""
    run_command(_run_app, debug="--debug" in sys.argv)


def _run_app() -> None:
    """Run the command; report a database that fails meanwhile like any other error.

    Raises:
        StorageError: the database failed.
    """
    try:
        app(standalone_mode=True)
    except Exception as error:
        from study.storage.database import StorageError, reason_of
        from study.storage.outage import STORAGE_ERRORS

        if not isinstance(error, STORAGE_ERRORS):
            raise
        raise StorageError(
            f"The database failed ({reason_of(error)}). Nothing stored is lost. Fix the problem, "
            "then run the same command again."
        ) from error
