"""Tables of texts: for a terminal of any width, and for a page."""

import html
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from rich.box import HEAVY_HEAD
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

WIDEST_WORD = 24  # characters of a column that wraps; a longer word is broken


@dataclass(frozen=True)
class FittingTable:
    """A table where the terminal is wide enough; else one line per cell, row by row.

    Attributes:
        title: above it.
        columns: titles; the first may be empty.
        rows: cells, shown as they are.
        wraps: the title of a column whose long cells wrap.
        caption: below it.
        is_boxed: whether lines surround the cells.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    wraps: str = ""
    caption: str = ""
    is_boxed: bool = True

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield what rich prints."""
        above = Text(self.title, style="table.title")
        below = Text(self.caption, style="table.caption") if self.caption else None
        table = Table(
            title=above or None, title_justify="left", caption=below, caption_justify="left",
            box=HEAVY_HEAD if self.is_boxed else None,
            padding=(0, 1) if self.is_boxed else (0, 2, 0, 0),
        )  # fmt: skip
        for title, *cells in zip(self.columns, *self.rows, strict=True):
            texts = [Text(title), *map(Text, cells)]
            wraps = title == self.wraps
            # Rich would break a cell at its spaces, and cut a table that is wider than the screen.
            sizes = (Measurement.get(console, options.update(width=1000), text) for text in texts)
            needed = max(min(s.minimum, WIDEST_WORD) if wraps else s.maximum for s in sizes)
            table.add_column(texts[0], overflow="fold", no_wrap=not wraps, min_width=needed)
        for row in self.rows:
            table.add_row(*map(Text, row))
        if Measurement.get(console, options.update(width=1000), table).minimum <= options.max_width:
            yield table
            return
        if above:
            yield above
        for row in self.rows:
            first, *others = zip(self.columns, row, strict=True)
            yield Text(" ".join(filter(None, first)))
            yield from (
                Padding(Text(f"{name} {cell}"), (0, 0, 0, 2), expand=False)
                for name, cell in others
                if cell
            )
        if below:
            yield below


def html_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: Collection[int] = ()
) -> str:
    """Return a table as HTML; every text is escaped.

    Args:
        columns: titles.
        rows: cells.
        numbers: places of the columns that hold numbers.
    """

    def cells(tag: str, texts: Sequence[str]) -> str:
        looks = ("" if place in numbers else ' class="text"' for place in range(len(texts)))
        return "".join(
            f"<{tag}{look}>{html.escape(text)}</{tag}>"
            for look, text in zip(looks, texts, strict=True)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<table><thead><tr>{cells('th', columns)}</tr></thead><tbody>{body}</tbody></table>"
