"""Rules of the sections of a report on planned runs."""

import plotly.graph_objects as go

from search_spaces.tables import TABLES, configurations
from study.show.report_grid import grid_sections
from tests.support.fake_results import fake_runs

ALL = [(row, seed) for row in configurations() for seed in range(2)]


class Places:
    """Keeps titles and sentences of the plots that it is given."""

    def __init__(self) -> None:
        """Start with none."""
        self.says: dict[str, str] = {}

    def place(self, figure: go.Figure, title: str, says: str) -> str:
        """Keep the sentence."""
        self.says[title] = says
        return f"[{title}]"


def test_all_runs_draw_every_table_and_miss_nothing() -> None:
    places = Places()
    trials = fake_runs(ALL)
    sections = grid_sections(trials, [trials], places)
    assert list(sections) == ["The published tables", "Classes and differences"]
    assert {table.title for table in TABLES.values()} < set(places.says)
    assert "no run yet" not in sections["The published tables"]
    assert "published values" in places.says[TABLES["table1"].title]


def test_a_row_without_a_run_is_named_with_its_time() -> None:
    # Rule: the estimate is the mean of the complete runs, times the rows that are missing.
    table = TABLES["table2"]
    trials = fake_runs([(table.rows[0], 0)])
    trials["seconds"] = 600.0
    text = grid_sections(trials, [trials], Places())["The published tables"]
    absent = [row.label for row in table.rows[1:]]
    assert f"{table.title}: no run yet of {', '.join(absent)}." in text
    assert f"about {10 * len(absent)} min in one worker" in text
    assert "1 complete run on the hardware that trained" in text


def test_an_empty_study_promises_no_time() -> None:
    trials = fake_runs([])
    text = grid_sections(trials, [trials], Places())["The published tables"]
    assert text.count("no run yet of any row") == len(TABLES)
    assert "about" not in text


def test_runs_of_a_reduced_budget_are_not_set_beside_published_ones() -> None:
    places = Places()
    trials = fake_runs(ALL, budget="quick")
    grid_sections(trials, [trials], places)
    assert "NOT COMPARABLE" in places.says[TABLES["table1"].title]


def test_only_a_study_that_differs_in_the_split_alone_is_the_other_split() -> None:
    mine, other, reduced = (
        fake_runs(ALL, **changes)
        for changes in (
            {},
            {"split": "inter-patient"},
            {"split": "inter-patient", "budget": "quick"},
        )
    )
    assert "Both splits" in grid_sections(mine, [mine, other, reduced], Places())
    assert "Both splits" not in grid_sections(mine, [mine, reduced], Places())


def test_a_study_of_another_space_has_no_sections() -> None:
    assert grid_sections(fake_runs(ALL, space="confirm:s"), [], Places()) == {}
