"""What a study found, in a few lines for a terminal: `list`, `show`, and the end of `run`."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ecg.heartbeats import CLASS_TITLES
from study.storage.reading import Row, StudyRows, best_row
from study.wording import (
    counted,
    format_seconds,
    parameters_of,
    say_identity,
    say_parameters,
    score_title,
)

# Attributes of trials that are read for a line a study, and for one study.
LISTED = ("baseline",)
SHOWN = (
    *LISTED, "validation", "per_class", "confusion", "test_read", "stop_reason", "best_epoch",
    "last_epoch", "seconds", "weights",
)  # fmt: skip
SETTINGS = ("source", "split", "budget", "device", "precision")  # of a study, in the list
SCORES = ("f1_macro", "f1_weighted", "recall_macro", "precision_macro")  # beside the baseline's


def show_study(study: StudyRows, *, trials: int = 10, readings: int = 0) -> RenderableType:
    """Draw what a study found.

    Args:
        study: with the attributes `SHOWN`.
        trials: so many of the best trials.
        readings: of the test part by `ecg evaluate`.
    """
    identity = study.identity
    parts: list[RenderableType] = [
        Text(f"study {study.name}", style="bold"),
        Text(f"space {identity.get('space')}, {say_identity(identity)}"),
        Text(_describe_states(study.rows)),
        Text(_describe_test_reads(study.rows, readings)),
        Text(_describe_weights(study.rows)),
    ]
    best = best_row(study.rows)
    if best is None:
        return Group(*parts, Text("no trial is complete yet"))
    compared = _compare(best, _find_baseline(study.rows))
    return Group(*parts, compared, _per_class(best), _best_trials(study.rows, trials))


def list_studies(studies: Sequence[StudyRows]) -> Table:
    """Draw one row a study, of which the attributes `LISTED` are needed."""
    table = Table(box=None, padding=(0, 2, 0, 0), caption_justify="left")
    for column in (
        "study", "data", "split", "budget", "device", "precision", "finished", "best", "baseline"
    ):  # fmt: skip
        table.add_column(column, no_wrap=True)
    for study in studies:
        finished = sum(row["state"] in ("complete", "pruned") for row in study.rows)
        found = (best_row(study.rows), _find_baseline(study.rows))
        table.add_row(
            Text(study.name),
            *(Text(str(study.identity.get(key, "?"))) for key in SETTINGS),
            f"{finished}/{len(study.rows)}",
            *("-" if row is None else f"{row['value']:.4f}" for row in found),
        )
    table.caption = "finished: complete or pruned; best and baseline on validation"
    return table


def _find_baseline(rows: Sequence[Row]) -> Row | None:
    """Return the complete baseline trial, None where there is none."""
    return next((row for row in rows if row["baseline"] and row["state"] == "complete"), None)


def _describe_states(rows: Sequence[Row]) -> str:
    """Return "12 trials: 9 complete, 3 pruned; 5 min of training"."""
    counts = Counter(row["state"] for row in rows).most_common()
    states = ", ".join(f"{count} {state}" for state, count in counts)
    spent = sum(row.get("seconds", 0) for row in rows)
    return f"{len(rows)} trials: {states or 'none'}; {format_seconds(spent)} of training"


def _describe_test_reads(rows: Sequence[Row], readings: int) -> str:
    """Return how often the test part was read, and why."""
    reasons = [row["test_read"]["reason"] for row in rows if "test_read" in row]
    told = ", ".join(sorted(set(reasons)))
    said = [f"{len(reasons)} times, once a trial: {told}"] if reasons else []
    said += [f"{counted(readings, 'time')} by `ecg evaluate`"] if readings else []
    return f"the test part was {'read ' + '; '.join(said) if said else 'never read'}"


def _describe_weights(rows: Sequence[Row]) -> str:
    """Return of how many trials the weights are kept."""
    complete = [row for row in rows if row["state"] == "complete"]
    kept = sum(bool(row.get("weights")) for row in complete)
    return f"weights kept of {kept} of {counted(len(complete), 'complete trial')}"


def _compare(best: Row, baseline: Row | None) -> RenderableType:
    """Draw the best configuration's validation figures beside the baseline's."""
    table = Table(title="validation figures at the best epoch", title_justify="left")
    for column in ("", *map(score_title, SCORES)):
        table.add_column(column)
    chosen = {"best": best} | ({} if baseline is None else {"baseline": baseline})
    figures = {
        title: [float(row[f"validation_{name}"]) for name in SCORES]
        for title, row in chosen.items()
    }
    for title, values in figures.items():
        table.add_row(f"{title} (trial {chosen[title]['number']})", *(f"{v:.4f}" for v in values))
    if baseline is not None:
        pairs = zip(figures["best"], figures["baseline"], strict=True)
        table.add_row("difference, one run each", *(f"{a - b:+.4f}" for a, b in pairs))
    lines = [
        Text(f"{title}: {say_parameters(parameters_of(row.items()))}")
        for title, row in chosen.items()
    ]
    return Group(*lines, table)


def _per_class(best: Row) -> Table:
    table = Table(title=f"trial {best['number']} per class (validation)", title_justify="left")
    figures = best["per_class"]
    for column in ("class", *figures, "beats"):
        table.add_column(column)
    for index, title in enumerate(CLASS_TITLES):
        values = [f"{figures[figure][index]:.4f}" for figure in figures]
        beats = sum(best["confusion"][index])
        table.add_row(title, *values, f"{beats:,}")
    return table


def _best_trials(rows: Sequence[Row], number: int) -> Table:
    ended = [row for row in rows if row["state"] in ("complete", "pruned")]
    finished = [row for row in ended if row["value"] is not None]
    finished.sort(key=lambda row: (row["state"], -row["value"]))
    table = Table(title=f"the best {len(finished[:number])} finished trials", title_justify="left")
    for column in ("trial", "value", "stopped by", "epochs", "time", "parameters"):
        table.add_column(column, overflow="fold")
    for row in finished[:number]:
        table.add_row(
            str(row["number"]),
            f"{row['value']:.4f}",
            str(row["stop_reason"]),
            f"{row['best_epoch']}/{row['last_epoch']}",
            format_seconds(row["seconds"]),
            say_parameters(parameters_of(row.items())),
        )
    table.caption = "epochs: best/last"
    return table
