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

from study.plots import PLOTS, Plot
from study.plots.front import front_of
from study.plots.style import NothingToDrawError, baseline_of, best_of
from study.show.confirmation import confirmation_section
from study.show.front import front_section
from study.show.report_grid import grid_sections
from study.show.report_table import comparison_table, trials_table
from study.show.sentences import (
    tell_caution,
    tell_confirmation,
    tell_limits,
    tell_setting,
    tell_test_reads,
    tell_trials,
    tell_verdict,
)
from study.storage.attributes import PLANNED
from study.storage.files import write_text
from study.wording import objectives_of, warn_of_limits

# Drawn side by side where there is room, the second right of the first.
PAIRS = {"confusion": "per-class", "epochs": "time"}
SEVERAL = "The front, and the best score on it"
PARTS = {"winner": "The winner", "search": "The search", "more": "More plots"}


@dataclass
class Figures:
    """The figures of a report by the id of their place."""

    found: dict[str, Any] = field(default_factory=dict)

    def place(self, figure: go.Figure, title: str, says: str) -> str:
        """Keep a figure and return the HTML of its place, with a heading and a sentence."""
        key = f"figure-{len(self.found) + 1}"
        # `to_json` packs arrays; the rest of a report is made of what it returns.
        content = json.loads(figure.to_json())
        layout = content["layout"]
        layout.pop("template", None)
        height = layout.get("height", 400)
        self.found[key] = {"data": content["data"], "layout": layout}
        return (
            f'<section class="drawn"><h4>{html.escape(title)}</h4>'
            f'<div class="figure"><div class="plot" id="{key}" style="height:{height}px"></div>'
            f'</div><p class="says">{html.escape(says)}</p></section>'
        )


def write_report(studies: Sequence[pd.DataFrame], path: Path) -> None:
    """Write the report of some studies as one HTML file.

    Args:
        studies: records of each, curves included; see `study.storage.trials_table.study_trials`.
        path: of the file.

    Raises:
        OutputError: the file cannot be written.
    """
    write_text(path, render_report(studies))


def render_report(studies: Sequence[pd.DataFrame]) -> str:
    """Return the report of some studies; all text of users is shown as text."""
    from plotly.offline import get_plotlyjs

    figures = Figures()
    names = [str(records.attrs["study"]) for records in studies]
    body = "\n".join(
        part
        for index, records in enumerate(studies)
        for part in _study(records, f"study-{index + 1}", figures, studies)
    )
    links = "".join(
        f'<li><a href="#study-{i + 1}">{html.escape(name)}</a></li>' for i, name in enumerate(names)
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
{f'<nav aria-label="studies"><ul>{links}</ul></nav>' if len(names) > 1 else ""}</header>
<main>
{body or "<p>The database holds no study.</p>"}
</main>
<script>{get_plotlyjs()}</script>
<script type="application/json" id="figures">{data}</script>
<script>{(page / "report.js").read_text(encoding="utf-8")}</script>
</body>
</html>
"""


def _study(
    records: pd.DataFrame, anchor: str, figures: Figures, studies: Sequence[pd.DataFrame]
) -> Iterator[str]:
    is_search = PLANNED not in records or bool(records[PLANNED].isna().all())
    several = len(objectives_of(records.attrs["identity"])) > 1
    missing: list[str] = []
    parts: dict[str, str] = {}
    if (confirmation := records.attrs.get("confirmation")) is not None:
        title = f"Confirmed on the test part (study {confirmation.study})"
        parts[title] = confirmation_section(confirmation)
    if not records.empty:
        if not is_search:
            parts |= grid_sections(records, studies, figures)
        for part, heading in PARTS.items():
            plots = [
                p for p in PLOTS
                if p.part == part and (is_search or not p.of_search)
                and (several or not p.of_several)
            ]  # fmt: skip
            title = heading if is_search else heading.replace("winner", "best single run")
            title = title.replace("The winner", SEVERAL) if several else title
            parts[title] = "".join(_plots(plots, records, figures, missing))
        if missing:
            listed = "".join(f"<li>{html.escape(reason)}</li>" for reason in missing)
            parts["Not drawn"] = f"<ul class='soft'>{listed}</ul>"
        parts[f"All trials ({len(records):,})"] = trials_table(records)
    yield f'<article id="{anchor}"><h2>{html.escape(records.attrs["study"])}</h2>'
    yield from _answer(records, is_search)
    parts = {title: content for title, content in parts.items() if content}
    yield from _contents(parts, anchor)
    folded = {PARTS["more"], "Not drawn"}
    for index, (title, content) in enumerate(parts.items()):
        heading = f'id="{anchor}-{index}">{html.escape(title)}'
        if title in folded:
            yield f"<details><summary {heading}</summary>{content}</details>"
        else:
            yield f"<h3 {heading}</h3>{content}"
    yield "</article>"


def _contents(parts: dict[str, str], anchor: str) -> Iterator[str]:
    if parts:
        links = (
            f'<li><a href="#{anchor}-{index}">{html.escape(title)}</a></li>'
            for index, title in enumerate(parts)
        )
        yield f'<nav aria-label="contents"><ul>{"".join(links)}</ul></nav>'


def _answer(records: pd.DataFrame, is_search: bool) -> Iterator[str]:
    """Yield the verdict first, then what it is based on."""
    try:
        best: pd.Series | None = best_of(records)
    except NothingToDrawError:
        best = None
    baseline = None if best is None else baseline_of(records)
    if limits := warn_of_limits(records.attrs["identity"]):
        yield f'<p class="caution">{html.escape(limits)}</p>'
    if is_search:
        yield f'<p class="verdict">{html.escape(tell_verdict(records, best, baseline))}</p>'
        several = objectives_of(records.attrs["identity"])
        if len(several) > 1:
            beside = None if baseline is None else baseline.to_dict()
            yield front_section(front_of(records).to_dict("records"), beside, several)
        elif best is not None:
            yield comparison_table(best, baseline, records.attrs["identity"])
    if found := tell_confirmation(records.attrs.get("confirmation")):
        yield f"<p>{html.escape(found)}</p>"
    if is_search and (caution := tell_caution(records, best)):
        yield f'<p class="caution">{html.escape(caution)}</p>'
    facts = (
        tell_setting(records.attrs["identity"]),
        tell_trials(records),
        tell_test_reads(records),
    )
    yield from (f"<p>{html.escape(text)}</p>" for text in facts)
    failed = records[records["state"] == "fail"]
    if "failure" in failed and (reasons := failed["failure"].dropna()).any():
        listed = "; ".join(f"{reason} ({n})" for reason, n in reasons.value_counts().items())
        yield f"<p>Failures: {html.escape(listed)}.</p>"


def _plots(
    plots: Sequence[Plot], records: pd.DataFrame, figures: Figures, missing: list[str]
) -> Iterator[str]:
    limits = tell_limits(records)
    drawn: dict[str, str] = {}
    for plot in plots:
        try:
            figure = plot.draw(records)
        except NothingToDrawError as error:
            missing.append(f"{plot.title}: {error}")
            continue
        drawn[plot.name] = figures.place(figure, plot.title, f"{plot.shows} {limits}")
    for first, second in PAIRS.items():
        if first in drawn and second in drawn:
            drawn[first] = f'<div class="pair">{drawn[first]}{drawn.pop(second)}</div>'
    yield from drawn.values()
