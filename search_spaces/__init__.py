"""The search spaces, one file each, found by name or by file."""

import importlib.util
import os
import pkgutil
import sys
from importlib import import_module
from pathlib import Path

from ecg.errors import UsageError
from ecg.files import expanded
from ecg.networks import forget_networks, network
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
            f"unknown space '{name}'; known spaces: {', '.join(sorted(spaces))}. Or name your own "
            "space file, which must end in .py."
        )
    return spaces[name]


def _load_file(path: Path) -> Space:
    if not os.path.isfile(path):  # False for a name that no file can have
        raise UsageError(f"the space file {path} does not exist")
    spec = importlib.util.spec_from_file_location(f"user_space_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UsageError(f"cannot import the space file {path}")
    module = importlib.util.module_from_spec(spec)
    forget_networks(path)
    sys.modules[spec.name] = module  # dataclasses in the file look it up
    try:
        spec.loader.exec_module(module)
    except UsageError as error:
        is_named = str(error).startswith(f"{path.resolve()}:")  # with the line of a network
        raise UsageError(str(error) if is_named else f"{path}: {error}") from None
    except (Exception, SystemExit) as error:
        kind = type(error).__name__
        raise UsageError(f"cannot load the space file {path}: {kind}: {error}") from error
    space = getattr(module, "SPACE", None)
    if not isinstance(space, Space):
        raise UsageError(
            f"the space file {path} does not define SPACE. Add SPACE = Space(...), as in "
            "search_spaces/imbalance.py."
        )
    space.check_networks()
    return space
