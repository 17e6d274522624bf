"""Results without training: seeded random confusion matrices in the shape of real ones."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import numpy as np
import pandas as pd

from ecg.metrics import scores
from ecg.training.config import PROTOCOL
from search_spaces.tables import TableRow, configurations
from study.storage.attributes import PLANNED
from study.storage.results import results_of_rows
from study.storage.results_checks import SHARED

TEST_COUNTS = (18118, 556, 1448, 162, 1608)
# Chance of each class to be recognised.
RECALL = (0.994, 0.76, 0.955, 0.79, 0.986)


def fake_confusion(
    rng: np.random.Generator, *, easier: float = 0.0, counts: Sequence[int] = TEST_COUNTS
) -> list[list[int]]:
    matrix = []
    for label, (count, recall) in enumerate(zip(counts, RECALL, strict=True)):
        hit = min(1.0, max(0.0, recall + easier * (1 - recall)))
        shares = np.full(5, (1 - hit) / 4)
        shares[label] = hit
        matrix.append([int(n) for n in rng.multinomial(count, shares / shares.sum())])
    return matrix


def fake_digest(row: TableRow) -> str:
    return sha256(repr(sorted(row.configuration.items(), key=str)).encode()).hexdigest()[:16]


def fake_result(row: TableRow, repeat: int, **changes: Any) -> dict[str, Any]:
    """One complete run; the same row and repeat give the same scores."""
    digest = fake_digest(row)
    rng = np.random.default_rng([int(digest[:8], 16), repeat])
    easier = -0.4 if row.fields.get("alpha") == 1.0 else 0.1
    matrices = {part: fake_confusion(rng, easier=easier) for part in ("validation", "test")}
    run: dict[str, Any] = {
        "configuration": digest,
        "repeat": repeat,
        "seed": 1000 + repeat,
        "state": "complete",
        "source": "mitdb",
        "data": "0123456789abcdef" * 4,
        "split": "intra-patient",
        "budget": "paper",
        "space": "tables",
        "study_seed": 0,
        "device": "cpu",
        "precision": "fp32",
        "protocol": PROTOCOL,
        "device_name": "cpu: Some Processor, 2 threads",
        "versions": {"python": "3.11.9", "torch": "2.11.0", "commit": "0f1e2d3c4b5a"},
        "confusion": matrices["validation"],
        "test_confusion": matrices["test"],
        "best_epoch": 20 + repeat,
        "last_epoch": 35 + repeat,
        "stop_reason": "patience",
        "seconds": 61.25 + repeat,
        "finished_at": "2024-05-06T07:08:09Z",
    }
    fields = {**row.configuration, "batch_size": 64, "learning_rate": 1e-3, "seed": 1000 + repeat}
    run |= {f"config_{name}": value for name, value in fields.items()}
    for part, matrix in matrices.items():
        run |= {f"{part}_{score}": value for score, value in scores(matrix).items()}
    return run | changes


def unfinished_result(row: TableRow, repeat: int, state: str, **changes: Any) -> dict[str, Any]:
    """A run without scores."""
    kept = ("configuration", "repeat", "seed", *SHARED)
    whole = fake_result(row, repeat)
    run = {name: value for name, value in whole.items() if name in kept or "config_" in name}
    return {**run, "state": state, **changes}


def fake_results(
    seeds: int = 3, rows: Sequence[TableRow] | None = None, changes: Mapping[str, Any] | None = None
) -> pd.DataFrame:
    """Complete runs of all published configurations, or of some."""
    chosen = configurations() if rows is None else rows
    return results_of_rows(
        fake_result(row, repeat, **(changes or {})) for row in chosen for repeat in range(seeds)
    )


def fake_runs(runs: Sequence[tuple[TableRow, int]], **identity: Any) -> pd.DataFrame:
    """Trials of a study of planned runs: one complete run per row and seed.

    Args:
        runs: rows of published tables, and seeds counted from 0.
        identity: what differs from the full protocol.
    """
    trials = []
    for number, (row, repeat) in enumerate(runs):
        run = fake_result(row, repeat)
        config = {k.removeprefix("config_"): v for k, v in run.items() if "config_" in k}
        planned = {"configuration": run["configuration"], "repeat": repeat}
        trials.append({**run, "number": number, "config": config, PLANNED: planned})
    found = pd.DataFrame(trials, columns=None if trials else ["state"])
    found.attrs["identity"] = {
        "space": "tables", "source": "mitdb", "split": "intra-patient", "budget": "paper",
        "data": "0123456789abcdef" * 4, "protocol": PROTOCOL, **identity,
    }  # fmt: skip
    return found
