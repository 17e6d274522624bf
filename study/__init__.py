"""Studies: Optuna and everything a person types. `load_records` gives their trials as a table."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from study.storage.trials_table import load_records

__all__ = ["load_records"]


def __getattr__(name: str) -> Any:
    """Import `load_records` when it is asked for, so that `python -m study --help` is quick."""
    if name in __all__:
        from study.storage import trials_table as records

        return getattr(records, name)
    raise AttributeError(f"module 'study' has no attribute '{name}'")
