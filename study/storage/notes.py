"""Notes of trials and studies in markdown, for the dashboard. Pure functions from facts to text.

The dashboard's box for a note is small, so a note begins with what matters.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ecg.heartbeats import CLASS_NAMES, CLASSES

_PUNCTUATION = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|$~&:@/^])")
REASONS = {
    "early-stopping": "stopped early: the validation loss stood still",
    "max-epochs": "trained for all epochs of the budget",
    "pruned": "pruned: no match for earlier trials",
}
TITLES = {"f1_macro": "F1(M)", "f1_weighted": "F1(W)"}
NOTE_COLUMNS = ("recall", "precision", "f1")


def escape(text: object) -> str:
    """Return any text so that markdown shows it as it is, on one line."""
    return _PUNCTUATION.sub(r"\\\1", " ".join(str(text).split()))


def trial_note(facts: Mapping[str, Any], params: Mapping[str, Any], objective: str) -> str:
    """Tell what a trained trial found.

    Args:
        facts: attributes of the trial, see `describe_start` and `describe_result` in
            `study.trials.trial`.
        params: its parameters.
        objective: one of `ecg.metrics.SCORES`.
    """
    validation = facts["validation"]
    scores = dict.fromkeys((objective, *TITLES))
    shown = ", ".join(f"{TITLES.get(s, escape(s))} {validation[s]:.4f}" for s in scores)
    trained_on = f" on {escape(facts['device'])} ({escape(facts['precision'])})"
    lines = [
        f"**{shown}** (validation)",
        "",
        f"epoch {facts['best_epoch']} of {facts['last_epoch']}, "
        f"{REASONS.get(facts['stop_reason'], escape(facts['stop_reason']))}; "
        f"{facts['seconds']:.1f} s{trained_on}",
        "",
    ]
    if params:
        lines += [", ".join(f"{escape(k)} = {_number(v)}" for k, v in params.items()), ""]
    lines += [*_class_table(facts["per_class"], facts["confusion"]), ""]
    if test := facts.get("test"):
        shown = ", ".join(f"{title} {test[score]:.4f}" for score, title in TITLES.items())
        lines += [f"test part: {shown} (read once: {escape(facts['test_read']['reason'])})", ""]
    if config := facts.get("config"):
        lines += [*_config_table(config), ""]
    return "\n".join(lines).rstrip() + "\n"


def failure_note(reason: object) -> str:
    """Tell why a trial failed."""
    return f"**failed**: {escape(reason)}\n"


def study_note(
    name: str, identity: Mapping[str, Any], facts: Sequence[str], space: Sequence[str] = ()
) -> str:
    """Tell what a study searches, on which data, and what it found so far.

    Args:
        name: of the study.
        identity: see `study.storage.studies.Identity`.
        facts: sentences about what it found, any text.
        space: lines about what is searched, any text.
    """
    told = {key: escape(identity.get(key, "not known")) for key in IDENTITY}
    lines = [
        f"**{escape(name)}**",
        "",
        *(f"- {escape(fact)}" for fact in facts),
        f"- searched: {told['space']}, maximising validation "
        f"{TITLES.get(str(identity.get('objective')), told['objective'])}",
        *(f"  - {escape(line)}" for line in space),
        f"- data: {told['source']}, split {told['split']}, budget {told['budget']}, "
        f"device {told['device']} ({told['precision']}), seed {told['seed']}",
    ]
    return "\n".join(lines) + "\n"


IDENTITY = ("space", "objective", "source", "split", "budget", "device", "precision", "seed")


def _class_table(per_class: Mapping[str, Sequence[float]], confusion: Any) -> list[str]:
    rows = ["| class | beats | recall | precision | F1 |", "|:--|--:|--:|--:|--:|"]
    for index, name in enumerate(CLASSES):
        figures = " | ".join(f"{per_class[column][index]:.4f}" for column in NOTE_COLUMNS)
        rows.append(f"| {name} {CLASS_NAMES[index]} | {sum(confusion[index]):,} | {figures} |")
    return rows


def _config_table(config: Mapping[str, Any]) -> list[str]:
    """Return the configuration in pairs of columns: the dashboard does not break long lines."""
    cells = [f"{escape(name)} | {_number(value)}" for name, value in config.items()]
    cells += ["|"] * (len(cells) % 2)
    rows = [f"| {one} | {other} |" for one, other in zip(cells[::2], cells[1::2], strict=True)]
    return ["| configuration | | | |", "|:--|:--|:--|:--|", *rows]


def _number(value: object) -> str:
    return escape(f"{value:.4g}" if isinstance(value, float) else value)
