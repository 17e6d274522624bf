"""What a study found, in a few lines for a terminal: `list`, `show`, and the end of `run`."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ecg.heartbeats import CLASS_NAMES, CLASSES
from study.progress import format_seconds

if TYPE_CHECKING:
    from search_spaces import Space

FIGURES = {
    "f1_macro": "F1(M)",
    "f1_weighted": "F1(W)",
    "recall_macro": "Recall(M)",
    "precision_macro": "Precision(M)",
}


def best_record(records: pd.DataFrame) -> pd.Series | None:
    """Return the complete trial with the best objective, None where there is none."""
    complete = records[records["state"] == "complete"]
    if complete.empty:
        return None
    return complete.iloc[int(complete["value"].astype(float).argmax())]


def baseline_record(records: pd.DataFrame) -> pd.Series | None:
    """Return the finished baseline trial, None where there is none."""
    found = records[(records["state"] == "complete") & records["baseline"]]
    return None if found.empty else found.iloc[0]


def describe_params(record: pd.Series) -> str:
    """Return the parameters of a trial as "alpha=0.25, ratio=0.5"."""
    params = {
        str(name).removeprefix("param_"): value
        for name, value in record.items()
        if str(name).startswith("param_") and not _is_missing(value)
    }
    return ", ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in params.items()
    )


def show_study(records: pd.DataFrame, *, trials: int = 10) -> RenderableType:
    """Draw what a study found.

    Args:
        records: of one study.
        trials: so many of the best trials.
    """
    identity = records.attrs["identity"]
    parts: list[RenderableType] = [
        Text(f"study {records.attrs['study']}", style="bold"),
        Text(
            f"space {identity.get('space')}, data {identity.get('source')} "
            f"({str(identity.get('data'))[:12]}), split {identity.get('split')}, "
            f"budget {identity.get('budget')}, seed {identity.get('seed')}"
        ),
        Text(describe_states(records)),
        Text(describe_test_reads(records)),
    ]
    best, baseline = best_record(records), baseline_record(records)
    if best is None:
        return Group(*parts, Text("no trial is complete yet"))
    parts += [compare(best, baseline), _per_class(best), _best_trials(records, trials)]
    return Group(*parts)


def describe_states(records: pd.DataFrame) -> str:
    """Return "12 trials: 9 complete, 3 pruned; 5 min of training"."""
    counts = records["state"].value_counts()
    states = ", ".join(f"{count} {state}" for state, count in counts.items())
    spent = records["seconds"].sum() if "seconds" in records else 0
    return f"{len(records)} trials: {states or 'none'}; {format_seconds(spent)} of training"


def describe_test_reads(records: pd.DataFrame) -> str:
    """Return how often the test part was read, and why."""
    reads = records["test_read"].dropna() if "test_read" in records else pd.Series(dtype=object)
    if reads.empty:
        return "the test part was never read"
    reasons = ", ".join(sorted({read["reason"] for read in reads}))
    return f"the test part was read {len(reads)} times, once a trial: {reasons}"


def compare(best: pd.Series, baseline: pd.Series | None) -> RenderableType:
    """Draw the best configuration's validation figures beside the baseline's."""
    table = Table(title="validation figures at the best epoch", title_justify="left")
    for column in ("", *FIGURES.values()):
        table.add_column(column)
    chosen = {"best": best} | ({} if baseline is None else {"baseline": baseline})
    figures = {
        title: [float(record[f"validation_{name}"]) for name in FIGURES]
        for title, record in chosen.items()
    }
    for title, values in figures.items():
        table.add_row(f"{title} (trial {chosen[title]['number']})", *(f"{v:.4f}" for v in values))
    if baseline is not None:
        pairs = zip(figures["best"], figures["baseline"], strict=True)
        table.add_row("difference, one run each", *(f"{a - b:+.4f}" for a, b in pairs))
    lines = [Text(f"{title}: {describe_params(record)}") for title, record in chosen.items()]
    return Group(*lines, table)


def list_studies(studies: Sequence[pd.DataFrame]) -> Table:
    """Draw one row a study."""
    table = Table(box=None, padding=(0, 2, 0, 0), caption_justify="left")
    for column in ("study", "data", "split", "budget", "finished", "best", "baseline"):
        table.add_column(column, overflow="fold")
    for records in studies:
        identity = records.attrs["identity"]
        best, baseline = best_record(records), baseline_record(records)
        finished = records["state"].isin(("complete", "pruned")).sum()
        table.add_row(
            Text(records.attrs["study"]),
            *(str(identity.get(key, "?")) for key in ("source", "split", "budget")),
            f"{finished}/{len(records)}",
            *("-" if found is None else f"{found['value']:.4f}" for found in (best, baseline)),
        )
    table.caption = "finished: complete or pruned; best and baseline on validation"
    return table


def list_spaces(spaces: Sequence["Space"]) -> RenderableType:
    """Draw a table for every space: its parameters, their ranges and the baseline."""
    parts: list[RenderableType] = []
    for space in spaces:
        title = f"{space.name}: {space.description}; maximises validation {space.objective}"
        table = Table(title=Text(title), title_justify="left", title_style="bold")
        for column in ("parameter", "values", "where", "baseline"):
            table.add_column(column, overflow="fold")
        for parameter in space.parameters:
            conditions = [
                f"{name} is {' or '.join(map(str, values))}"
                for name, values in parameter.when.items()
            ]
            baseline = space.baseline.get(parameter.name, "-")
            table.add_row(parameter.name, str(parameter), ", ".join(conditions), str(baseline))
        parts.append(table)
    return Group(*parts)


def _per_class(best: pd.Series) -> Table:
    table = Table(title=f"trial {best['number']} per class (validation)", title_justify="left")
    figures = best["per_class"]
    for column in ("class", *figures, "beats"):
        table.add_column(column)
    for index, name in enumerate(CLASSES):
        values = [f"{figures[figure][index]:.4f}" for figure in figures]
        beats = sum(best["confusion"][index])
        table.add_row(f"{name} {CLASS_NAMES[index]}", *values, f"{beats:,}")
    return table


def _best_trials(records: pd.DataFrame, number: int) -> Table:
    finished = records[records["state"].isin(("complete", "pruned"))]
    ordered = finished.sort_values(["state", "value"], ascending=[True, False]).head(number)
    table = Table(title=f"the best {len(ordered)} finished trials", title_justify="left")
    for column in ("trial", "value", "stopped by", "epochs", "time", "parameters"):
        table.add_column(column, overflow="fold")
    for _, record in ordered.iterrows():
        table.add_row(
            str(record["number"]),
            f"{record['value']:.4f}",
            str(record["stop_reason"]),
            f"{record['best_epoch']:.0f}/{record['last_epoch']:.0f}",
            format_seconds(record["seconds"]),
            describe_params(record),
        )
    table.caption = "epochs: best/last"
    return table


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
