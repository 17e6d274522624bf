"""Errors with messages for the user.

Every message says what is wrong, where (file, record, row), and what to do next. The
command lines print only the message and exit with `exit_code`.
"""

from collections.abc import Iterable


class EcgError(Exception):
    """Base of all errors that this project raises on purpose: something failed at run time."""

    exit_code = 1


class UsageError(EcgError):
    """The input is invalid: an unknown name, a missing path, a value out of range."""

    exit_code = 2


class DataError(EcgError):
    """A data file is missing, damaged, or of another kind than expected."""


class OutputError(EcgError):
    """A result cannot be written to the requested place."""


def use_one_of(known: Iterable[str]) -> str:
    """Return the last sentence of a message about an unknown name: "Use one of: cpu, cuda."."""
    return f"Use one of: {', '.join(known)}."
