"""The winners of a search, on fresh seeds and the test part."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from ecg.errors import UsageError
from ecg.metrics import scores
from ecg.statistics import interval_of_mean
from study.run.confirm import choose, find_ensemble
from study.show.confirmation import show_confirmation
from study.show.report import render_report
from study.storage.artifacts import artifact_folder, read_test_predictions
from study.storage.attributes import PLANNED
from study.storage.confirmation import Confirmation, make_confirmation
from study.storage.studies import load_study, open_storage
from study.storage.trials_table import load_trials
from study.tables.confirmation import render_confirmation
from study.tables.formats import FORMATS
from tests.support.setting import IDENTITY, Typed

NAME = "tiny-synthetic-intra-patient-smoke"
SHARED = ("--data", "synthetic", "--storage")


def confirmation(seeds: int, gain: float = 0.2, winners: int = 1) -> Confirmation:
    """Return a baseline and configurations that are better by about `gain` on every seed."""
    rng = np.random.default_rng(0)
    chosen = {"baseline": {"alpha": 0.0}}
    chosen |= {f"trial {number}": {"alpha": 0.1 * number} for number in range(3, 3 + winners)}
    rows = []
    for name, fields in chosen.items():
        for repeat in range(seeds):
            right = 60 + rng.integers(0, 5) + (round(100 * gain) if name != "baseline" else 0)
            confusion = np.full((5, 5), (100 - right) // 4) + np.eye(5, dtype=int) * right
            rows.append(
                {
                    "state": "complete",
                    "config": {**fields, "seed": repeat},
                    PLANNED: {"repeat": repeat},
                    "test_confusion": confusion.tolist(),
                    **{f"test_{k}": v for k, v in scores(confusion).items()},
                }
            )
    return make_confirmation("s-confirm", asdict(IDENTITY), {"chosen": chosen}, rows)


def drawn(found: Confirmation) -> str:
    """Return a comparison as a terminal shows it."""
    console = Console(width=400, record=True, quiet=False, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(show_confirmation(found))
    return console.export_text()


@pytest.mark.parametrize(("seeds", "reached"), [(6, "0.188"), (7, "0.0938")])
def test_three_winners_say_what_p_can_be_reached(seeds: int, reached: str) -> None:
    text = drawn(confirmation(seeds, winners=3))
    assert "no difference can be significant at the 5% level" in text
    assert f"can reach is {reached} after Holm's correction over 6 tests" in text
    assert "Use 8 seeds or more." in text
    assert "that differ from" not in text


def test_three_winners_that_are_better_on_eight_seeds_differ() -> None:
    text = drawn(confirmation(8, winners=3))
    assert text.count("0.0469") == 6
    assert "F1(M): trial 3, trial 4, trial 5; F1(W): trial 3, trial 4, trial 5" in text


def test_six_seeds_that_all_agree_are_corrected_for_two_tests() -> None:
    # p = 2 * 0.5**6 of each of the two scores; Holm doubles the smaller one.
    text = drawn(confirmation(6))
    assert text.count("0.0625") == 3  # twice in the table, once in what can be reached
    assert "0.0312" not in text


def test_a_confirmation_has_intervals_by_student_and_a_note_on_its_draw() -> None:
    found = confirmation(3)
    values = [run["test_f1_macro"] for run in found.runs["trial 3"]]
    low, high = interval_of_mean(values)
    text = drawn(found)
    assert f"{low:.4f} to {high:.4f}" in text
    assert "That choice alone varies F1(M) with a standard deviation of" in text


@pytest.mark.parametrize("fmt", FORMATS)
def test_a_confirmation_of_a_small_budget_is_exported_with_the_caution(fmt: str) -> None:
    text = render_confirmation(confirmation(3), fmt=fmt)
    assert "NOT COMPARABLE WITH THE PUBLISHED SCORES" in text
    assert text == render_confirmation(confirmation(3), fmt=fmt)


def test_a_confirmation_reads_the_test_part_once_per_run(
    typed: Callable[..., Typed], toy_data: None, tiny: Path, sqlite_url: str, tmp_path: Path
) -> None:
    # Every reading is logged with time and reason; the search itself never reads it.
    search = ("run", "--space", tiny, "--budget", "smoke", "--trials", 2, *SHARED, sqlite_url)
    assert typed(*search).code == 0
    confirm = ("confirm", NAME, "--top", 1, "--seeds", 2, *SHARED, sqlite_url)
    show = ("show", NAME, "--storage", sqlite_url)
    assert "The test part was not read." in typed(*show).out
    found = typed(*confirm)
    assert (found.code, found.err) == (0, "")
    assert "no difference can be significant" in " ".join(found.out.split())
    assert f"The test part was read 4 times by the study {NAME}-confirm." in typed(*show).out

    trials = load_trials(sqlite_url, f"{NAME}-confirm")
    assert trials["state"].tolist() == ["complete"] * len(trials)
    assert [read["reason"] for read in trials["test_read"]] == [
        f"confirming the winners of '{NAME}'"
    ] * len(trials)
    searched = load_trials(sqlite_url, NAME)
    assert not set(trials["seed"]) & set(searched["seed"])
    shown = typed("show", f"{NAME}-confirm", "--storage", sqlite_url).out
    assert f"The test part was read {len(trials)} times" in shown

    # The findings are kept: `show` and the report of the search and of its confirmation print them.
    for name in (NAME, f"{NAME}-confirm"):
        text = typed("show", name, "--storage", sqlite_url).out
        assert "confirmed on the test part" in text
        assert "baseline, ensemble" in text
        page = render_report([load_trials(sqlite_url, name)])
        assert "Confirmed on the test part" in page
        assert "ensemble is not a single run" in page
    folder = tmp_path / "tables"
    exported = typed(
        "export-tables", f"{NAME}-confirm", "--output", folder, "--storage", sqlite_url
    )
    assert (exported.code, exported.err) == (0, "")
    table = (folder / f"{NAME}-confirm" / "confirmation.md").read_text(encoding="utf-8")
    assert "NOT COMPARABLE WITH THE PUBLISHED SCORES" in table
    assert table.index("| baseline") < table.index("Ensembles") < table.index("baseline, ens")

    # The same command reads nothing again; more seeds read once per new run.
    assert typed(*confirm).code == 0
    assert len(load_trials(sqlite_url, f"{NAME}-confirm")) == len(trials)


def test_other_data_is_refused(
    typed: Callable[..., Typed], toy_data: None, tiny: Path, sqlite_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    # A winner is confirmed on the data of its search.
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
    rows = [{"number": 0, "state": "running", "baseline": True, "value": None, "config": {}}]
    with pytest.raises(UsageError, match="baseline trial of this study is not complete"):
        choose(rows, 3)


def test_an_ensemble_is_the_mean_of_the_probabilities(
    typed: Callable[..., Typed], toy_data: None, tiny: Path, sqlite_url: str
) -> None:
    # Rule: what each run alone predicts is what it was measured by; their mean is the ensemble.
    search = ("run", "--space", tiny, "--budget", "smoke", "--trials", 1, *SHARED, sqlite_url)
    assert typed(*search).code == 0
    assert typed("confirm", NAME, "--seeds", 3, *SHARED, sqlite_url).code == 0
    study = load_study(open_storage(sqlite_url), f"{NAME}-confirm")
    folder = artifact_folder(sqlite_url)
    trials = study.get_trials()
    total = np.zeros(())
    for trial in trials:
        found = read_test_predictions(trial, folder)
        assert found is not None
        probabilities, labels = found
        assert probabilities.dtype == np.float16
        confusion = np.zeros((5, 5), dtype=int)
        np.add.at(confusion, (labels, probabilities.argmax(axis=1)), 1)
        assert confusion.tolist() == trial.user_attrs["test_confusion"]
        total = total + probabilities.astype(float)
    confusion = np.zeros((5, 5), dtype=int)
    np.add.at(confusion, (labels, total.argmax(axis=1)), 1)
    fields = {k: v for k, v in trials[0].user_attrs["config"].items() if k != "seed"}
    expected = {"runs": 3, "confusion": confusion.tolist()}
    assert find_ensemble(study, fields, folder) == expected
    assert study.user_attrs["confirmation"]["ensembles"] == {"baseline": expected}
    for path in folder.iterdir():
        path.unlink()
    assert find_ensemble(study, fields, folder) is None
