"""Train one network without a study, and measure it on the test part once.

python examples/train_one_network.py          # budget quick
python examples/train_one_network.py paper    # the published protocol
"""

import sys

from ecg import sources
from ecg.budget import find_budget
from ecg.metrics import per_class, scores
from ecg.splits import make_split
from ecg.training import (
    Epoch,
    TrainConfig,
    find_device,
    make_part,
    measure,
    train,
    training_data,
)


def main(budget_name: str = "quick") -> None:
    """Train the Simple CNN with class weights and print its scores."""
    found = sources.resolve()
    print(found.note)
    beats = sources.load(found.location)
    split = make_split("inter-patient", beats)
    budget, device = find_budget(budget_name), find_device()
    config = TrainConfig(model="simple", alpha=0.1).within(budget)

    result = train(config, training_data(beats, split, budget, device), on_epoch=show)
    print(f"ended by {result.stop_reason}; weights of epoch {result.best_epoch} are kept")

    confusion = measure(config, result.weights, make_part(beats, split.test, device))
    # A split by patient leaves class Q out, so this is the mean F1 of N, S and V.
    print(f"test f1_nsv {scores(confusion)['f1_nsv']:.4f}, budget {budget.describe()}")
    for name, values in per_class(confusion).items():
        print(f"{name:12}", *(f"{value:.4f}" for value in values))


def show(epoch: Epoch) -> None:
    """Print one finished epoch."""
    print(f"epoch {epoch.number}: validation loss {epoch.validation_loss:.4f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
