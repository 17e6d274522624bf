"""A choice of None is a value like any other; a parameter that a trial lacks is not a value."""

from pathlib import Path

import optuna
import pandas as pd
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from study.plots import importances, parallel_coordinates, slices
from study.storage.reading import read_study
from study.storage.rows import best_row
from study.storage.studies import open_storage
from study.storage.trials_table import load_trials
from study.wording import parameters_of, say_parameters
from tests.support.fake_study import fake_trial
from tests.support.setting import Typed

FACTORS = (None, 0.2, 0.5)


@pytest.fixture
def decisive(sqlite_url: str) -> str:
    """A study in which a choice of None decides the objective, and another parameter nothing."""
    study = optuna.create_study(
        storage=open_storage(sqlite_url), study_name="none", direction="maximize"
    )
    study.set_user_attr("identity", {"budget": "paper", "source": "mitdb"})
    facts = fake_trial(0).user_attrs
    for number in range(36):
        factor = FACTORS[number % 3]
        params = {"scheduler_factor": factor, "noise": (number * 7 % 36) / 36}
        distributions = {
            "scheduler_factor": CategoricalDistribution(FACTORS),
            "noise": FloatDistribution(0, 1),
        }
        if number % 6 == 5:  # a trial that does not have the parameter
            del params["scheduler_factor"], distributions["scheduler_factor"]
        value = 0.9 if factor is None else 0.5 + 0.001 * (number * 5 % 18)
        study.add_trial(
            optuna.create_trial(
                value=value, params=params, distributions=distributions,
                user_attrs={**facts, "baseline": number == 0},
            )
        )  # fmt: skip
    return sqlite_url


def test_none_is_shown(decisive: str, typed: "type[Typed]") -> None:
    found = typed("show", "none", "--storage", decisive)
    assert "scheduler_factor=none" in found.out
    best = best_row(read_study(decisive, "none").rows)
    assert best is not None
    assert "scheduler_factor=none" in say_parameters(parameters_of(best.items()))


def test_none_is_counted_in_importances(decisive: str) -> None:
    found = importances(load_trials(decisive, "none"))
    assert next(iter(found)) == "scheduler_factor"
    assert found["scheduler_factor"] > 0.9


def test_none_is_drawn(decisive: str) -> None:
    trials = load_trials(decisive, "none")
    with_none = int((trials["param_scheduler_factor"] == "none").sum())
    assert with_none == 12
    assert trials["param_scheduler_factor"].isna().sum() == 6
    drawn = slices(trials)
    axis = list(trials.filter(like="param_").columns).index("param_scheduler_factor")
    points = [
        x for trace in drawn.data if trace.xaxis == ("x" if axis == 0 else f"x{axis + 1}")
        for x in trace.x
    ]  # fmt: skip
    assert points.count("none") == with_none
    assert len(points) == 30  # nothing of the trials without the parameter
    assert drawn.layout["xaxis" if axis == 0 else f"xaxis{axis + 1}"].type == "category"
    texts = [note.text for note in parallel_coordinates(trials).layout.annotations]
    assert {"none", "not used"} <= {*texts}


def test_a_column_of_numbers_without_none_stays_numeric(decisive: str, tmp_path: Path) -> None:
    assert pd.api.types.is_numeric_dtype(load_trials(decisive, "none")["param_noise"])
