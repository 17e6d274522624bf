"""`study report`: one HTML file that holds everything, works without a network, and prints."""

import html
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from study.comparison import differences_from_protocol, say_caution
from study.plots import PLOTS, Plot
from study.plots.published import published_tables
from study.plots.style import NothingToDrawError, baseline_of, best_of
from study.show.confirmation import confirmation_section
from study.show.report_table import trials_table
from study.show.sentences import (
    tell_caution,
    tell_setting,
    tell_test_reads,
    tell_trials,
    tell_winner,
)
from study.storage.attributes import PLANNED
from study.storage.files import write_text
from study.wording import warn_of_limits

PAIRS = (("confusion", "shares"),)  # drawn side by side where there is room


@dataclass
class _Figures:
    """The figures of a report by the id of their place."""

    found: dict[str, Any] = field(default_factory=dict)

    def place(self, figure: go.Figure) -> str:
        """Keep a figure and return the HTML of its place."""
        key = f"figure-{len(self.found) + 1}"
        # `to_json` packs arrays; the rest of a report is made of what it returns.
        content = json.loads(figure.to_json())
        layout = content["layout"]
        layout.pop("template", None)
        width = layout.get("meta", {}).get("min_width", 0)
        height = layout.get("height", 400)
        self.found[key] = {"data": content["data"], "layout": layout}
        return (
            f'<div class="figure"><div class="plot" id="{key}" '
            f'style="height:{height}px;min-width:{min(width, 1000)}px"></div></div>'
        )


def write_report(studies: Sequence[pd.DataFrame], path: Path) -> None:
    """Write the report of some studies as one HTML file.

    Args:
        studies: records of each, curves included; see `study.storage.trials_table.study_records`.
        path: of the file.

    Raises:
        OutputError: the file cannot be written.
    """
    write_text(path, render_report(studies))


def render_report(studies: Sequence[pd.DataFrame]) -> str:
    """Return the report of some studies; all text of users is shown as text."""
    from plotly.offline import get_plotlyjs

    figures = _Figures()
    names = [str(records.attrs["study"]) for records in studies]
    body = "\n".join(
        part
        for index, records in enumerate(studies)
        for part in _study(records, f"study-{index + 1}", figures)
    )
    links = "".join(
        f'<a href="#study-{i + 1}">{html.escape(name)}</a>' for i, name in enumerate(names)
    )
    made = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    page = files("study.show") / "page"
    # In a script, "<" is written as an escape: no text can end it.
    data = json.dumps(figures.found, separators=(",", ":")).replace("<", "\\u003c")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{html.escape(", ".join(names) or "no study")}</title>
<style>{(page / "report.css").read_text(encoding="utf-8")}</style>
</head>
<body>
<header><h1>Hyperparameter studies of ECG heartbeat classifiers</h1>
<p class="soft">made {made}</p>
<nav>{links if len(names) > 1 else ""}</nav></header>
<main>
{body or "<p>The storage holds no study.</p>"}
</main>
<script>{get_plotlyjs()}</script>
<script type="application/json" id="figures">{data}</script>
<script>{(page / "report.js").read_text(encoding="utf-8")}</script>
</body>
</html>
"""


def _study(records: pd.DataFrame, anchor: str, figures: _Figures) -> Iterator[str]:
    yield f'<article id="{anchor}"><h2>{html.escape(records.attrs["study"])}</h2>'
    yield from _story(records)
    if records.empty:
        yield "</article>"
        return
    is_search = PLANNED not in records or records[PLANNED].isna().all()
    missing: list[str] = []
    for plots in _in_pairs([plot for plot in PLOTS if is_search or not plot.of_search]):
        drawn = [part for plot in plots if (part := _plot(plot, records, figures, missing))]
        if len(drawn) > 1:
            yield '<div class="pair">' + "".join(drawn) + "</div>"
        else:
            yield from drawn
    if not is_search:
        reasons = differences_from_protocol(records.attrs["identity"])
        note = say_caution(reasons) or "ours beside the published figures"
        for title, figure in published_tables(records).items():
            yield _section(title, figures.place(figure), note)
    if (confirmation := records.attrs.get("confirmation")) is not None:
        title = f"Confirmed on the test part (study {confirmation.study})"
        yield _section(title, confirmation_section(confirmation))
    if missing:
        yield "<h3>Not drawn</h3><ul class='soft'>"
        yield from (f"<li>{html.escape(reason)}</li>" for reason in missing)
        yield "</ul>"
    yield f"<h3>Trials</h3>{trials_table(records)}</article>"


def _story(records: pd.DataFrame) -> Iterator[str]:
    try:
        best: pd.Series | None = best_of(records)
    except NothingToDrawError:
        best = None
    paragraphs = [tell_setting(records.attrs["identity"]), tell_trials(records)]
    is_search = PLANNED not in records or records[PLANNED].isna().all()
    if is_search:
        baseline = None if best is None else baseline_of(records)
        paragraphs.append(tell_winner(records, best, baseline))
    paragraphs.append(tell_test_reads(records))
    if limits := warn_of_limits(records.attrs["identity"]):
        yield f'<p class="caution">{html.escape(limits)}</p>'
    yield from (f"<p>{html.escape(text)}</p>" for text in paragraphs)
    if is_search and (caution := tell_caution(best)):
        yield f'<p class="caution">{html.escape(caution)}</p>'
    failed = records[records["state"] == "fail"]
    if "failure" in failed and (reasons := failed["failure"].dropna()).any():
        listed = "; ".join(f"{reason} ({n})" for reason, n in reasons.value_counts().items())
        yield f"<p>Failures: {html.escape(listed)}.</p>"


def _plot(plot: Plot, records: pd.DataFrame, figures: _Figures, missing: list[str]) -> str:
    try:
        return _section(plot.title, figures.place(plot.draw(records)))
    except NothingToDrawError as error:
        missing.append(f"{plot.title}: {error}")
        return ""


def _section(title: str, content: str, note: str = "") -> str:
    told = f'<p class="soft">{html.escape(note)}</p>' if note else ""
    return f"<section><h3>{html.escape(title)}</h3>{told}{content}</section>"


def _in_pairs(plots: Sequence[Plot]) -> Iterator[list[Plot]]:
    by_name = {plot.name: plot for plot in plots}
    second = {names[1] for names in PAIRS}
    for plot in plots:
        pair = next((names for names in PAIRS if names[0] == plot.name), (plot.name,))
        if plot.name not in second:
            yield [by_name[name] for name in pair if name in by_name]
