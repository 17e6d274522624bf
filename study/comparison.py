"""Conclusions from runs compared over seeds, and cautions about comparing with published scores.

The published tables, `confirm`, the report, the plots and the terminal share these sentences.
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
from study.storage.confirmation import BASELINE_LABEL, Confirmation
from study.wording import FULL_BUDGET, SCORE_TITLES, counted, say_parameters

COMPARED = ("f1_macro", "f1_weighted")
REAL_SOURCES = ("mitdb", "kaggle")
KAGGLE = "kaggle"  # its CSV files contain the published test part
DRAWS = 2000
DEFAULTS = {field.name: field.default for field in fields(TrainConfig)}


def differences_from_protocol(identity: Mapping[str, Any]) -> list[str]:
    """Return the reasons why scores are not comparable with published ones, none if they are.

    Args:
        identity: identity of a study, see `study.storage.studies.Identity`, or the values that
            its runs share.
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
        reasons.append(f"the protocol is {identity.get('protocol')}, not {protocol}")
    return reasons


def say_not_comparable(reasons: Sequence[str]) -> str:
    """Return the warning above scores that are not comparable with published ones, or ""."""
    if not reasons:
        return ""
    return f"NOT COMPARABLE WITH THE PUBLISHED SCORES: {'; '.join(reasons)}."


def conclude(
    comparisons: Sequence[Comparison], baseline: str, *, what: str, over: str = "seed"
) -> str:
    """Return a sentence on which configurations differ from the baseline, or why none can.

    Args:
        comparisons: one family of tests, corrected together.
        baseline: what the others are compared with, such as "the baseline".
        what: plural noun for the configurations, such as "rows".
        over: noun for what is paired, "seed" or "fold".
    """
    tested = [c for c in comparisons if c.p_value is not None]
    if not tested:
        return f"No {what} can be compared with {baseline} yet: they share no finished {over}."
    pairs, tests = max(c.pairs for c in tested), counted(len(tested), "test")
    reached = smallest_p_value(pairs, len(tested))
    if reached >= SIGNIFICANCE:
        return (
            f"Compared with {baseline}, no difference can be significant at the "
            f"{SIGNIFICANCE:.0%} level: with {counted(pairs, over)}, the smallest p that a "
            f"paired Wilcoxon signed-rank test can reach is {reached:.3g} after Holm's correction "
            f"over {tests}. Use {least_pairs(len(comparisons))} {over}s or more."
        )
    differing = {
        score: [c.label for c in tested if c.score == score and (c.p_value or 0) < SIGNIFICANCE]
        for score in dict.fromkeys(c.score for c in comparisons)
    }
    by_score = "; ".join(
        f"{SCORE_TITLES[score]}: {', '.join(labels) or 'none'}"
        for score, labels in differing.items()
    )
    return (
        f"{what[0].upper()}{what[1:]} that differ from {baseline} at the {SIGNIFICANCE:.0%} level: "
        f"{by_score} (paired two-sided Wilcoxon signed-rank test over {over}s, Holm's correction "
        f"over {tests})."
    )


def say_p_value(p_value: float | None) -> str:
    """Return a p-value as text: "0.0117", "<0.0001", or "no pair" for None."""
    if p_value is None:
        return "no pair"
    return "<0.0001" if p_value < 0.0001 else f"{p_value:.4f}"


def say_test_draw(
    identity: Mapping[str, Any], confusion: ArrayLike | None, *, published: bool
) -> str:
    """Return a note on whether tests and intervals over seeds cover the choice of test beats.

    Args:
        identity: see `differences_from_protocol`.
        confusion: test confusion matrix of one run, to estimate how much the choice matters;
            None if there is none.
        published: whether published scores are shown too.
    """
    split = identity.get("split")
    if split == REDRAWN:
        return (
            "Each seed uses a different split, so intervals and tests over seeds cover the random "
            "choice of test beats."
        )
    if split != "intra-patient":
        return (
            "All seeds are tested on the same patients, so intervals and tests over seeds do not "
            "cover the choice of patients."
        )
    scatter = ""
    if confusion is not None:
        drawn = resampled_scores(confusion, "f1_macro", DRAWS, np.random.default_rng(0))
        scatter = (
            f" That choice alone varies F1(M) with a standard deviation of {drawn.std():.4f} "
            "(bootstrap of the test beats of one run)."
        )
    if identity.get("source") == KAGGLE:
        return (
            "All seeds are tested on the published test part, so intervals and tests over seeds "
            f"do not cover the random choice of its beats.{scatter}"
        )
    another = "The published test part is a different random sample of beats. " if published else ""
    advice = " Use --resplit to draw a new split for each seed." if published else ""
    return (
        f"{another}All seeds are tested on the same beats, so intervals and tests over seeds do "
        f"not cover the random choice of test beats.{scatter}{advice}"
    )


@dataclass(frozen=True)
class ConfirmedScore:
    """One score of one configuration on the test part.

    Attributes:
        label: label of the configuration, such as "trial 7".
        score: name of the score.
        runs: number of seeds.
        mean: mean over the seeds, or the score of an ensemble.
        spread: standard deviation over the seeds, None for one run or an ensemble.
        interval: 95% interval of the mean over seeds; of one run or an ensemble, over test beats.
        difference: mean of the paired differences from the baseline, None without a pair.
        p_value: p-value after Holm's correction, None without a pair.
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
        """Return the cells of a row under `CONFIRMED_COLUMNS`."""
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
    "Ensembles: one prediction from the mean probabilities of all n runs of a configuration. An "
    "ensemble is not a single run, and each configuration has only one, so there is no test"
)


def compared_scores(identity: Mapping[str, Any]) -> tuple[str, str]:
    """Return the scores by which runs are compared; on splits by patient, F1(N, S, V) first."""
    if folds_of(str(identity.get("split", ""))):
        return F1_NSV, "jk_index"
    return (F1_NSV, COMPARED[1]) if identity.get("objective") == F1_NSV else COMPARED


def interval_over_records(
    by_record: Sequence[Mapping[str, Any] | None], score: str
) -> tuple[float, float] | None:
    """Return the 95% interval of the mean score of runs, from resampling whole records.

    Args:
        by_record: for each run, its test confusion matrix of each record, None if not kept.
        score: name of the score.

    Returns:
        None unless every run has matrices of the same records.
    """
    kept = [run for run in by_record if run]
    if not kept or len(kept) < len(by_record) or any(run.keys() != kept[0].keys() for run in kept):
        return None
    return record_interval([[run[record] for record in kept[0]] for run in kept], score)


def compare_confirmed(confirmation: Confirmation) -> list[Comparison]:
    """Compare the confirmed configurations with the baseline, as one family of tests."""
    if confirmation.folds:
        return _compare_folds(confirmation)
    runs = {
        label: {
            score: {run["repeat"]: run[f"test_{score}"] for run in of_label}
            for score in compared_scores(confirmation.identity)
        }
        for label, of_label in confirmation.runs.items()
    }
    return compare_with_baseline(runs, BASELINE_LABEL)


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
    baseline = measured.get(BASELINE_LABEL, {})
    differences: dict[str, dict[str, dict[int, float]]] = {
        BASELINE_LABEL: {score: dict.fromkeys(range(confirmation.folds), 0.0) for score in compared}
    }
    for label, of_repeat in measured.items():
        if label != BASELINE_LABEL:
            both = of_repeat.keys() & baseline.keys()
            found = _by_fold(
                (fold, {score: of[score] - baseline[repeat][1][score] for score in compared})
                for repeat, (fold, of) in sorted(of_repeat.items())
                if repeat in both
            )
            differences[label] = {score: found.get(score, {}) for score in compared}
    return compare_with_baseline(differences, BASELINE_LABEL)


def ensemble_scores(confirmation: Confirmation) -> Iterator[ConfirmedScore]:
    """Yield the scores of ensembles, which are never mixed with those of single runs."""
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
    """Return the conclusion, what the intervals are, and what they do not cover."""
    notes = [conclude_confirmed(confirmation, "the baseline")]
    if confirmation.folds:
        return [*notes, *_fold_notes(confirmation)]
    notes.append(
        "n: number of runs, each with a new seed. 95% interval: Student's t interval of the mean "
        "over seeds; for one run or an ensemble, bootstrap of the test beats."
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
        notes.append(f"95% interval of {SCORE_TITLES[score]} from resampled test records: {said}.")
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
    """Return a line per configuration: its network, and how it differs from the baseline."""
    return [
        f"{label}: "
        + say_parameters({n: v for n, v in config.items() if n == "model" or _is_varied(n, v)})
        for label, config in confirmation.chosen.items()
    ]


def _is_varied(name: str, value: object) -> bool:
    return name not in ("max_epochs", "patience") and value != DEFAULTS.get(name)
