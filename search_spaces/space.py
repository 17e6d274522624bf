"""What a search space is: parameters, a baseline, and an objective to maximise."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations, product
from typing import Any, Protocol

from ecg.errors import UsageError
from ecg.heartbeats import Heartbeats
from ecg.metrics import OBJECTIVES
from ecg.networks import Network, find_network
from ecg.rhythm import NO_RHYTHM, has_rhythm
from ecg.training.config import TrainConfig

MAX_GRID = 20_000
Value = str | int | float | None
Params = dict[str, Any]


class Suggester(Protocol):
    """The part of `optuna.Trial` that a space needs."""

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
    """One of several values, of which none is between two others.

    Attributes:
        name: of the parameter.
        options: the values.
        when: the parents' values under which the parameter exists.
        sets: the field of `TrainConfig` that it is, where that is not its name. One field may
            have different ranges under different parents, each a parameter.
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
                f"the options of '{self.name}' must be different values in a tuple, such as "
                f"(1, 2), not {self.options!r}"
            )

    def suggest(self, trial: Suggester) -> Value:
        """Ask the trial for a value."""
        value: Value = trial.suggest_categorical(self.name, self.options)
        return value

    def contains(self, value: Any) -> bool:
        """Whether the parameter can take this value."""
        return value in self.options

    def grid(self, points: int) -> tuple[Value, ...]:
        """Return all options, whatever `points`."""
        return self.options

    def __str__(self) -> str:
        return " | ".join("none" if option is None else str(option) for option in self.options)


@dataclass(frozen=True)
class Real:
    """A real number from `low` to `high`, on a log scale or in steps if asked for.

    Other attributes are as for `Choice`. Values in an order, such as widths, are steps: a sampler
    then knows which are near.
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
            raise UsageError(f"'{self.name}' is on a log scale, so it must begin above 0")
        if self.step is None:
            return
        if self.log or not self.step > 0 or not self.contains(self.high):
            raise UsageError(
                f"the steps of '{self.name}' must lead from {self.low:g} to {self.high:g}, not on "
                f"a log scale; {self.step!r} does not"
            )

    def suggest(self, trial: Suggester) -> Value:
        """Ask the trial for a value."""
        return trial.suggest_float(self.name, self.low, self.high, step=self.step, log=self.log)

    def contains(self, value: Any) -> bool:
        """Whether the parameter can take this value."""
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
    """A whole number from `low` to `high`, both included; other attributes as for `Choice`."""

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
        """Whether the parameter can take this value."""
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
        raise UsageError(f"'{name}' must go from a lower number to a higher, not {low} to {high}")


@dataclass(frozen=True)
class Space:
    """A search space.

    Attributes:
        name: what people type.
        description: one line.
        parameters: in the order they are suggested; a parent before its children.
        baseline: the parameters of the first trial.
        objective: one of `ecg.metrics.SCORES` on the validation part, maximised.
        steering: parameters that only decide which others exist. All others are fields of
            `TrainConfig`.

    Raises:
        UsageError: a parameter is no field or leaves its field's range, two that can be together
            exclude each other, a condition can never hold, the baseline does not fit the
            parameters, or the objective is not known.

    Example:
        >>> from search_spaces import Choice, Real, Space
        >>> space = Space(
        ...     name="momentum",
        ...     description="momentum, where the optimizer has one",
        ...     parameters=(
        ...         Choice("optimizer", ("adamw", "sgd")),
        ...         Real("momentum", 0.5, 0.99, when={"optimizer": ("sgd",)}),
        ...     ),
        ...     baseline={"optimizer": "adamw"},
        ... )
        >>> [params.get("momentum") for params in space.grid(2)]
        [None, 0.5, 0.99]
    """

    name: str
    description: str
    parameters: tuple[Parameter, ...]
    baseline: Mapping[str, Value]
    objective: str = "f1_macro"
    steering: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the space as a whole, so that a mistake shows before any training."""
        if self.objective not in OBJECTIVES:
            raise UsageError(
                f"space '{self.name}': unknown objective '{self.objective}'; "
                f"known: {', '.join(OBJECTIVES)}"
            )
        self._check_names()
        self._check_conditions()
        for parameter in self.parameters:
            if parameter.name not in self.steering:
                for value in parameter.grid(2):  # the ends, or all options
                    self._configure_part({parameter.name: value})
        self._check_pairs()
        expected = {p.name for p in self.parameters if self.applies(p, self.baseline)}
        if expected != set(self.baseline):
            raise UsageError(
                f"space '{self.name}': the baseline has {sorted(self.baseline)}, "
                f"but the parameters ask for {sorted(expected)}"
            )
        for parameter in self.parameters:
            if parameter.name in expected and not parameter.contains(self.baseline[parameter.name]):
                raise UsageError(
                    f"space '{self.name}': the baseline's {parameter.name} = "
                    f"{self.baseline[parameter.name]!r} is not in {parameter}"
                )
        self.configure(dict(self.baseline))

    def _check_names(self) -> None:
        known = TrainConfig.field_names()
        own = [name for one in self.own_networks() for name in one.parameters]
        names = [parameter.name for parameter in self.parameters]
        for parameter in self.parameters:
            name = parameter.name
            if self._field(parameter) not in (*known, *own, *self.steering):
                raise UsageError(
                    f"space '{self.name}': '{self._field(parameter)}' is no field of a training "
                    f"configuration, nor in steering; known fields: {', '.join(known)}"
                )
            if names.count(name) > 1:
                raise UsageError(f"space '{self.name}': '{name}' is there twice")
            if name in self.steering and parameter.sets is not None:
                raise UsageError(
                    f"space '{self.name}': '{name}' sets {parameter.sets}, so it cannot be in "
                    "steering: its value would not be used"
                )
        for name in self.steering:
            if name in known:
                raise UsageError(
                    f"space '{self.name}': '{name}' is a field of a training configuration, so it "
                    "cannot be in steering: its value would not be used"
                )

    def _check_conditions(self) -> None:
        """Check that `when` names parameters suggested before, and values that they take."""
        before: dict[str, Parameter] = {}
        for parameter in self.parameters:
            where = f"space '{self.name}': '{parameter.name}'"
            for parent, values in parameter.when.items():
                if parent not in before:
                    raise UsageError(f"{where} depends on '{parent}', which must be listed first")
                if not isinstance(values, tuple | list) or not values:
                    raise UsageError(
                        f"{where} depends on values of '{parent}' that must be in a tuple, such "
                        f"as ('sgd',), not {values!r}"
                    )
                for value in values:
                    if not before[parent].contains(value):
                        raise UsageError(
                            f"{where} depends on {parent} = {value!r}, which is not in "
                            f"{before[parent]}"
                        )
            before[parameter.name] = parameter

    def _check_pairs(self) -> None:
        """Check that two parameters that can be together suit each other."""
        searched = [p for p in self.parameters if p.name not in self.steering]
        for one, other in combinations(searched, 2):
            for values in product(one.grid(2), other.grid(2)):
                params = dict(zip((one.name, other.name), values, strict=True))
                if not self._can_be(params):
                    continue
                if self._field(one) == self._field(other):
                    raise UsageError(
                        f"space '{self.name}': '{one.name}' and '{other.name}' can be together, "
                        f"and both set {self._field(one)}"
                    )
                self._configure_part(params)

    def _can_be(self, params: Params) -> bool:
        """Whether some values of the other parameters let these be together."""
        allowed = {name: {value} for name, value in params.items()}
        for parameter in reversed(self.parameters):  # children before their parents
            if parameter.name in allowed:
                for parent, values in parameter.when.items():
                    allowed[parent] = allowed.get(parent, set(values)) & set(values)
                    if not allowed[parent]:
                        return False
        return True

    def _configure_part(self, params: Params) -> TrainConfig:
        """Configure some parameters, with a model that they can be beside."""
        for parameter in self.parameters:
            if self._field(parameter) == "model" and parameter.name not in params:
                beside = ({parameter.name: value, **params} for value in parameter.grid(2))
                params = next(filter(self._can_be, beside), params)
        return self.configure(params)

    def own_networks(self) -> list[Network]:
        """Return the networks of a space file that can be chosen."""
        models = [
            str(value)
            for parameter in self.parameters
            if self._field(parameter) == "model"
            for value in parameter.grid(2)
        ]
        try:
            chosen = [find_network(model) for model in models]
        except UsageError as error:
            raise UsageError(f"space '{self.name}': {error}") from None
        return [network for network in chosen if network.file is not None]

    def check_networks(self) -> None:
        """Build own networks, and train each on two beats; a parameter at either end in turn.

        Raises:
            UsageError: one does not build, run or learn; names file and line.
        """
        networks = {network.name: network for network in self.own_networks()}
        if not networks:
            return
        from ecg.models import check_network

        for name, network in networks.items():
            usual = {**self._usual(name), "model": name}
            check_network(name, usual)
            for parameter in self.parameters:
                field = self._field(parameter)
                if field in network.parameters and field in usual:
                    for value in parameter.grid(2):
                        check_network(name, {**usual, field: value})

    def _usual(self, model: str) -> dict[str, Any]:
        """Return the fields of one configuration with this model, of the baseline where it can."""
        params: Params = {}
        for parameter in self.parameters:
            if not self.applies(parameter, params):
                continue
            values = parameter.grid(2)
            usual = self.baseline.get(parameter.name, values[0])
            params[parameter.name] = model if self._field(parameter) == "model" else usual
        return self.configure(params).every_field()

    def check(self, beats: Heartbeats) -> None:
        """Refuse beats that lack what the space searches.

        Raises:
            UsageError: the rhythm is searched, and the beats do not tell their records.
        """
        for parameter in self.parameters:
            if self._field(parameter) == "rhythm" and not has_rhythm(beats):
                raise UsageError(f"space '{self.name}': {NO_RHYTHM}")

    @staticmethod
    def _field(parameter: Parameter) -> str:
        return parameter.sets or parameter.name

    @staticmethod
    def applies(parameter: Parameter, params: Mapping[str, Any]) -> bool:
        """Whether a conditional parameter exists beside these parents."""
        return all(
            name in params and params[name] in values for name, values in parameter.when.items()
        )

    def suggest(self, trial: Suggester) -> Params:
        """Ask a trial for one value of every parameter that applies."""
        params: Params = {}
        for parameter in self.parameters:
            if self.applies(parameter, params):
                params[parameter.name] = parameter.suggest(trial)
        return params

    def configure(self, params: Params) -> TrainConfig:
        """Turn parameters into a training configuration, budget and seed still at default.

        Raises:
            UsageError: a parameter is out of the range of its field.
        """
        sets = {p.name: self._field(p) for p in self.parameters}
        fields = {sets.get(k, k): v for k, v in params.items() if k not in self.steering}
        try:
            return TrainConfig.from_fields(fields)
        except UsageError as error:
            raise UsageError(f"space '{self.name}': {error}") from None

    def grid(self, points: int) -> list[Params]:
        """Return every combination of parameters, numbers at `points` evenly spaced values.

        Raises:
            UsageError: there are more than `MAX_GRID` combinations.
        """
        combinations: list[Params] = [{}]
        for parameter in self.parameters:
            combinations = [
                {**params, **addition}
                for params in combinations
                for addition in (
                    [{parameter.name: value} for value in parameter.grid(points)]
                    if self.applies(parameter, params)
                    else [{}]
                )
            ]
            if len(combinations) > MAX_GRID:
                raise UsageError(f"the grid of space '{self.name}' has over {MAX_GRID:,} points")
        return combinations

    @property
    def digest(self) -> str:
        """Eight hex digits that change when what is searched changes."""
        baseline = {
            p.name: self.baseline[p.name] for p in self.parameters if p.name in self.baseline
        }
        # What is not in `repr` came later; spaces that do not use it keep their digest.
        later = [(repr(p), p.sets, getattr(p, "step", None)) for p in self.parameters]
        told = [one if any(one[1:]) else one[0] for one in later]
        networks = sorted({network.digest for network in self.own_networks()})
        text = json.dumps([told, baseline, self.objective, *networks])
        return hashlib.sha256(text.encode()).hexdigest()[:8]
