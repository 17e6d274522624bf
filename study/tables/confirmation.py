"""Configurations side by side on the test part: mean, spread, interval, paired test."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ecg.statistics import MIN_PAIRS, holm, interval_of_runs, paired_p_value, smallest_p_value
from study.storage.attributes import PLANNED
from study.wording import SCORE_TITLES, say_parameters

COMPARED = ("f1_macro", "f1_weighted")
BASELINE = "baseline"
DESCRIBED = ("model", "optimizer", "learning_rate", "weight_decay", "scheduler_factor", "alpha",
             "ratio")  # fmt: skip


def compare_configurations(
    records: pd.DataFrame, chosen: Mapping[str, Mapping[str, Any]]
) -> RenderableType:
    """Compare configurations with the baseline over the same seeds.

    Args:
        records: of a study of planned cells, see `study.storage.trials_table.study_records`.
        chosen: `TrainConfig` fields without the seed, by name; "baseline" is among them.

    Returns:
        A table for a terminal and what may be concluded from it. All p-values of it are
        corrected together (Holm); below six seeds none is given.
    """
    runs = {name: _complete_runs(records, fields) for name, fields in chosen.items()}
    p_values = _corrected_p_values(runs)
    table = Table(title="figures of the test part", title_justify="left")
    columns = ("configuration", "n", "figure", "mean ± sd", "95% interval", "p (Holm)")
    for column in columns:
        table.add_column(column, overflow="fold")
    for name, cells in runs.items():
        for score in COMPARED:
            title = SCORE_TITLES[score]
            if cells.empty:
                table.add_row(name, "0", title, "—", "—", "—")
                continue
            values = cells[f"test_{score}"].to_numpy(dtype=float)
            low, high = interval_of_runs(values, list(cells["test_confusion"]), score)
            spread = f" ± {values.std(ddof=1):.4f}" if len(values) > 1 else ""
            table.add_row(
                name, str(len(values)), title, f"{values.mean():.4f}{spread}",
                f"{low:.4f} .. {high:.4f}", p_values.get((name, score), ""),
            )  # fmt: skip
    described = [Text(f"{name}: {_describe(fields)}") for name, fields in chosen.items()]
    return Group(*described, table, Text(_conclusion(runs)))


def _complete_runs(records: pd.DataFrame, fields: Mapping[str, Any]) -> pd.DataFrame:
    """Return the complete cells of a configuration, one a repeat, ordered by repeat."""
    if "config" not in records:
        return records.iloc[:0]
    complete = records[records["state"] == "complete"]
    same = [{k: v for k, v in c.items() if k != "seed"} == dict(fields) for c in complete["config"]]
    cells = complete[np.array(same, dtype=bool)]
    repeats = [planned["repeat"] for planned in cells[PLANNED]]
    return cells.assign(repeat=repeats).sort_values("repeat").drop_duplicates("repeat")


def _corrected_p_values(runs: Mapping[str, pd.DataFrame]) -> dict[tuple[str, str], str]:
    raw: dict[tuple[str, str], float] = {}
    baseline = runs[BASELINE]
    for name, cells in runs.items():
        if name == BASELINE or cells.empty or baseline.empty:
            continue
        pairs = cells.merge(baseline, on="repeat", suffixes=("", "_baseline"))
        for score in COMPARED:
            p_value = paired_p_value(pairs[f"test_{score}"], pairs[f"test_{score}_baseline"])
            if p_value is not None:
                raw[name, score] = p_value
    corrected = holm(list(raw.values()))
    return {key: f"{p:.3g}" for key, p in zip(raw, corrected, strict=True)}


def _conclusion(runs: Mapping[str, pd.DataFrame]) -> str:
    pairs = min(len(cells) for cells in runs.values())
    if pairs < MIN_PAIRS:
        return (
            f"no significance can be reached with {pairs} seeds: the smallest p of a paired "
            f"Wilcoxon test of {max(1, pairs)} pairs is {smallest_p_value(max(1, pairs)):.3g}; "
            f"use --seeds {MIN_PAIRS} or more"
        )
    return (
        "p: paired two-sided Wilcoxon signed-rank test against the baseline over seeds, "
        "corrected for all tests of this table (Holm); intervals: bootstrap over seeds"
    )


def _describe(fields: Mapping[str, Any]) -> str:
    return say_parameters({n: fields[n] for n in DESCRIBED if fields[n] is not None})
