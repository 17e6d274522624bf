"""What pruning saves and costs, and which sampler finds more, replayed on recorded curves.

    python -m benchmarks.search results/search/*.jsonl \\
        results/tables/tables-mitdb-intra-patient-paper/curves.jsonl

runs in minutes and writes `pruning.csv`, `samplers.csv` and README.md beside the first recording.
Curves beside a results file belong to no space, so only pruners are compared on them.
Everything is seeded: the same recordings give the same files.
"""

import argparse
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna
import pandas as pd

from ecg.budget import Budget, find_budget
from ecg.files import write_text
from ecg.training import TrainConfig
from search_spaces import Space, find_space
from search_spaces.tables import ALL_TABLES
from study.run.samplers import make_sampler
from study.storage.recordings import RecordedTrial, Recording, read_recording
from study.trials.pruning import MonitoredCurve, PruningPolicy
from study.trials.replay import follow
from study.trials.trial import configure
from study.wording import counted

ORDERS = 40  # random orders of the recorded trials
TOP = 5  # of the recorded trials, or half of them where there are fewer than ten
UNPRUNED = PruningPolicy(pruner="none")
RUN = "run"  # number of a planned run, in the place of parameters
# Samplers, and after how many random trials they begin to model.
SAMPLERS = (
    ("random", 0),
    *(("tpe", startup) for startup in (2, 4, 6, 10)),
    *(("gp", startup) for startup in (2, 4, 6, 10)),
    ("grid", 0),
)


def policies(budget: Budget, trials: int) -> list[PruningPolicy]:
    """Return the policies to compare; short recordings spare fewer trials at the start."""
    startup = min(PruningPolicy.startup, max(1, trials // 4))
    return [
        PruningPolicy.within(budget, pruner=pruner, patience=patience, startup=startup)
        for pruner in ("median", "hyperband")
        for patience in (0, 1, 2)
    ]


@dataclass(frozen=True)
class Replayed:
    """One replayed study: epochs trained, the best complete value, trials pruned by number."""

    epochs: int
    best: float
    pruned: frozenset[int]
    values: tuple[float | None, ...]


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
        startup: int = 10,
    ) -> Replayed:
        """Run the queued points, then sampled ones, up to `trials`."""
        study = optuna.create_study(
            study_name=f"replay {seed}",  # hyperband draws its brackets by the name
            direction="maximize",
            pruner=policy.build(self.budget.max_epochs),
        )
        for point in queued:
            study.enqueue_trial(point)
        epochs = 0
        values: list[float | None] = []
        for number in range(trials):
            study.sampler = make_sampler(sampler, seed, number, startup)
            trial = study.ask()
            result_epochs, value = self._follow(trial, policy)
            epochs += result_epochs
            values.append(value)
            if value is None:
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            else:
                study.tell(trial, value)
        pruned = frozenset(number for number, value in enumerate(values) if value is None)
        return Replayed(epochs, study.best_value, pruned, tuple(values))

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
        whole = replay.run(UNPRUNED, shuffled, len(points), "random", order)
        best = top(whole.values)
        for policy in policies(replay.budget, len(points)):
            replayed = replay.run(policy, shuffled, len(points), "random", order)
            rows.append(
                {
                    "pruner": policy.pruner,
                    "patience": policy.patience,
                    "order": order,
                    "epochs_saved": 1 - replayed.epochs / whole.epochs,
                    "regret": whole.best - replayed.best,
                    "kept": 1 - len(best & replayed.pruned) / len(best),
                    "pruned": len(replayed.pruned),
                }
            )
    return pd.DataFrame(rows)


def top(values: Sequence[float | None]) -> frozenset[int]:
    """Return the numbers of the best trials of an unpruned study, see `TOP`."""
    ranked = sorted(range(len(values)), key=lambda number: -(values[number] or 0.0))
    return frozenset(ranked[: min(TOP, max(1, len(values) // 2))])


def compare_samplers(replay: Replay, repeats: int, trials: int) -> pd.DataFrame:
    """Replay searches of equal length with every sampler, baseline first, without pruning."""
    rows = []
    assert replay.space is not None
    baseline = dict(replay.space.baseline)
    grid = [point for point in replay.space.grid(5) if point != baseline]
    for sampler, startup in SAMPLERS:
        for repeat in range(repeats):
            queued = [baseline]
            if sampler == "grid":
                queued += random.Random(repeat).sample(grid, min(trials - 1, len(grid)))
            found = replay.run(UNPRUNED, queued, trials, sampler, repeat, startup)
            rows.append(
                {
                    "sampler": sampler,
                    "startup": startup,
                    "trials": trials,
                    "repeat": repeat,
                    "best": found.best,
                }
            )
    return pd.DataFrame(rows)


def report(
    recordings: Mapping[str, Recording], pruning: pd.DataFrame, samplers: pd.DataFrame
) -> str:
    """Return what was found as Markdown."""
    lines = [
        "# Pruners and samplers, replayed on recorded curves",
        "",
        "Made by `python -m benchmarks.search`; the same recordings give the same numbers. "
        "Scores are those of the validation part, of real trials that were not pruned.",
    ]
    for name, recording in recordings.items():
        identity = recording.identity
        epochs = sum(len(trial) for trial in recording.trials)
        objective = identity["objective"]
        lines += [
            "",
            f"## {name}",
            "",
            f"{len(recording.trials)} trials ({epochs} epochs) of `{identity['space']}`: data "
            f"{identity['source']} ({str(identity['data'])[:12]}), split {identity['split']}, "
            f"budget **{identity['budget']}**, {identity['device']} ({identity['precision']}).",
            "",
            *report_pruning(pruning[pruning["recording"] == name], objective, recording),
        ]
        mine = samplers[samplers["recording"] == name] if len(samplers) else samplers
        for trials, rows in mine.groupby("trials") if len(mine) else ():
            lines += ["", *report_samplers(rows, int(trials))]
    return "\n".join(lines) + "\n"


def report_pruning(pruning: pd.DataFrame, objective: str, recording: Recording) -> list[str]:
    """Return the lines on what pruning saved and lost."""
    best = len(top([0.0] * len(recording.trials)))
    startup = policies(find_budget(recording.identity["budget"]), len(recording.trials))[0].startup
    lines = [
        f"All recorded trials in {ORDERS} random orders; the median judges after "
        f"{counted(startup, 'finished trial')}. Kept: the share of the best {best} recorded "
        "trials that were not pruned (mean, and the share of orders that kept all). Regret: best "
        f"{objective} without pruning minus with it. Patience: the number of epochs without a "
        "lower validation loss before the pruner is asked.",
        "",
        f"| pruner | patience | epochs saved (mean ± sd) | best {best} kept | all {best} kept "
        "| regret (mean, max) | pruned |",
        "|---|---|---|---|---|---|---|",
    ]
    for (pruner, patience), rows in pruning.groupby(["pruner", "patience"], sort=False):
        saved, regret = rows["epochs_saved"], rows["regret"]
        lines.append(
            f"| {pruner} | {patience} | {saved.mean():.1%} ± {saved.std():.1%} | "
            f"{rows['kept'].mean():.0%} | {(rows['kept'] >= 1).mean():.0%} | "
            f"{regret.mean():.4f}, {regret.max():.4f} | {rows['pruned'].mean():.1f} |"
        )
    return lines


def report_samplers(samplers: pd.DataFrame, trials: int) -> list[str]:
    """Return the lines on what each sampler found."""
    lines = [
        f"{samplers['repeat'].nunique()} searches of {trials} trials each, the baseline first. A "
        "trial follows the recorded trial nearest to its parameters, so no search can find more "
        "than the best of the recording. Start-up: trials drawn at random before the sampler "
        "models the results.",
        "",
        "| sampler | start-up | best objective (mean ± standard error) | median |",
        "|---|---|---|---|",
    ]
    for (sampler, startup), rows in samplers.groupby(["sampler", "startup"], sort=False):
        best = rows["best"]
        lines.append(
            f"| {sampler} | {startup or '-'} | {best.mean():.4f} ± {best.sem():.4f} | "
            f"{best.median():.4f} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recordings", type=Path, nargs="+")
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--trials", type=int, nargs="+", default=[12])
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    recordings, pruning, samplers = {}, [], [pd.DataFrame()]
    for path in arguments.recordings:
        recording = read_recording(path)
        of_runs = recording.identity["space"] == ALL_TABLES
        name = path.parent.name if of_runs else path.name
        recordings[name] = recording
        replay = Replay(recording, None if of_runs else find_space(recording.identity["space"]))
        pruning.append(compare_pruners(replay).assign(recording=name))
        if replay.space is not None:
            for trials in arguments.trials:
                found = compare_samplers(replay, arguments.repeats, trials)
                samplers.append(found.assign(recording=name))
    folder = arguments.recordings[0].parent
    tables = pd.concat(pruning), pd.concat(samplers)
    for name, table in zip(("pruning", "samplers"), tables, strict=True):
        if len(table):
            write_text(folder / f"{name}.csv", table.to_csv(index=False, float_format="%.6f"))
    text = report(recordings, *tables)
    write_text(folder / "README.md", text)
    print(text)


if __name__ == "__main__":
    main()
