import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import FrozenTrial, TrialState, create_trial
from pandas.testing import assert_frame_equal

from ecg.budget import BUDGETS
from ecg.errors import DataError, OutputError
from ecg.metrics import SCORES, scores
from ecg.training.config import TrainConfig
from search_spaces.tables import configurations
from study.run.planned_runs import plan_runs, queue_missing
from study.storage.results import (
    CONFIG_COLUMNS,
    FIRST,
    FORMAT,
    LAST,
    read_results,
    results_of_rows,
    rows_of_results,
    runs_of_study,
    write_results,
)
from tests.support.fake_results import fake_confusion, fake_result, fake_results, unfinished_result
from tests.support.toy import rule

BASELINE_ROW = configurations(["table2"])[1]
ADAM_ROW = configurations(["table2"])[0]
texts = st.text(max_size=30)
counts = st.lists(st.integers(0, 10**7), min_size=5, max_size=5)
numbers = st.integers(100, 234).map(str)  # of records
confusions = st.lists(counts, min_size=5, max_size=5).filter(lambda m: any(map(any, m)))
config_values = st.one_of(
    st.none(), st.integers(-(10**9), 10**9), st.floats(allow_nan=False, allow_infinity=False)
)
any_row = st.sampled_from(configurations())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.csv"


@st.composite
def runs(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Runs of one kind, complete or not, with any text and any matrix."""
    keys = draw(st.lists(st.tuples(any_row, st.integers(0, 40)), max_size=5, unique_by=str))
    extra = draw(st.dictionaries(st.sampled_from(["config_width", "config_seed"]), config_values))
    found = []
    for row, repeat in keys:
        text = {
            name: draw(texts) for name in ("device_name", "failure", "stop_reason", "finished_at")
        }
        if draw(st.booleans()):
            state = draw(st.sampled_from(["fail", "running", "waiting", "missing"]))
            found.append(unfinished_result(row, repeat, state, **extra, **text))
            continue
        matrices = {part: draw(confusions) for part in ("validation", "test")}
        by_record = draw(st.none() | st.dictionaries(numbers, confusions, min_size=1, max_size=3))
        if by_record is not None:
            matrices["test"] = np.sum(list(by_record.values()), axis=0).tolist()
        measured = {
            f"{part}_{score}": value
            for part, matrix in matrices.items()
            for score, value in scores(matrix).items()
        }
        found.append(
            fake_result(
                row,
                repeat,
                confusion=matrices["validation"],
                test_confusion=matrices["test"],
                test_by_record=by_record,
                versions=draw(st.dictionaries(texts, texts, max_size=2)),
                seconds=draw(st.floats(0, 1e9)),
                seed=draw(st.integers(0, 2**31 - 1)),
                **measured, **extra, **text,
            )
        )  # fmt: skip
    return found


@settings(rule, max_examples=25)
@given(runs())
def test_written_results_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, runs: list[dict[str, Any]]
) -> None:
    path = tmp_path_factory.mktemp("results") / "results.csv"
    table = results_of_rows(runs)
    assert ("test_by_record" in table) == any(run.get("test_by_record") for run in runs)
    write_results(table, path)
    assert_frame_equal(read_results(path), table)


def test_equal_results_give_equal_bytes_in_any_order(tmp_path: Path) -> None:
    table = fake_results(3)
    shuffled = table.sample(frac=1, random_state=5)[list(table.columns[::-1])]
    write_results(table, tmp_path / "one.csv")
    write_results(shuffled, tmp_path / "other.csv")
    content = (tmp_path / "one.csv").read_bytes()
    assert content == (tmp_path / "other.csv").read_bytes()
    assert b"\r" not in content
    assert content.count(b"\n") == 1 + 45  # one line per run


def test_rows_stand_in_the_order_of_the_published_configurations() -> None:
    table = fake_results(2)
    labels = [
        next(row.label for row in configurations() if row.matches(config))
        for config in (
            {name.removeprefix("config_"): cell.get(name) for name in CONFIG_COLUMNS}
            for cell in rows_of_results(table)
        )
    ]
    assert labels == [row.label for row in configurations() for _ in range(2)]
    assert list(table["repeat"]) == [0, 1] * 15


def test_columns_are_those_of_the_schema(path: Path) -> None:
    write_results(fake_results(1), path)
    with path.open(newline="") as file:
        header = next(csv.reader(file))
    extra = ["config_batch_size", "config_learning_rate", "config_seed"]
    assert header == ["format", *FIRST, *CONFIG_COLUMNS, *extra, *LAST]


def test_results_have_every_field_of_the_training_configuration(path: Path) -> None:
    # Also those that no published table varies.
    fields = TrainConfig(seed=7).to_fields()
    run = fake_result(BASELINE_ROW, 0, **{f"config_{name}": v for name, v in fields.items()})
    write_results(results_of_rows([run]), path)
    read = next(rows_of_results(read_results(path)))
    found = {name: read.get(f"config_{name}") for name in TrainConfig.field_names()}
    assert TrainConfig.from_fields(found) == TrainConfig(seed=7)


def test_no_runs_are_results(path: Path) -> None:
    write_results(results_of_rows([]), path)
    assert read_results(path).empty


def test_a_file_of_another_format_is_refused(path: Path) -> None:
    # Rule: a results file names its format; older and newer ones are refused with what to do.
    write_results(fake_results(1), path)
    good = pd.read_csv(path, dtype=str)
    assert set(good["format"]) == {str(FORMAT)}
    older = good.drop(columns=["format", "study_seed", "precision", "protocol", "device_name"])
    older.to_csv(path, index=False)
    with pytest.raises(DataError, match=r"older version .* Train its runs again with this version"):
        read_results(path)
    good.assign(format=FORMAT + 1, colour="red").to_csv(path, index=False)
    with pytest.raises(DataError, match=r"newer version .* Update the project"):
        read_results(path)
    good.assign(format="x").to_csv(path, index=False)
    with pytest.raises(DataError, match="line 2: the format is 'x', not 2"):
        read_results(path)


def test_failure_of_several_lines_stays_one_record(path: Path) -> None:
    failure = 'RuntimeError: "a, b"\r\n  at line 3\x00\u2028end'
    write_results(results_of_rows([unfinished_result(ADAM_ROW, 0, "fail", failure=failure)]), path)
    assert read_results(path)["failure"][0] == 'RuntimeError: "a, b" at line 3 end'


def damage(path: Path, change: Callable[[dict[str, str]], object], row: int = 1) -> None:
    """Write good results of two runs, then change one of them in the file."""
    write_results(fake_results(2, rows=[BASELINE_ROW]), path)
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    change(lines[row])
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, lines[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)


BAD_RUNS = {
    "confusion": [
        ("[[1,2],[3,4]]", "confusion must be 5 rows of 5 counts"),
        ("[[1,2", "confusion is not valid JSON"),
        ("[[NaN]]", "confusion is not valid JSON"),
        ("{}", "confusion must be 5 rows"),
        ("12", "confusion must be a list or a mapping"),
        ("", "is complete but has no confusion"),
        (json.dumps([[0] * 5] * 5), "has no beats"),
        (json.dumps([[-1] * 5] * 5), "whole numbers of 0 or more, not -1"),
        (json.dumps([[1.5] * 5] * 5), "whole numbers of 0 or more, not 1.5"),
        (json.dumps([[True] * 5] * 5), "whole numbers of 0 or more, not True"),
        (json.dumps([[10**400] * 5] * 5), "whole numbers"),
    ],
    "test_confusion": [
        (json.dumps([[1] * 5] * 5), "test_recall_macro is .* but its test_confusion gives 0.2"),
    ],
    "test_f1_macro": [
        ("0.99", "test_f1_macro is 0.99, but its test_confusion gives"),
        ("", "is complete but has no test_f1_macro"),
        ("nan", "test_f1_macro must be a number"),
        ("1e999", "test_f1_macro must be a finite number"),
        ("high", "test_f1_macro must be a number, not 'high'"),
    ],
    "validation_recall_weighted": [("0.5", "validation_recall_weighted is 0.5, but its confusion")],
    "repeat": [
        ("0", "repeats the run in .*line 2"),
        ("-1", "repeat must be 0 or more"),
        ("1.5", "repeat must be a whole number"),
        ("", "needs a configuration and a repeat"),
    ],
    "state": [("done", "unknown state 'done'. Use one of: complete")],
    "versions": [("[]", "versions must be a mapping"), ("{", "versions is not valid JSON")],
    "data": [("", "complete but has no data")],
}


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [(column, *case) for column, cases in BAD_RUNS.items() for case in cases],
)
def test_bad_values_are_refused_with_file_and_line(
    path: Path, column: str, value: str, message: str
) -> None:
    damage(path, lambda row: row.update({column: value}))
    with pytest.raises(DataError, match=rf"results.csv, line 3: .*{message}"):
        read_results(path)


@pytest.mark.parametrize(
    ("column", "value", "title"),
    [
        ("data", "f" * 64, "data fingerprints"),
        ("split", "inter-patient", "splits"),
        ("budget", "quick", "budgets"),
        ("source", "synthetic", "data sources"),
        ("device", "cuda", "devices"),
        ("precision", "bf16", "precisions"),
        ("protocol", "1", "protocols"),
        ("study_seed", "5", "study seeds"),
    ],
)
def test_mixed_results_are_refused(path: Path, column: str, value: str, title: str) -> None:
    damage(path, lambda row: row.update({column: value}))
    with pytest.raises(DataError, match=rf"results.csv: several {title} \(.*{value}"):
        read_results(path)
    mixed = results_of_rows([fake_result(ADAM_ROW, 0), fake_result(ADAM_ROW, 1, **{column: value})])
    with pytest.raises(DataError, match=f"several {title}"):
        write_results(mixed, path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a CSV file of results"),
        (b"a,b\n1,2\n", "is not a CSV file of results"),
        (b"\x80\x81\xff", "not UTF-8 text"),
        (b"\x00\x01\x02", "is not a CSV file of results"),
        (b'configuration,"repeat\n', "not CSV"),
    ],
)
def test_other_files_are_refused(path: Path, content: bytes, message: str) -> None:
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_results(path)


def test_missing_file_and_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Cannot read the results .*none.csv: No such file"):
        read_results(tmp_path / "none.csv")
    with pytest.raises(DataError, match="Cannot read the results"):
        read_results(tmp_path)


def test_missing_unknown_and_repeated_columns_are_named(path: Path) -> None:
    write_results(fake_results(1), path)
    good = pd.read_csv(path, dtype=str)
    good.drop(columns=["seed", "test_f1_macro", "config_alpha"]).to_csv(path, index=False)
    with pytest.raises(DataError, match="missing columns: seed, config_alpha, test_f1_macro"):
        read_results(path)
    good.assign(colour="red").to_csv(path, index=False)
    with pytest.raises(DataError, match="unknown column 'colour'"):
        read_results(path)
    good.rename(columns={"config_seed": "seed"}).to_csv(path, index=False)
    with pytest.raises(DataError, match="column 'seed' twice"):
        read_results(path)


def test_torn_line_is_refused(path: Path) -> None:
    write_results(fake_results(1), path)
    path.write_text(path.read_text() + "0123,1\n")
    with pytest.raises(DataError, match=r"line 17: 2 values for \d+ columns"):
        read_results(path)


def test_failed_write_leaves_the_old_file(tmp_path: Path, path: Path) -> None:
    # Bad results are refused before anything is written; a place that cannot be is named.
    write_results(fake_results(1), path)
    before = path.read_bytes()
    with pytest.raises(DataError, match=r"run .*, repeat 0: .*has no test_confusion"):
        write_results(results_of_rows([fake_result(ADAM_ROW, 0, test_confusion=None)]), path)
    assert path.read_bytes() == before
    with pytest.raises(OutputError, match=r"Cannot write .*results.csv"):
        write_results(fake_results(1), path / "results.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(OutputError, match=r"Cannot write .*folder.csv"):
        write_results(fake_results(1), tmp_path / "folder.csv")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder.csv", "results.csv"]


def trial_of(run: dict[str, Any], state: TrialState = TrialState.COMPLETE) -> FrozenTrial:
    """A trial as a worker leaves it."""
    fields = {k.removeprefix("config_"): v for k, v in run.items() if k.startswith("config_")}
    planned = {"configuration": run["configuration"], "repeat": run["repeat"], "fields": fields}
    attributes: dict[str, Any] = {"cell": planned, "config": fields}
    attributes |= {name: run[name] for name in LAST if name in run}
    for part in ("validation", "test"):
        attributes[part] = {
            score: attributes.pop(f"{part}_{score}")
            for score in SCORES
            if f"{part}_{score}" in attributes
        }
    value = run.get("validation_f1_macro") if state == TrialState.COMPLETE else None
    return create_trial(state=state, value=value, user_attrs=attributes)


def study_of(*trials: FrozenTrial) -> optuna.Study:
    study = optuna.create_study(direction="maximize")
    study.add_trials(trials)
    return study


def test_runs_of_a_study_are_those_of_its_trials(path: Path) -> None:
    runs = [fake_result(row, repeat) for row in (ADAM_ROW, BASELINE_ROW) for repeat in range(2)]
    study = study_of(*(trial_of(run) for run in runs))
    study.enqueue_trial({})  # no run
    found = runs_of_study(study)
    assert_frame_equal(found, results_of_rows(runs))
    write_results(found, path)
    assert_frame_equal(read_results(path), found)


def test_newest_complete_trial_of_a_cell_counts() -> None:
    matrices = [fake_confusion(np.random.default_rng(seed)) for seed in range(2)]
    done = [
        fake_result(ADAM_ROW, 0, test_confusion=matrix)
        | {f"test_{name}": value for name, value in scores(matrix).items()}
        for matrix in matrices
    ]
    failed = unfinished_result(ADAM_ROW, 0, "fail", failure="lost")
    study = study_of(
        trial_of(failed, TrialState.FAIL), *map(trial_of, done), trial_of(failed, TrialState.FAIL)
    )
    found = runs_of_study(study)
    assert list(found["state"]) == ["complete"]
    assert found["test_confusion"][0] == matrices[1]


def test_newest_trial_counts_where_none_is_complete() -> None:
    run = unfinished_result(ADAM_ROW, 0, "fail")
    study = study_of(
        trial_of(run | {"failure": "first"}, TrialState.FAIL),
        trial_of(run | {"failure": "second"}, TrialState.FAIL),
    )
    assert list(runs_of_study(study)["failure"]) == ["second"]
    study.add_trial(trial_of(run, TrialState.WAITING))
    assert list(runs_of_study(study)["state"]) == ["waiting"]
    study.add_trial(trial_of(run, TrialState.PRUNED))
    assert list(runs_of_study(study)["state"]) == ["fail"]


def test_cell_that_nobody_began_is_known_by_its_plan(path: Path) -> None:
    # As `study.run.planned_runs` queues it; data, split and budget are those of the study.
    run = plan_runs([ADAM_ROW.fields], 1, BUDGETS["quick"], seed=3)[0]
    study = study_of()
    shared = {"source": "mitdb", "data": "ab", "split": "intra-patient", "budget": "quick"}
    identity = {**shared, "seed": 3}
    study.set_user_attr("identity", identity)
    queue_missing(study, [run])
    found = runs_of_study(study)
    row = next(rows_of_results(found))
    assert (row["configuration"], row["repeat"], row["state"]) == (*run.key, "waiting")
    assert (row["seed"], row["config_seed"]) == (run.config.seed, run.config.seed)
    assert (row["source"], row["split"], row["budget"]) == ("mitdb", "intra-patient", "quick")
    assert ADAM_ROW.matches({name.removeprefix("config_"): v for name, v in row.items()})
    write_results(found, path)
    assert_frame_equal(read_results(path), found)


def test_study_without_runs_has_no_results() -> None:
    found = runs_of_study(study_of())
    assert found.empty
    assert {f"test_{score}" for score in SCORES} <= set(found.columns)
