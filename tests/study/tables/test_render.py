import io
import re
import shutil
import subprocess
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg.errors import DataError, OutputError, UsageError
from ecg.inter_patient import jk_index, record_interval
from search_spaces.tables import (
    COLUMN_TITLES,
    CONTRADICTION,
    TABLES,
    TF_ROW,
    configurations,
    find_table,
)
from study.storage.results import read_results, results_of_rows, write_results
from study.tables.formats import FORMATS, Document, Grid, Score, write
from study.tables.render import compare_splits, render, write_tables
from tests.support.fake_results import fake_result, fake_results, unfinished_result
from tests.support.toy import rule

every_table = pytest.mark.parametrize("name", TABLES)
every_format = pytest.mark.parametrize("fmt", FORMATS)
TABLE3 = TABLES["table3"]
VOID = {"meta", "br"}
ELEMENTS = {
    "html", "head", "meta", "title", "style", "body", "section", "h2", "p", "ul", "li",
    "table", "caption", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip


def grids(markdown: str) -> list[list[list[str]]]:
    """The cells of each table of a Markdown text, heading first."""
    found: list[list[list[str]]] = [[]]
    for line in markdown.splitlines():
        if line.startswith("|") and not line.startswith("|-"):
            found[-1].append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif not line.startswith("|") and found[-1]:
            found.append([])
    return [grid for grid in found if grid]


def lines(grid: Sequence[Sequence[str]], kind: str) -> list[list[str]]:
    """Lines of one kind ("published", ...) without that word."""
    at = grid[0].index("scores")
    return [[*line[:at], *line[at + 1 :]] for line in grid[1:] if line[at] == kind]


def some_results(*runs: dict[str, Any]) -> pd.DataFrame:
    return results_of_rows(runs)


@every_table
def test_layout_without_published_scores_is_the_published_one(name: str) -> None:
    table = TABLES[name]
    first, *_ = grids(render(fake_results(2), name, published=False))
    extra = ["parameter"] if name == "table1" else []
    assert first[0] == [table.header, *extra, *(COLUMN_TITLES[c] for c in table.columns), "n"]
    assert [line[0] for line in first[1:]] == [row.label for row in table.rows]
    if extra:
        assert [line[1] for line in first[1:]] == ["52,229", "217,925", "1,354,981", "1,686,725"]


@every_table
def test_scores_are_mean_and_deviation_over_seeds(name: str) -> None:
    table, results = TABLES[name], fake_results(4)
    first, *_ = grids(render(results, name, published=False))
    for row, line in zip(table.rows, first[1:], strict=True):
        cells = [fake_result(row, repeat) for repeat in range(4)]
        for title, cell in zip(first[0], line, strict=True):
            score = next((s for s, t in COLUMN_TITLES.items() if t == title), None)
            if score is not None:
                values = [c[f"test_{score}"] for c in cells]
                assert cell == f"{np.mean(values):.4f} ± {np.std(values, ddof=1):.4f}"
        assert line[-1] == "4"


@every_table
def test_published_scores_and_differences_are_beside_ours(name: str) -> None:
    table = TABLES[name]
    first, *_ = grids(render(fake_results(3), name))
    at = len(first[0]) - len(table.columns) - 2  # without the kind of score and n
    ours, published, differences = (
        lines(first, k) for k in ("this study", "published", "difference")
    )
    for row, mine, theirs, minus in zip(table.rows, ours, published, differences, strict=True):
        assert mine[0] == row.label
        assert (theirs[0], minus[0]) == ("", "")
        scores = [f"{score:.4f}" for score in table.published[row.label]]
        assert [cell.removesuffix(" †") for cell in theirs[at:-1]] == scores
        for known, cell, score in zip(scores, minus[at:-1], table.columns, strict=True):
            mean = np.mean([fake_result(row, r)[f"test_{score}"] for r in range(3)])
            assert cell == f"{mean - float(known):+.4f}"


def test_published_scores_outside_the_interval_of_one_more_run_are_marked() -> None:
    text = render(fake_results(8), "table1")
    first, *_ = grids(text)
    inside = total = 0
    for bounds, published in zip(
        lines(first, "95% prediction interval"), lines(first, "published"), strict=True
    ):
        for interval, score in zip(bounds[2:-1], published[2:-1], strict=True):
            low, high = map(float, interval.split(" to "))
            assert score.endswith("†") != (low <= float(score.split()[0]) <= high)
            inside += not score.endswith("†")
            total += 1
    assert 0 < inside < total
    assert f"{inside} of {total} are within the 95% prediction interval of one more run" in text
    assert "Scores outside are marked †" in text


def test_no_published_score_is_compared_with_one_seed() -> None:
    text = render(fake_results(1), "table1")
    assert "†" not in text
    assert "95% prediction interval" not in text
    assert "which needs at least two seeds" in text


@every_table
def test_contradiction_is_noted_where_published_scores_are(name: str) -> None:
    note = CONTRADICTION.replace("*", "\\*")
    assert note in render(fake_results(1), name)
    assert note not in render(fake_results(1), name, published=False)


def test_one_seed_has_no_deviation_and_an_interval_over_beats() -> None:
    text = render(fake_results(1), "table2")
    assert "±" not in "".join(cell for line in grids(text)[0] for cell in line)
    assert "bootstrap of the test beats where n = 1" in text


@pytest.mark.parametrize("digits", [2, 6])
def test_digits_are_those_asked_for(digits: int) -> None:
    first, *_ = grids(render(fake_results(2), "table2", digits=digits))
    assert all(
        re.fullmatch(rf"0\.\d{{{digits}}} ± 0\.\d{{{digits}}}", cell)
        for line in lines(first, "this study")
        for cell in line[1:-1]
    )


@pytest.mark.parametrize(
    ("name", "seeds", "reached", "least"),
    [("table4", 1, "1", 8), ("table4", 6, "0.188", 8), ("table4", 7, "0.0938", 8),
     ("table2", 6, "0.0625", 7), ("table5", 8, "0.0625", 9)],
)  # fmt: skip
def test_nothing_is_claimed_below_the_least_seeds_of_the_table(
    name: str, seeds: int, reached: str, least: int
) -> None:
    # The rows of table 4 differ by far, alpha 1.0 most of all.
    text = render(fake_results(seeds), name)
    assert "no difference can be significant at the 5% level" in text
    assert f"can reach is {reached} after Holm's correction" in text
    assert f"Use {least} seeds or more." in text
    assert "that differ from the" not in text
    assert len(grids(text)) == (1 if seeds == 1 else 2)


@pytest.mark.parametrize(("name", "least"), [("table2", 7), ("table4", 8), ("table5", 9)])
def test_the_least_seeds_of_the_table_allow_a_claim(name: str, least: int) -> None:
    text = render(fake_results(least), name)
    assert "at the 5% level: F1(M): " in text
    assert "no difference can be significant" not in text


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({}, "The published test part is a different random sample of beats."),
        ({"source": "kaggle"}, "All seeds are tested on the published test part"),
        ({"split": "intra-patient-resplit"}, "Each seed uses a different split"),
        ({"split": "inter-patient"}, "All seeds are tested on the same patients"),
    ],
)
def test_what_tests_over_seeds_do_not_cover_is_noted(changes: dict[str, str], note: str) -> None:
    text = render(fake_results(3, changes=changes), "table3")
    assert note in text
    assert ("varies F1(M) with a standard deviation of 0.0" in text) == (
        changes.get("split") is None
    )
    # The standard deviation of the published test part's size, by bootstrap.
    found = [float(n) for n in re.findall(r"varies F1\\\(M\\\) with .* of (0\.\d+)", text)]
    assert all(0.004 < scatter < 0.007 for scatter in found)


def test_rows_that_differ_from_the_baseline_are_named() -> None:
    text = render(fake_results(10), "table4")
    assert (
        "Rows that differ from the baseline (alpha none) at the 5% level: F1(M): 1.0; F1(W): 1.0 ("
        in text
    )
    assert "Holm's correction over 6 tests" in text
    tests = grids(text)[1]
    assert [line[:2] for line in tests[1:]] == [["0.1", "10"], ["0.5", "10"], ["1.0", "10"]]
    # Six tests, the smallest p of ten pairs each: 6 * 2 / 2**10.
    assert tests[3][3] == f"{6 * 2 / 2**10:.4f}"


def test_row_with_fewer_seeds_is_tested_over_those_that_it_shares() -> None:
    rows = TABLE3.rows
    runs = [fake_result(row, repeat) for row in rows for repeat in range(8)]
    runs = [c for c in runs if c["config_scheduler_factor"] != 0.5 or c["repeat"] < 3]
    runs = [c for c in runs if c["config_scheduler_factor"] != 0.8]
    text = render(some_results(*runs), "table3")
    tests = {line[0]: line for line in grids(text)[1][1:]}
    assert tests["0.5"][1] == "3"
    assert float(tests["0.5"][3]) >= 0.25
    assert tests["0.8"][1:] == ["0", "—", "no pair", "—", "no pair"]
    assert "Holm's correction over 4 tests" in text


def test_unfinished_runs_are_counted_and_never_dropped() -> None:
    rows = TABLE3.rows
    text = render(
        some_results(
            *(fake_result(rows[0], repeat) for repeat in range(5)),
            *(fake_result(rows[1], repeat) for repeat in range(3)),
            unfinished_result(rows[1], 3, "fail", failure="RuntimeError: out of | memory"),
            unfinished_result(rows[2], 0, "running"),
            unfinished_result(rows[2], 1, "waiting"),
        ),
        "table3",
    )
    ours = lines(grids(text)[0], "this study")
    assert [line[0] for line in ours] == ["none", "0.2", "0.5", "0.8"]
    assert [line[-1] for line in ours] == [
        "5",
        "3 of 5 seeds, 1 failed, 1 missing",
        "0 of 5 seeds, 1 running, 1 queued, 3 missing",
        "0 of 5 seeds, 5 missing",
    ]
    assert ours[2][1:-1] == ours[3][1:-1] == ["—"] * 5
    assert "Failed: 0.2, repeat 3: RuntimeError: out of \\| memory" in text
    assert "8 of 20 runs finished" in text


def test_baseline_without_seeds_is_no_reason_to_stop() -> None:
    runs = [fake_result(TABLE3.rows[1], repeat) for repeat in range(7)]
    text = render(some_results(*runs), "table3")
    assert "share no finished seed" in text


@every_table
@every_format
def test_no_results_are_rendered(name: str, fmt: str) -> None:
    text = render(some_results(), name, fmt=fmt)
    assert "nothing has been trained yet" in text
    assert TABLES[name].rows[0].label in text


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"budget": "quick"}, "the budget is 'quick', not 'paper'"),
        ({"source": "synthetic"}, "the data source is 'synthetic', not MIT-BIH"),
        ({"split": "inter-patient"}, "the split is 'inter-patient', not 'intra-patient'"),
    ],
)
@every_format
def test_scores_of_another_protocol_are_labelled_and_set_apart(
    changes: dict[str, str], reason: str, fmt: str
) -> None:
    results = fake_results(7, changes=changes)
    text = render(results, "table3", fmt=fmt)
    plain = text.replace("&#x27;", "'")
    assert f"NOT COMPARABLE WITH THE PUBLISHED SCORES: {reason}" in plain
    assert "Published scores (full protocol), not comparable with the scores above" in text
    assert "prediction interval" not in text
    if fmt == "markdown":
        first, second, *_ = grids(text)
        assert text.index("NOT COMPARABLE") < text.index("|")
        assert "scores" not in first[0]
        assert "0.9872" not in str(first[1:])
        assert second[1] == ["none", "0.9872", "0.9630", "0.9869", "0.9869", "0.9201", "1"]
        assert "difference" not in first[0] + second[0]
    alone = render(results, "table3", fmt=fmt, published=False)
    assert "NOT COMPARABLE" in alone
    assert "0.9201" not in alone


def test_real_data_of_either_source_is_comparable() -> None:
    text = render(fake_results(2, changes={"source": "kaggle"}), "table2")
    assert "NOT COMPARABLE" not in text
    assert "difference" in text


def test_inter_patient_results_have_scores_of_s_and_v() -> None:
    results = fake_results(3, changes={"split": "inter-patient"})
    found = grids(render(results, "table2"))[2]
    assert found[0] == [
        "optimizer", "F1(N, S, V)", "F1(F)", "Se(S)", "P+(S)", "Se(V)", "P+(V)", "kappa",
        "jk index", "95% interval, records", "n",
    ]  # fmt: skip
    row = TABLES["table2"].rows[0]
    values = [jk_index(fake_result(row, repeat)["test_confusion"]) for repeat in range(3)]
    assert found[1][8] == f"{np.mean(values):.4f} ± {np.std(values, ddof=1):.4f}"
    assert found[1][9] == "—"  # these runs keep no matrix of each record
    assert "jk index" not in render(fake_results(3), "table2")


def test_the_interval_over_records_is_that_of_the_kept_matrices(tmp_path: Path) -> None:
    # Rule: kept in the results file, and only where they add up to the matrix of the run.
    row = TABLES["table2"].rows[0]
    runs = [fake_result(row, repeat, split="inter-patient") for repeat in range(2)]
    for run in runs:
        half = (np.array(run["test_confusion"]) // 2).tolist()
        rest = (np.array(run["test_confusion"]) - half).tolist()
        run["test_by_record"] = {"100": half, "103": rest}
    write_results(some_results(*runs), tmp_path / "results.csv")
    results = read_results(tmp_path / "results.csv")
    low, high = record_interval([list(c["test_by_record"].values()) for c in runs], "f1_nsv")
    found = grids(render(results, "table2"))[2]
    assert found[1][9] == f"{low:.4f} to {high:.4f}"
    runs[0]["test_by_record"].pop("103")
    with pytest.raises(DataError, match="does not add up to test_confusion"):
        write_results(some_results(*runs), tmp_path / "results.csv")


def test_where_the_scores_are_from_is_noted() -> None:
    rows = TABLES["table2"].rows
    second = {"device_name": "cuda: Some Card", "versions": {"torch": "2.12.0", "commit": "feed"}}
    runs = [fake_result(rows[0], 0), fake_result(rows[1], 0, **second)]
    text = render(some_results(*runs), "table2")
    assert "data mitdb (fingerprint 0123456789ab), split intra-patient, budget paper, " in text
    assert "device cpu (fp32). 1 seed planned, 2 of 2 runs finished, 122 s of training" in text
    assert "Trained on cpu: Some Processor, 2 threads / cuda: Some Card" in text
    assert "commit 0f1e2d3c4b5a / feed" in text
    assert "torch 2.11.0 / 2.12.0" in text


@every_table
@every_format
def test_equal_results_give_equal_bytes(name: str, fmt: str, tmp_path: Path) -> None:
    # In whatever order the runs come, and after a round through the file.
    results = fake_results(6)
    text = render(results, name, fmt=fmt)
    assert render(results.sample(frac=1, random_state=1), name, fmt=fmt) == text
    write_results(results, tmp_path / "results.csv")
    assert render(read_results(tmp_path / "results.csv"), name, fmt=fmt) == text


@every_table
@pytest.mark.parametrize("changes", [{}, {"split": "inter-patient", "budget": "smoke"}])
def test_csv_is_read_by_pandas(name: str, changes: dict[str, str]) -> None:
    table, results = TABLES[name], fake_results(6, changes=changes)
    text = render(results, name, fmt="csv")
    found = pd.read_csv(io.StringIO(text), keep_default_na=False, na_values=[""])
    found[table.header] = found[table.header].astype(str)
    ours = found[found["block"] == "scores"]
    if not changes:
        ours = ours[ours["scores"] == "this study"]
    assert list(ours[table.header]) == [row.label for row in table.rows]
    for row, (_, line) in zip(table.rows, ours.iterrows(), strict=True):
        values = [fake_result(row, repeat)["test_f1_macro"] for repeat in range(6)]
        assert float(line["F1-score(M)"]) == pytest.approx(np.mean(values), abs=5.1e-5)
        assert float(line["F1-score(M) sd"]) == pytest.approx(np.std(values, ddof=1), abs=5.1e-5)
    assert found["warning"].notna().all() == bool(changes)


class Structure(HTMLParser):
    """Checks that elements are closed in order, and collects rows and texts."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.seen: list[str] = []
        self.widths: list[list[int]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.widths.append([])
        elif tag == "tr":
            self.widths[-1].append(0)
        elif tag in ("td", "th"):
            self.widths[-1][-1] += 1

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def parse_html(text: str) -> Structure:
    parser = Structure()
    parser.feed(text)
    parser.close()
    assert parser.open == []
    assert all(len(set(widths)) == 1 for widths in parser.widths)
    return parser


def check_latex(text: str) -> None:
    """Environments and braces are closed in order, and every row is as wide as its table."""
    stack: list[str] = []
    for command, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if command == "begin":
            stack.append(name)
        else:
            assert stack.pop() == name
    assert stack == []
    bare = re.sub(r"\\[{}$&#%_]", "", text)
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0
    assert not re.search(r"[#%_^~]", bare)
    for layout, body in re.findall(r"\\begin\{tabular\}\{(l+)\}(.*?)\\end\{tabular\}", bare, re.S):
        rows = [line for line in body.splitlines() if line.endswith("\\\\")]
        assert rows
        assert {row.count("&") for row in rows} == {len(layout) - 1}


@every_table
@pytest.mark.parametrize("changes", [{}, {"split": "inter-patient"}])
def test_html_and_latex_are_well_formed(name: str, changes: dict[str, str]) -> None:
    results = fake_results(6, changes=changes)
    assert TABLES[name].title in parse_html(render(results, name, fmt="html")).text
    check_latex(render(results, name, fmt="latex"))


def test_latex_compiles_and_fits_its_page(tmp_path: Path) -> None:
    # Rule: every table is at most as wide as the text, and LaTeX alone counts the tables.
    if shutil.which("pdflatex") is None:
        pytest.skip("no pdflatex: apt install texlive-latex-base texlive-latex-recommended")
    package = subprocess.run(["kpsewhich", "booktabs.sty"], capture_output=True, check=False)
    if package.returncode:
        pytest.skip("no booktabs: apt install texlive-latex-recommended")
    kinds = {"full": {}, "inter": {"split": "inter-patient"}}
    text = "".join(
        render(fake_results(2, changes=changes), name, fmt="latex").replace("{tab:", f"{{{kind}:")
        + "\\clearpage\n"
        for kind, changes in kinds.items()
        for name in TABLES
    )
    assert "caption{Table" not in text
    packages = "\\documentclass{article}\\usepackage{booktabs,graphicx}\n"
    body = f"{packages}\\begin{{document}}\n{text}\\end{{document}}\n"
    (tmp_path / "tables.tex").write_text(body, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "tables.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    log = (tmp_path / "tables.log").read_text(encoding="latin-1")
    assert not re.findall(r"Overfull \\hbox.*|.*too large for page.*|.*multiply defined.*", log)


@pytest.mark.parametrize(
    ("title", "label", "caption"),
    [
        ("Table 4. Alpha", "table4", "Alpha"),
        ("Both splits side by side", "both-splits-side-by-side", "Both splits side by side"),
        ("Confirmation 'a. b': test scores", "confirmation-a-b-test-scores",
         "Confirmation 'a. b': test scores"),
    ],
)  # fmt: skip
def test_a_latex_caption_is_the_title_without_its_number(
    title: str, label: str, caption: str
) -> None:
    grid = Grid("", ("a",), (("x",),))
    text = write(Document(title, (), (grid, grid), ()), "latex")
    assert re.findall(r"label\{tab:(.*)\}", text) == [label, f"{label}-2"]
    assert text.count(rf"\caption{{{caption}}}") == 2


@every_format
def test_spread_is_left_out_on_demand(fmt: str) -> None:
    results = fake_results(3)
    assert re.search(r"±|pm|,F1-score\(M\) sd", render(results, "table4", fmt=fmt))
    first, *_ = render(results, "table4", fmt=fmt, spread=False).split("mean")
    assert not re.search(r"±|pm|,F1-score\(M\) sd", first)


nasty = st.text(st.sampled_from(r"""ab|\*_`[]<>&"'#%$^~{}±—† """), max_size=12)


@rule
@given(nasty, nasty, nasty)
def test_no_text_breaks_a_format(title: str, cell: str, note: str) -> None:
    grid = Grid("of " + cell, ("a", title + "."), ((cell, Score(0.5)), ("x", "y")))
    document = Document(title, (note,), (grid,), (note,))
    parser = parse_html(write(document, "html"))
    assert set(parser.seen) <= ELEMENTS
    assert cell in parser.text
    assert note in parser.text
    check_latex(write(document, "latex"))
    (found,) = grids(write(document, "markdown").split("\n\n**of", 1)[1])
    assert {len(line) for line in found} == {2}
    read = pd.read_csv(
        io.StringIO(write(document, "csv")), dtype=str, keep_default_na=False, quotechar='"'
    )
    assert read["a"][0] == ("" if cell == "—" else cell)


def test_scores_are_printed_without_minus_zero() -> None:
    assert str(Score(-0.00001, signed=True)) == "+0.0000"
    assert str(Score(0.98765, spread=0.00044)) == "0.9877 ± 0.0004"
    assert str(Score(-0.0123, digits=2, signed=True)) == "-0.01"


def test_export_writes_one_file_per_table_and_format(tmp_path: Path) -> None:
    results = fake_results(2)
    paths = write_tables(
        results, tmp_path / "new" / "tables", ["table1", "table4"], formats=["markdown", "latex"]
    )
    assert [path.name for path in paths] == ["table1.md", "table1.tex", "table4.md", "table4.tex"]
    assert sorted(path.name for path in paths[0].parent.iterdir()) == [p.name for p in paths]
    assert paths[2].read_text(encoding="utf-8") == render(results, "table4")
    assert len(write_tables(results, tmp_path / "all")) == 5


def test_export_of_a_mistake_writes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "tables"
    results = fake_results(1)
    with pytest.raises(UsageError, match="unknown table 'table9'"):
        write_tables(results, folder, ["table1", "table9"])
    with pytest.raises(UsageError, match=r"unknown format 'pdf'. Use one of: markdown, csv"):
        write_tables(results, folder, formats=["markdown", "pdf"])
    with pytest.raises(UsageError, match="digits must be between 1 and 12, not 0"):
        write_tables(results, folder, digits=0)
    assert not folder.exists()
    folder.write_text("a file")
    with pytest.raises(OutputError, match=r"Cannot write .*table1.md"):
        write_tables(results, folder)


def test_results_of_several_kinds_are_refused() -> None:
    row = TABLE3.rows[0]
    mixed = some_results(fake_result(row, 0), fake_result(row, 1, budget="quick"))
    with pytest.raises(DataError, match=r"several budgets \(paper, quick\)"):
        render(mixed, "table3")
    other = some_results(fake_result(row, 0), fake_result(row, 0, configuration="ffff"))
    with pytest.raises(DataError, match="Several runs with the same repeat fit the row 'none'"):
        render(other, "table3")


def test_splits_are_side_by_side() -> None:
    intra = fake_results(3)
    inter = fake_results(2, changes={"split": "inter-patient"})
    text = compare_splits(intra, inter)
    (found,) = grids(text)
    assert len(found) == 16
    assert found[1][:3] == ["Simple CNN", "3", "2"]
    row = TABLES["table1"].rows[0]
    values = [fake_result(row, repeat)["test_f1_macro"] for repeat in range(3)]
    assert found[1][5] == str(Score(float(np.mean(values) - np.mean(values[:2]))))
    assert "NOT COMPARABLE" not in text
    parse_html(compare_splits(intra, inter, fmt="html"))
    check_latex(compare_splits(intra, inter, fmt="latex"))


def test_splits_of_a_small_budget_are_labelled() -> None:
    intra, inter = (
        fake_results(1, changes={"split": split, "budget": "quick"})
        for split in ("intra-patient", "inter-patient")
    )
    assert "NOT COMPARABLE" in compare_splits(intra, inter)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "The inter-patient results are of the split 'intra-patient'"),
        (
            {"split": "inter-patient", "budget": "quick"},
            "both splits: several budgets",
        ),
        (
            {"split": "inter-patient", "data": "ab"},
            "both splits: several data finger",
        ),
    ],
)
def test_splits_that_do_not_belong_together_are_refused(
    changes: dict[str, str], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        compare_splits(fake_results(1), fake_results(1, changes=changes))


def test_splits_of_which_one_is_not_trained_are_compared() -> None:
    (found,) = grids(compare_splits(fake_results(2), some_results()))
    assert found[1][2] == "0"
    assert found[1][4] == found[1][5] == "—"


@every_format
@pytest.mark.parametrize("seeds", [0, 2])
def test_the_row_of_keras_conventions_has_no_published_scores(fmt: str, seeds: int) -> None:
    # Rule: only where it is asked for, with our scores alone; the other rows stay as they are.
    rows = [*configurations(), *([TF_ROW] if seeds else [])]
    results = fake_results(2, rows)
    plain = render(results, "table1", fmt=fmt)
    assert TF_ROW.label not in plain
    text = render(results, find_table("table1", with_tf=True), fmt=fmt)
    assert TF_ROW.label in text
    if fmt == "markdown":
        first, before = grids(text)[0], grids(plain)[0]
        assert first[: len(before)] == before
        mine = first[len(before) :]
        assert mine[0][:3] == [TF_ROW.label, "1,686,725", "this study"]
        assert [line[2] for line in mine[1:]] == (
            ["95% interval", "95% prediction interval"] if seeds else []
        )


def test_only_table_1_has_a_row_of_keras_conventions() -> None:
    added = [row for row in configurations(with_tf=True) if row not in configurations()]
    assert added == [TF_ROW]
    for name in TABLES:
        assert (find_table(name, with_tf=True) == TABLES[name]) == (name != "table1")
