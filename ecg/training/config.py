"""The configuration of a training run, as one frozen and hashable value."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from ecg.budget import Budget, gives_schedule
from ecg.errors import UsageError, use_one_of
from ecg.networks import SHAPE, find_network

# Version of the training rules that are not in the configuration; runs of different protocols are
# never mixed. 1: early stopping, the scheduler and the choice of weights used the validation loss
# with class weights. 2: they use it without. Both are the same if alpha is 0.
PROTOCOL = 2
Value = str | int | float | None
OPTIMIZERS = ("adamw", "adam", "sgd")
SCHEDULES = (None, "cosine")
RHYTHMS = (None, "rr")
# Batch norm needs at least two beats per batch for a variance.
LOWEST = {"seed": 0, "scheduler_patience": 0, "batch_size": 2, "warm_up": 0}
# Options beyond the published protocol. `to_fields` leaves out those that are off, so a published
# configuration keeps the digest that it had before they existed.
OPTIONS = (
    *("schedule", "warm_up", "ema", "label_smoothing", "mixup", "jitter", "logit_adjustment"),
    "rhythm",
)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training run. The defaults are the published baseline.

    Attributes:
        model: name of a network in `ecg.networks`.
        width_multiplier: multiplies the published numbers of channels and units.
        kernel_multiplier: multiplies the published kernel size.
        dropout_multiplier: multiplies the published dropout probabilities.
        optimizer: "adamw", "adam", or "sgd" (with Nesterov momentum).
        learning_rate: learning rate at the first epoch.
        weight_decay: decoupled for AdamW, an L2 penalty for the others.
        momentum: momentum of SGD.
        scheduler_factor: factor of the learning rate on a plateau of the validation loss; None
            for no scheduler.
        scheduler_patience: length of the plateau in epochs.
        min_learning_rate: lower limit of the scheduler.
        alpha: strength of the class weights, 0 for none (see `ecg.imbalance.class_weights`).
        ratio: ratio of the sampler, None for a plain shuffle (see
            `ecg.imbalance.sampling_weights`).
        batch_size: beats per step.
        max_epochs: maximum number of epochs.
        patience: epochs without a better validation loss before early stopping.
        seed: seed of weights, order and dropout.
        schedule: "cosine" lowers the learning rate to zero over `max_epochs`; None leaves it to
            `scheduler_factor` (see `ecg.training.schedule`).
        warm_up: number of initial epochs in which the learning rate rises.
        ema: decay of averaged weights, which are validated and kept instead of the trained
            weights; None for no average (see `ecg.training.ema`).
        label_smoothing: share of each label that is spread over all classes.
        mixup: alpha of the Beta distribution that mixes pairs of beats, 0 for none (see
            `ecg.training.augment`).
        jitter: strength of the random changes to training beats, 0 for none (see
            `ecg.training.augment`).
        logit_adjustment: largest |tau| tried on the validation part after every epoch, 0 for
            none (see `ecg.training.adjustment`).
        rhythm: "rr" gives the network four numbers of the RR intervals around the beat; None
            gives it only the beat (see `ecg.rhythm`).
        own: further parameters that only this model takes, by name. `from_fields` and
            `to_fields` list them with the other fields.

    Raises:
        UsageError: a value is unknown or out of range, two exclude each other, or the model does
            not take one; the message names the fields.

    Example:
        >>> from ecg import TrainConfig
        >>> config = TrainConfig(model="residual", alpha=0.1)
        >>> config.learning_rate, config.batch_size
        (0.001, 64)
    """

    model: str = "coupled"
    width_multiplier: float = 1.0
    kernel_multiplier: float = 1.0
    dropout_multiplier: float = 1.0
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-3
    momentum: float = 0.9
    scheduler_factor: float | None = None
    scheduler_patience: int = 3
    min_learning_rate: float = 1e-6
    alpha: float = 0.0
    ratio: float | None = None
    batch_size: int = 64
    max_epochs: int = 100
    patience: int = 15
    seed: int = 0
    schedule: str | None = None
    warm_up: int = 0
    ema: float | None = None
    label_smoothing: float = 0.0
    mixup: float = 0.0
    jitter: float = 0.0
    logit_adjustment: float = 0.0
    rhythm: str | None = None
    own: tuple[tuple[str, Value], ...] = ()

    def __post_init__(self) -> None:
        """Check every field and convert integers in real-valued fields to floats."""
        self._one_of("optimizer", OPTIMIZERS)
        self._one_of("schedule", SCHEDULES)
        self._one_of("rhythm", RHYTHMS)
        for name in ("width_multiplier", "kernel_multiplier"):
            self._within(name, 0.1, 10)
        self._within("dropout_multiplier", 0, 10)
        for name in ("learning_rate", "weight_decay", "min_learning_rate", "momentum"):
            self._within(name, 0, 1)
        for name in ("alpha", "label_smoothing", "mixup", "jitter", "logit_adjustment"):
            self._within(name, 0, 1)
        if self.ema is not None:
            self._within("ema", 0.5, 0.99999)
        if self.scheduler_factor is not None:
            self._within("scheduler_factor", 1e-6, 1 - 1e-6)
        if self.ratio is not None:
            self._within("ratio", 1e-6, 1)
        for name in (
            "scheduler_patience",
            "batch_size",
            "max_epochs",
            "patience",
            "seed",
            "warm_up",
        ):
            self._integer(name, LOWEST.get(name, 1))
        if self.schedule is not None and self.scheduler_factor is not None:
            raise UsageError(
                f"schedule '{self.schedule}' and scheduler_factor {self.scheduler_factor:g} "
                "exclude each other. Leave one of them out."
            )
        self._check_model()
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if "float" in str(field.type) and value is not None and field.name != "own":
                object.__setattr__(self, field.name, float(value) + 0.0)  # no int, no -0.0

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Build a configuration from a mapping.

        Raises:
            UsageError: a field is unknown (the message lists the known ones), or its value is out
                of range.
        """
        known = cls.field_names()
        own = set(fields) - set(known)
        of_model = find_network(fields.get("model", cls.model)).parameters if own else ()
        if unknown := sorted(map(str, own - set(of_model))):
            raise UsageError(
                f"a training configuration has no field '{unknown[0]}'. {use_one_of(known)}"
            )
        # A table of configurations leaves an option empty if it is off.
        off = [name for name in OPTIONS if name in fields and fields[name] is None]
        given = {name: fields[name] for name in fields if name not in {*off, *own}}
        return cls(**given, own=tuple((name, fields[name]) for name in sorted(own)))

    @classmethod
    def field_names(cls) -> list[str]:
        """Return the names of the fields that every configuration has, whatever its model."""
        return [field.name for field in dataclasses.fields(cls) if field.name != "own"]

    def to_fields(self) -> dict[str, Any]:
        """Return all fields as plain JSON values, without the `OPTIONS` that are off."""
        fields = self.every_field()
        off = [name for name in OPTIONS if fields[name] == getattr(type(self), name)]
        return {name: value for name, value in fields.items() if name not in off}

    def every_field(self) -> dict[str, Any]:
        """Return all fields by name, including those that only this model takes."""
        return {name: getattr(self, name) for name in self.field_names()} | dict(self.own)

    def within(self, budget: Budget) -> Self:
        """Return a copy with the limits of a budget, and with its schedule if there is none yet.

        A schedule that came from another budget is replaced.
        """
        limited = self.replace(max_epochs=budget.max_epochs, patience=budget.patience)
        if gives_schedule(self.max_epochs, self.schedule, self.warm_up):
            limited = limited.replace(schedule=None, warm_up=0)
        if budget.schedule is None or limited.schedule or limited.scheduler_factor is not None:
            return limited
        return limited.replace(schedule=budget.schedule, warm_up=budget.warm_up)

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    @property
    def digest(self) -> str:
        """First 16 hex digits of the SHA-256 of the fields; equal for equal configurations."""
        text = json.dumps(self.to_fields(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _check_model(self) -> None:
        model = find_network(self.model)
        for name in SHAPE:
            if name not in model.parameters and getattr(self, name) != getattr(type(self), name):
                raise UsageError(
                    f"the network '{self.model}' does not take {name}; its parameters: "
                    f"{', '.join(model.parameters) or 'none'}"
                )

    def _one_of(self, name: str, known: tuple[str | None, ...]) -> None:
        value = getattr(self, name)
        if value not in known:
            raise UsageError(
                f"unknown {name} '{value}'. {use_one_of(one or 'none' for one in known)}"
            )

    def _within(self, name: str, low: float, high: float) -> None:
        value = getattr(self, name)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or not low <= value <= high:
            raise UsageError(f"{name} must be a number from {low:g} to {high:g}, not {value!r}")

    def _integer(self, name: str, low: int) -> None:
        value = getattr(self, name)
        if not isinstance(value, int) or isinstance(value, bool) or value < low:
            raise UsageError(f"{name} must be a whole number of at least {low}, not {value!r}")
