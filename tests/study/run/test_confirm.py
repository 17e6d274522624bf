"""The winners of a search, on fresh seeds and the test part."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from ecg.errors import UsageError
from ecg.metrics import scores
from study.run.confirm import choose
from study.storage.trials_table import load_records
from study.tables.confirmation import compare_configurations
from tests.support.setting import Typed

NAME = "tiny-synthetic-intra-patient-smoke"
SHARED = ("--data", "synthetic", "--storage")


def drawn(records: pd.DataFrame, chosen: dict[str, dict[str, object]]) -> str:
    """Return a comparison as text."""
    console = Console(width=150, record=True, quiet=False, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(compare_configurations(records, chosen))
    return console.export_text()


def cells(seeds: int, gain: float) -> tuple[pd.DataFrame, dict[str, dict[str, object]]]:
    """Return records of a baseline and of a configuration that is better by about `gain`."""
    rng = np.random.default_rng(0)
    chosen = {"baseline": {"alpha": 0.0}, "trial 3": {"alpha": 0.5}}
    rows = []
    for name, fields in chosen.items():
        for repeat in range(seeds):
            right = 60 + rng.integers(0, 5) + (round(100 * gain) if name != "baseline" else 0)
            confusion = np.full((5, 5), (100 - right) // 4) + np.eye(5, dtype=int) * right
            rows.append(
                {
                    "state": "complete",
                    "config": {**fields, "seed": repeat},
                    "cell": {"repeat": repeat},
                    "test_confusion": confusion.tolist(),
                    **{f"test_{k}": v for k, v in scores(confusion).items()},
                }
            )
    complete = {"model": "m", "optimizer": "o", "learning_rate": 1e-3, "weight_decay": 0.0,
                "scheduler_factor": None, "ratio": None}  # fmt: skip
    chosen = {name: {**complete, **fields} for name, fields in chosen.items()}
    for row in rows:
        row["config"] = {**complete, **row["config"]}
    return pd.DataFrame(rows), chosen


def test_below_six_seeds_no_p_value_is_printed() -> None:
    # Five pairs reach p = 0.0625 at best.
    text = drawn(*cells(5, gain=0.2))
    assert "no significance can be reached with 5 seeds" in text
    assert "0.0625" in text.splitlines()[-2] + text.splitlines()[-1]
    assert "Wilcoxon signed-rank test against" not in text


def test_six_seeds_that_all_agree_are_corrected_for_two_tests() -> None:
    # p = 2 * 0.5**6 of each of the two figures; Holm doubles the smaller one.
    text = drawn(*cells(6, gain=0.2))
    assert text.count("0.0625") == 2
    assert "0.0312" not in text


def test_a_confirmation_reads_the_test_part_once_a_run(
    typed: Callable[..., Typed], toy_data: None, tiny: Path, sqlite_url: str
) -> None:
    # Every reading is on record with time and reason; the search itself never reads it.
    search = ("run", "--space", tiny, "--budget", "smoke", "--trials", 2, *SHARED, sqlite_url)
    assert typed(*search).code == 0
    confirm = ("confirm", NAME, "--top", 1, "--seeds", 2, *SHARED, sqlite_url)
    found = typed(*confirm)
    assert (found.code, found.err) == (0, "")
    assert "no significance can be reached with 2 seeds" in found.out
    assert "the test part was never read" in typed("show", NAME, "--storage", sqlite_url).out

    records = load_records(sqlite_url, f"{NAME}-confirm")
    assert records["state"].tolist() == ["complete"] * len(records)
    assert [read["reason"] for read in records["test_read"]] == [
        f"confirming the winners of '{NAME}'"
    ] * len(records)
    searched = load_records(sqlite_url, NAME)
    assert not set(records["seed"]) & set(searched["seed"])
    shown = typed("show", f"{NAME}-confirm", "--storage", sqlite_url).out
    assert f"the test part was read {len(records)} times" in shown

    # The same command reads nothing again, more seeds only the new ones.
    assert typed(*confirm).code == 0
    assert len(load_records(sqlite_url, f"{NAME}-confirm")) == len(records)


def test_other_data_is_refused(
    typed: Callable[..., Typed], toy_data: None, tiny: Path, sqlite_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    # A winner is confirmed on the data it was found on.
    search = ("run", "--space", tiny, "--budget", "smoke", "--trials", 1, *SHARED, sqlite_url)
    assert typed(*search).code == 0
    from tests.support.toy import toy_heartbeats

    other = toy_heartbeats(1200)
    monkeypatch.setattr("ecg.sources.synthetic.generate", lambda: other)
    refused = typed("confirm", NAME, *SHARED, sqlite_url)
    assert refused.code == 2
    assert "made with other data" in refused.err


def test_the_baseline_must_be_complete() -> None:
    # Nothing can be compared with a baseline that is not there.
    records = pd.DataFrame({"state": ["running"], "baseline": [True], "value": [None]})
    with pytest.raises(UsageError, match="baseline trial of this study is not complete"):
        choose(records, 3)
