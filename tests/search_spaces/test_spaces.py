"""The shipped spaces, and those in a user's file."""

import ast
import os
import py_compile
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution

import search_spaces
from ecg.budget import BUDGETS
from ecg.errors import UsageError
from ecg.models import Shape
from ecg.training import TrainConfig
from search_spaces import Params, Space, all_spaces, find_space
from study.run.points import GRID_POINTS
from study.trials.trial import configure
from tests.search_spaces.test_space import Drawn
from tests.support.toy import flat_heartbeats, rule, toy_heartbeats

SHIPPED = sorted(all_spaces().items())
shipped = pytest.mark.parametrize("space", [s for _, s in SHIPPED], ids=[n for n, _ in SHIPPED])
by_any = st.sampled_from([space for _, space in SHIPPED])


def check_conditions(space: Space, params: Params) -> None:
    """Check that exactly the parameters are present whose conditions hold."""
    for parameter in space.parameters:
        asked_for = all(params.get(p) in values for p, values in parameter.when.items())
        assert (parameter.name in params) == asked_for
        if asked_for:
            assert parameter.contains(params[parameter.name])


def test_seven_spaces_are_shipped() -> None:
    # Each has the name of its file.
    assert set(all_spaces()) == {
        *("architecture", "full", "imbalance", "optimizer", "regularise", "rhythm", "scheduler")
    }
    for name, space in all_spaces().items():
        assert space.name == name
        assert space.description
        assert find_space(name) == space


@shipped
def test_the_first_trial_is_the_published_baseline(space: Space) -> None:
    # Except for seed and epoch limits, which come from the study and its budget.
    for budget in BUDGETS.values():
        config = configure(space, dict(space.baseline), budget, seed=7)
        assert (config.max_epochs, config.patience) == (budget.max_epochs, budget.patience)
        plain = TrainConfig()
        assert plain.within(budget) == config.replace(seed=plain.seed)


@shipped
def test_optuna_runs_the_baseline_first(space: Space) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.enqueue_trial(dict(space.baseline))
    assert space.suggest(study.ask()) == dict(space.baseline)


@rule
@given(by_any, st.data())
def test_every_suggestion_is_accepted(space: Space, data: st.DataObject) -> None:
    params = space.suggest(Drawn(data))
    check_conditions(space, params)
    config = configure(space, params, BUDGETS["smoke"], seed=0)
    sets = {parameter.name: parameter.sets or parameter.name for parameter in space.parameters}
    for name, value in params.items():
        assert name in space.steering or getattr(config, sets[name]) == value


@shipped
@pytest.mark.parametrize("sampler", [optuna.samplers.RandomSampler, optuna.samplers.TPESampler])
def test_every_suggestion_of_optuna_is_accepted(space: Space, sampler: Any) -> None:
    # The trial stores the suggested parameters.
    study = optuna.create_study(direction="maximize", sampler=sampler(seed=3))
    seeds = set()
    for number in range(25):
        trial = study.ask()
        params = space.suggest(trial)
        check_conditions(space, params)
        assert trial.params == params
        seeds.add(configure(space, params, BUDGETS["paper"], seed=0).seed)
        study.tell(trial, number % 7)
    assert len(seeds) > 1


@rule
@given(by_any, st.data(), st.integers(0, 3))
def test_the_seed_of_a_run_follows_from_study_and_configuration(
    space: Space, data: st.DataObject, seed: int
) -> None:
    # So it does not matter which worker runs a trial, or when.
    params = space.suggest(Drawn(data))
    config = configure(space, params, BUDGETS["smoke"], seed)
    assert config == configure(space, dict(reversed(params.items())), BUDGETS["smoke"], seed)
    assert config.seed != configure(space, params, BUDGETS["smoke"], seed + 1).seed


@shipped
@pytest.mark.parametrize("points", [1, 2, 3])
def test_a_grid_has_distinct_points_that_can_all_be_trained(space: Space, points: int) -> None:
    grid = space.grid(points)
    assert len({tuple(sorted(params.items())) for params in grid}) == len(grid)
    for params in grid:
        check_conditions(space, params)
        space.configure(params)


def test_the_grid_that_is_searched_has_the_ends_of_every_range() -> None:
    grid = find_space("optimizer").grid(GRID_POINTS)
    assert len(grid) == GRID_POINTS**2 * (2 + GRID_POINTS)
    assert {params.get("learning_rate") for params in grid} >= {None, 1e-4, 1e-2}
    assert {params.get("sgd_learning_rate") for params in grid} >= {None, 1e-3, 3e-1}
    assert {params.get("momentum") for params in grid} >= {None, 0.5, 0.99}


@pytest.mark.parametrize("name", ["optimizer", "full"])
def test_adam_and_sgd_have_separate_learning_rates(name: str) -> None:
    # Both set one field of the configuration.
    space = find_space(name)
    for params in space.grid(2):
        rates = [params[n] for n in ("learning_rate", "sgd_learning_rate") if n in params]
        assert [space.configure(params).learning_rate] == rates
    by_optimizer = {p["optimizer"]: p.get("sgd_learning_rate") for p in space.grid(1)}
    assert by_optimizer == {"adamw": None, "adam": None, "sgd": 1e-3}


@pytest.mark.parametrize("name", ["architecture", "regularise"])
def test_widths_and_kernels_are_numbers_for_the_sampler(name: str) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen: dict[str, set[float]] = {"width_multiplier": set(), "kernel_multiplier": set()}
    for _ in range(40):
        trial = study.ask()
        find_space(name).suggest(trial)
        for name_of, values in seen.items():
            assert isinstance(trial.distributions[name_of], FloatDistribution)
            values.add(trial.params[name_of])
    assert seen["width_multiplier"] == {0.5, 1.0, 1.5, 2.0}
    kernels = {Shape(kernel=kernel).kernel_size() for kernel in seen["kernel_multiplier"]}
    assert kernels == {3, 5, 7, 9}


def test_spaces_whose_definition_has_not_changed_keep_their_digest() -> None:
    # Their studies can be continued, and recordings of them can be replayed.
    spaces = all_spaces()
    assert (spaces["imbalance"].digest, spaces["scheduler"].digest) == ("d922028a", "483629ad")


def test_the_rhythm_is_searched_only_if_records_are_known() -> None:
    told, untold = toy_heartbeats(20), flat_heartbeats(np.zeros(3, dtype=np.int64))
    for name, space in all_spaces().items():
        space.check(told)
        if name != "rhythm":
            space.check(untold)
    with pytest.raises(UsageError, match="space 'rhythm': the rhythm needs the RR intervals"):
        find_space("rhythm").check(untold)


def test_an_unknown_space_names_those_that_are_known() -> None:
    with pytest.raises(UsageError) as caught:
        find_space("optimiser")
    assert "'optimiser'" in str(caught.value)
    assert ", ".join(sorted(all_spaces())) in str(caught.value)


USER_SPACE = """
from search_spaces import Choice, Real, Space

SPACE = Space(
    name="mine",
    description="dropout of two networks",
    parameters=(Choice("model", ("simple", "coupled")), Real("dropout_multiplier", 0.0, 2.0)),
    baseline={"model": "coupled", "dropout_multiplier": 1.0},
)
"""


def test_a_space_is_found_in_a_users_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "my space.py"
    path.write_text(USER_SPACE)
    space = find_space(str(path))
    assert (space.name, len(space.grid(3))) == ("mine", 6)
    monkeypatch.chdir(tmp_path)
    assert find_space("my space.py").digest == space.digest


def test_a_users_file_is_read_again_each_time(tmp_path: Path) -> None:
    # Not even a text of the same size and time is taken from a compiled file, and the file does
    # not hide a shipped space of the same name.
    path = tmp_path / "full.py"
    path.write_text(USER_SPACE)
    before, times = find_space(str(path)).digest, path.stat()
    py_compile.compile(str(path))
    path.write_text(USER_SPACE.replace("2.0)", "1.5)"))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert find_space(str(path)).digest != before
    assert find_space("full").name == "full"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("raise ValueError('no luck')", "ValueError: no luck"),
        ("1 / 0", "ZeroDivisionError"),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("def broken(:", "SyntaxError"),
        ("\0", "null bytes"),
        ("SPACES = 1", "does not define SPACE"),
        ("SPACE = {'model': ['simple']}", "does not define SPACE"),
        ("", "does not define SPACE"),
        (USER_SPACE.replace('"model", ', '"modell", '), "'modell' is neither a field"),
        (USER_SPACE.replace("2.0)", "0.5)"), "dropout_multiplier = 1.0 is not in 0 .. 0.5"),
    ],
)
def test_an_unusable_file_is_refused_with_the_reason(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        find_space(str(path))
    assert str(path) in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize("name", ["missing.py", "folder.py"])
def test_a_missing_file_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder.py").mkdir()
    with pytest.raises(UsageError, match=f"{name} does not exist"):
        find_space(str(tmp_path / name))


def test_an_interrupt_while_loading_a_file_is_not_an_error_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        find_space(str(path))


def test_spaces_know_nothing_of_optuna_nor_of_studies() -> None:
    # A space is data; only a study depends on it.
    for path in Path(search_spaces.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [node.module] if isinstance(node, ast.ImportFrom) else []
            modules += [a.name for a in node.names] if isinstance(node, ast.Import) else []
            assert not {str(m).split(".")[0] for m in modules} & {"optuna", "study"}, path.name


def test_only_public_names_are_offered() -> None:
    # Rule: the package exposes the names in `__all__` and none of its helpers.
    import search_spaces

    assert dir(search_spaces) == sorted(search_spaces.__all__)
    assert all(hasattr(search_spaces, name) for name in search_spaces.__all__)
