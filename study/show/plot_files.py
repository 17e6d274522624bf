"""`study plots`: plots as SVG or PNG files, for papers and slides."""

import logging
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from ecg.errors import EcgError, UsageError, use_one_of
from ecg.files import write_bytes
from search_spaces.tables import TABLES
from study.plots import plots_of
from study.plots.published import published_table
from study.plots.style import NothingToDrawError
from study.storage.trials_table import is_search

logger = logging.getLogger(__name__)

FORMATS = ("svg", "png")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
WIDTH = 900  # pixels
# On a page with a dark scheme the same file is dark; text inside coloured cells keeps its colour.
DARK = """<style>@media (prefers-color-scheme: dark) {
.main-svg > rect, .bglayer .bg { fill: #17181a !important; }
.annotation .bg { fill: #17181a !important; fill-opacity: 0.75 !important; }
text:not(.textpoint text) { fill: #e8e8e6 !important; }
[style*="stroke: rgb(34, 34, 34)"] { stroke: #e8e8e6 !important; }
[style*="fill: rgb(34, 34, 34)"]:not(text) { fill: #e8e8e6 !important; }
.gridlayer path, .zerolinelayer path { stroke: #3d4045 !important; }
}</style>"""
PNG_SCALE = 2


class NoBrowserError(EcgError):
    """No browser is installed to draw the plots, or it failed."""


def drawers(trials: pd.DataFrame) -> dict[str, Callable[[], go.Figure]]:
    """Return the functions that draw the plots of a study, by the name of the file."""
    found: dict[str, Callable[[], go.Figure]] = {
        plot.name: partial(plot.draw, trials)
        for plot in plots_of(trials)
        if is_search(trials) or not plot.of_search
    }
    if not is_search(trials):
        for table in TABLES.values():
            name = table.title.split(".")[0].replace(" ", "").lower()
            found[name] = partial(published_table, trials, table)
    return found


def write_plots(
    trials: pd.DataFrame, folder: Path, fmt: str, names: Sequence[str] = ()
) -> list[Path]:
    """Draw the plots of a study into a folder: `history.svg` and so on.

    A plot that lacks something is left out; a warning says what it needs.

    Args:
        trials: trials of one study.
        folder: created if it does not exist.
        fmt: "svg" or "png".
        names: names of the plots; all plots if it is empty.

    Returns:
        The files.

    Raises:
        UsageError: the format or a name is unknown, or kaleido is not installed.
        NoBrowserError: there is no Chromium, or it does not start.
        NothingToDrawError: none can be drawn.
        OutputError: a file cannot be written.
    """
    if fmt not in FORMATS:
        raise UsageError(f"unknown format '{fmt}'. {use_one_of(FORMATS)}")
    known = drawers(trials)
    if unknown := [name for name in names if name not in known]:
        raise UsageError(f"no plot is named '{unknown[0]}'. {use_one_of(known)}")
    chosen: dict[str, go.Figure] = {}
    for name in names or known:
        try:
            chosen[name] = known[name]()
        except NothingToDrawError as error:
            logger.warning("not drawn: %s: %s", name, error)
    if not chosen:
        raise NothingToDrawError(f"none of the plots of '{trials.attrs['study']}' can be drawn")
    images = _draw(list(chosen.values()), fmt)
    paths = [folder / f"{name}.{fmt}" for name in chosen]
    for path, image in zip(paths, images, strict=True):
        write_bytes(path, _with_dark_scheme(image) if fmt == "svg" else image)
    return paths


def _with_dark_scheme(image: bytes) -> bytes:
    """Return an SVG that follows the light or dark scheme of its page."""
    start, end, rest = image.partition(b">")
    return start + end + DARK.encode() + rest


def _draw(figures: Sequence[go.Figure], fmt: str) -> list[bytes]:
    """Return the images of some figures, drawn one after another by one browser."""
    try:
        import kaleido
    except ImportError:
        raise UsageError(
            "kaleido is not installed, and plots as files need it. Install it with `pip install -e "
            "'.[plots]'`, or see all plots in the report: python -m study report"
        ) from None
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        raise NoBrowserError(
            "plots as files need Chromium or Chrome, and none is installed. Install one (Debian: "
            "apt install chromium), or see all plots in the report: python -m study report"
        )
    options: dict[str, Any] = {"format": fmt, "width": WIDTH}
    if fmt == "png":
        options["scale"] = PNG_SCALE
    kaleido.start_sync_server(path=browser, silence_warnings=True)
    try:
        return [
            kaleido.calc_fig_sync(figure, opts={**options, "height": figure.layout.height})
            for figure in figures
        ]
    except Exception as error:  # whatever made the browser fail
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise NoBrowserError(f"{browser} could not draw the plots: {reason}") from error
    finally:
        kaleido.stop_sync_server(silence_warnings=True)
