import csv
import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg.budget import BUDGETS
from ecg.errors import UsageError
from ecg.networks import MODELS
from ecg.training import TrainConfig
from ecg.training.config import OPTIMIZERS, OPTIONS
from study.storage.results_values import config_value
from tests.support.toy import rule

REPOSITORY = Path(__file__).parents[3]
FIELDS = TrainConfig.field_names()
few = st.sampled_from  # few values each, so that two draws are often equal
fields = st.fixed_dictionaries(
    {},
    optional={
        "model": few(MODELS),
        "optimizer": few(OPTIMIZERS),
        "learning_rate": few([1e-3, 1e-2]),
        "alpha": few([0.0, 0.5, 1.0]),
        "ratio": few([None, 0.25]),
        "scheduler_factor": few([None, 0.5]),
        "seed": few([0, 1]),
        "patience": few([15, 3]),
        "ema": few([None, 0.99]),
        "label_smoothing": few([0, 0.1]),
        "warm_up": few([0, 1]),
        "rhythm": few([None, "rr"]),
    },
)


def test_defaults_are_the_published_baseline() -> None:
    # Coupled CNN, AdamW, 1e-3 and 1e-3, batch 64, 100 epochs, patience 15, nothing else.
    config = TrainConfig()
    assert (config.model, config.optimizer) == ("coupled", "adamw")
    assert (config.learning_rate, config.weight_decay) == (1e-3, 1e-3)
    assert (config.batch_size, config.max_epochs, config.patience) == (64, 100, 15)
    assert (config.scheduler_patience, config.min_learning_rate) == (3, 1e-6)
    assert config.scheduler_factor is None
    assert config.ratio is None
    assert config.alpha == 0
    multipliers = [getattr(config, name) for name in FIELDS if name.endswith("_multiplier")]
    assert multipliers == [1, 1, 1]
    assert not any(getattr(config, name) for name in OPTIONS)


def test_a_configuration_stored_before_the_options_existed_keeps_its_digest() -> None:
    # The digest identifies planned runs in existing databases and in committed results.
    path = REPOSITORY / "results/tables/tables-mitdb-intra-patient-paper/results.csv"
    with path.open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        columns = {k.removeprefix("config_"): v for k, v in row.items() if "config_" in k}
        fields = {k: config_value(v) for k, v in columns.items()}
        config = TrainConfig.from_fields(fields)
        assert config.replace(seed=0).digest == row["configuration"]
        assert set(config.to_fields()) == set(columns) == set(FIELDS) - set(OPTIONS)
    assert "d029bcc2411851b8" in {row["configuration"] for row in rows}


def test_an_option_that_a_table_leaves_empty_is_off() -> None:
    # One table may contain runs with an option and runs without.
    empty = dict.fromkeys(OPTIONS)
    assert TrainConfig.from_fields({**TrainConfig().to_fields(), **empty}) == TrainConfig()


def test_cosine_and_plateau_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="schedule 'cosine' and scheduler_factor"):
        TrainConfig(schedule="cosine", scheduler_factor=0.5)


def test_a_budget_gives_its_limits_and_its_schedule_where_there_is_none() -> None:
    short, paper = BUDGETS["short"], BUDGETS["paper"]
    plain = TrainConfig(seed=3).within(short)
    assert plain == TrainConfig(max_epochs=12, patience=12, schedule="cosine", warm_up=1, seed=3)
    assert plain.within(short) == plain
    own = TrainConfig(schedule="cosine", warm_up=3)
    assert own.within(short) == own.replace(max_epochs=12, patience=12)
    assert plain.within(paper) == TrainConfig(seed=3)  # what a budget gave goes with it
    assert own.within(short).within(paper) == own
    plateau = TrainConfig(scheduler_factor=0.5)
    assert plateau.within(short) == plateau.replace(max_epochs=12, patience=12)
    assert TrainConfig().within(paper) == TrainConfig()


def test_frozen_and_given_by_name_only() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainConfig().seed = 1  # type: ignore[misc]
    with pytest.raises(TypeError):
        TrainConfig("simple")  # type: ignore[misc]


def test_equal_configurations_have_equal_hashes() -> None:
    # Configurations serve as dictionary keys.
    assert len({TrainConfig(), TrainConfig(seed=0), TrainConfig(seed=1)}) == 2


@rule
@given(fields, fields)
def test_digest_is_equal_where_the_fields_are_and_only_there(a: dict, b: dict) -> None:
    one, two = TrainConfig(**a), TrainConfig(**b)
    assert (one.digest == two.digest) == (one == two) == (one.to_fields() == two.to_fields())
    assert re.fullmatch("[0-9a-f]{16}", one.digest)


@pytest.mark.parametrize(("field", "one", "two"), [("alpha", 1, 1.0), ("weight_decay", 0.0, -0.0)])
def test_the_digest_depends_on_the_number_and_not_on_its_type(
    field: str, one: float, two: float
) -> None:
    # 1 and 1.0 are equal, so the configurations and their digests must be equal.
    a, b = TrainConfig(**{field: one}), TrainConfig(**{field: two})
    assert a == b
    assert a.digest == b.digest


def test_digest_changes_with_every_field() -> None:
    others: dict[str, Any] = {
        "model": "simple",
        "optimizer": "sgd",
        "scheduler_factor": 0.5,
        "ratio": 0.5,
        "alpha": 0.5,
        "schedule": "cosine",
        "rhythm": "rr",
    }
    digests = {TrainConfig().digest}
    for name in FIELDS:
        default = getattr(TrainConfig(), name)
        value = others.get(name, default + 1 if isinstance(default, int) else 0.5)
        digests.add(TrainConfig(**{name: value}).digest)
    assert len(digests) == len(FIELDS) + 1


@rule
@given(fields)
def test_fields_survive_json(chosen: dict[str, Any]) -> None:
    # A trial stores the whole configuration as JSON, which must give the same one when read.
    config = TrainConfig(**chosen)
    assert TrainConfig.from_fields(json.loads(json.dumps(config.to_fields()))) == config


def test_unknown_field_is_named_and_the_known_are_listed() -> None:
    with pytest.raises(UsageError, match=r"no field 'epochs'\. Use one of: ") as caught:
        TrainConfig.from_fields({"epochs": 3, "seed": 1})
    assert str(caught.value).endswith(f"{', '.join(FIELDS)}.")


def test_replace_changes_a_copy_and_checks_it() -> None:
    config = TrainConfig()
    assert config.replace(seed=3) == TrainConfig(seed=3)
    assert config.seed == 0
    with pytest.raises(UsageError, match=r"^alpha "):
        config.replace(alpha=2.0)


NAN, INF = float("nan"), float("inf")
OUT_OF_RANGE: dict[str, list[Any]] = {
    "model": ["resnet", "", None],
    "optimizer": ["rmsprop", None],
    "width_multiplier": [0.0, -1.0, 10.1, NAN],
    "kernel_multiplier": [0.0, 11.0, INF],
    "dropout_multiplier": [-0.1, 10.5, NAN],
    "learning_rate": [-1e-9, 1.1, NAN, INF, "0.1", None, True],
    "weight_decay": [-1e-9, 2.0, NAN],
    "momentum": [-0.1, 1.1, NAN],
    "scheduler_factor": [0.0, 1.0, 1.5, -0.5, NAN],
    "scheduler_patience": [-1, 1.5, True],
    "min_learning_rate": [-1e-9, 1.5],
    "alpha": [-0.1, 1.1, NAN, "1"],
    "ratio": [0.0, 1.1, -1.0, NAN, True],
    "batch_size": [0, -1, 64.0, "64", True],
    "max_epochs": [0, -3, 1.5, None],
    "patience": [0, -1, 2.5, INF],
    "seed": [-1, 0.5, None],
    "schedule": ["plateau", "linear", 1],
    "warm_up": [-1, 0.5, True],
    "ema": [0.0, 1.0, 1.5, NAN, "0.99"],
    "label_smoothing": [-0.1, 1.1, NAN],
    "mixup": [-0.1, 1.1, NAN],
    "jitter": [-0.1, 1.1, True],
    "logit_adjustment": [-0.1, 1.1, NAN],
    "rhythm": ["none", "hr", True],
}


def test_every_field_has_values_to_refuse() -> None:
    assert set(OUT_OF_RANGE) == set(FIELDS)


@pytest.mark.parametrize(
    ("field", "value"), [(name, value) for name in FIELDS for value in OUT_OF_RANGE[name]]
)
def test_value_out_of_range_is_refused_by_field_name(field: str, value: Any) -> None:
    with pytest.raises(UsageError, match=rf"\b{field}\b") as caught:
        TrainConfig(**{field: value})
    assert repr(value).strip("'") in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("alpha", 1), ("ratio", 1), ("scheduler_patience", 0), ("dropout_multiplier", 0)],
        *[("weight_decay", 0), ("patience", 1), ("max_epochs", 1), ("width_multiplier", 10)],
    ],
)
def test_the_ends_of_the_ranges_are_allowed(field: str, value: float) -> None:
    assert getattr(TrainConfig(**{field: value}), field) == value
