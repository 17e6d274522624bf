"""Notes of trials and studies in markdown, for the dashboard. Pure functions from facts to text.

The dashboard's box for a note is small, so a note begins with what matters.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ecg.heartbeats import CLASS_TITLES
from study.wording import SCORE_TITLES, say_identity, say_objectives, say_value, warn_of_limits

_PUNCTUATION = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|$~&:@/^])")
REASONS = {
    "early-stopping": "stopped early: the validation loss stood still",
    "max-epochs": "trained for all epochs of the budget",
    "pruned": "pruned: no match for earlier trials",
}
SHOWN = ("f1_macro", "f1_weighted")  # beside the objective
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
    scores = dict.fromkeys((objective, *SHOWN))
    shown = ", ".join(f"{_title(s)} {validation[s]:.4f}" for s in scores)
    trained_on = f" on {escape(facts['device'])} ({escape(facts['precision'])})"
    lines = [
        f"**{shown}** (validation)",
        "",
        f"epoch {facts['best_epoch']} of {facts['last_epoch']}, "
        f"{REASONS.get(facts['stop_reason'], escape(facts['stop_reason']))}; "
        f"{facts['seconds']:.1f} s{trained_on}",
        "",
    ]
    if limits := warn_of_limits(facts):
        lines += [escape(limits), ""]
    if params:
        lines += [", ".join(f"{escape(k)} = {_number(v)}" for k, v in params.items()), ""]
    lines += [*_class_table(facts["per_class"], facts["confusion"]), ""]
    if test := facts.get("test"):
        shown = ", ".join(f"{_title(score)} {test[score]:.4f}" for score in SHOWN)
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
    lines = [
        f"**{escape(name)}**",
        "",
        *(f"- {escape(fact)}" for fact in facts),
        f"- searched: {escape(identity.get('space', 'not known'))}, "
        f"{escape(say_objectives(identity))}",
        *(f"  - {escape(line)}" for line in space),
        f"- {escape(say_identity(identity))}",
    ]
    return "\n".join(lines) + "\n"


def _class_table(per_class: Mapping[str, Sequence[float]], confusion: Any) -> list[str]:
    rows = ["| class | beats | recall | precision | F1 |", "|:--|--:|--:|--:|--:|"]
    for index, title in enumerate(CLASS_TITLES):
        figures = " | ".join(f"{per_class[column][index]:.4f}" for column in NOTE_COLUMNS)
        rows.append(f"| {title} | {sum(confusion[index]):,} | {figures} |")
    return rows


def _config_table(config: Mapping[str, Any]) -> list[str]:
    """Return the configuration in pairs of columns: the dashboard does not break long lines."""
    cells = [f"{escape(name)} | {_number(value)}" for name, value in config.items()]
    cells += ["|"] * (len(cells) % 2)
    rows = [f"| {one} | {other} |" for one, other in zip(cells[::2], cells[1::2], strict=True)]
    return ["| configuration | | | |", "|:--|:--|:--|:--|", *rows]


def _number(value: object) -> str:
    return escape(say_value(value))


def _title(score: object) -> str:
    """Return the title of a score, or its name where it is not a known one."""
    return SCORE_TITLES.get(str(score)) or escape(score)
