from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from ecg.metrics import bootstrap_interval, scores
from ecg.statistics import (
    MIN_PAIRS,
    holm,
    interval_of_mean,
    interval_of_runs,
    paired_p_value,
    smallest_p_value,
)
from tests.ecg.test_metrics import SIMPLE_CNN
from tests.support.toy import rule

shares = st.floats(0, 1, allow_subnormal=False)
p_values = st.lists(shares, min_size=1, max_size=12)
steps = st.lists(st.integers(-4, 4), min_size=MIN_PAIRS, max_size=10)


def count_sign_patterns(differences: list[int]) -> float:
    """Two-sided p by counting: every sign pattern is equally likely where nothing differs."""
    kept = [d for d in differences if d]
    ranks = stats.rankdata(np.abs(kept))
    centre = ranks.sum() / 2
    observed = abs(ranks[np.array(kept) > 0].sum() - centre)
    patterns = product((0, 1), repeat=len(kept))
    extreme = sum(abs(np.dot(ranks, p) - centre) >= observed - 1e-9 for p in patterns)
    return float(extreme) / 2 ** len(kept)


@pytest.mark.parametrize("pairs", range(MIN_PAIRS))
def test_no_test_below_six_pairs(pairs: int) -> None:
    assert paired_p_value(np.arange(pairs) + 1.0, np.zeros(pairs)) is None


def test_five_pairs_could_not_reach_five_percent_and_six_can() -> None:
    assert smallest_p_value(5) == 0.0625
    assert paired_p_value(np.arange(1.0, 7), np.zeros(6)) == smallest_p_value(6) == 0.03125


@rule
@given(steps)
def test_p_value_is_the_share_of_sign_patterns_ties_and_zeros_included(steps: list[int]) -> None:
    expected = count_sign_patterns(steps) if any(steps) else 1.0
    theirs = 0.9 + 0.001 * np.arange(len(steps))
    found = paired_p_value(theirs + 0.0001 * np.array(steps), theirs)
    assert found == pytest.approx(expected)


@rule
@given(st.lists(st.tuples(shares, shares), min_size=MIN_PAIRS, max_size=8))
def test_p_value_depends_neither_on_the_order_of_pairs_nor_on_the_sides(
    pairs: list[tuple[float, float]],
) -> None:
    first, second = np.array(pairs).T
    order = np.random.default_rng(len(pairs)).permutation(len(pairs))
    p_value = paired_p_value(first, second)
    assert p_value is not None
    assert 0 < p_value <= 1
    assert paired_p_value(first[order], second[order]) == pytest.approx(p_value)
    assert paired_p_value(second, first) == pytest.approx(p_value)


def test_runs_without_any_difference_have_p_one() -> None:
    assert paired_p_value([0.9] * 8, [0.9] * 8) == 1


def test_many_tied_pairs_fall_back_on_the_normal_approximation() -> None:
    first = np.tile([0.1, 0.2, -0.1, 0.3], 10)
    p_value = paired_p_value(first, np.zeros(40))
    assert p_value is not None
    assert p_value < 0.001


def test_pairs_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        paired_p_value([1.0, 2.0], [1.0])


def test_holm_of_a_worked_example() -> None:
    # 4 * 0.01, 3 * 0.02, then never less than before, never more than 1.
    assert holm([0.04, 0.01, 0.02, 0.9]) == pytest.approx([0.08, 0.04, 0.06, 0.9])
    assert holm([]) == []


@rule
@given(p_values)
def test_holm_is_bounded_and_keeps_the_order(raw: list[float]) -> None:
    corrected = holm(raw)
    assert all(p <= c <= 1 for p, c in zip(raw, corrected, strict=True))
    # Not stricter than Bonferroni's correction.
    assert all(c <= min(1, len(raw) * p) for p, c in zip(raw, corrected, strict=True))
    for (p, c), (q, d) in product(zip(raw, corrected, strict=True), repeat=2):
        assert p > q or c <= d


@rule
@given(shares)
def test_holm_leaves_a_single_test_alone(p_value: float) -> None:
    assert holm([p_value]) == [p_value]


@rule
@given(p_values)
def test_holm_goes_with_its_tests_in_any_order(raw: list[float]) -> None:
    order = sorted(range(len(raw)), key=lambda i: (i * 7 + 3) % len(raw))
    assert holm([raw[i] for i in order]) == pytest.approx([holm(raw)[i] for i in order])


@rule
@given(st.lists(shares, min_size=2, max_size=12))
def test_interval_lies_among_the_values_and_does_not_depend_on_their_order(
    values: list[float],
) -> None:
    low, high = interval_of_mean(values, draws=200)
    assert min(values) - 1e-12 <= low <= high <= max(values) + 1e-12
    assert interval_of_mean(values[::-1], draws=200) == (low, high)


def test_interval_of_equal_values_has_no_width() -> None:
    assert interval_of_mean([0.5, 0.5, 0.5]) == (0.5, 0.5)


def test_interval_is_about_that_of_the_normal_distribution() -> None:
    values = np.random.default_rng(3).normal(0.9, 0.01, size=60)
    half = 1.96 * values.std(ddof=1) / np.sqrt(60)
    expected = (values.mean() - half, values.mean() + half)
    assert interval_of_mean(values) == pytest.approx(expected, abs=0.1 * half)


@rule
@given(st.lists(shares, min_size=2, max_size=8), st.floats(-1, 1))
def test_interval_moves_with_its_values(values: list[float], shift: float) -> None:
    assume(len(set(values)) > 1)
    low, high = interval_of_mean(values, draws=200)
    moved = interval_of_mean(np.array(values) + shift, draws=200)
    assert moved == pytest.approx((low + shift, high + shift), abs=1e-9)


@pytest.mark.parametrize("values", [[], [0.9]])
def test_interval_over_seeds_needs_two_of_them(values: list[float]) -> None:
    with pytest.raises(ValueError, match="at least two"):
        interval_of_mean(values)


def test_interval_of_one_run_resamples_its_beats() -> None:
    value = scores(SIMPLE_CNN)["f1_macro"]
    found = interval_of_runs([value], [SIMPLE_CNN], "f1_macro")
    assert found == bootstrap_interval(SIMPLE_CNN, "f1_macro")
    assert found[0] < value < found[1]


def test_interval_of_several_runs_is_over_seeds() -> None:
    found = interval_of_runs([0.7, 0.9], [SIMPLE_CNN] * 2, "f1_macro")
    assert found == interval_of_mean([0.7, 0.9]) == (0.7, 0.9)
