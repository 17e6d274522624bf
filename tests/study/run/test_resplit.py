"""`run --resplit`: every seed of a table draws its own split."""

from collections.abc import Callable
from typing import Any

import pytest

from ecg.splits import REDRAWN, make_split
from study.storage.studies import load_study, open_storage
from study.trials import trial as trial_module
from tests.study.conftest import TOY_BEATS
from tests.support.setting import Typed
from tests.support.toy import toy_heartbeats

Command = Callable[..., Typed]


def test_every_seed_can_draw_its_own_split(
    typed: Command,
    toy_data: None,
    small_table: str,
    sqlite_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Rule: with --resplit the seed of the split is the repeat, and the study has another identity.
    used: list[tuple[int, list[int]]] = []
    beats = toy_heartbeats(TOY_BEATS)
    splits = [make_split(REDRAWN, beats, draw=draw) for draw in (0, 1)]
    labels = [beats.labels[split.test].tolist() for split in splits]
    real = trial_module.measure

    def measured(config: Any, weights: Any, part: Any, precision: str) -> Any:
        used.append((config.seed, part.signals[:, 0, :3].ravel().tolist()))
        assert part.labels.tolist() in labels
        return real(config, weights, part, precision)

    monkeypatch.setattr(trial_module, "measure", measured)
    done = typed(
        "run", "--space", small_table, "--seeds", 2, "--resplit", "--jobs", 1,
        "--data", "synthetic", "--budget", "smoke", "--storage", sqlite_url,
    )  # fmt: skip
    assert done.code == 0, done.err
    name = "tables-synthetic-intra-patient-resplit-smoke"
    trials = load_study(open_storage(sqlite_url), name).get_trials()
    assert {trial.user_attrs["split"] for trial in trials} == {REDRAWN}
    parts = dict(used)
    assert len(used) == 4
    assert len(parts) == 2  # one part per seed, the same for both configurations
    assert all(part == parts[seed] for seed, part in used)
    assert len({tuple(part) for part in parts.values()}) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--resplit",), "Use --resplit with a published table"),
        (("--space", "table2", "--resplit", "--split", "inter-patient"), "Use --split intra-pat"),
        (("--space", "table2", "--split", "intra-patient-resplit"), "--resplit to draw a split"),
    ],
)
def test_resplit_is_refused_where_it_makes_no_sense(
    typed: Command, sqlite_url: str, words: tuple[str, ...], message: str
) -> None:
    refused = typed("run", *words, "--storage", sqlite_url)
    assert refused.code == 2
    assert message in refused.err
