"""What a study found, in plain sentences: for the report and for the study's note."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ecg.metrics import difference_interval
from study.comparison import (
    compare_confirmed,
    compared_scores,
    conclude,
    confirmed_scores,
)
from study.plots.front import front_of
from study.plots.style import objective_of
from study.show.front import say_front
from study.show.scores import say_ceiling
from study.storage.attributes import PLANNED
from study.storage.confirmation import BASELINE, Confirmation
from study.wording import (
    caution_of_budget,
    counted,
    format_seconds,
    objectives_of,
    parameters_of,
    say_identity,
    say_limits,
    say_objectives,
    say_parameters,
    score_title,
)

STATES = {"complete": "complete", "pruned": "pruned", "fail": "failed", "running": "running",
          "waiting": "queued"}  # fmt: skip


def tell_setting(identity: Mapping[str, Any]) -> str:
    """Return data, split, budget, device and objective in one sentence."""
    if not identity:
        return "This study was not made by this project: what it searched is not on record."
    return f"Space {identity.get('space')}, {say_objectives(identity)}; {say_identity(identity)}."


def tell_trials(records: pd.DataFrame) -> str:
    """Return how many trials there are in each state, how they were stopped, and the time."""
    if records.empty:
        return "There is no trial yet."
    counts = records["state"].value_counts()
    states = ", ".join(f"{counts[s]} {word}" for s, word in STATES.items() if s in counts)
    told = f"{counted(len(records), 'trial')}: {states}."
    if "stop_reason" in records:
        reasons = records["stop_reason"].value_counts()
        if early := int(reasons.get("early-stopping", 0)):
            told += f" Early stopping ended {early}: the validation loss no longer fell."
    if "seconds" in records and records["seconds"].notna().any():
        epochs = int(records["last_epoch"].sum())
        spent = format_seconds(records["seconds"].sum())
        told += f" Time spent training: {spent}, {epochs:,} epochs."
    return told


def tell_caution(records: pd.DataFrame, best: pd.Series | None) -> str:
    """Return what the figures cannot say."""
    if best is None:
        return ""
    several = len(objectives_of(records.attrs.get("identity", {}))) > 1
    chosen = "front" if several else "winner"
    said = (
        "One run each: the intervals are bootstraps of the validation beats and know nothing of "
        f"how runs differ by seed. The {chosen} was chosen on these very beats, so its figure is "
        "rather too good; python -m study confirm measures it on the test part over fresh seeds.",
        say_ceiling(best.to_dict(), objective_of(records)),
        caution_of_budget(best.get("budget", "paper")),
    )
    return " ".join(filter(None, said))


def tell_confirmation(confirmation: Confirmation | None) -> str:
    """Return what `confirm` found on the test part, "" for nothing."""
    if confirmation is None:
        return ""
    score = compared_scores(confirmation.identity)[0]
    means = (
        f"{one.label} {one.mean:.4f} (95% interval {one.interval[0]:.4f} to "
        f"{one.interval[1]:.4f}, n = {one.runs})"
        for one in confirmed_scores(confirmation)
        if one.score == score
    )
    concluded = conclude(compare_confirmed(confirmation), BASELINE, what="configurations")
    return (
        f"Confirmed on the test part by the study {confirmation.study}, "
        f"{score_title(score)}: {'; '.join(means)}. {concluded}"
    )


def tell_test_reads(records: pd.DataFrame) -> str:
    """Return how often the test part was read, and why."""
    reads = records["test_read"].dropna() if "test_read" in records else pd.Series(dtype=object)
    if reads.empty:
        return "The test part was never read."
    reasons = ", ".join(sorted({str(read["reason"]) for read in reads}))
    return f"The test part was read {say_times(len(reads))}, at most once per trial: {reasons}."


def tell_verdict(records: pd.DataFrame, best: pd.Series | None, baseline: pd.Series | None) -> str:
    """Return the answer of a search in two sentences: what won by how much, and if that is sure.

    With several objectives nothing wins: it is what the front spans.
    """
    names = objectives_of(records.attrs.get("identity", {}))
    if len(names) > 1:
        found = front_of(records).to_dict("records")
        complete = int((records["state"] == "complete").sum())
        return say_front(found, None if baseline is None else baseline.to_dict(), complete, names)
    if best is None:
        return "No trial is complete yet, so there is no winner."
    objective = objective_of(records)
    title = score_title(objective)
    chosen = say_parameters(parameters_of(best.items()))
    scored = f"validation {title} {best['value']:.4f}"
    if baseline is None:
        return (
            f"{chosen} is best so far (trial {best['number']}, {scored}). The baseline is not "
            "complete, so this cannot be compared with anything."
        )
    if baseline["number"] == best["number"]:
        return f"The baseline ({chosen}) is best, {scored}. Nothing that was tried is better."
    low, high = difference_interval(best["confusion"], baseline["confusion"], objective)
    lead = best["value"] - baseline["value"]
    verdict = (
        "The interval includes 0, so this may be chance"
        if low <= 0 <= high
        else "The interval excludes 0 for these two runs, but another seed may differ"
    )
    return (
        f"{chosen} wins: {scored}, {lead:+.4f} against the baseline "
        f"({say_parameters(parameters_of(baseline.items()))}, {baseline['value']:.4f}; 95% "
        f"interval of the difference {low:+.4f} to {high:+.4f}). {verdict}."
    )


def tell_limits(records: pd.DataFrame) -> str:
    """Return what every plot of a study rests on: its trials, one run each, and its budget."""
    ended = records[records["state"].isin(("complete", "pruned"))]
    identity = records.attrs.get("identity", {})
    told = counted(len(ended), "finished trial")
    if PLANNED not in records or records[PLANNED].isna().all():
        told += ", one run each"
    if limits := say_limits(identity):
        told += f", {limits}"
    return told + "."


def say_times(number: int) -> str:
    """Return "once", "twice" or "7 times"."""
    return {1: "once", 2: "twice"}.get(number, f"{number:,} times")
