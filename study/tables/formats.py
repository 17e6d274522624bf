"""Write a document of tables as Markdown, CSV, LaTeX or HTML."""

import csv
import html
import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ecg.errors import UsageError, use_one_of

NOTHING = "—"
_ADDED = ("", " sd", " low", " high")


@dataclass(frozen=True)
class Score:
    """A score, or a difference of scores, as a table prints it.

    Attributes:
        value: the score.
        digits: digits after the decimal point.
        spread: standard deviation, None for one run.
        signed: whether to print a plus sign.
        mark: printed after the score; a note explains it.
    """

    value: float
    digits: int = 4
    spread: float | None = None
    signed: bool = False
    mark: str = ""

    @property
    def number(self) -> str:
        """The score as text, without its spread. Zero has no minus sign."""
        rounded = round(self.value, self.digits) + 0.0
        return f"{rounded:{'+' if self.signed else ''}.{self.digits}f}"

    @property
    def deviation(self) -> str:
        """The spread as text, "" if there is none."""
        return "" if self.spread is None else f"{self.spread:.{self.digits}f}"

    def __str__(self) -> str:
        spread = f" ± {self.deviation}" if self.deviation else ""
        return f"{self.number}{spread}{self.mark and ' '}{self.mark}"

    def columns(self) -> dict[str, str]:
        """The parts of the cell, by the suffix of their column heading."""
        return {"": self.number} | ({" sd": self.deviation} if self.deviation else {})


@dataclass(frozen=True)
class Interval:
    """The bounds of an interval as a table prints them."""

    low: float
    high: float
    digits: int = 4

    def __str__(self) -> str:
        return " to ".join(self.columns().values())

    def columns(self) -> dict[str, str]:
        """The parts of the cell, by the suffix of their column heading."""
        bounds = {" low": self.low, " high": self.high}
        return {name: f"{bound:.{self.digits}f}" for name, bound in bounds.items()}


@dataclass(frozen=True)
class Again:
    """A label repeated from the row above: blank in tables for people, repeated in CSV."""

    label: str

    def __str__(self) -> str:
        return ""

    def columns(self) -> dict[str, str]:
        """The parts of the cell, by the suffix of their column heading."""
        return {"": self.label}


Cell = str | Score | Interval | Again


@dataclass(frozen=True)
class Grid:
    """Rows of cells under one header.

    Attributes:
        caption: what the rows show; "" for the first grid of a document.
        header: one heading per column.
        body: rows as long as the header.
    """

    caption: str
    header: tuple[str, ...]
    body: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Document:
    """A table with its title, warnings and notes.

    Attributes:
        title: title of the document.
        warnings: shown prominently above the grids.
        grids: grids in this order.
        notes: shown below the grids, one paragraph each.
    """

    title: str
    warnings: tuple[str, ...]
    grids: tuple[Grid, ...]
    notes: tuple[str, ...] = field(default=())


def write(document: Document, fmt: str, *, spread: bool = True) -> str:
    """Return a document as text.

    Args:
        document: the document to write.
        fmt: "markdown", "csv", "latex" or "html".
        spread: print standard deviations.

    Raises:
        UsageError: the format is unknown.
    """
    return find_format(fmt)[0](document if spread else _without_spread(document))


def _without_spread(document: Document) -> Document:
    def plain(cell: Cell) -> Cell:
        return replace(cell, spread=None) if isinstance(cell, Score) else cell

    grids = (
        replace(grid, body=tuple(tuple(map(plain, row)) for row in grid.body))
        for grid in document.grids
    )
    return replace(document, grids=tuple(grids))


def suffix(fmt: str) -> str:
    """Return the file extension of a format, such as ".md".

    Raises:
        UsageError: the format is unknown.
    """
    return find_format(fmt)[1]


def find_format(fmt: str) -> tuple[Callable[[Document], str], str]:
    """Return the writer and the file extension of a format.

    Raises:
        UsageError: the format is unknown.
    """
    if fmt not in FORMATS:
        raise UsageError(f"unknown format '{fmt}'. {use_one_of(FORMATS)}")
    return FORMATS[fmt]


def to_markdown(document: Document) -> str:
    """Return GitHub-flavoured Markdown, with columns aligned in the source."""
    parts = [f"## {_markdown(document.title)}"]
    parts += [f"> **{_markdown(warning)}**" for warning in document.warnings]
    for grid in document.grids:
        if grid.caption:
            parts.append(f"**{_markdown(grid.caption)}**")
        rows = [[_markdown(str(cell)) for cell in row] for row in (grid.header, *grid.body)]
        widths = [max(3, *map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            f"| {' | '.join(cell.ljust(n) for cell, n in zip(row, widths, strict=True))} |"
            for row in rows
        ]
        lines.insert(1, f"|{'|'.join('-' * (width + 2) for width in widths)}|")
        parts.append("\n".join(lines))
    parts += (
        ["\n".join(f"- {_markdown(note)}" for note in document.notes)] if document.notes else []
    )
    return "\n\n".join(parts) + "\n"


def to_csv(document: Document) -> str:
    """Return one rectangular CSV without comments; spread and bounds have separate columns.

    `block` is the grid of a row. `warning` repeats the document's warnings in every row, since
    rows may be copied elsewhere. Notes are left out.
    """
    columns = ["table", "block"]
    rows = []
    for grid in document.grids:
        for line in grid.body:
            row = {"table": document.title, "block": grid.caption or "scores"}
            for heading, cell in zip(grid.header, line, strict=True):
                text = "" if cell == NOTHING else cell
                parts = {"": text} if isinstance(text, str) else text.columns()
                row |= {heading + added: part for added, part in parts.items()}
            rows.append(row)
        for name in (f"{heading}{added}" for heading in grid.header for added in _ADDED):
            if name not in columns and any(name in row for row in rows):
                columns.append(name)
    columns.append("warning")
    file = io.StringIO()
    writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
    writer.writeheader()
    warning = " ".join(document.warnings)
    writer.writerows({**row, "warning": warning} for row in rows)
    return file.getvalue()


def to_latex(document: Document) -> str:
    """Return `table` environments for the packages booktabs and graphicx, with notes below.

    Each grid is a float with caption and label, scaled down if it is wider than the text. A title
    such as "Table 4. Alpha" becomes the label `tab:table4` and the caption "Alpha", since LaTeX
    numbers tables itself.
    """
    numbered = re.fullmatch(r"Table (\d+)\. (.+)", document.title)
    name = numbered[2] if numbered else document.title
    words = f"table{numbered[1]}" if numbered else name
    label = re.sub("[^a-z0-9]+", "-", words.lower()).strip("-")
    lines = [
        rf"{{\sloppy\noindent\textbf{{{_latex(warning)}}}\par}}" for warning in document.warnings
    ]
    for index, grid in enumerate(document.grids):
        caption = f"{name}. {grid.caption}" if grid.caption else name
        head, *body = (
            " & ".join(_latex_cell(cell) for cell in row) for row in (grid.header, *grid.body)
        )
        lines += [
            r"\begin{table}[htbp]",
            r"\centering\small",
            rf"\caption{{{_latex(caption)}}}",
            rf"\label{{tab:{label}{f'-{index + 1}' if index else ''}}}",
            rf"\sbox0{{\begin{{tabular}}{{{'l' * len(grid.header)}}}",
            r"\toprule",
            rf"{head} \\",
            r"\midrule",
            *(rf"{line} \\" for line in body),
            r"\bottomrule",
            r"\end{tabular}}",
            r"\ifdim\wd0>\linewidth\resizebox{\linewidth}{!}{\usebox0}\else\usebox0\fi",
            r"\end{table}",
        ]
    if document.notes:
        lines += [r"\begin{itemize}", *(rf"\item {_latex(n)}" for n in document.notes)]
        lines.append(r"\end{itemize}")
    return "\n".join(lines) + "\n"


def to_html(document: Document) -> str:
    """Return a self-contained page."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{html.escape(document.title)}</title>\n<style>\n{_STYLE}</style>\n</head>\n"
        f"<body>\n{to_html_section(document)}</body>\n</html>\n"
    )


def to_html_section(document: Document) -> str:
    """Return one document as a section of a page that may have several."""
    lines = ["<section>", f"<h2>{html.escape(document.title)}</h2>"]
    lines += [f'<p class="warning">{html.escape(warning)}</p>' for warning in document.warnings]
    for grid in document.grids:
        lines.append("<table>")
        if grid.caption:
            lines.append(f"<caption>{html.escape(grid.caption)}</caption>")
        lines += ["<thead>", _html_row(grid.header, "th"), "</thead>", "<tbody>"]
        lines += [*(_html_row(row, "td") for row in grid.body), "</tbody>", "</table>"]
    if document.notes:
        lines += ["<ul>", *(f"<li>{html.escape(note)}</li>" for note in document.notes), "</ul>"]
    return "\n".join([*lines, "</section>"]) + "\n"


_STYLE = """\
body { font-family: sans-serif; margin: 2em; }
table { border-collapse: collapse; margin: 1em 0; }
caption { font-weight: bold; text-align: left; }
th, td { border-bottom: 1px solid #ccc; padding: 0.2em 0.8em; text-align: left; }
.warning { background: #fff3cd; border: 2px solid #b8860b; font-weight: bold; padding: 0.6em; }
"""
_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "%": r"\%", "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "±": r"$\pm$",
    "—": "---", "·": r"$\cdot$", "√": r"$\surd$", "†": r"\dag{}", "[": "{[}", "]": "{]}",
}  # fmt: skip


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", text).replace("&", "&amp;").replace("<", "&lt;")


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


def _latex_cell(cell: Cell) -> str:
    if isinstance(cell, Score):
        deviation = rf" \pm {cell.deviation}" if cell.deviation else ""
        return f"${cell.number}{deviation}${cell.mark and ' '}{_latex(cell.mark)}"
    return _latex(str(cell))


def _html_row(row: tuple[Cell, ...], tag: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{html.escape(str(cell))}</{tag}>' for cell in row)}</tr>"


FORMATS: dict[str, tuple[Callable[[Document], str], str]] = {
    "markdown": (to_markdown, ".md"),
    "csv": (to_csv, ".csv"),
    "latex": (to_latex, ".tex"),
    "html": (to_html, ".html"),
}
