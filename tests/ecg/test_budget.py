import pytest

from ecg.budget import BUDGETS, find_budget
from ecg.errors import UsageError


def test_paper_budget_is_the_published_protocol() -> None:
    # At most 100 epochs, patience 15, all beats.
    paper = find_budget("paper")
    assert (paper.max_epochs, paper.patience) == (100, 15)
    assert paper.train_beats is None
    assert paper.validation_beats is None


@pytest.mark.parametrize("name", BUDGETS)
def test_every_budget_is_found_by_its_name(name: str) -> None:
    assert find_budget(name).name == name


def test_smoke_trains_least_and_paper_most() -> None:
    budgets = [find_budget(name) for name in ("smoke", "quick", "short", "paper")]
    epochs = [budget.max_epochs for budget in budgets]
    trials = [budget.trials for budget in budgets]
    assert epochs == sorted(set(epochs))
    assert trials == sorted(trials)


def test_short_trains_all_beats_by_a_cosine_to_its_end() -> None:
    # Early stopping would end the cosine before the rate is low.
    short = find_budget("short")
    assert (short.train_beats, short.validation_beats) == (None, None)
    assert (short.max_epochs, short.patience) == (12, 12)
    assert (short.schedule, short.warm_up) == ("cosine", 1)
    assert not any(one.schedule for one in BUDGETS.values() if one is not short)


def test_unknown_budget_lists_the_known_ones() -> None:
    with pytest.raises(
        UsageError, match=r"unknown budget 'huge'\. Use one of: smoke, quick, short, paper"
    ):
        find_budget("huge")


def test_describe_names_every_limit_on_training() -> None:
    # A score depends on the amount of training, so the line names every limit.
    assert find_budget("paper").describe() == ("paper (all beats, at most 100 epochs, patience 15)")
    assert find_budget("short").describe() == (
        "short (all beats, at most 12 epochs, patience 12, cosine after 1 epoch of warm-up)"
    )
    quick = find_budget("quick")
    for number in (f"{quick.train_beats:,}", str(quick.max_epochs), str(quick.patience)):
        assert number in quick.describe()
