"""What may be said of runs compared over seeds, and beside published values: said once.

The published tables, `confirm`, the report, the plots and the terminal all say it from here.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from statistics import fmean, stdev
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ecg.folds import folds_of
from ecg.inter_patient import cross_validated_scores, record_interval
from ecg.metrics import F1_NSV, bootstrap_interval, resampled_scores, scores
from ecg.splits import REDRAWN, protocol_of
from ecg.statistics import (
    SIGNIFICANCE,
    Comparison,
    compare_with_baseline,
    interval_of_mean,
    interval_of_runs,
    least_pairs,
    smallest_p_value,
)
from ecg.training.config import TrainConfig
from study.storage.confirmation import BASELINE, Confirmation
from study.wording import FULL_BUDGET, SCORE_TITLES, counted, say_parameters

COMPARED = ("f1_macro", "f1_weighted")
REAL_SOURCES = ("mitdb", "kaggle")
KAGGLE = "kaggle"  # whose CSV files have the published test part
DRAWS = 2000
DEFAULTS = {field.name: field.default for field in fields(TrainConfig)}


def differences_from_protocol(identity: Mapping[str, Any]) -> list[str]:
    """Say why scores may not be set beside the published ones; empty where they may.

    Args:
        identity: of a study, see `study.storage.studies.Identity`, or what its runs share.
    """
    source, split, budget = (identity.get(name) for name in ("source", "split", "budget"))
    if source is None and split is None and budget is None:
        return ["nothing has been trained yet"]
    reasons = []
    if source not in REAL_SOURCES:
        reasons.append(f"the data source is '{source}', not MIT-BIH")
    if split not in ("intra-patient", REDRAWN):
        reasons.append(f"the split is '{split}', not 'intra-patient'")
    if budget != FULL_BUDGET:
        reasons.append(f"the budget is '{budget}', not '{FULL_BUDGET}'")
    if str(identity.get("protocol")) != str(protocol := protocol_of(str(split))):
        reasons.append(f"the runs are of protocol {identity.get('protocol')}, not {protocol}")
    return reasons


def say_caution(reasons: Sequence[str]) -> str:
    """Return what stands above scores that are not to be compared with published ones."""
    if not reasons:
        return ""
    return f"NOT COMPARABLE WITH THE PUBLISHED FIGURES: {'; '.join(reasons)}."


def conclude(
    comparisons: Sequence[Comparison], baseline: str, *, what: str, over: str = "seed"
) -> str:
    """Say which configurations differ from the baseline, or why none can be told apart.

    Args:
        comparisons: one family, corrected together.
        baseline: what the others are compared with.
        what: noun of the configurations, such as "rows".
        over: noun of what is paired, "seed" or "fold".
    """
    tested = [c for c in comparisons if c.p_value is not None]
    if not tested:
        return f"No two {what} are compared with {baseline} yet: no {over} is finished in both."
    pairs, tests = max(c.pairs for c in tested), counted(len(tested), "test")
    reached = smallest_p_value(pairs, len(tested))
    if reached >= SIGNIFICANCE:
        return (
            f"Against {baseline}, no difference can be significant at the {SIGNIFICANCE:.0%} "
            f"level: with {counted(pairs, over)}, the smallest p that a paired Wilcoxon "
            f"signed-rank test can reach is {reached:.3g} after Holm's correction over "
            f"{tests}. Use {least_pairs(len(comparisons))} {over}s or more."
        )
    differing = {
        score: [c.label for c in tested if c.score == score and (c.p_value or 0) < SIGNIFICANCE]
        for score in dict.fromkeys(c.score for c in comparisons)
    }
    told = "; ".join(
        f"{SCORE_TITLES[score]}: {', '.join(labels) or 'none'}"
        for score, labels in differing.items()
    )
    return (
        f"Against {baseline}, {what} that differ at the {SIGNIFICANCE:.0%} level: {told} (paired "
        f"two-sided Wilcoxon signed-rank test over {over}s, Holm's correction over {tests})."
    )


def say_p_value(p_value: float | None) -> str:
    """Return "0.0117", "<0.0001", or "no pair"."""
    if p_value is None:
        return "no pair"
    return "<0.0001" if p_value < 0.0001 else f"{p_value:.4f}"


def say_test_draw(
    identity: Mapping[str, Any], confusion: ArrayLike | None, *, published: bool
) -> str:
    """Say what tests and intervals over seeds leave out: the draw of the test part.

    Args:
        identity: see `differences_from_protocol`.
        confusion: test confusion matrix of one run, to measure the scatter of; None for none.
        published: published values stand beside.
    """
    split = identity.get("split")
    if split == REDRAWN:
        return (
            "Every seed draws its own split, so intervals and tests over seeds cover the draw of "
            "the test part."
        )
    if split != "intra-patient":
        return (
            "Every seed is tested on the same patients. Intervals and tests over seeds do not "
            "cover the choice of patients."
        )
    scatter = ""
    if confusion is not None:
        drawn = resampled_scores(confusion, "f1_macro", DRAWS, np.random.default_rng(0))
        scatter = (
            f", which alone scatters F1(M) by {drawn.std():.4f} (standard deviation, bootstrap of "
            "the test beats of one run)"
        )
    if identity.get("source") == KAGGLE:
        return (
            "Every seed is tested on the published test part. Intervals and tests over seeds do "
            f"not cover how its beats were drawn{scatter}."
        )
    another = "The published test part is another draw of beats. " if published else ""
    advice = " Use --resplit to draw another split for every seed." if published else ""
    return (
        f"{another}Every seed is tested on one draw of beats. Intervals and tests over seeds do "
        f"not cover that draw{scatter}.{advice}"
    )


@dataclass(frozen=True)
class ConfirmedScore:
    """One score of one configuration on the test part.

    Attributes:
        label: of the configuration, such as "trial 7".
        score: name.
        runs: number of seeds.
        mean: over the seeds, or the ensemble's score.
        spread: standard deviation over the seeds, None for one run or an ensemble.
        interval: 95%: of the mean over seeds, else over the test beats.
        difference: mean of the paired differences from the baseline, None for none.
        p_value: after Holm's correction, None for none.
    """

    label: str
    score: str
    runs: int
    mean: float
    spread: float | None
    interval: tuple[float, float]
    difference: float | None = None
    p_value: float | None = None

    def cells(self, digits: int = 4) -> tuple[str, ...]:
        """Return the texts of a row under `CONFIRMED_COLUMNS`."""
        spread = "" if self.spread is None else f" ± {self.spread:.{digits}f}"
        low, high = (f"{bound:.{digits}f}" for bound in self.interval)
        return (
            self.label,
            str(self.runs),
            SCORE_TITLES[self.score],
            f"{self.mean:.{digits}f}{spread}",
            f"{low} to {high}",
            "" if self.difference is None else f"{self.difference:+.{digits}f}",
            "" if self.p_value is None else say_p_value(self.p_value),
        )


CONFIRMED_COLUMNS = ("configuration", "n", "score", "mean ± sd", "95% interval", "difference",
                     "p (Holm)")  # fmt: skip
ENSEMBLE_CAPTION = (
    "Ensembles: one answer from the mean probabilities of all n runs of a configuration. They are "
    "not single runs, and there is one of each, so there is no test"
)


def compared_scores(identity: Mapping[str, Any]) -> tuple[str, str]:
    """Return the scores that runs of a study are compared by: by patient F1 of N, S, V first."""
    if folds_of(str(identity.get("split", ""))):
        return F1_NSV, "jk_index"
    return (F1_NSV, COMPARED[1]) if identity.get("objective") == F1_NSV else COMPARED


def interval_over_records(
    by_record: Sequence[Mapping[str, Any] | None], score: str
) -> tuple[float, float] | None:
    """Return the 95% interval of the mean score of some runs, whole records resampled.

    Args:
        by_record: test confusion matrix of each record, of each run; None where it is not kept.
        score: name.

    Returns:
        None unless every run keeps the matrices of the same records.
    """
    kept = [run for run in by_record if run]
    if not kept or len(kept) < len(by_record) or any(run.keys() != kept[0].keys() for run in kept):
        return None
    return record_interval([[run[record] for record in kept[0]] for run in kept], score)


def compare_confirmed(confirmation: Confirmation) -> list[Comparison]:
    """Compare the confirmed configurations with the baseline, one family of tests."""
    if confirmation.folds:
        return _compare_folds(confirmation)
    runs = {
        label: {
            score: {run["repeat"]: run[f"test_{score}"] for run in of_label}
            for score in compared_scores(confirmation.identity)
        }
        for label, of_label in confirmation.runs.items()
    }
    return compare_with_baseline(runs, BASELINE)


def confirmed_scores(confirmation: Confirmation) -> Iterator[ConfirmedScore]:
    """Yield the scores of single runs: means, intervals, and tests against the baseline."""
    compared = {(c.label, c.score): c for c in compare_confirmed(confirmation)}
    if confirmation.folds:
        yield from _fold_scores(confirmation, compared)
        return
    for label, runs in confirmation.runs.items():
        for score in compared_scores(confirmation.identity) if runs else ():
            values = np.array([run[f"test_{score}"] for run in runs])
            matrices = [run["test_confusion"] for run in runs]
            against = compared.get((label, score))
            yield ConfirmedScore(
                label=label,
                score=score,
                runs=len(runs),
                mean=float(values.mean()),
                spread=float(values.std(ddof=1)) if len(values) > 1 else None,
                interval=interval_of_runs(values, matrices, score),
                difference=against.difference if against else None,
                p_value=against.p_value if against else None,
            )


def conclude_confirmed(confirmation: Confirmation, baseline: str) -> str:
    """Say which confirmed configurations differ from the baseline, see `conclude`."""
    over = "fold" if confirmation.folds else "seed"
    return conclude(compare_confirmed(confirmation), baseline, what="configurations", over=over)


def _by_fold(runs: Iterable[tuple[int, Mapping[str, float]]]) -> dict[str, dict[int, float]]:
    """Return the mean of each score in each fold, by score and fold."""
    found: dict[str, dict[int, list[float]]] = {}
    for fold, of_run in runs:
        for score, value in of_run.items():
            found.setdefault(score, {}).setdefault(fold, []).append(value)
    return {s: {fold: fmean(v) for fold, v in folds.items()} for s, folds in found.items()}


def _fold_scores(
    confirmation: Confirmation, compared: Mapping[tuple[str, str], Comparison]
) -> Iterator[ConfirmedScore]:
    """Yield the scores of each configuration over folds; the seeds of a fold are averaged."""
    for label, runs in confirmation.runs.items():
        each = ((run["fold"], cross_validated_scores(run["confusion"])) for run in runs)
        for score, of_fold in _by_fold(each).items():
            values = list(of_fold.values())
            if len(values) < 2:
                continue  # nothing can be said of a single fold
            against = compared.get((label, score))
            yield ConfirmedScore(
                label=label,
                score=score,
                runs=len(values),
                mean=fmean(values),
                spread=stdev(values),
                interval=interval_of_mean(values),
                difference=against.difference if against else None,
                p_value=against.p_value if against else None,
            )


def _compare_folds(confirmation: Confirmation) -> list[Comparison]:
    """Compare over folds: the difference in a fold is the mean over the seeds that both have."""
    measured = {
        label: {
            run["repeat"]: (run["fold"], cross_validated_scores(run["confusion"])) for run in of
        }
        for label, of in confirmation.runs.items()
    }
    compared = compared_scores(confirmation.identity)
    baseline = measured.get(BASELINE, {})
    differences: dict[str, dict[str, dict[int, float]]] = {
        BASELINE: {score: dict.fromkeys(range(confirmation.folds), 0.0) for score in compared}
    }
    for label, of_repeat in measured.items():
        if label != BASELINE:
            both = of_repeat.keys() & baseline.keys()
            found = _by_fold(
                (fold, {score: of[score] - baseline[repeat][1][score] for score in compared})
                for repeat, (fold, of) in sorted(of_repeat.items())
                if repeat in both
            )
            differences[label] = {score: found.get(score, {}) for score in compared}
    return compare_with_baseline(differences, BASELINE)


def ensemble_scores(confirmation: Confirmation) -> Iterator[ConfirmedScore]:
    """Yield the scores of the ensembles, which are never mixed with those of single runs."""
    for label, ensemble in confirmation.ensembles.items():
        for score in compared_scores(confirmation.identity):
            yield ConfirmedScore(
                label=f"{label}, ensemble",
                score=score,
                runs=int(ensemble["runs"]),
                mean=scores(ensemble["confusion"])[score],
                spread=None,
                interval=bootstrap_interval(ensemble["confusion"], score),
            )


def confirmation_notes(confirmation: Confirmation) -> list[str]:
    """Say what may be concluded, what the intervals are, and what they leave out."""
    notes = [conclude_confirmed(confirmation, "the baseline")]
    if confirmation.folds:
        return [*notes, *_fold_notes(confirmation)]
    notes.append(
        "n: runs, one per fresh seed. 95% interval: Student's t for the mean over seeds; of one "
        "run or an ensemble, bootstrap of the test beats."
    )
    first = next((runs[0]["test_confusion"] for runs in confirmation.runs.values() if runs), None)
    notes.append(say_test_draw(confirmation.identity, first, published=False))
    score = compared_scores(confirmation.identity)[0]
    over_records = (
        f"{label} {found[0]:.4f} to {found[1]:.4f}"
        for label, runs in confirmation.runs.items()
        if (found := interval_over_records([run.get("test_by_record") for run in runs], score))
    )
    if said := "; ".join(over_records):
        notes.append(f"95% interval of {SCORE_TITLES[score]}, test records resampled: {said}.")
    return notes


def _fold_notes(confirmation: Confirmation) -> list[str]:
    """Return what the scores over folds are, and the cautions about them."""
    return [
        f"n: number of folds. Each run trains on the records of {confirmation.folds - 1} folds and "
        "is measured on the patients of the remaining one; seeds of a fold are averaged. Se: "
        "sensitivity, +P: positive predictivity, over the folds that have beats of the class. 95% "
        "interval: Student's t for the mean over folds.",
        "Caution: folds share training records, so their scores depend on each other. The "
        "intervals are too narrow and the p-values too small.",
        "The test part was not read. The search chose the winners on validation records that are "
        "in the folds, so their scores may be slightly too high.",
    ]


def describe_chosen(confirmation: Confirmation) -> list[str]:
    """Say what each configuration is: its network, and where it leaves the published baseline."""
    return [
        f"{label}: "
        + say_parameters({n: v for n, v in config.items() if n == "model" or _is_varied(n, v)})
        for label, config in confirmation.chosen.items()
    ]


def _is_varied(name: str, value: object) -> bool:
    return name not in ("max_epochs", "patience") and value != DEFAULTS.get(name)
