"""`study plots`: figures as SVG or PNG files, for papers and slides."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from ecg.errors import EcgError, UsageError
from study.plots import PLOTS
from study.plots.published import published_tables
from study.plots.style import NothingToDrawError
from study.storage.attributes import PLANNED
from study.storage.files import OutputError
from study.wording import objectives_of

FORMATS = ("svg", "png")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
WIDTH = 900  # pixels
# Pages with a dark scheme show the same file dark; text inside coloured cells stays as it is.
DARK = """<style>@media (prefers-color-scheme: dark) {
.main-svg > rect, .bglayer .bg { fill: #17181a !important; }
.annotation .bg { fill: #17181a !important; fill-opacity: 0.75 !important; }
text:not(.hm text):not(.heatmap-label text) { fill: #e8e8e6 !important; }
[style*="stroke: rgb(34, 34, 34)"] { stroke: #e8e8e6 !important; }
[style*="fill: rgb(34, 34, 34)"]:not(text) { fill: #e8e8e6 !important; }
.gridlayer path, .zerolinelayer path { stroke: #3d4045 !important; }
}</style>"""
PNG_SCALE = 2


class NoBrowserError(EcgError):
    """Static figures are drawn by a browser, and there is none."""


def figures_of(records: pd.DataFrame) -> dict[str, go.Figure]:
    """Return every figure that the records hold enough for, by file name."""
    figures = {}
    is_search = PLANNED not in records or records[PLANNED].isna().all()
    several = len(objectives_of(records.attrs.get("identity", {}))) > 1
    for plot in PLOTS:
        if (plot.of_search and not is_search) or (plot.of_several and not several):
            continue
        try:
            figures[plot.name] = plot.draw(records)
        except NothingToDrawError:
            continue
    if not is_search:
        for title, figure in published_tables(records).items():
            figures[title.split(".")[0].replace(" ", "").lower()] = figure
    return figures


def write_plots(
    records: pd.DataFrame, folder: Path, fmt: str, names: Sequence[str] = ()
) -> list[Path]:
    """Draw the figures of a study into a folder, `history.svg` and so on.

    Args:
        records: of one study.
        folder: made where there is none.
        fmt: "svg" or "png".
        names: of the figures, none for all.

    Returns:
        The files.

    Raises:
        UsageError: format or name is not known, or kaleido is not installed.
        NoBrowserError: there is no Chromium, or it does not start.
        NothingToDrawError: no trial is finished.
        OutputError: a file cannot be written.
    """
    if fmt not in FORMATS:
        raise UsageError(f"unknown format '{fmt}'; known: {', '.join(FORMATS)}")
    figures = figures_of(records)
    if not figures:
        raise NothingToDrawError(f"the study '{records.attrs['study']}' has no finished trial yet")
    if unknown := [name for name in names if name not in figures]:
        raise UsageError(f"no figure is named '{unknown[0]}'; known here: {', '.join(figures)}")
    chosen = {name: figures[name] for name in names or figures}
    images = _draw(list(chosen.values()), fmt)
    paths = [folder / f"{name}.{fmt}" for name in chosen]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, image in zip(paths, images, strict=True):
            path.write_bytes(_with_dark_scheme(image) if fmt == "svg" else image)
    except OSError as error:
        raise OutputError(f"cannot write into {folder}: {error.strerror or error}") from None
    return paths


def _with_dark_scheme(image: bytes) -> bytes:
    """Return an SVG that follows the light or dark scheme of the page it stands on."""
    start, end, rest = image.partition(b">")
    return start + end + DARK.encode() + rest


def _draw(figures: Sequence[go.Figure], fmt: str) -> list[bytes]:
    """Return the images of some figures, drawn by one browser after another figure."""
    try:
        import kaleido
    except ImportError:
        raise UsageError(
            "static figures need kaleido: pip install -e '.[plots]'; the report has all figures "
            "without it: python -m study report"
        ) from None
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        raise NoBrowserError(
            "static figures are drawn by Chromium or Chrome, and none is installed (Debian: "
            "apt install chromium); the report has all figures without it: python -m study report"
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
    except Exception as error:  # whatever the browser dies of
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise NoBrowserError(f"{browser} could not draw the figures: {reason}") from error
    finally:
        kaleido.stop_sync_server(silence_warnings=True)
