"""What pruning saves and costs, and which sampler finds more, replayed on recorded curves.

    python -m tests.benchmarks.search results/search/imbalance-quick.jsonl

runs in minutes and writes `pruning.csv`, `samplers.csv` and README.md beside the recording. On the
curves beside a results file, which belong to no space, pruners alone are compared.
Everything is seeded: the same recording gives the same files.
"""

import argparse
import random
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import optuna
import pandas as pd

from ecg.budget import find_budget
from ecg.training import TrainConfig
from search_spaces import Space, find_space
from search_spaces.tables import ALL_TABLES
from study.run.queue import make_sampler
from study.storage.files import write_text
from study.storage.recordings import RecordedTrial, Recording, read_recording
from study.trials.pruning import MonitoredCurve, PruningPolicy
from study.trials.replay import follow
from study.trials.trial import configure

ORDERS = 40  # random orders of the recorded trials
POLICIES = (
    PruningPolicy(pruner="none"),
    *(
        PruningPolicy(pruner=pruner, patience=patience)
        for pruner in ("median", "hyperband")
        for patience in (0, 1, 2)
    ),
)
RUN = "run"  # number of a planned run, in the place of parameters
SAMPLERS = ("random", "tpe", "gp", "grid")


@dataclass(frozen=True)
class Replayed:
    """One replayed study: epochs trained, the best complete value, trials pruned."""

    epochs: int
    best: float
    pruned: int


class Replay:
    """Replays studies over one recording, in memory; without a space, of planned runs."""

    def __init__(self, recording: Recording, space: Space | None) -> None:
        self.recording = recording
        self.space = space
        self.budget = find_budget(recording.identity["budget"])

    def run(
        self,
        policy: PruningPolicy,
        queued: Iterable[dict[str, object]],
        trials: int,
        sampler: str,
        seed: int,
    ) -> Replayed:
        """Run the queued points, then sampled ones, up to `trials`."""
        study = optuna.create_study(
            study_name=f"replay {seed}",  # hyperband draws its brackets by the name
            direction="maximize",
            pruner=policy.build(self.budget.max_epochs),
        )
        for point in queued:
            study.enqueue_trial(point)
        epochs = pruned = 0
        for number in range(trials):
            study.sampler = make_sampler(sampler, seed, number)
            trial = study.ask()
            result_epochs, value = self._follow(trial, policy)
            epochs += result_epochs
            if value is None:
                pruned += 1
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            else:
                study.tell(trial, value)
        return Replayed(epochs, study.best_value, pruned)

    def _follow(self, trial: optuna.Trial, policy: PruningPolicy) -> tuple[int, float | None]:
        recorded, config = self._choose(trial)
        objective = self.recording.identity["objective"]
        curve = MonitoredCurve(trial, objective, policy, config.max_epochs)
        result = follow(recorded, config, curve)
        if result.stop_reason == "pruned":
            return len(result.epochs), None
        curve.carry_forward()
        return len(result.epochs), result.best.scores[objective]

    def _choose(self, trial: optuna.Trial) -> tuple[RecordedTrial, TrainConfig]:
        if self.space is None:
            numbers = range(len(self.recording.trials))
            limits = TrainConfig(max_epochs=self.budget.max_epochs, patience=self.budget.patience)
            return self.recording.trials[trial.suggest_categorical(RUN, numbers)], limits
        params = self.space.suggest(trial)
        config: TrainConfig = configure(self.space, params, self.budget, seed=0)
        return self.recording.nearest(self.space, params), config


def compare_pruners(replay: Replay) -> pd.DataFrame:
    """Replay all recorded trials in many random orders under every policy."""
    points: list[dict[str, object]] = [dict(trial.params) for trial in replay.recording.trials]
    if replay.space is None:
        points = [{RUN: number} for number in range(len(points))]
    rows = []
    for order in range(ORDERS):
        shuffled = random.Random(order).sample(points, len(points))
        whole = replay.run(POLICIES[0], shuffled, len(points), "random", order)
        for policy in POLICIES[1:]:
            replayed = replay.run(policy, shuffled, len(points), "random", order)
            rows.append(
                {
                    "pruner": policy.pruner,
                    "patience": policy.patience,
                    "order": order,
                    "epochs_saved": 1 - replayed.epochs / whole.epochs,
                    "regret": whole.best - replayed.best,
                    "pruned": replayed.pruned,
                }
            )
    return pd.DataFrame(rows)


def compare_samplers(replay: Replay, repeats: int, trials: int) -> pd.DataFrame:
    """Replay searches of equal length with every sampler, baseline first, without pruning."""
    rows = []
    assert replay.space is not None
    baseline = dict(replay.space.baseline)
    grid = [point for point in replay.space.grid(5) if point != baseline]
    for sampler in SAMPLERS:
        for repeat in range(repeats):
            queued = [baseline]
            if sampler == "grid":
                queued += random.Random(repeat).sample(grid, min(trials - 1, len(grid)))
            found = replay.run(POLICIES[0], queued, trials, sampler, repeat)
            rows.append({"sampler": sampler, "repeat": repeat, "best": found.best})
    return pd.DataFrame(rows)


def report(
    recording: Recording, name: str, pruning: pd.DataFrame, samplers: pd.DataFrame | None
) -> str:
    """Write what was found as markdown."""
    identity = recording.identity
    epochs = sum(len(trial) for trial in recording.trials)
    lines = [
        "# Pruners and samplers, replayed on recorded curves",
        "",
        f"`{name}` holds {len(recording.trials)} real trials ({epochs} epochs) of the space "
        f"`{identity['space']}`: data {identity['source']} ({str(identity['data'])[:12]}), split "
        f"{identity['split']}, budget **{identity['budget']}**, {identity['device']} "
        f"({identity['precision']}), no pruning. Validation figures only. Made by "
        "`python -m tests.benchmarks.search`; the same recording gives the same figures.",
        "",
        "## Pruning",
        "",
        f"All recorded trials, in {ORDERS} random orders. Regret: best objective "
        f"({identity['objective']}) without pruning minus with it. Patience: the pruner is asked "
        "after so many epochs without a better validation loss (`--prune-patience`).",
        "",
        "| pruner | patience | epochs saved (mean ± sd) | regret (mean, max) | no regret "
        "| pruned |",
        "|---|---|---|---|---|---|",
    ]
    for (pruner, patience), rows in pruning.groupby(["pruner", "patience"], sort=False):
        saved, regret = rows["epochs_saved"], rows["regret"]
        lines.append(
            f"| {pruner} | {patience} | {saved.mean():.1%} ± {saved.std():.1%} | "
            f"{regret.mean():.4f}, {regret.max():.4f} | {(regret <= 0).mean():.0%} | "
            f"{rows['pruned'].mean():.1f} |"
        )
    if samplers is None:
        return "\n".join(lines) + "\n"
    repeats = samplers["repeat"].nunique()
    lines += [
        "",
        "## Samplers",
        "",
        f"{repeats} searches each, of equal length, the baseline first; a trial follows the "
        "recorded trial nearest to its parameters, so no search can find more than the best of "
        "the recording.",
        "",
        "| sampler | best objective (mean ± sd) | median | searches better than random's median |",
        "|---|---|---|---|",
    ]
    random_median = statistics.median(samplers.query("sampler == 'random'")["best"])
    for sampler, rows in samplers.groupby("sampler", sort=False):
        best = rows["best"]
        lines.append(
            f"| {sampler} | {best.mean():.4f} ± {best.std():.4f} | {best.median():.4f} | "
            f"{(best > random_median).mean():.0%} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recording", type=Path)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--trials", type=int, default=12)
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    recording = read_recording(arguments.recording)
    space = recording.identity["space"]
    replay = Replay(recording, None if space == ALL_TABLES else find_space(space))
    pruning = compare_pruners(replay)
    samplers = None
    if replay.space is not None:
        samplers = compare_samplers(replay, arguments.repeats, arguments.trials)
    folder = arguments.recording.parent
    write_text(folder / "pruning.csv", pruning.to_csv(index=False, float_format="%.6f"))
    if samplers is not None:
        write_text(folder / "samplers.csv", samplers.to_csv(index=False, float_format="%.6f"))
    text = report(recording, arguments.recording.name, pruning, samplers)
    write_text(folder / "README.md", text)
    print(text)


if __name__ == "__main__":
    main()
