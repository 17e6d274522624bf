"""Draw the README's picture and the thumbnails of plots.md, and write that page.

    python docs/gallery.py

Most plots are drawn from the committed recording and results. Recordings keep neither times nor
predictions, so the other plots need studies in a database, and their data:

    python -m study run --space regularise --budget smoke --sampler random --pruner none \\
        --trials 24 --study gallery
    python -m study run --space architecture --budget quick --objectives f1_macro,parameters \\
        --trials 16 --study front
    python docs/gallery.py sqlite:///results/study.db gallery front

Without these studies, their thumbnails stay as they are. Drawing needs Chromium and
`pip install -e '.[plots]'`.

The notebook has its own output. To store it again:

    pip install -e '.[plots]' nbconvert ipykernel
    PLOTLY_RENDERER=png PYTHONWARNINGS=ignore jupyter nbconvert --to notebook --execute --inplace \\
        --ExecutePreprocessor.record_timing=False examples/explore.ipynb
"""

import io
import re
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import plotly.graph_objects as go
from PIL import Image

import study.plots
from search_spaces.tables import TABLES
from study import load_trials
from study.plots import FRONT, PLOTS, NothingToDrawError, grid, plots_of, published_table
from study.show.plot_files import DARK
from study.storage.attributes import PLANNED
from study.storage.recordings import read_recorded
from study.storage.results import read_results, rows_of_results

DOCS = Path(__file__).parent
RESULTS = DOCS.parent / "results"
RECORDING = RESULTS / "search" / "imbalance-quick.jsonl"
RUNS = "tables-mitdb-{}/results.csv"
WIDTH, SCALE = 900, 0.8  # pixels of a plot, and how large its thumbnail is
FRONT_WIDTH = 520  # pixels: the front page must be readable on a phone
COLOURS = 128
HEAD = """# Plots

Every plot is a function from a table of trials to a Plotly figure. The report has all of them, the
dashboard some, and `python -m study plots NAME` writes them as SVG or PNG files. In Python:

```python
from study.plots import winners
from study.storage.recordings import read_recorded

trials = read_recorded("{recording}")
winners(trials).write_html("winners.html")
```

For your own study, pass `study.load_trials("sqlite:///results/study.db", "NAME")` instead of the
recording. If the trials do not hold enough for a plot, the function raises `NothingToDrawError`,
which says what is missing; the report says so too. Simulated beats and reduced budgets are marked
on every plot.

`python docs/gallery.py` draws the thumbnails from the recording and the results in this repository
and from two studies; [its first lines](gallery.py) say how. Most are of the budget `quick` with one
run per trial: they show what a plot looks like, not what to conclude.
"""
PARTS = {
    "winner": "## The winner",
    "mistakes": "## What the winner gets wrong",
    "search": "## The search",
    "more": "## More",
    "planned": "## Planned runs",
}


class Entry(NamedTuple):
    """One plot of the page: file name, title, function, what it shows, and the heading over it."""

    name: str
    title: str
    draw: Callable[..., go.Figure]
    shows: str
    part: str


PLANNED_RUNS = (
    Entry(
        "published", "A published table", published_table,
        "Open marks are the published values, dots are ours with a 95% interval over seeds, or "
        "over the test beats of one seed. One seed does not show how runs differ.",
        "planned",
    ),
    Entry(
        "per-class-rows", "Recall and precision per class, row by row", grid.per_class_of_rows,
        "The mean over seeds of each configuration, on the test part. Rare classes rest on few "
        "beats.",
        "planned",
    ),
    Entry(
        "differences", "Differences from the baseline", grid.differences_from_baseline,
        "Paired by seed, with mean and 95% interval, on the test part. An interval that includes 0 "
        "shows no difference, which does not mean that the two are equal.",
        "planned",
    ),
    Entry(
        "splits", "Both splits", grid.both_splits,
        "Each line joins one configuration on both splits. The intra-patient split has beats of "
        "the same patients in training and test, which raises its scores.",
        "planned",
    ),
)  # fmt: skip
ENTRIES = (
    *(Entry(p.name, p.title, p.draw, p.shows, p.part) for p in (*PLOTS, FRONT)),
    *PLANNED_RUNS,
)


def page() -> str:
    """Return docs/plots.md; a plot without a thumbnail has only its text."""
    lines = [HEAD.format(recording=RECORDING.relative_to(DOCS.parent).as_posix())]
    for part, heading in PARTS.items():
        lines.append(f"{heading}\n")
        for entry in ENTRIES:
            if entry.part != part:
                continue
            name = entry.draw.__name__
            public = hasattr(study.plots, name)
            module = "study.plots" if public else entry.draw.__module__
            lines.append(f"### {entry.title}\n")
            said = f"`{module}.{name}`: {entry.shows}"
            lines.append(textwrap.fill(said, 100, break_on_hyphens=False) + "\n")
            if (DOCS / "plots" / f"{entry.name}.png").exists():
                lines.append(f"![{entry.title}](plots/{entry.name}.png)\n")
    return "\n".join(lines)


def planned_trials(path: Path) -> pd.DataFrame:
    """Return a results file as the trials of a study of planned runs."""
    rows = []
    for number, run in enumerate(rows_of_results(read_results(path))):
        config = {k.removeprefix("config_"): v for k, v in run.items() if k.startswith("config_")}
        planned = {"configuration": run["configuration"], "repeat": run["repeat"]}
        rows.append({**run, "number": number, "config": config, PLANNED: planned})
    trials = pd.DataFrame(rows)
    names = ("space", "source", "split", "budget", "data", "protocol")
    trials.attrs["identity"] = {name: rows[0][name] for name in names}
    return trials


def figures(trials: pd.DataFrame) -> Iterator[tuple[str, go.Figure]]:
    """Yield what can be drawn of the trials of a search, by file name."""
    for plot in plots_of(trials):
        try:
            yield plot.name, plot.draw(trials)
        except NothingToDrawError as error:
            print(f"{plot.name}: {error}")


def grids() -> Iterator[tuple[str, go.Figure]]:
    """Yield the plots of planned runs, by file name."""
    tables = RESULTS / "tables"
    quick, other = (
        planned_trials(tables / RUNS.format(f"{split}-quick"))
        for split in ("intra-patient", "inter-patient")
    )
    paper = planned_trials(tables / RUNS.format("intra-patient-paper"))
    yield "published", published_table(paper, TABLES["table4"])
    yield "per-class-rows", grid.per_class_of_rows(quick)
    yield "differences", grid.differences_from_baseline(quick)
    yield "splits", grid.both_splits(quick, other)


def write_thumbnail(figure: go.Figure, path: Path) -> None:
    """Write a small PNG of few colours."""
    drawn = figure.to_image("png", width=WIDTH, height=figure.layout.height, scale=SCALE)
    image = Image.open(io.BytesIO(drawn)).convert("RGB")
    image.quantize(COLOURS).save(path, optimize=True)


def write_front_picture(figure: go.Figure, path: Path) -> None:
    """Write the picture of the README: an SVG that follows the light or dark scheme of its page."""
    drawn = figure.to_image("svg", width=FRONT_WIDTH, height=figure.layout.height)
    # Random names go: the same plot gives the same bytes.
    drawn = re.sub(rb"((?:clip|defs-|legend)|\btrace)[0-9a-f]{6}", rb"\1", drawn)
    tag, end, rest = drawn.partition(b">")
    path.write_bytes(tag + end + DARK.encode() + rest)


def main(url: str = "", search: str = "", front: str = "") -> None:
    """Draw what the committed files hold, and the rest from studies: their URL and names."""
    import kaleido

    found: dict[str, Any] = dict(figures(load_trials(url, front))) if front else {}
    found |= dict(figures(load_trials(url, search))) if search else {}
    found |= dict(figures(read_recorded(RECORDING))) | dict(grids())
    folder = DOCS / "plots"
    folder.mkdir(exist_ok=True)
    warnings.filterwarnings("ignore", "The kopts argument")  # of Plotly, about a running browser
    kaleido.start_sync_server(silence_warnings=True)  # one browser for all
    try:
        for name, figure in found.items():
            write_thumbnail(figure, folder / f"{name}.png")
        write_front_picture(found["winners"], DOCS / "winners.svg")
    finally:
        kaleido.stop_sync_server(silence_warnings=True)
    (DOCS / "plots.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
