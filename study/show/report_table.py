"""The tables of a report: the best trial compared with the baseline, and all trials."""

import html
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pandas as pd

from study.plots.front import front_of
from study.plots.style import (
    NothingToDrawError,
    baseline_of,
    best_of,
    objective_of,
    varied_parameters,
)
from study.show.scores import validation_scores
from study.storage.rows import value_column
from study.wording import (
    objective_label,
    objectives_of,
    parameters_of,
    say_objective_value,
    say_parameters,
    score_title,
)

MAX_PARAMETERS = 5  # columns; more parameters share one column, so that the table fits a page
SCORES = {
    "validation_f1_macro": "F1(M)",
    "validation_f1_weighted": "F1(W)",
    "test_f1_macro": "test F1(M)",
    "test_f1_weighted": "test F1(W)",
}
WHOLE = {"best_epoch": "best epoch", "last_epoch": "epochs"}


def comparison_table(
    best: pd.Series, baseline: pd.Series | None, identity: Mapping[str, Any]
) -> str:
    """Return the best trial's validation scores and the baseline's as an HTML table."""
    rows = {f"best (trial {best['number']})": best}
    if baseline is not None and baseline["number"] != best["number"]:
        rows[f"baseline (trial {baseline['number']})"] = baseline
    heads = [*rows, "difference, one run each"] if len(rows) == 2 else [*rows]
    scores = [validation_scores(trial.to_dict(), identity) for trial in rows.values()]
    body = ""
    for title in scores[0]:
        values = [found[title] for found in scores]
        cells = [f"{value:.4f}" for value in values]
        cells += [f"{values[0] - values[1]:+.4f}"] if len(values) == 2 else []
        body += (
            f'<tr><th scope="row" class="text">{html.escape(title)}</th>'
            f"{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
        )
    return (
        '<div class="table fitting"><table><thead><tr><th class="text">validation</th>'
        f"{''.join(f'<th>{head}</th>' for head in heads)}</tr></thead><tbody>{body}</tbody>"
        "</table></div>"
    )


def trials_table(trials: pd.DataFrame) -> str:
    """Return the trials as an HTML table with sortable columns; every value is escaped."""
    varied = varied_parameters(trials)
    if len(varied) > MAX_PARAMETERS:
        said = [_parameters(row, varied) for row in trials.to_dict("records")]
        trials = trials.assign(parameters=said)
    columns = _columns(trials)
    head = "".join(
        f'<th class="{"text" if text else ""}">'
        f'<button type="button">{html.escape(title)}</button></th>'
        for _, title, _, text in columns
    )
    bold, baseline = _marked(trials)
    rows = []
    what = "Trials of the front" if _others(trials) else "Best trial"
    for trial in trials.to_dict("records"):
        number = trial["number"]
        kind = "best" if number in bold else "baseline" if number == baseline else ""
        cells = "".join(_cell(trial.get(name), write, text) for name, _, write, text in columns)
        rows.append(f'<tr class="{kind}">{cells}</tr>')
    return (
        f'<p class="soft">{what} bold, baseline italic. Click a title to sort by it.</p>'
        f'<div class="table"><table class="sortable"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


Column = tuple[str, str, Callable[[Any], str], bool]


def _columns(trials: pd.DataFrame) -> list[Column]:
    """Return name, title, writer and "is text" of the columns that hold a value."""
    columns: list[Column] = [("number", "trial", str, False), ("state", "state", str, True)]
    columns.append(("value", score_title(objective_of(trials)), _score, False))
    columns += [
        (value_column(name), objective_label(name), partial(say_objective_value, name), False)
        for name in _others(trials)
    ]
    params = [f"param_{name}" for name in varied_parameters(trials)]
    if len(params) > MAX_PARAMETERS:
        columns.append(("parameters", "parameters", str, True))
        params = []
    for name in params:
        number = pd.api.types.is_numeric_dtype(trials[name])
        columns.append((name, name.removeprefix("param_"), _short if number else str, not number))
    objectives = [f"validation_{name}" for name in (objective_of(trials), *_others(trials))]
    columns += [
        (name, title, _score, False) for name, title in SCORES.items() if name not in objectives
    ]
    columns += [(name, title, _integer, False) for name, title in WHOLE.items()]
    columns += [("stop_reason", "stopped by", str, True), ("seconds", "time (s)", _tenth, False)]
    columns.append(("failure", "failure", str, True))
    return [c for c in columns if c[0] in trials and trials[c[0]].notna().any()]


def _others(trials: pd.DataFrame) -> tuple[str, ...]:
    """Return the further objectives, in addition to the first."""
    return objectives_of(trials.attrs["identity"])[1:]


def _marked(trials: pd.DataFrame) -> tuple[list[int], int | None]:
    """Return the numbers of the best trial (or those of the front) and of the baseline."""
    try:
        best = [int(best_of(trials)["number"])]
    except NothingToDrawError:
        return [], None
    if _others(trials):
        best = [int(number) for number in front_of(trials)["number"]]
    baseline = baseline_of(trials)
    return best, None if baseline is None else int(baseline["number"])


def _cell(value: Any, write: Callable[[Any], str], is_text: bool) -> str:
    if value is None or (not isinstance(value, str) and pd.isna(value)):
        return "<td data-value=''></td>"
    shown = html.escape(write(value))
    if is_text:
        return f'<td class="text{" long" if len(shown) > 30 else ""}">{shown}</td>'
    return f'<td data-value="{html.escape(str(value))}">{shown}</td>'


def _parameters(row: dict[Any, Any], names: list[str]) -> str:
    known = parameters_of(row.items())
    return say_parameters({name: known[name] for name in names if name in known})


def _score(value: float) -> str:
    return f"{value:.4f}"


def _short(value: float) -> str:
    return f"{value:.4g}"


def _integer(value: float) -> str:
    return f"{value:.0f}"


def _tenth(value: float) -> str:
    return f"{value:.1f}"
