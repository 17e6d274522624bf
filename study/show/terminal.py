"""Studies in a terminal: `list`, `show`, and the end of `run`."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from ecg.heartbeats import CLASS_TITLES
from study.show.front import front_table, say_front
from study.show.scores import say_ceiling, validation_scores
from study.show.text_tables import FittingTable
from study.storage.confirmation import CONFIRMATION, say_confirmed
from study.storage.rows import Row, StudyRows, finished_rows, is_trained
from study.wording import (
    caution_of_budget,
    counted,
    format_seconds,
    one_line,
    parameters_of,
    say_identity,
    say_objectives,
    say_parameters,
    say_states,
    say_test_reads,
    score_title,
    warn_of_limits,
)

# Attributes of trials to read: for one line per study, and for a single study.
LISTED = ("baseline", "best_epoch")
SHOWN = (
    *LISTED, "validation", "per_class", "confusion", "test_read", "stop_reason", "last_epoch",
    "seconds", "weights", CONFIRMATION,
)  # fmt: skip
SETTINGS = ("source", "split", "budget", "device", "precision")  # of a study, in the list


def show_study(study: StudyRows, *, trials: int = 10, evaluations: int = 0) -> RenderableType:
    """Return the findings of a study.

    Args:
        study: a study with the attributes `SHOWN`.
        trials: number of the best trials to list.
        evaluations: how often `ecg evaluate` read the test part.
    """
    identity = study.identity
    reasons = [row["test_read"]["reason"] for row in study.rows if "test_read" in row]
    parts: list[RenderableType] = [
        Text(f"study {one_line(study.name)}", style="bold"),
        _text(f"space {identity.get('space')}, {say_identity(identity)}"),
        *([_text(say_objectives(identity))] if len(study.objectives) > 1 else []),
        _text(_say_trials(study)),
        _text(say_test_reads(reasons, evaluations, say_confirmed(study.name, study.confirmation))),
        _text(_say_weights(study.rows)),
    ]
    if limits := warn_of_limits(identity):
        parts.append(Text(limits))
    best = study.best
    if best is None:
        parts.append(Text("no trial is complete yet"))
        return Group(
            *parts,
            *([_best_trials(study.rows, trials, study.objectives)] if _ended(study.rows) else []),
        )
    objectives = study.objectives
    if several := len(objectives) > 1:
        front, complete = study.front, sum(row["state"] == "complete" for row in study.rows)
        parts.append(_text(say_front(front, study.baseline, complete, objectives)))
        parts.append(front_table(front, study.baseline, objectives))
    title = f"best {score_title(objectives[0])}" if several else "best"
    parts.append(_compare(best, study.baseline, identity, title))
    if ceiling := say_ceiling(best, str(identity.get("objective"))):
        parts.append(_text(ceiling))
    if caution := caution_of_budget(identity.get("budget", "paper")):
        parts.append(_text(caution))
    parts += [_per_class(best), _best_trials(study.rows, trials, study.objectives)]
    if study.confirmation is not None:
        # Importing its statistics takes longer than reading most studies.
        from study.show.confirmation import show_confirmation

        parts.append(show_confirmation(study.confirmation))
    return Group(*parts)


def list_studies(studies: Sequence[StudyRows]) -> FittingTable:
    """Return a table with one row per study; the studies have the attributes `LISTED`."""
    several = any(len(study.directions) > 1 for study in studies)
    columns = ["study", "state", "last active", "best", "baseline", "finished", "workers",
               *SETTINGS, *(("front",) if several else ())]  # fmt: skip
    rows = [
        [
            one_line(study.name),
            state_of(study),
            "-" if study.active is None else study.active.strftime("%Y-%m-%d %H:%M"),
            *("-" if r is None else f"{r['value']:.4f}" for r in (study.best, study.baseline)),
            f"{_count_finished(study)}/{len(study.rows)}",
            str(study.workers),
            *(one_line(study.identity.get(key, "?")) for key in SETTINGS),
            *([_count_front(study)] if several else []),
        ]
        for study in studies
    ]
    caption = (
        "interrupted: some trials are queued, or running without a worker; finished: complete or "
        "pruned trials; best and baseline: objective on validation"
        + ("; front: trials that no other trial dominates" if several else "")
    )
    return FittingTable("", columns, rows, caption=caption, is_boxed=False)


def state_of(study: StudyRows) -> str:
    """Return the state of a study in a word."""
    if study.damage:
        return "damaged"
    if study.workers:
        return "running"
    if any(row["state"] in ("running", "waiting") for row in study.rows):
        return "interrupted"
    return "stopped" if study.rows else "empty"


def study_facts(study: StudyRows) -> dict[str, Any]:
    """Return what `list` says about a study as values for JSON."""
    return {
        "study": study.name,
        "state": state_of(study),
        "made_by_this_project": study.is_ours,
        "damage": study.damage or None,
        "last_active": None if study.active is None else study.active.isoformat(timespec="seconds"),
        "workers": study.workers,
        "trials": dict(Counter(row["state"] for row in study.rows)),
        "directions": list(study.directions),
        "objectives": list(study.objectives),
        "front": [row["number"] for row in study.front],
        "best": _trial_facts(study.best),
        "baseline": _trial_facts(study.baseline),
        "identity": dict(study.identity),
    }


def shown_facts(study: StudyRows, *, trials: int = 10) -> dict[str, Any]:
    """Return what `show` says about a study as values for JSON, see `show_study`."""
    best = [_trial_facts(row) for row in _ended(study.rows)[:trials]]
    front = [_trial_facts(row) for row in study.front]
    return study_facts(study) | {"front_trials": front, "best_trials": best}


def as_json(facts: Any) -> str:
    """Return facts as JSON that every parser accepts: NaN and infinity are strings."""
    return json.dumps(_finite(facts), indent=2, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _trial_facts(row: Row | None) -> dict[str, Any] | None:
    """Return a trial: number, state, value, parameters, and facts of its training."""
    if row is None:
        return None
    plain = ("number", "state", "value", "stop_reason", "best_epoch", "last_epoch", "seconds")
    return {
        **{name: row[name] for name in plain if name in row},
        "parameters": parameters_of(row.items()),
        "added_by_hand": not is_trained(row),
        **{
            name: row[name]
            for name in row
            if str(name).startswith(("value_", "validation_", "test_f1"))
        },
    }


def _count_finished(study: StudyRows) -> int:
    return sum(row["state"] in ("complete", "pruned") for row in study.rows)


def _count_front(study: StudyRows) -> str:
    return f"{counted(len(study.front), 'trial')}" if len(study.directions) > 1 else "-"


def _text(text: object) -> Text:
    """Return text of a user unchanged, in one line."""
    return Text(one_line(text))


def _say_trials(study: StudyRows) -> str:
    """Return "12 trials: 9 complete, 3 pruned; 5 min of training; 2 workers now"."""
    said = say_states(
        (row["state"] for row in study.rows), sum(row.get("seconds", 0) for row in study.rows)
    )
    return f"{said}; {counted(study.workers, 'worker')} now" if study.workers else said


def _say_weights(rows: Sequence[Row]) -> str:
    """Return how many complete trials have their weights kept."""
    complete = [row for row in rows if row["state"] == "complete"]
    kept = sum(bool(row.get("weights")) for row in complete)
    return f"weights kept for {kept} of {counted(len(complete), 'complete trial')}"


def _compare(
    best: Row, baseline: Row | None, identity: Mapping[str, Any], title_of_best: str
) -> RenderableType:
    """Return the validation scores of the best configuration and the baseline."""
    chosen = {title_of_best: best} | ({} if baseline is None else {"baseline": baseline})
    scores = {title: validation_scores(row, identity) for title, row in chosen.items()}
    rows = [
        [f"{title} (trial {chosen[title]['number']})", *(f"{v:.4f}" for v in found.values())]
        for title, found in scores.items()
    ]
    if baseline is not None:
        pairs = zip(scores[title_of_best].values(), scores["baseline"].values(), strict=True)
        rows.append(["difference, one run each", *(f"{a - b:+.4f}" for a, b in pairs)])
    table = FittingTable("validation scores at the best epoch", ["", *scores[title_of_best]], rows)
    lines = [
        _text(f"{title}: {say_parameters(parameters_of(row.items()))}")
        for title, row in chosen.items()
    ]
    return Group(*lines, table)


def _per_class(best: Row) -> FittingTable:
    scores = best["per_class"]
    rows = [
        [title, *(f"{values[index]:.4f}" for values in scores.values()), f"{sum(counts):,}"]
        for index, (title, counts) in enumerate(zip(CLASS_TITLES, best["confusion"], strict=True))
    ]
    title = f"trial {best['number']} per class (validation)"
    return FittingTable(title, ["class", *map(one_line, scores), "beats"], rows)


def _ended(rows: Sequence[Row]) -> list[Row]:
    """Return the complete and pruned trials, complete ones first, the best value first."""
    return sorted(finished_rows(rows), key=lambda row: (row["state"], -row["value"]))


def _best_trials(rows: Sequence[Row], number: int, objectives: Sequence[str]) -> FittingTable:
    chosen = _ended(rows)[:number]
    by = f" by {score_title(objectives[0])}" if len(objectives) > 1 else ""
    caption = "epochs: best/last"
    if not all(map(is_trained, chosen)):
        caption += "; a trial added by hand was not trained here and cannot be the winner"
    return FittingTable(
        f"the best {len(chosen)} finished trials{by}",
        ("trial", "value", "stopped by", "epochs", "time", "parameters"),
        [_cells(row) for row in chosen],
        wraps="parameters",
        caption=caption,
    )


def _cells(row: Row) -> list[str]:
    trained = is_trained(row)
    return [
        str(row["number"]),
        f"{row['value']:.4f}",
        one_line(row["stop_reason"]) if trained else "added by hand",
        f"{row['best_epoch']}/{row['last_epoch']}" if trained else "-",
        format_seconds(row["seconds"]) if trained else "-",
        one_line(say_parameters(parameters_of(row.items()))),
    ]
