"""Notes of trials and studies in Markdown: their text, and how the dashboard finds them.

The dashboard shows notes in a small box, so a note starts with the most important facts.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
import sqlalchemy
from optuna.storages import RDBStorage
from optuna.storages._rdb import models

from ecg.heartbeats import CLASS_TITLES
from study.storage.ids import storage_of, study_id, trial_id_of
from study.wording import SCORE_TITLES, say_identity, say_objectives, say_value, warn_of_limits

OUR_NOTE = 1  # version of a note that we wrote; the dashboard increases it with every edit
NUMBER = "ecg_number"  # attribute beside a note: the number of its trial, also in a copied study
_OF_TRIAL = re.compile(rf"dashboard:(\d+):(note_ver|note_str:\d+|{NUMBER})")

_PUNCTUATION = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|$~&:@/^])")
REASONS = {
    "early-stopping": "stopped early: the validation loss no longer improved",
    "max-epochs": "trained for all epochs of the budget",
    "pruned": "pruned: behind earlier trials",
}
SHOWN = ("f1_macro", "f1_weighted")  # in addition to the objective
NOTE_COLUMNS = ("recall", "precision", "f1")


def escape(text: object) -> str:
    """Return a text on one line, escaped so that Markdown shows it literally."""
    return _PUNCTUATION.sub(r"\\\1", " ".join(str(text).split()))


def trial_note(facts: Mapping[str, Any], params: Mapping[str, Any], objective: str) -> str:
    """Return the note of a trained trial: its scores, epochs, parameters and classes.

    Args:
        facts: attributes of the trial, see `describe_start` and `describe_result` in
            `study.trials.trial`.
        params: parameters of the trial.
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
    """Return the note of a failed trial."""
    return f"**failed**: {escape(reason)}\n"


def study_note(
    name: str, identity: Mapping[str, Any], facts: Sequence[str], space: Sequence[str] = ()
) -> str:
    """Return the note of a study: its results so far, what it searches, and its data.

    Args:
        name: name of the study.
        identity: see `study.storage.studies.Identity`.
        facts: sentences about its results, any text.
        space: lines about the searched space, any text.
    """
    lines = [
        f"**{escape(name)}**",
        "",
        *(f"- {escape(fact)}" for fact in facts),
        f"- searched: {escape(identity.get('space', 'unknown'))}, "
        f"{escape(say_objectives(identity))}",
        *(f"  - {escape(line)}" for line in space),
        f"- {escape(say_identity(identity))}",
    ]
    return "\n".join(lines) + "\n"


def _class_table(per_class: Mapping[str, Sequence[float]], confusion: Any) -> list[str]:
    rows = ["| class | beats | recall | precision | F1 |", "|:--|--:|--:|--:|--:|"]
    for index, title in enumerate(CLASS_TITLES):
        scores = " | ".join(f"{per_class[column][index]:.4f}" for column in NOTE_COLUMNS)
        rows.append(f"| {title} | {sum(confusion[index]):,} | {scores} |")
    return rows


def _config_table(config: Mapping[str, Any]) -> list[str]:
    """Return the configuration as a table two fields wide; the dashboard does not wrap lines."""
    cells = [f"{escape(name)} | {_number(value)}" for name, value in config.items()]
    cells += ["|"] * (len(cells) % 2)
    rows = [f"| {one} | {other} |" for one, other in zip(cells[::2], cells[1::2], strict=True)]
    return ["| configuration | | | |", "|:--|:--|:--|:--|", *rows]


def _number(value: object) -> str:
    return escape(say_value(value))


def _title(score: object) -> str:
    """Return the title of a score, or its name if it has no title."""
    return SCORE_TITLES.get(str(score)) or escape(score)


def note_attributes(trial_id: int | None, text: str, number: int = 0) -> dict[str, str | int]:
    """Return a note as the system attributes of the study in which the dashboard keeps notes.

    `optuna_dashboard.save_note` stores the same. It is not used because it takes seconds to
    import and reads all notes of a study to write one.

    Args:
        trial_id: id of the trial in its database, None for a note of the study.
        text: Markdown.
        number: number of the trial, by which a copy of the study finds its note.
    """
    if trial_id is None:
        return {"dashboard:note_str:0": text, "dashboard:note_ver": OUR_NOTE}
    prefix = f"dashboard:{trial_id}"
    note: dict[str, str | int] = {f"{prefix}:note_str:0": text, f"{prefix}:note_ver": OUR_NOTE}
    return note | {f"{prefix}:{NUMBER}": number}


def save_note(study: optuna.Study, number: int | None, text: str) -> None:
    """Store the note of a trial or of the study, see `note_attributes`.

    Args:
        study: the study.
        number: number of the trial, None for a note of the study.
        text: Markdown.
    """
    trial = None if number is None else trial_id_of(study, number)
    for name, value in note_attributes(trial, text, number or 0).items():
        storage_of(study).set_study_system_attr(study_id(study), name, value)


def place_notes(storage: RDBStorage, study: int, attributes: dict[str, Any]) -> bool:
    """Move notes that `optuna.copy_study` left with the ids of the original's trials.

    Args:
        storage: database of the study.
        study: id of the study, which may be a copy.
        attributes: its system attributes.

    Returns:
        Whether a note was moved.
    """
    notes: dict[int, dict[str, Any]] = {}
    for name, value in attributes.items():
        if match := _OF_TRIAL.fullmatch(name):
            notes.setdefault(int(match[1]), {})[match[2]] = value
    numbers = {
        key: number
        for key, parts in notes.items()
        if isinstance(number := parts.get(NUMBER), int)  # a damaged one names no trial
    }
    if not numbers:
        return False
    trial, table = models.TrialModel, models.StudySystemAttributeModel
    with storage.engine.begin() as connection:
        mine = sqlalchemy.select(trial.number, trial.trial_id).where(trial.study_id == study)
        keys = {row.number: row.trial_id for row in connection.execute(mine)}
        strayed = {key: n for key, n in numbers.items() if keys.get(n) != key}
        if not strayed:
            return False
        names = [f"dashboard:{key}:{part}" for key in strayed for part in notes[key]]
        placed = {
            f"dashboard:{keys[number]}:{part}": value
            for key, number in strayed.items()
            if number in keys and keys[number] not in numbers.keys() - strayed.keys()
            for part, value in notes[key].items()
        }
        here = table.study_id == study
        for name in {*names, *placed}:
            connection.execute(sqlalchemy.delete(table).where(here, table.key == name))
        if placed:
            connection.execute(
                sqlalchemy.insert(table),
                [
                    {"study_id": study, "key": name, "value_json": json.dumps(value)}
                    for name, value in placed.items()
                ],
            )
    return True
