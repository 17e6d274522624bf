import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ecg.training.early_stopping import EarlyStopping
from tests.support.toy import rule

# Few different values, so that ties are common.
losses = st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4, 0.5]), min_size=1, max_size=30)
patiences = st.integers(1, 6)


def run(patience: int, curve: list[float]) -> tuple[EarlyStopping, int]:
    """Feed a curve until the patience is used up; return the watcher and the last epoch."""
    stopping = EarlyStopping(patience)
    for epoch, loss in enumerate(curve, start=1):
        stopping.update(epoch, loss)
        if stopping.exhausted:
            break
    return stopping, epoch


@rule
@given(patiences, losses)
def test_best_epoch_is_the_first_lowest_loss_seen(patience: int, curve: list[float]) -> None:
    # The argmin of the curve up to the last epoch; of equal losses the earliest.
    stopping, last = run(patience, curve)
    assert stopping.best_epoch == np.argmin(curve[:last]) + 1
    assert stopping.best_loss == min(curve[:last])


@rule
@given(patiences, losses)
def test_stops_after_exactly_patience_epochs_without_a_better_loss(
    patience: int, curve: list[float]
) -> None:
    # Not one epoch sooner, not one later.
    stopping, last = run(patience, curve)
    assert stopping.epochs_since_best == last - stopping.best_epoch
    if stopping.exhausted:
        assert last == stopping.best_epoch + patience
        assert min(curve[stopping.best_epoch : last]) >= stopping.best_loss
    else:
        assert last == len(curve)
        assert last < stopping.best_epoch + patience


def test_the_same_loss_again_is_no_improvement() -> None:
    stopping = EarlyStopping(patience=2)
    assert stopping.update(1, 0.5)
    assert not stopping.update(2, 0.5)
    assert not stopping.exhausted
    assert not stopping.update(3, 0.5)
    assert stopping.exhausted


def test_a_better_loss_starts_the_count_again() -> None:
    stopping = EarlyStopping(patience=2)
    improved = [stopping.update(epoch, loss) for epoch, loss in enumerate([3, 4, 2, 5], start=1)]
    assert improved == [True, False, True, False]
    assert (stopping.best_epoch, stopping.epochs_since_best) == (3, 1)
    assert not stopping.exhausted


def test_before_the_first_epoch_there_is_no_best_one() -> None:
    stopping = EarlyStopping(patience=1)
    assert stopping.best_epoch == 0
    assert not stopping.exhausted
