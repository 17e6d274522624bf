"""What a search space is: parameters, a baseline, and an objective to maximise."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

from ecg.errors import UsageError, use_one_of
from ecg.heartbeats import Heartbeats
from ecg.metrics import OBJECTIVES
from ecg.networks import Network, find_network
from ecg.rhythm import NO_RHYTHM, has_rhythm
from ecg.training.config import TrainConfig
from search_spaces.parameters import Parameter, Params, Suggester, Value

MAX_GRID = 20_000


@dataclass(frozen=True)
class Space:
    """A search space.

    Attributes:
        name: what people type.
        description: one line.
        parameters: parameters in the order of suggestion; a parent before its children.
        baseline: values of the parameters in the first trial.
        objective: one of `ecg.metrics.OBJECTIVES` on the validation part, maximised.
        steering: parameters that only decide which others exist. All others are fields of
            `TrainConfig`.

    Raises:
        UsageError: a parameter is not a field or exceeds the range of its field, two parameters
            that can occur together exclude each other, a condition can never hold, the baseline
            does not fit the parameters, or the objective is unknown.

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
        """Check the whole space, so that mistakes show before any training."""
        if self.objective not in OBJECTIVES:
            raise UsageError(
                f"space '{self.name}': unknown objective '{self.objective}'. "
                f"{use_one_of(OBJECTIVES)}"
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
                f"but the parameters require {sorted(expected)}"
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
                    f"space '{self.name}': '{self._field(parameter)}' is neither a field of a "
                    f"training configuration nor in steering. Its fields: {', '.join(known)}."
                )
            if names.count(name) > 1:
                raise UsageError(f"space '{self.name}': the parameter '{name}' is defined twice")
            if name in self.steering and parameter.sets is not None:
                raise UsageError(
                    f"space '{self.name}': '{name}' sets {parameter.sets}, so it cannot be in "
                    "steering, where its value would not be used"
                )
        for name in self.steering:
            if name in known:
                raise UsageError(
                    f"space '{self.name}': '{name}' is a field of a training configuration, so it "
                    "cannot be in steering, where its value would not be used"
                )

    def _check_conditions(self) -> None:
        """Check that `when` names earlier parameters and values that they can have."""
        before: dict[str, Parameter] = {}
        for parameter in self.parameters:
            where = f"space '{self.name}': '{parameter.name}'"
            for parent, values in parameter.when.items():
                if parent not in before:
                    raise UsageError(f"{where} depends on '{parent}', which must come before it")
                if not isinstance(values, tuple | list) or not values:
                    raise UsageError(
                        f"{where} depends on '{parent}', whose values must be in a tuple, such as "
                        f"('sgd',), not {values!r}"
                    )
                for value in values:
                    if not before[parent].contains(value):
                        raise UsageError(
                            f"{where} depends on {parent} = {value!r}, which is not in "
                            f"{before[parent]}"
                        )
            before[parameter.name] = parameter

    def _check_pairs(self) -> None:
        """Check every two parameters that can occur together."""
        searched = [p for p in self.parameters if p.name not in self.steering]
        for one, other in combinations(searched, 2):
            for values in product(one.grid(2), other.grid(2)):
                params = dict(zip((one.name, other.name), values, strict=True))
                if not self._can_occur(params):
                    continue
                if self._field(one) == self._field(other):
                    raise UsageError(
                        f"space '{self.name}': '{one.name}' and '{other.name}' both set "
                        f"{self._field(one)} and can occur together"
                    )
                self._configure_part(params)

    def _can_occur(self, params: Params) -> bool:
        """Whether these values can occur together, for some values of the other parameters."""
        allowed = {name: {value} for name, value in params.items()}
        for parameter in reversed(self.parameters):  # children before their parents
            if parameter.name in allowed:
                for parent, values in parameter.when.items():
                    allowed[parent] = allowed.get(parent, set(values)) & set(values)
                    if not allowed[parent]:
                        return False
        return True

    def _configure_part(self, params: Params) -> TrainConfig:
        """Configure some parameters, with a model that they can occur with."""
        for parameter in self.parameters:
            if self._field(parameter) == "model" and parameter.name not in params:
                with_model = ({parameter.name: value, **params} for value in parameter.grid(2))
                params = next(filter(self._can_occur, with_model), params)
        return self.configure(params)

    def own_networks(self) -> list[Network]:
        """Return the networks from space files that the space can choose."""
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
        """Build each network from a space file and train it on two beats.

        This is repeated with each of its parameters at both ends of the range.

        Raises:
            UsageError: a network does not build, run or train; the message names file and line.
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
        """Return the fields of a configuration with this model, near the baseline."""
        params: Params = {}
        for parameter in self.parameters:
            if not self.applies(parameter, params):
                continue
            values = parameter.grid(2)
            usual = self.baseline.get(parameter.name, values[0])
            params[parameter.name] = model if self._field(parameter) == "model" else usual
        return self.configure(params).every_field()

    def check(self, beats: Heartbeats) -> None:
        """Check that the beats have what the space needs.

        Raises:
            UsageError: the space searches the rhythm, but the data has no RR intervals.
        """
        for parameter in self.parameters:
            if self._field(parameter) == "rhythm" and not has_rhythm(beats):
                raise UsageError(f"space '{self.name}': {NO_RHYTHM}")

    @staticmethod
    def _field(parameter: Parameter) -> str:
        return parameter.sets or parameter.name

    @staticmethod
    def applies(parameter: Parameter, params: Mapping[str, Any]) -> bool:
        """Whether a conditional parameter exists for these values of its parents."""
        return all(
            name in params and params[name] in values for name, values in parameter.when.items()
        )

    def suggest(self, trial: Suggester) -> Params:
        """Ask a trial for a value of every parameter that applies."""
        params: Params = {}
        for parameter in self.parameters:
            if self.applies(parameter, params):
                params[parameter.name] = parameter.suggest(trial)
        return params

    def configure(self, params: Params) -> TrainConfig:
        """Turn parameters into a training configuration with the default budget and seed.

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
        """Return every combination of parameters, with `points` evenly spaced values per number.

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
        # Attributes that are not in `repr` were added later; spaces without them keep their digest.
        later = [(repr(p), p.sets, getattr(p, "step", None)) for p in self.parameters]
        described = [one if any(one[1:]) else one[0] for one in later]
        networks = sorted({network.digest for network in self.own_networks()})
        text = json.dumps([described, baseline, self.objective, *networks])
        return hashlib.sha256(text.encode()).hexdigest()[:8]
