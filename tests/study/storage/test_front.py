"""Which trials are on the front of several objectives, and keep their weights for it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import optuna
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import create_trial

from study.storage.front import find_front
from study.storage.reading import read_studies
from study.storage.studies import open_storage, open_study
from study.storage.weights import BEST_KEPT, is_kept, kept_trials
from tests.support.setting import IDENTITY, Typed
from tests.support.toy import rule

AIMS = ("maximize", "minimize", "maximize")
Values = Sequence[Sequence[float]]
few = st.sampled_from([0.0, 0.25, 0.5, 1.0, 7.0])


@st.composite
def studies(draw: st.DrawFn) -> tuple[Values, Sequence[str]]:
    """Draw the values of trials, with ties, and the directions."""
    number = draw(st.integers(1, 3))
    trial = st.tuples(*(few | st.floats(-9, 9) for _ in range(number)))
    return draw(st.lists(trial, max_size=25)), AIMS[:number]


def beats(one: Sequence[float], other: Sequence[float], aims: Sequence[str]) -> bool:
    """Whether a trial is as good as another in all objectives and better in one."""
    pairs = [
        (a, b) if aim == "maximize" else (b, a) for a, b, aim in zip(one, other, aims, strict=True)
    ]
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)


@rule
@given(studies())
def test_the_front_is_what_no_trial_beats(found: tuple[Values, Sequence[str]]) -> None:
    # Rule: by brute force, and as Optuna has it; of equal trials the first one.
    values, aims = found
    wanted = [
        not any(beats(other, one, aims) for other in values) and one not in values[:number]
        for number, one in enumerate(values)
    ]
    assert find_front(values, aims).tolist() == wanted
    if len(aims) > 1:
        study = optuna.create_study(directions=list(aims))
        study.add_trials([create_trial(values=list(one)) for one in values])
        mine = {values[number] for number, is_on in enumerate(wanted) if is_on}
        assert mine == {tuple(trial.values) for trial in study.best_trials}


def test_a_trial_without_a_value_is_not_on_the_front() -> None:
    assert find_front([(math.nan, 1.0), (0.5, 2.0)], AIMS[:2]).tolist() == [False, True]
    assert find_front([], AIMS).tolist() == []


@rule
@given(studies())
def test_whoever_is_on_the_front_kept_its_weights(found: tuple[Values, Sequence[str]]) -> None:
    # Rule: the front stays as well as the best ten, and each of its trials was kept when it ended.
    values, aims = found
    trials = [create_trial(values=list(one)) for one in values]
    for number, trial in enumerate(trials):
        trial.number = number
    stays = kept_trials("best", trials, aims)
    if len(aims) == 1:
        return
    front = {number for number, is_on in enumerate(find_front(values, aims)) if is_on}
    assert front <= stays
    assert len(stays - front) <= BEST_KEPT
    for number in stays:
        before = values[:number]
        leads = bool(find_front([values[number], *before], aims)[0])
        others = [one[0] for one in before]
        assert is_kept("best", values[number][0], others, is_baseline=False, is_on_front=leads)


def test_a_database_keeps_all_values(url: str, typed: Callable[..., Typed]) -> None:
    # Rule: in both kinds of database, with names for the dashboard; of another tool's study the
    # front is listed too, and no trial is the best.
    storage = open_storage(url)
    identity = replace(IDENTITY, objectives="f1_macro,parameters")
    mine, _ = open_study(storage, "mine", identity)
    other = optuna.create_study(
        storage=storage, study_name="other", directions=["minimize", "maximize"]
    )
    for values in ((0.5, 300.0), (0.4, 200.0), (0.3, 400.0)):
        for study in (mine, other):
            study.add_trial(create_trial(values=values))
    assert mine.metric_names == ["f1_macro", "parameters"]
    found = {study.name: study for study in read_studies(url)}
    rows = found["other"].rows
    assert [row["value_1"] for row in rows] == [300.0, 200.0, 400.0]
    assert [row["number"] for row in found["other"].front] == [2]
    assert found["other"].best is None
    assert [row["value_parameters"] for row in found["mine"].rows] == [300.0, 200.0, 400.0]
    assert found["mine"].front == []  # nobody trained these
    listed = typed("list", "--storage", url)
    assert (listed.code, "1 trial" in listed.out) == (0, True)
