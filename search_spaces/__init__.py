"""The search spaces, one file each; found by name, by file, or all together."""

import importlib.util
import os
import pkgutil
import sys
from importlib import import_module
from pathlib import Path

from ecg.errors import UsageError
from ecg.files import expanded
from ecg.networks import forget_networks, network
from search_spaces.space import Choice, Params, Real, Space, Whole

__all__ = ["Choice", "Params", "Real", "Space", "Whole", "all_spaces", "find_space", "network"]


def __dir__() -> list[str]:
    """Return the public names: what this module is made with is not offered."""
    return sorted(__all__)


def all_spaces() -> dict[str, Space]:
    """Return every space of this package by name: each module with a `SPACE` is one."""
    spaces = {}
    for module in pkgutil.iter_modules(__path__):
        space = getattr(import_module(f"{__name__}.{module.name}"), "SPACE", None)
        if isinstance(space, Space):
            spaces[space.name] = space
    return spaces


def find_space(name: str) -> Space:
    """Return the space of that name, or the one in a user's file (`path/to/file.py`).

    Raises:
        UsageError: no space has this name, or the file does not hold one; the message says
            what was wrong with it.

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
            f"unknown space '{name}'; known spaces: {', '.join(sorted(spaces))}, "
            "or the path of a file that ends in .py"
        )
    return spaces[name]


def _load_file(path: Path) -> Space:
    if not os.path.isfile(path):  # False for a name that no file can have
        raise UsageError(f"the space file {path} does not exist")
    spec = importlib.util.spec_from_file_location(f"user_space_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UsageError(f"the space file {path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    forget_networks(path)
    sys.modules[spec.name] = module  # dataclasses in the file look it up
    try:
        spec.loader.exec_module(module)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    except (Exception, SystemExit) as error:
        kind = type(error).__name__
        raise UsageError(f"the space file {path} does not load: {kind}: {error}") from error
    space = getattr(module, "SPACE", None)
    if not isinstance(space, Space):
        raise UsageError(
            f"the space file {path} must define SPACE = Space(...); "
            "search_spaces/imbalance.py is an example"
        )
    space.check_networks()
    return space
