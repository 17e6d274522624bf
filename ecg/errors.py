"""Errors written for the person at the terminal.

Every message says what is wrong, where (file, record, row), and what to do next. The
command lines print the message alone and exit with `exit_code`.
"""


class EcgError(Exception):
    """Base of all errors this project raises on purpose; something failed while running."""

    exit_code = 1


class UsageError(EcgError):
    """What was typed or configured cannot be done: an unknown name, a missing path, a bad value."""

    exit_code = 2


class DataError(EcgError):
    """A data file is missing, damaged or not what it claims to be."""
