"""The parameters of a search space: a choice, a real number or a whole number."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ecg.errors import UsageError

Value = str | int | float | None
Params = dict[str, Any]


class Suggester(Protocol):
    """The part of `optuna.Trial` that a space uses."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """Suggest a real number."""

    def suggest_int(self, name: str, low: int, high: int) -> int:
        """Suggest a whole number."""

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """Suggest one of several values."""


@dataclass(frozen=True)
class Choice:
    """One of several values without an order.

    Attributes:
        name: name of the parameter.
        options: the values.
        when: values of earlier parameters (the parents) for which the parameter exists.
        sets: field of `TrainConfig` that the parameter sets, if not the one of its name. A field
            may have different ranges under different parents, each as a parameter.
    """

    name: str
    options: tuple[Value, ...]
    when: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    sets: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Check the options."""
        listed = isinstance(self.options, tuple | list)
        if not listed or not self.options or len(set(self.options)) < len(self.options):
            raise UsageError(
                f"the options of '{self.name}' must be distinct values in a tuple, such as "
                f"(1, 2), not {self.options!r}"
            )

    def suggest(self, trial: Suggester) -> Value:
        """Ask the trial for a value."""
        value: Value = trial.suggest_categorical(self.name, self.options)
        return value

    def contains(self, value: Any) -> bool:
        """Whether the parameter can have this value."""
        return value in self.options

    def grid(self, points: int) -> tuple[Value, ...]:
        """Return all options, whatever `points`."""
        return self.options

    def __str__(self) -> str:
        return " | ".join("none" if option is None else str(option) for option in self.options)


@dataclass(frozen=True)
class Real:
    """A real number from `low` to `high`, optionally on a log scale or in steps.

    The other attributes are as for `Choice`. Use steps for ordered values such as widths, so that
    a sampler knows which values are close.
    """

    name: str
    low: float
    high: float
    log: bool = False
    when: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    sets: str | None = field(default=None, repr=False)
    step: float | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Check the range."""
        _check_range(self.name, self.low, self.high)
        if self.log and self.low <= 0:
            raise UsageError(f"'{self.name}' has a log scale, so its range must begin above 0")
        if self.step is None:
            return
        if self.log:
            raise UsageError(f"'{self.name}' has steps and a log scale. Leave one of them out.")
        if not self.step > 0 or not self.contains(self.high):
            raise UsageError(
                f"the step {self.step!r} of '{self.name}' must divide the range from "
                f"{self.low:g} to {self.high:g}"
            )

    def suggest(self, trial: Suggester) -> Value:
        """Ask the trial for a value."""
        return trial.suggest_float(self.name, self.low, self.high, step=self.step, log=self.log)

    def contains(self, value: Any) -> bool:
        """Whether the parameter can have this value."""
        if not isinstance(value, int | float) or not self.low <= value <= self.high:
            return False
        steps = (value - self.low) / self.step if self.step else 0.0
        return abs(steps - round(steps)) < 1e-9

    def grid(self, points: int) -> tuple[Value, ...]:
        """Return evenly spaced values, both ends included."""
        if points == 1:
            return (self.low,)
        share = [i / (points - 1) for i in range(points)]
        if self.step is not None:
            last = round((self.high - self.low) / self.step)
            steps = sorted({round(s * last) for s in share})
            return tuple(float(f"{self.low + step * self.step:.10g}") for step in steps)
        if not self.log:
            values = [self.low + s * (self.high - self.low) for s in share]
        else:
            values = [self.low * math.pow(self.high / self.low, s) for s in share]
        inner = (min(self.high, max(self.low, float(f"{v:.6g}"))) for v in values[1:-1])
        return tuple(sorted({self.low, *inner, self.high}))

    def __str__(self) -> str:
        steps = f" in steps of {self.step:g}" if self.step else ""
        return f"{self.low:g} .. {self.high:g}" + (" (log)" if self.log else steps)


@dataclass(frozen=True)
class Whole:
    """A whole number from `low` to `high`, inclusive; other attributes as for `Choice`."""

    name: str
    low: int
    high: int
    when: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    sets: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Check the range."""
        _check_range(self.name, self.low, self.high)

    def suggest(self, trial: Suggester) -> Value:
        """Ask the trial for a value."""
        return trial.suggest_int(self.name, self.low, self.high)

    def contains(self, value: Any) -> bool:
        """Whether the parameter can have this value."""
        return isinstance(value, int) and self.low <= value <= self.high

    def grid(self, points: int) -> tuple[Value, ...]:
        """Return evenly spaced whole numbers, both ends included."""
        span, last = self.high - self.low, max(1, points - 1)
        return tuple(sorted({self.low + round(i * span / last) for i in range(points)}))

    def __str__(self) -> str:
        return f"{self.low} .. {self.high}"


Parameter = Choice | Real | Whole


def _check_range(name: str, low: float, high: float) -> None:
    if not low <= high:
        raise UsageError(f"'{name}' must go from a lower to a higher number, not {low} to {high}")
