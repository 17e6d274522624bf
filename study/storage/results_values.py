"""Convert values from a file, a database or a table to one form, None where missing.

Each function raises ValueError with a message such as "must be a whole number", which the caller
prefixes with the name of the column.
"""

import json
import math
import re
from typing import Any, NoReturn

import numpy as np

_WHOLE = re.compile(r"-?\d{1,18}")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def is_missing(value: object) -> bool:
    """Whether a value is missing: None, NaN, `pd.NA`, or an empty text."""
    if value is None or type(value).__name__ == "NAType":
        return True
    return value == "" or (isinstance(value, float) and math.isnan(value))


def text(value: object) -> str | None:
    """Return a text on one line, since a run is one line of a file."""
    if is_missing(value):
        return None
    line = " ".join(str(value).replace("\0", " ").split())
    return line.encode("utf-8", "backslashreplace").decode("utf-8") or None


def whole(value: object) -> int | None:
    """Return a whole number, also from a float into which pandas turned it."""
    if is_missing(value):
        return None
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value)
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise ValueError(f"must be a whole number, not {_shown(value)}")


def real(value: object) -> float | None:
    """Return a finite real number."""
    if isinstance(value, str) and value and not _NUMBER.fullmatch(value):
        raise ValueError(f"must be a number, not {_shown(value)}")
    if is_missing(value):
        return None
    if isinstance(value, str | int | float | np.integer) and not isinstance(value, bool):
        number = float(value)
        if math.isfinite(number):
            return number
    raise ValueError(f"must be a finite number, not {_shown(value)}")


def config_value(value: object) -> str | int | float | None:
    """Return a field of a training configuration; numbers in text become numbers."""
    if is_missing(value):
        return None
    if isinstance(value, str):
        if _WHOLE.fullmatch(value):
            return int(value)
        return real(value) if _NUMBER.fullmatch(value) else text(value)
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value if isinstance(value, int) else real(value)
    raise ValueError(f"must be a text or a number, not {_shown(value)}")


def json_value(value: object) -> list[Any] | dict[str, Any] | None:
    """Return a list or a mapping, parsed if it is JSON text; NaN becomes None."""
    if isinstance(value, str) and value:
        try:
            value = json.loads(value, parse_constant=_refuse)
        except (ValueError, RecursionError):
            raise ValueError(f"is not valid JSON: {_shown(value)}") from None
    if is_missing(value):
        return None
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    raise ValueError(f"must be a list or a mapping in JSON, not {_shown(value)}")


def _plain(value: Any) -> Any:
    """Return a value that JSON can represent: NaN, as in diverged curves, becomes None."""
    if isinstance(value, list | dict):
        return json_value(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
