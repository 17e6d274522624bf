import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg.errors import UsageError
from ecg.metrics import SCORES
from ecg.training import TrainConfig
from search_spaces import Choice, Params, Real, Space, Whole, all_spaces
from search_spaces.parameters import Parameter
from tests.conftest import REPOSITORY
from tests.support.toy import rule


class Drawn:
    """A trial whose values hypothesis draws."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        if step is not None:
            last = round((high - low) / step)
            return min(high, low + step * self.data.draw(st.integers(0, last), label=name))
        return self.data.draw(st.floats(low, high), label=name)

    def suggest_int(self, name: str, low: int, high: int) -> int:
        return self.data.draw(st.integers(low, high), label=name)

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        return self.data.draw(st.sampled_from(choices), label=name)


# A parent, its child and its grandchild; the grandchild's condition is met by "no factor" too.
CHAIN = (
    Choice("strategy", ("none", "plateau")),
    Choice("scheduler_factor", (None, 0.5), when={"strategy": ("plateau",)}),
    Whole("scheduler_patience", 1, 8, when={"scheduler_factor": (None,)}),
    Real("learning_rate", 1e-4, 1e-1, log=True),
)
BASELINE: Params = {"strategy": "none", "learning_rate": 1e-3}


def chain(**changes: Any) -> Space:
    given_fields: dict[str, Any] = {
        "name": "chain",
        "description": "a chain of conditions",
        "parameters": CHAIN,
        "baseline": BASELINE,
        "steering": ("strategy",),
    }
    return Space(**{**given_fields, **changes})


def one(parameter: Parameter, **changes: Any) -> Space:
    """Return a space of one parameter, its baseline the first of its values."""
    baseline = {parameter.name: parameter.grid(1)[0]}
    return Space("mine", "one", (parameter,), **{"baseline": baseline, **changes})


@rule
@given(st.data())
def test_a_parameter_is_suggested_exactly_when_its_condition_holds(data: st.DataObject) -> None:
    # A condition on a parameter that does not exist never holds.
    params = chain().suggest(Drawn(data))
    expected = {"strategy", "learning_rate"}
    if params["strategy"] == "plateau":
        expected.add("scheduler_factor")
        if params["scheduler_factor"] is None:
            expected.add("scheduler_patience")
    assert set(params) == expected


@rule
@given(st.data())
def test_a_configuration_has_the_suggested_values_and_otherwise_the_defaults(
    data: st.DataObject,
) -> None:
    # Steering parameters are not fields, so they are left out.
    space = chain()
    params = space.suggest(Drawn(data))
    fields = space.configure(params).to_fields()
    kept = {name: value for name, value in params.items() if name != "strategy"}
    assert fields == {**TrainConfig().to_fields(), **kept}


@rule
@given(st.integers(1, 6))
def test_a_grid_has_every_combination_once(points: int) -> None:
    # 1 + 1 + patiences branches of the chain, times the learning rates.
    grid = chain().grid(points)
    distinct = {tuple(params.items()) for params in grid}
    assert len(grid) == len(distinct) == (2 + points) * points
    for params in grid:
        expected = {p.name for p in CHAIN if Space.applies(p, params)}
        assert set(params) == expected
        assert all(p.contains(params[p.name]) for p in CHAIN if p.name in params)


reals = st.floats(1e-9, 1e9)


@rule
@given(reals, reals, st.booleans(), st.integers(2, 9))
def test_a_grid_of_real_numbers_has_both_ends_exactly(
    one_end: float, other_end: float, log: bool, points: int
) -> None:
    # The values in between are rounded, but stay in range, in order and distinct.
    low, high = sorted((one_end, other_end))
    grid = Real("alpha", low, high, log=log).grid(points)
    assert (grid[0], grid[-1]) == (low, high)
    assert len(grid) <= points
    assert list(grid) == sorted(set(grid))
    assert all(Real("alpha", low, high).contains(value) for value in grid)


def test_real_grids_are_evenly_spaced_on_their_scale() -> None:
    assert Real("alpha", 0.0, 1.0).grid(5) == (0, 0.25, 0.5, 0.75, 1)
    assert Real("learning_rate", 1e-4, 1e-1, log=True).grid(4) == (1e-4, 1e-3, 1e-2, 1e-1)
    assert Real("alpha", 0.25, 1.0).grid(1) == (0.25,)
    assert Real("alpha", 0.5, 0.5).grid(5) == (0.5,)


@rule
@given(st.integers(-20, 20), st.integers(0, 20), st.integers(2, 9))
def test_a_grid_of_whole_numbers_has_both_ends_and_no_number_twice(
    low: int, span: int, points: int
) -> None:
    # As many as requested, or all there are.
    grid = Whole("seed", low, low + span).grid(points)
    assert (grid[0], grid[-1]) == (low, low + span)
    assert len(grid) == min(points, span + 1)
    assert all(isinstance(value, int) for value in grid)


def test_steps_are_few_numbers_in_order() -> None:
    # All of them in a grid that is large enough; the ends always.
    steps = Real("width_multiplier", 0.5, 2.0, step=0.5)
    assert steps.grid(9) == steps.grid(4) == (0.5, 1.0, 1.5, 2.0)
    assert steps.grid(2) == (0.5, 2.0)
    assert steps.contains(1.5)
    assert not any(steps.contains(value) for value in (0.75, 2.5, None, "1.0"))
    assert str(steps) == "0.5 .. 2 in steps of 0.5"
    assert Real("kernel_multiplier", 0.6, 1.8, step=0.4).grid(9) == (0.6, 1.0, 1.4, 1.8)


@pytest.mark.parametrize("wrong", [{"step": 0.4}, {"step": 0.0}, {"step": 0.5, "log": True}])
def test_steps_that_do_not_divide_the_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"\'width_multiplier\' (must divide|has steps)"):
        Real("width_multiplier", 0.5, 2.0, **wrong)


def pair(one: Parameter, other: Parameter, **baseline: Any) -> Space:
    kind = Choice("kind", ("a", "b"))
    values = {"kind": "a", **baseline}
    return Space("mine", "two", (kind, one, other), values, steering=("kind",))


def test_parameters_that_exclude_each_other_are_refused_when_the_space_is_read() -> None:
    # Unless their conditions never hold together.
    cosine = Choice("schedule", (None, "cosine"))
    plateau = Real("scheduler_factor", 0.1, 0.9)
    with pytest.raises(UsageError, match="space 'mine': schedule 'cosine' and scheduler_factor"):
        pair(cosine, plateau, schedule=None, scheduler_factor=0.5)
    apart = [
        dataclasses.replace(p, when={"kind": (k,)}) for p, k in ((cosine, "a"), (plateau, "b"))
    ]
    assert len(pair(*apart, schedule=None).grid(2)) == 4
    beside = dataclasses.replace(plateau, when={"schedule": (None,)})
    assert len(pair(cosine, beside, schedule=None, scheduler_factor=0.5).grid(2)) == 6


def test_two_parameters_of_one_field_never_occur_together() -> None:
    rates = [
        Real("slow", 1e-4, 1e-3, when={"kind": ("a",)}, sets="learning_rate"),
        Real("fast", 1e-3, 1e-2, when={"kind": ("b",)}, sets="learning_rate"),
    ]
    space = pair(*rates, slow=1e-3)
    assert space.configure({"kind": "b", "fast": 5e-3}).learning_rate == 5e-3
    always = dataclasses.replace(rates[1], when={})
    with pytest.raises(UsageError, match="'slow' and 'fast' both set learning_rate and can occur"):
        pair(rates[0], always, slow=1e-3, fast=1e-3)


def test_a_steering_parameter_sets_nothing() -> None:
    with pytest.raises(UsageError, match="'kind' sets alpha, so it cannot be in steering"):
        one(Choice("kind", (0.0, 1.0), sets="alpha"), steering=("kind",))


def test_a_choice_has_all_its_options_in_a_grid_of_any_size() -> None:
    assert Choice("ratio", (None, 0.5, 1.0)).grid(1) == (None, 0.5, 1.0)


def test_values_outside_are_not_contained() -> None:
    real, whole, choice = Real("alpha", 0, 1), Whole("seed", 0, 9), Choice("model", ("simple",))
    assert real.contains(0)
    assert real.contains(1.0)
    assert not any(real.contains(value) for value in (-1e-9, 1.1, float("nan"), None, "0.5"))
    assert whole.contains(9)
    assert not any(whole.contains(value) for value in (10, 5.0, None, "5"))
    assert not choice.contains("coupled")


def test_parameters_read_as_a_person_would_write_them() -> None:
    assert str(Choice("ratio", (None, 0.5))) == "none | 0.5"
    assert str(Real("learning_rate", 1e-4, 1e-1, log=True)) == "0.0001 .. 0.1 (log)"
    assert str(Real("alpha", 0.0, 1.0)) == "0 .. 1"
    assert str(Whole("scheduler_patience", 1, 8)) == "1 .. 8"


@pytest.mark.parametrize(
    "changes",
    [
        {"parameters": (*CHAIN[:3], Real("learning_rate", 1e-4, 1e-2, log=True))},
        {"parameters": (*CHAIN[:3], Real("learning_rate", 1e-4, 1e-1))},
        {"parameters": (CHAIN[0], CHAIN[1], CHAIN[3])},
        {"parameters": (*CHAIN[:2], Whole("scheduler_patience", 1, 8), CHAIN[3]),
         "baseline": {**BASELINE, "scheduler_patience": 3}},
        {"baseline": {**BASELINE, "learning_rate": 1e-2}},
        {"baseline": {"strategy": "plateau", "scheduler_factor": 0.5, "learning_rate": 1e-3}},
        {"objective": "recall_macro"},
        {"parameters": (*CHAIN[:3], dataclasses.replace(CHAIN[3], sets="weight_decay"))},
        {"parameters": (*CHAIN[:3], dataclasses.replace(CHAIN[3], log=False, step=0.0009))},
    ],
)  # fmt: skip
def test_the_digest_changes_with_what_is_searched(changes: Mapping[str, Any]) -> None:
    assert chain(**changes).digest != chain().digest


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "other"},
        {"description": "in other words"},
        {"baseline": dict(reversed(BASELINE.items()))},
        {"parameters": tuple(dataclasses.replace(parameter) for parameter in CHAIN)},
    ],
)
def test_the_digest_changes_with_nothing_else(changes: Mapping[str, Any]) -> None:
    assert chain(**changes).digest == chain().digest


def test_the_digest_is_the_same_in_every_process() -> None:
    # Other processes continue a study, and their string hashes differ.
    code = (
        "import json; from search_spaces import all_spaces; "
        "print(json.dumps({name: space.digest for name, space in all_spaces().items()}))"
    )
    other = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    printed = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONHASHSEED": other},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert json.loads(printed) == {name: space.digest for name, space in all_spaces().items()}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: one(Real("learning_rat", 0, 1)), ["'mine'", "'learning_rat'", "learning_rate"]),
        (lambda: chain(objective="f2_macro"), ["'chain'", "'f2_macro'", *SCORES]),
        (lambda: chain(baseline={"strategy": "none"}), ["'chain'", "learning_rate"]),
        (lambda: chain(baseline={**BASELINE, "alpha": 0.5}), ["'chain'", "alpha"]),
        (
            lambda: chain(baseline={**BASELINE, "learning_rate": 0.5}),
            ["'chain'", "learning_rate = 0.5", "0.0001 .. 0.1 (log)"],
        ),
        (lambda: chain(parameters=(*CHAIN, CHAIN[0])), ["'chain'", "'strategy' is defined twice"]),
        (lambda: chain(steering=("strategy", "alpha")), ["'chain'", "'alpha'", "steering"]),
    ],
)
def test_errors_name_the_space_and_the_parameter(make: Any, words: list[str]) -> None:
    # And what is allowed: the known fields, the known objectives, the range.
    with pytest.raises(UsageError) as caught:
        make()
    assert all(word in str(caught.value) for word in words)


def test_an_unknown_field_is_refused_with_all_known_fields() -> None:
    known = ", ".join(TrainConfig.field_names())
    with pytest.raises(UsageError, match=known):
        one(Real("lr", 0, 1))


@pytest.mark.parametrize(
    "parameter",
    [
        Real("alpha", 0, 2, when={"strategy": ("plateau",)}),
        Whole("batch_size", 1, 64, when={"strategy": ("plateau",)}),
        Whole("batch_size", 2.0, 64, when={"strategy": ("plateau",)}),  # type: ignore[arg-type]
        Choice("model", ("coupled", "couple"), when={"strategy": ("plateau",)}),
        Real("weight_decay", 0, float("inf"), when={"strategy": ("plateau",)}),
    ],
)
def test_values_out_of_range_are_refused_before_any_training(
    parameter: Parameter,
) -> None:
    # Even if the baseline does not have the parameter.
    with pytest.raises(UsageError, match=f"space 'chain': .*{parameter.name}"):
        chain(parameters=(*CHAIN, parameter))


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ({"optimizer": ("sgd",)}, "depends on 'optimizer', which must come before it"),
        ({"alpha": (0.5,)}, "depends on 'alpha', which must come before it"),
        ({"strategy": ("plato",)}, "depends on strategy = 'plato', which is not in none | plateau"),
        ({"strategy": "plateau"}, "must be in a tuple"),
        ({"strategy": {"none", "plateau"}}, "must be in a tuple"),
        ({"strategy": ()}, "must be in a tuple"),
    ],
)
def test_conditions_that_could_never_hold_are_refused(
    when: Mapping[str, Any], message: str
) -> None:
    # Otherwise the parameter would be left out of every trial silently.
    with pytest.raises(UsageError) as caught:
        chain(parameters=(*CHAIN, Real("alpha", 0, 1, when=when), Choice("optimizer", ("sgd",))))
    assert "space 'chain': 'alpha'" in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Real("alpha", 1, 0),
        lambda: Real("alpha", float("nan"), 1),
        lambda: Real("alpha", 0, 1, log=True),
        lambda: Real("alpha", -1, 1, log=True),
        lambda: Whole("alpha", 2, 1),
        lambda: Choice("alpha", ()),
        lambda: Choice("alpha", ("one")),  # no tuple without a comma
        lambda: Choice("alpha", (0.5, 0.5)),
        lambda: Choice("alpha", {0.5, 1.0}),  # type: ignore[arg-type]
    ],
)
def test_empty_ranges_and_options_are_refused(make: Any) -> None:
    with pytest.raises(UsageError, match="'alpha'"):
        make()


def test_parameters_that_do_not_fit_name_the_space_when_configured() -> None:
    with pytest.raises(UsageError, match="space 'chain': learning_rate must be"):
        chain().configure({**BASELINE, "learning_rate": 2})
