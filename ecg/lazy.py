"""Public names of a package that are imported on first use (PEP 562)."""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

DISTRIBUTION = "ecg-study"  # `__version__` is its version, set in pyproject.toml


def on_demand(
    package: str, names: Sequence[str], modules: Sequence[str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the functions `__getattr__` and `__dir__` of a package.

    Args:
        package: name of the package.
        names: `__all__` of the package.
        modules: modules that define the names, fastest import first: each name comes from the
            first module that has it.
    """

    def find(name: str) -> Any:
        if name in names:
            found = _version() if name == "__version__" else _first(name, modules)
            setattr(sys.modules[package], name, found)
            return found
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return find, lambda: sorted(names)


def _first(name: str, modules: Sequence[str]) -> Any:
    for module in map(import_module, modules):
        if hasattr(module, name):
            return getattr(module, name)
    raise AttributeError(f"no module of {', '.join(modules)} has {name!r}")


def _version() -> str:
    from importlib.metadata import version

    return version(DISTRIBUTION)
