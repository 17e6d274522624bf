"""Acting for a moment as a user who owns nothing; only root can do this."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

NOBODY = 65534


@contextmanager
def as_nobody() -> Iterator[None]:
    """Give up all rights in this block, or skip the test."""
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("only root can become another user")
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
