"""Studies of own networks: searched by several processes, confirmed and exported."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ecg
from ecg.errors import DataError
from ecg.networks import forget_networks
from study.storage.reading import read_study
from tests.support.setting import Typed

EXAMPLE = Path(__file__).parents[3] / "examples" / "own_network.py"
SHARED = ("--data", "synthetic", "--device", "cpu", "--storage")
NAME = "own"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A copy of the example that searches only its own networks."""
    path = tmp_path / "mine.py"
    text = EXAMPLE.read_text().replace('("simple", "gru", "depthwise")', '("gru", "depthwise")')
    text = text.replace('{"model": "simple"}', '{"model": "gru", "units": 8}')
    path.write_text(text)
    return path


def search(typed: Callable[..., Typed], file: Path, url: str, jobs: int) -> Typed:
    return typed(
        *("run", "--space", file, "--study", NAME, "--budget", "smoke", "--trials", 2),
        *("--sampler", "random", "--seed", 3, "--jobs", jobs, *SHARED, url),
    )


def test_own_networks_are_searched_confirmed_and_exported(
    typed: Callable[..., Typed], file: Path, sqlite_url: str, tmp_path: Path
) -> None:
    done = search(typed, file, sqlite_url, 2)
    assert done.code == 0, done.err
    rows = read_study(sqlite_url, NAME).rows
    assert [row["state"] for row in rows] == ["complete", "complete"]
    assert {row["config"]["model"] for row in rows} <= {"gru", "depthwise"}
    assert all(row["config"]["units"] == row["param_units"] for row in rows)

    forget_networks(file)  # as another process, which does not know them
    done = typed("confirm", NAME, "--seeds", 2, "--jobs", 2, *SHARED, sqlite_url)
    assert done.code == 0, done.err

    forget_networks(file)
    model = tmp_path / "best.safetensors"
    done = typed("export-model", NAME, "-o", model, "--storage", sqlite_url)
    assert done.code == 0, done.err
    assert f"-o beats.csv --networks {file}" in done.out.replace("\n", " ")
    beats = np.random.default_rng(0).normal(size=(4, 187)).astype(np.float32)
    first = ecg.load_model(model).probabilities(beats)
    assert first.shape == (4, 5)

    forget_networks(file)
    with pytest.raises(DataError, match=r"copy of mine\.py, which defines it, with `networks`"):
        ecg.load_model(model)
    loaded = ecg.load_model(model, networks=file)
    assert (loaded.probabilities(beats) == first).all()


def test_an_edited_network_is_another_study(
    typed: Callable[..., Typed], toy_data: None, file: Path, sqlite_url: str, tmp_path: Path
) -> None:
    # Rule: trials of an edited network are not mixed with earlier ones.
    assert search(typed, file, sqlite_url, 1).code == 0
    model = tmp_path / "best.safetensors"
    assert typed("export-model", NAME, "-o", model, "--storage", sqlite_url).code == 0
    before = shutil.copy(file, tmp_path / "before.py")
    file.write_text(file.read_text().replace("nn.ReLU()", "nn.SiLU()"))

    done = search(typed, file, sqlite_url, 1)
    assert done.code == 2
    assert "definition of the space" in done.err
    export = ("export-model", NAME, "-o", model, "--storage", sqlite_url)
    done = typed(*export)
    assert done.code == 2
    assert "has changed" in done.err
    with pytest.raises(DataError, match=r"unchanged copy of mine\.py"):
        ecg.load_model(model)
    assert typed(*export, "--space", before).code == 0

    file.unlink()
    done = typed(*export)
    assert done.code == 2
    assert "does not exist" in done.err
    assert "--space" in done.err
