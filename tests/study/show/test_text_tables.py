"""Rules of tables in terminals of any width."""

import io
import re

import pytest
from rich.console import Console

from study.show.text_tables import FittingTable

TABLE = FittingTable(
    "scores of the best trials",
    ["", "F1(M)", "parameters"],
    [
        ["best (trial 12)", "0.3463", "strategy=both, alpha=0.25, ratio=0.5, learning_rate=0.001"],
        ["baseline (trial 0)", "0.1578", "strategy=none [/red]"],
    ],
    wraps="parameters",
    caption="one run each",
)


def printed(width: int, table: FittingTable = TABLE) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None, legacy_windows=False)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [20, 40, 57, 58, 60, 80, 120, 200])
def test_nothing_is_cut_at_any_width(width: int) -> None:
    # Rule: every cell is there in full, and no line is wider than the terminal.
    text = printed(width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for row in TABLE.rows:
        for cell in row[:2]:
            assert cell in re.sub(r"\s+", " ", text)
        for word in re.split(r", | ", row[2]):
            assert word in re.sub(r"[\s│]", "", text)
    assert "one run each" in text


@pytest.mark.parametrize("width", range(40, 120))
def test_cells_of_several_words_are_not_cut(width: int) -> None:
    # Rule: a column that does not wrap is as wide as its longest cell, not as its longest word,
    # and the words of a column that wraps are not broken.
    cells = ["strategy=sampler, ratio=0.05132", "0.7726 ± 0.0123", "0.7468 to 0.7812", "+0.0123"]
    columns = ["configuration", "mean ± sd", "95% interval", "p (Holm)"]
    text = printed(width, FittingTable("confirmed", columns, [cells], wraps=columns[0]))
    assert all(cell in text for cell in [*cells[1:], *columns])
    assert all(word in text for word in cells[0].split())


def test_a_narrow_terminal_has_a_line_per_cell() -> None:
    lines = printed(30).splitlines()
    assert lines[:3] == ["scores of the best trials", "best (trial 12)", "  F1(M) 0.3463"]
    assert "baseline (trial 0)" in lines


def test_a_wide_terminal_has_a_table() -> None:
    assert printed(80).splitlines()[1].startswith("┏")
