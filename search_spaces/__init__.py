"""The search spaces, one file each, found by name or by file."""

import pkgutil
from importlib import import_module
from pathlib import Path

from ecg.errors import UsageError, use_one_of
from ecg.files import expanded
from ecg.networks import load_user_file, network
from search_spaces.parameters import Choice, Params, Real, Whole
from search_spaces.space import Space

__all__ = ["Choice", "Params", "Real", "Space", "Whole", "all_spaces", "find_space", "network"]


def __dir__() -> list[str]:
    """Return only the public names, without the imports of this module."""
    return sorted(__all__)


def all_spaces() -> dict[str, Space]:
    """Return every space of this package by name: the `SPACE` of each module that has one."""
    spaces = {}
    for module in pkgutil.iter_modules(__path__):
        space = getattr(import_module(f"{__name__}.{module.name}"), "SPACE", None)
        if isinstance(space, Space):
            spaces[space.name] = space
    return spaces


def find_space(name: str) -> Space:
    """Return the space of that name, or the one in a user's file (`path/to/file.py`).

    Raises:
        UsageError: no space has this name, or the file defines no valid space; the message says
            what is wrong.

    Example:
        >>> from search_spaces import find_space
        >>> find_space("optimizer").objective
        'f1_macro'
    """
    if name.endswith(".py"):
        return _load_file(expanded(name))
    spaces = all_spaces()
    if name not in spaces:
        raise UsageError(
            f"unknown space '{name}'. {use_one_of(sorted(spaces))} Or name your own space file, "
            "which must end in .py."
        )
    return spaces[name]


def _load_file(path: Path) -> Space:
    space = getattr(load_user_file(path), "SPACE", None)
    if not isinstance(space, Space):
        raise UsageError(
            f"the space file {path} does not define SPACE. Add SPACE = Space(...), as in "
            "search_spaces/imbalance.py."
        )
    space.check_networks()
    return space
