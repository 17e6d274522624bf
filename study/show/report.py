"""`study report`: one self-contained HTML file that needs no network and can be printed."""

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

from ecg.files import write_text
from study.plots import Plot, plots_of
from study.plots.front import front_of
from study.plots.style import NothingToDrawError, baseline_of, best_of
from study.show.confirmation import confirmation_section
from study.show.front import front_section
from study.show.report_grid import grid_sections
from study.show.report_table import comparison_table, trials_table
from study.show.sentences import (
    say_basis,
    say_caution,
    say_confirmation,
    say_reads,
    say_setting,
    say_trials,
    say_verdict,
)
from study.storage.trials_table import is_search
from study.wording import has_several, objectives_of, warn_of_limits

# Drawn side by side where there is room.
PAIRS = {"confusion": "per-class", "epochs": "time"}
SEVERAL = "The front, and the best score on it"
PARTS = {
    "winner": "The winner",
    "mistakes": "What the winner gets wrong",
    "search": "The search",
    "more": "More plots",
}


@dataclass
class PlotStore:
    """The plots of a report by the id of their place on the page."""

    found: dict[str, Any] = field(default_factory=dict)

    def place(self, figure: go.Figure, title: str, says: str) -> str:
        """Store a plot and return the HTML of its place, with a heading and a sentence."""
        key = f"plot-{len(self.found) + 1}"
        # `to_json` packs arrays.
        content = json.loads(figure.to_json())
        layout = content["layout"]
        layout.pop("template", None)
        height = layout.get("height", 400)
        self.found[key] = {"data": content["data"], "layout": layout}
        return (
            f'<section class="drawn"><h4>{html.escape(title)}</h4>'
            f'<div class="drawing"><div class="plot" id="{key}" style="height:{height}px"></div>'
            f'</div><p class="says">{html.escape(says)}</p></section>'
        )


def write_report(studies: Sequence[pd.DataFrame], path: Path) -> None:
    """Write the report of some studies as one HTML file.

    Args:
        studies: the trials of each, curves included; see `study.storage.trials_table.study_trials`.
        path: path of the file.

    Raises:
        OutputError: the file cannot be written.
    """
    write_text(path, render_report(studies))


def render_report(studies: Sequence[pd.DataFrame]) -> str:
    """Return the report of some studies; every text of a user is escaped."""
    from plotly.offline import get_plotlyjs

    store = PlotStore()
    names = [str(trials.attrs["study"]) for trials in studies]
    body = "\n".join(
        part
        for index, trials in enumerate(studies)
        for part in _study(trials, f"study-{index + 1}", store, studies)
    )
    links = "".join(
        f'<li><a href="#study-{i + 1}">{html.escape(name)}</a></li>' for i, name in enumerate(names)
    )
    made = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    page = files("study.show") / "page"
    # "<" is escaped, so that no text can end the script.
    data = json.dumps(store.found, separators=(",", ":")).replace("<", "\\u003c")
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
<p class="soft">generated {made}</p>
{f'<nav aria-label="studies"><ul>{links}</ul></nav>' if len(names) > 1 else ""}</header>
<main>
{body or "<p>The database has no studies.</p>"}
</main>
<script>{get_plotlyjs()}</script>
<script type="application/json" id="plots">{data}</script>
<script>{(page / "report.js").read_text(encoding="utf-8")}</script>
</body>
</html>
"""


def _study(
    trials: pd.DataFrame, anchor: str, store: PlotStore, studies: Sequence[pd.DataFrame]
) -> Iterator[str]:
    searched = is_search(trials)
    several = has_several(trials.attrs["identity"])
    missing: list[str] = []
    parts: dict[str, str] = {}
    if (confirmation := trials.attrs.get("confirmation")) is not None:
        title = f"Confirmed on {confirmation.measured_on} (study {confirmation.study})"
        parts[title] = confirmation_section(confirmation)
    if not trials.empty:
        if not searched:
            parts |= grid_sections(trials, studies, store)
        for part, heading in PARTS.items():
            plots = [
                p for p in plots_of(trials) if p.part == part and (searched or not p.of_search)
            ]
            title = heading if searched else heading.replace("winner", "best single run")
            title = title.replace("The winner", SEVERAL) if several else title
            parts[title] = "".join(_plots(plots, trials, store, missing))
        if missing:
            listed = "".join(f"<li>{html.escape(reason)}</li>" for reason in missing)
            parts["Not drawn"] = f"<ul class='soft'>{listed}</ul>"
        parts[f"All trials ({len(trials):,})"] = trials_table(trials)
    yield f'<article id="{anchor}"><h2>{html.escape(trials.attrs["study"])}</h2>'
    yield from _answer(trials, searched)
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


def _answer(trials: pd.DataFrame, searched: bool) -> Iterator[str]:
    """Yield the verdict, then the facts behind it."""
    try:
        best: pd.Series | None = best_of(trials)
    except NothingToDrawError:
        best = None
    baseline = None if best is None else baseline_of(trials)
    if limits := warn_of_limits(trials.attrs["identity"]):
        yield f'<p class="caution">{html.escape(limits)}</p>'
    if searched:
        yield f'<p class="verdict">{html.escape(say_verdict(trials, best, baseline))}</p>'
        if has_several(identity := trials.attrs["identity"]):
            front, beside = front_of(trials), None if baseline is None else baseline.to_dict()
            yield front_section(front.to_dict("records"), beside, objectives_of(identity))
        elif best is not None:
            yield comparison_table(best, baseline, trials.attrs["identity"])
    if found := say_confirmation(trials.attrs.get("confirmation")):
        yield f"<p>{html.escape(found)}</p>"
    if searched and (caution := say_caution(trials, best)):
        yield f'<p class="caution">{html.escape(caution)}</p>'
    facts = (
        say_setting(trials.attrs["identity"]),
        say_trials(trials),
        say_reads(trials),
    )
    yield from (f"<p>{html.escape(text)}</p>" for text in facts)
    failed = trials[trials["state"] == "fail"]
    if "failure" in failed and (reasons := failed["failure"].dropna()).any():
        listed = "; ".join(f"{reason} ({n})" for reason, n in reasons.value_counts().items())
        yield f"<p>Failures: {html.escape(listed)}.</p>"


def _plots(
    plots: Sequence[Plot], trials: pd.DataFrame, store: PlotStore, missing: list[str]
) -> Iterator[str]:
    basis = say_basis(trials)
    drawn: dict[str, str] = {}
    for plot in plots:
        try:
            figure = plot.draw(trials)
        except NothingToDrawError as error:
            missing.append(f"{plot.title}: {error}")
            continue
        drawn[plot.name] = store.place(figure, plot.title, f"{plot.shows} {basis}")
    for first, second in PAIRS.items():
        if first in drawn and second in drawn:
            drawn[first] = f'<div class="pair">{drawn[first]}{drawn.pop(second)}</div>'
    yield from drawn.values()
