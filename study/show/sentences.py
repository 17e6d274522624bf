"""The findings of a study in plain sentences, for the report and for the study's note."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ecg.metrics import difference_interval
from study.comparison import (
    compared_scores,
    conclude_confirmed,
    confirmed_scores,
)
from study.plots.front import front_of
from study.plots.style import objective_of
from study.show.front import say_front
from study.show.scores import say_ceiling
from study.storage.confirmation import BASELINE_LABEL, Confirmation, say_confirmed
from study.storage.trials_table import is_search
from study.wording import (
    caution_of_budget,
    counted,
    has_several,
    objectives_of,
    parameters_of,
    say_identity,
    say_limits,
    say_objectives,
    say_parameters,
    say_states,
    say_test_reads,
    score_title,
)


def say_setting(identity: Mapping[str, Any]) -> str:
    """Return data, split, budget, device and objective in one sentence."""
    if not identity:
        return "This study was not made by this project, so what it searched is unknown."
    return f"Space {identity.get('space')}, {say_objectives(identity)}; {say_identity(identity)}."


def say_trials(trials: pd.DataFrame) -> str:
    """Return the number of trials in each state, the time they took, and how they stopped."""
    if trials.empty:
        return "There is no trial yet."
    is_timed = "seconds" in trials and trials["seconds"].notna().any()
    said = say_states(trials["state"], trials["seconds"].sum() if is_timed else 0.0)
    said += f", {int(trials['last_epoch'].sum()):,} epochs." if is_timed else "."
    if "stop_reason" in trials:
        reasons = trials["stop_reason"].value_counts()
        if early := int(reasons.get("early-stopping", 0)):
            said += f" Early stopping ended {early}, whose validation loss no longer fell."
    return said


def say_caution(trials: pd.DataFrame, best: pd.Series | None) -> str:
    """Return what the scores do not show."""
    if best is None:
        return ""
    chosen = "front" if has_several(trials.attrs.get("identity", {})) else "winner"
    is_confirmed = trials.attrs.get("confirmation") is not None
    said = (
        "One run each: the intervals are bootstraps of the validation beats and do not cover how "
        f"runs differ by seed. The {chosen} was chosen on these same beats, so its score is likely "
        "too high.",
        ""
        if is_confirmed
        else "To measure it on the test part over fresh seeds: python -m study confirm.",
        say_ceiling(best.to_dict(), objective_of(trials)),
        caution_of_budget(best.get("budget", "paper")),
    )
    return " ".join(filter(None, said))


def say_confirmation(confirmation: Confirmation | None) -> str:
    """Return the findings of `confirm`, on the test part or over folds; "" for none."""
    if confirmation is None:
        return ""
    score = compared_scores(confirmation.identity)[0]
    means = (
        f"{one.label} {one.mean:.4f} (95% interval {one.interval[0]:.4f} to "
        f"{one.interval[1]:.4f}, n = {one.runs})"
        for one in confirmed_scores(confirmation)
        if one.score == score
    )
    concluded = conclude_confirmed(confirmation, BASELINE_LABEL)
    return (
        f"Confirmed on {confirmation.measured_on} by the study {confirmation.study}, "
        f"{score_title(score)}: {'; '.join(means)}. {concluded}"
    )


def say_reads(trials: pd.DataFrame) -> str:
    """Return how often the trials of a study read the test part, and why."""
    reads = trials["test_read"].dropna() if "test_read" in trials else ()
    confirmed = say_confirmed(trials.attrs.get("study", ""), trials.attrs.get("confirmation"))
    evaluations = trials.attrs.get("evaluations", 0)
    return say_test_reads([str(read["reason"]) for read in reads], evaluations, confirmed)


def say_verdict(trials: pd.DataFrame, best: pd.Series | None, baseline: pd.Series | None) -> str:
    """Return the result of a search in two sentences: what won, by how much, how certain that is.

    With several objectives they say what the front spans.
    """
    names = objectives_of(trials.attrs.get("identity", {}))
    if len(names) > 1:
        front = front_of(trials).to_dict("records")
        complete = int((trials["state"] == "complete").sum())
        return say_front(front, None if baseline is None else baseline.to_dict(), complete, names)
    if best is None:
        return "No trial is complete yet, so there is no winner."
    objective = objective_of(trials)
    title = score_title(objective)
    chosen = say_parameters(parameters_of(best.items()))
    scored = f"validation {title} {best['value']:.4f}"
    if baseline is None:
        return (
            f"{chosen} is best so far (trial {best['number']}, {scored}). The baseline is not "
            "complete, so there is nothing to compare it with."
        )
    if baseline["number"] == best["number"]:
        return f"The baseline ({chosen}) is best, {scored}. No other trial is better."
    low, high = difference_interval(best["confusion"], baseline["confusion"], objective)
    lead = best["value"] - baseline["value"]
    verdict = (
        "The interval includes 0, so the difference may be chance"
        if low <= 0 <= high
        else "The interval excludes 0 for these two runs, but other seeds may give another result"
    )
    return (
        f"{chosen} wins: {scored}, {lead:+.4f} against the baseline "
        f"({say_parameters(parameters_of(baseline.items()))}, {baseline['value']:.4f}; 95% "
        f"interval of the difference {low:+.4f} to {high:+.4f}). {verdict}."
    )


def say_basis(trials: pd.DataFrame) -> str:
    """Return what every plot of a study is based on: its trials, one run each, and its limits."""
    ended = trials[trials["state"].isin(("complete", "pruned"))]
    identity = trials.attrs.get("identity", {})
    said = counted(len(ended), "finished trial")
    if is_search(trials):
        said += ", one run each"
    if limits := say_limits(identity):
        said += f", {limits}"
    return said + "."
