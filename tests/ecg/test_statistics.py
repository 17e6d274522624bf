from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ecg.metrics import bootstrap_interval, scores
from ecg.statistics import (
    SIGNIFICANCE,
    Comparison,
    Interval,
    compare_with_baseline,
    holm,
    interval_of_mean,
    interval_of_next_run,
    interval_of_runs,
    least_pairs,
    paired_p_value,
    smallest_p_value,
)
from search_spaces.tables import TABLES
from tests.ecg.test_metrics import SIMPLE_CNN
from tests.support.toy import rule

shares = st.floats(0, 1, allow_subnormal=False)
p_values = st.lists(shares, min_size=1, max_size=12)
steps = st.lists(st.integers(-4, 4), min_size=1, max_size=10)
intervals = pytest.mark.parametrize("interval", [interval_of_mean, interval_of_next_run])
MakeInterval = Callable[..., Interval]


def count_sign_patterns(differences: list[int]) -> float:
    """Two-sided p by counting: every sign pattern is equally likely where nothing differs."""
    kept = [d for d in differences if d]
    ranks = stats.rankdata(np.abs(kept))
    centre = ranks.sum() / 2
    observed = abs(ranks[np.array(kept) > 0].sum() - centre)
    patterns = product((0, 1), repeat=len(kept))
    extreme = sum(abs(np.dot(ranks, p) - centre) >= observed - 1e-9 for p in patterns)
    return float(extreme) / 2 ** len(kept)


def p_values_of_all_patterns(pairs: int) -> np.ndarray:
    """Two-sided p of every sign pattern of differences that are all of different size."""
    signs = np.array(list(product((0, 1), repeat=pairs)))
    distances = np.abs(signs @ np.arange(1, pairs + 1) - pairs * (pairs + 1) / 4)
    return np.array([(distances >= distance).mean() for distance in distances])


@pytest.mark.parametrize("pairs", range(1, 10))
def test_smallest_p_is_that_of_the_best_sign_pattern(pairs: int) -> None:
    best = p_values_of_all_patterns(pairs).min()
    assert smallest_p_value(pairs) == best
    assert paired_p_value(np.arange(1.0, pairs + 1), np.zeros(pairs)) == pytest.approx(best)


TOP_3 = 3 * 2  # winners x scores of `confirm`
FAMILIES = {"table1": 8, "table2": 7, "table3": 8, "table4": 8, "table5": 9}


@pytest.mark.parametrize(
    ("tests", "least"),
    [(2 * (len(TABLES[name].rows) - 1), least) for name, least in FAMILIES.items()] + [(TOP_3, 8)],
)
def test_least_seeds_of_a_family_by_enumeration(tests: int, least: int) -> None:
    # Every test of the family has the best sign pattern, so no family can be better.
    reached = {n: max(holm([p_values_of_all_patterns(n).min()] * tests)) for n in range(1, 10)}
    assert min(n for n, p_value in reached.items() if p_value < SIGNIFICANCE) == least
    assert least_pairs(tests) == least
    assert {n: smallest_p_value(n, tests) for n in reached} == pytest.approx(reached)


def test_three_winners_that_are_better_on_every_seed() -> None:
    # Two scores each: six tests.
    found = []
    for seeds in (6, 7, 8):
        runs = {
            name: {score: {seed: gain + 0.01 * seed**2 * gain for seed in range(seeds)}
                   for score in ("f1_macro", "f1_weighted")}
            for name, gain in {"baseline": 0.5, "a": 0.6, "b": 0.7, "c": 0.8}.items()
        }  # fmt: skip
        compared = compare_with_baseline(runs, "baseline")
        assert len(compared) == TOP_3
        found.append({round(c.p_value or 0, 3) for c in compared})
    assert found == [{0.188}, {0.094}, {0.047}]


def test_a_comparison_uses_the_repeats_that_both_have() -> None:
    runs = {
        "base": {"f1": {0: 0.5, 1: 0.25, 3: 0.125}},
        "better": {"f1": {1: 0.5, 2: 0.75, 3: 0.25}},
        "not trained": {"f1": {}},
    }
    assert compare_with_baseline(runs, "base") == [
        Comparison("better", "f1", 2, 0.1875, 0.5),
        Comparison("not trained", "f1", 0, None, None),
    ]


def test_there_is_no_test_without_a_pair() -> None:
    with pytest.raises(ValueError, match="at least one pair"):
        paired_p_value([], [])


@rule
@given(steps)
def test_p_value_is_the_share_of_sign_patterns_ties_and_zeros_included(steps: list[int]) -> None:
    expected = count_sign_patterns(steps) if any(steps) else 1.0
    theirs = 0.9 + 0.001 * np.arange(len(steps))
    found = paired_p_value(theirs + 0.0001 * np.array(steps), theirs)
    assert found == pytest.approx(expected)


@rule
@given(st.lists(st.tuples(shares, shares), min_size=1, max_size=8))
def test_p_value_depends_neither_on_the_order_of_pairs_nor_on_the_sides(
    pairs: list[tuple[float, float]],
) -> None:
    first, second = np.array(pairs).T
    order = np.random.default_rng(len(pairs)).permutation(len(pairs))
    p_value = paired_p_value(first, second)
    assert 0 < p_value <= 1
    assert paired_p_value(first[order], second[order]) == pytest.approx(p_value)
    assert paired_p_value(second, first) == pytest.approx(p_value)


def test_runs_without_any_difference_have_p_one() -> None:
    assert paired_p_value([0.9] * 8, [0.9] * 8) == 1


def test_many_tied_pairs_fall_back_on_the_normal_approximation() -> None:
    first = np.tile([0.1, 0.2, -0.1, 0.3], 10)
    p_value = paired_p_value(first, np.zeros(40))
    assert p_value < 0.001


def test_pairs_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="equally long"):
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


@intervals
@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_an_interval_has_its_nominal_coverage(interval: MakeInterval, seeds: int) -> None:
    # Of 95% intervals, 95 +- 1 % contain the truth: the mean of all runs, or the next run.
    studies = 6000  # the standard error of the share is 0.3 %
    runs = np.random.default_rng(20110801).normal(0.93, 0.005, size=(studies, seeds + 1))
    held = 0
    for *values, following in runs:
        low, high = interval(values)
        held += low <= (0.93 if interval is interval_of_mean else following) <= high
    assert held / studies == pytest.approx(0.95, abs=0.01)


@intervals
@rule
@given(st.lists(shares, min_size=2, max_size=12))
def test_interval_lies_around_the_mean_whatever_the_order(
    interval: MakeInterval, values: list[float]
) -> None:
    low, high = interval(values)
    assert (low + high) / 2 == pytest.approx(np.mean(values))
    assert interval(values[::-1]) == (low, high)
    assert interval(values, level=0.5)[0] >= low


def test_interval_of_equal_values_has_no_width() -> None:
    assert interval_of_mean([0.5, 0.5, 0.5]) == interval_of_next_run([0.5, 0.5, 0.5]) == (0.5, 0.5)


def test_intervals_of_a_worked_example() -> None:
    # Mean 2, s = 1, t(2 degrees of freedom) = 4.302653.
    assert interval_of_mean([1, 2, 3]) == pytest.approx((2 - 4.302653 / 3**0.5, 2 + 2.484138))
    half = 4.302653 * (1 + 1 / 3) ** 0.5
    assert interval_of_next_run([1, 2, 3]) == pytest.approx((2 - half, 2 + half))


@intervals
@pytest.mark.parametrize("values", [[], [0.9]])
def test_interval_over_seeds_needs_two_of_them(interval: MakeInterval, values: list[float]) -> None:
    with pytest.raises(ValueError, match="at least two"):
        interval(values)


def test_interval_of_one_run_resamples_its_beats() -> None:
    value = scores(SIMPLE_CNN)["f1_macro"]
    found = interval_of_runs([value], [SIMPLE_CNN], "f1_macro")
    assert found == bootstrap_interval(SIMPLE_CNN, "f1_macro")
    assert found[0] < value < found[1]


def test_interval_of_several_runs_is_over_seeds() -> None:
    found = interval_of_runs([0.7, 0.9], [SIMPLE_CNN] * 2, "f1_macro")
    assert found == interval_of_mean([0.7, 0.9])
