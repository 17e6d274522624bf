import pytest

from ecg.budget import BUDGETS
from ecg.errors import UsageError
from ecg.metrics import SCORES, scores
from ecg.models import build, count_parameters
from ecg.training.config import OPTIONS, TrainConfig
from search_spaces.tables import (
    COLUMN_TITLES,
    PUBLISHED_BASELINE,
    TABLES,
    Table,
    TableRow,
    configurations,
    find_table,
)
from tests.ecg.test_metrics import SIMPLE_CNN
from tests.support.toy import EACH_OPTION

every_table = pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))


def test_nineteen_rows_are_fifteen_configurations() -> None:
    # The baseline is a row of all five tables and is trained once.
    assert sum(len(table.rows) for table in TABLES.values()) == 19
    found = configurations()
    assert len(found) == 15
    assert len({row.label for row in found}) == 15
    assert len({TrainConfig.from_fields(row.fields).digest for row in found}) == 15


def test_configurations_of_some_tables() -> None:
    assert [row.label for row in configurations(["table2"])] == ["Adam", "Coupled CNN (baseline)"]
    assert [row.label for row in configurations(["table5", "table3"])] == [
        "Coupled CNN (baseline)", "ratio 0.1", "ratio 0.25", "ratio 0.5", "ratio 1.0",
        "LrScheduler 0.2", "LrScheduler 0.5", "LrScheduler 0.8",
    ]  # fmt: skip
    assert configurations([]) == ()


def test_baseline_is_that_of_the_training_configuration() -> None:
    # The baseline is defined twice, so that tables can be rendered without training.
    fields = TrainConfig().to_fields()
    assert {name: fields[name] for name in PUBLISHED_BASELINE} == dict(PUBLISHED_BASELINE)


@every_table
def test_every_row_is_a_training_configuration(table: Table) -> None:
    for row in table.rows:
        config = TrainConfig.from_fields(row.fields)
        assert row.matches(config.to_fields())
        others = [other for other in table.rows if other is not row]
        assert not any(other.matches(config.to_fields()) for other in others)


@every_table
def test_published_scores_fit_rows_and_columns(table: Table) -> None:
    assert set(table.columns) <= set(SCORES) == set(COLUMN_TITLES)
    assert list(table.published) == [row.label for row in table.rows]
    for published in table.published.values():
        assert len(published) == len(table.columns)
        assert all(0.7 < score < 1 and round(score, 4) == score for score in published)
    assert [row for row in table.rows if row.is_baseline] == [table.baseline]


def test_published_scores_of_the_baseline_contradict_each_other_in_one_column_only() -> None:
    stated: dict[str, list[float]] = {}
    for table in TABLES.values():
        published = table.published[table.baseline.label]
        for column, score in zip(table.columns, published, strict=True):
            stated.setdefault(column, []).append(score)
    contradictory = [column for column, found in stated.items() if len(set(found)) > 1]
    assert contradictory == ["f1_macro"]
    assert stated["f1_macro"] == [0.9290, 0.9201, 0.9201, 0.9290, 0.9290]


def test_published_scores_of_the_simple_cnn_follow_from_its_published_matrix() -> None:
    table = TABLES["table1"]
    found = scores(SIMPLE_CNN)
    computed = tuple(round(found[column], 4) for column in table.columns)
    assert computed == table.published["Simple CNN"]


def test_parameter_counts_are_those_of_the_models() -> None:
    table = TABLES["table1"]
    for row in table.rows:
        model = build(row.configuration["model"])
        assert count_parameters(model) == table.parameters[row.label]


def test_columns_are_titled_as_published() -> None:
    titles = [COLUMN_TITLES[column] for column in TABLES["table4"].columns]
    assert titles == [
        "Recall(M)", "Specificity(M)", "Precision(M)", "F1-score(M)",
        "Recall(W)", "Specificity(W)", "Precision(W)", "F1-score(W)",
    ]  # fmt: skip


def test_a_row_matches_only_complete_configurations() -> None:
    # A configuration without a varied field does not count as the baseline.
    assert TableRow("x").matches({**PUBLISHED_BASELINE, "batch_size": 64, "seed": 3, "patience": 5})
    assert not TableRow("x").matches({**PUBLISHED_BASELINE, "batch_size": 32})
    assert not TableRow("x").matches({**PUBLISHED_BASELINE, "learning_rate": 3e-3})
    assert not TableRow("x").matches({})
    assert not TableRow("x").matches({**PUBLISHED_BASELINE, "alpha": 0.1})


@pytest.mark.parametrize("option", EACH_OPTION, ids="-".join)
def test_no_row_matches_a_configuration_beyond_the_published_protocol(option: dict) -> None:
    # Its scores must never be compared with published ones.
    assert not TableRow("x").matches(TrainConfig(**option).to_fields())


def test_rows_are_those_of_the_protocol_at_every_budget() -> None:
    # The schedule belongs to the budget, which every table names.
    for budget in BUDGETS.values():
        assert TableRow("x").matches(TrainConfig().within(budget).to_fields())
    columns = {**TrainConfig().to_fields(), **dict.fromkeys(OPTIONS)}  # as a results file has them
    assert TableRow("x").matches(columns)


def test_unknown_table_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"'table6'\. Use one of: table1, table2"):
        find_table("table6")
    with pytest.raises(UsageError, match="unknown table"):
        configurations(["table0"])
