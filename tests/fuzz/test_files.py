"""Damaged files of the study: results.csv, recordings, a user's space, a checkpoint."""

import json
import struct
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg.errors import EcgError
from ecg.model_file import load_model, save_model
from ecg.training import Checkpoint, Epoch, TrainConfig
from ecg.training.run import Run, build_model
from search_spaces import Space, find_space
from study.storage.recordings import read_recorded, read_recording
from study.storage.results import read_results, write_results
from study.tables.export import export_table_files
from study.trials.replay import follow
from tests.fuzz.fuzzing import WRONG, anything, bent, damaged, evil, fuzz, misspelt, only_ours
from tests.support.fake_results import fake_results
from tests.support.setting import REPOSITORY, TINY
from tests.support.toy import toy_data, toy_heartbeats

FORMATS = ("markdown", "csv", "latex", "html")
RECORDING = REPOSITORY / "results" / "search" / "imbalance-quick.jsonl"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(scope="module")
def results(place: Path) -> str:
    """The text of a results file."""
    path = place / "whole.csv"
    write_results(fake_results(1).iloc[:3], path)
    return path.read_text()


@fuzz
@given(st.data())
def test_damaged_results_are_refused_by_name_or_rendered(
    place: Path, results: str, data: st.DataObject
) -> None:
    path = place / "results.csv"
    path.write_bytes(data.draw(misspelt(results) | misspelt(results, r'[^,"\n]+|[,"\n]')))

    def render() -> None:
        runs = {"study": read_results(path)}
        export_table_files(runs, place, published=True, formats=FORMATS, digits=4)

    only_ours(render, path)


@pytest.fixture(scope="module")
def recording() -> list[str]:
    """A header and two trials of two epochs each."""
    lines = RECORDING.read_text().splitlines()[:3]
    for number in (1, 2):
        item = json.loads(lines[number])
        item["curves"] = {name: values[:2] for name, values in item["curves"].items()}
        lines[number] = json.dumps(item)
    return lines


@fuzz
@given(st.data())
def test_a_damaged_recording_is_refused_by_name_or_replayed(
    place: Path, recording: list[str], data: st.DataObject
) -> None:
    path = place / "curves.jsonl"
    if data.draw(st.booleans()):
        path.write_bytes(data.draw(damaged("\n".join(recording).encode())))
    else:
        number = data.draw(st.integers(0, 2))
        line = json.dumps(data.draw(bent(json.loads(recording[number]))))
        path.write_text("\n".join([*recording[:number], line, *recording[number + 1 :]]))

    def replay() -> object:
        space = find_space("imbalance")
        read = read_recording(path)
        read.check(space)
        found = read.nearest(space, {"strategy": "sampler", "ratio": 0.5})
        return follow(found, TrainConfig(), lambda _: False).best.scores, read_recorded(path)

    found = only_ours(replay, path)
    assert isinstance(found, EcgError | tuple)
    assert isinstance(found, EcgError) or isinstance(found[1], pd.DataFrame)


@fuzz
@given(misspelt(TINY, r"[\w.-]+|[^\s\w.-]"))
def test_a_damaged_space_is_refused_by_name_or_is_one(place: Path, content: bytes) -> None:
    # A user's file is a program, so a mistake in it may raise anything.
    path = place / "mine.py"
    path.write_bytes(content)

    def use() -> Space:
        space = find_space(str(path))
        space.configure(dict(space.baseline))
        assert str(space.digest)
        assert all(str(parameter) for parameter in space.parameters)
        return space

    assert isinstance(only_ours(use, path), Space | EcgError)


ODD = st.none() | st.integers() | st.floats() | evil | st.tuples(anything) | st.binary(max_size=3)


@fuzz
@given(
    st.dictionaries(
        st.sampled_from(
            ("name", "description", "parameters", "baseline", "objective", "steering",
             "options", "low", "high", "log", "when", "of")
        ),
        ODD, min_size=1, max_size=2,
    )
)  # fmt: skip
def test_values_of_any_kind_in_a_space_are_refused_by_name(
    place: Path, odd: dict[str, Any]
) -> None:
    path = place / "odd.py"
    parts = {
        "name": "odd", "description": "", "objective": "f1_macro", "steering": (),
        "options": ("simple",), "low": 1e-4, "high": 1e-2, "log": True, "when": {}, "of": "model",
        "baseline": {"model": "simple", "learning_rate": 3e-4},
    } | odd  # fmt: skip
    parameters = (
        repr(parts["parameters"])
        if "parameters" in parts
        else "(Choice({of!r}, {options!r}), Real('learning_rate', {low!r}, {high!r}, {log!r}, "
        "{when!r}))".format(**parts)
    )
    path.write_bytes(
        (
            "from search_spaces import Choice, Real, Space\ninf, nan = float('inf'), float('nan')\n"
            f"SPACE = Space({parts['name']!r}, {parts['description']!r}, {parameters}, "
            f"{parts['baseline']!r}, {parts['objective']!r}, {parts['steering']!r})\n"
        ).encode("utf-8", "replace")
    )
    found = only_ours(lambda: find_space(str(path)), path)
    assert isinstance(found, Space | EcgError)
    if isinstance(found, Space):
        only_ours(lambda: (found.digest, found.grid(3), [str(p) for p in found.parameters]))


CONFIG = TrainConfig(
    model="simple", width_multiplier=0.1, max_epochs=3, scheduler_factor=0.5, seed=3
)
DATA = toy_data(64, validation=32)


@pytest.fixture(scope="module")
def half(place: Path) -> Run:
    """A run of two epochs of three."""
    run = Run(CONFIG, DATA)
    run.next_epoch()
    run.next_epoch()
    return run


def _state(run: Run) -> tuple[list[Epoch], list[Any], list[Any]]:
    """All that the next epoch depends on, as plain values."""
    weights = [tensor.tolist() for tensor in run.model.state_dict().values()]
    moments = [
        (index, name, tensor.tolist())
        for index, entries in sorted(run.optimizer.state_dict()["state"].items())
        for name, tensor in sorted(entries.items())
    ]
    return run.epochs, weights, moments


@st.composite
def checkpoints(draw: st.DrawFn, whole: bytes) -> bytes:
    """A checkpoint with damaged bytes, another length of the header, or another header."""
    size = struct.unpack("<Q", whole[:8])[0]
    kind = draw(st.sampled_from(("bytes", "length", "header", "state")))
    if kind == "bytes":
        return draw(damaged(whole))
    if kind == "length":
        other = draw(st.sampled_from((0, 1, size - 1, size + 8, 2**31, 2**40, 2**63, 2**64 - 1)))
        return struct.pack("<Q", other) + whole[8:]
    header = json.loads(whole[8 : 8 + size])
    if kind == "header":
        header = draw(bent(header))
    else:
        metadata = header["__metadata__"]
        metadata["state"] = json.dumps(draw(bent(json.loads(metadata["state"]))))
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + whole[8 + size :]


@fuzz
@given(st.data())
def test_a_damaged_checkpoint_is_not_used(
    place: Path, half: Run, caplog: pytest.LogCaptureFixture, data: st.DataObject
) -> None:
    # The run begins anew; a bit flipped in a weight is noticed as well as a missing half.
    caplog.clear()
    path = place / "run"
    Checkpoint(path, "key").save(half, 1.0)
    path.write_bytes(data.draw(checkpoints(path.read_bytes())))
    found = only_ours(lambda: Checkpoint(path, "key").resume(CONFIG, DATA))
    assert isinstance(found, tuple)
    run, seconds = found
    assert not WRONG.search(caplog.text), caplog.text
    is_used = "ignoring the checkpoint" not in caplog.text  # it had only other blanks in its header
    assert seconds == float(is_used)
    assert _state(run) == _state(half if is_used else Run(CONFIG, DATA))


@fuzz
@given(st.data())
def test_a_forged_checkpoint_raises_nothing(
    place: Path, half: Run, monkeypatch: pytest.MonkeyPatch, data: st.DataObject
) -> None:
    # Even with a digest that fits: it is used or not, and nothing in it is run.
    path = place / "run"
    Checkpoint(path, "key").save(half, 1.0)
    path.write_bytes(data.draw(checkpoints(path.read_bytes())))
    with monkeypatch.context() as patch:
        patch.setattr("ecg.training.checkpoint.content_digest", AnyDigest)
        assert isinstance(only_ours(lambda: Checkpoint(path, "key").resume(CONFIG, DATA)), tuple)


class AnyDigest:
    """Equals every digest."""

    def __init__(self, *_: object) -> None:
        """Look at nothing."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


@fuzz
@given(st.data())
def test_a_damaged_model_file_is_refused_by_name_or_unchanged(
    place: Path, data: st.DataObject
) -> None:
    # Rule: nothing that was changed is used, be it one bit of one weight.
    path, beats = place / "model.safetensors", toy_heartbeats(20).signals
    config = TrainConfig(model="simple", width_multiplier=0.1)
    weights = {name: t.fill_(0.1) for name, t in build_model(config).state_dict().items()}
    save_model(path, config, weights, {"split": "inter-patient"})
    expected = load_model(path).logits(beats)
    path.write_bytes(data.draw(damaged(path.read_bytes())))
    found = only_ours(lambda: load_model(path).logits(beats), path)
    assert isinstance(found, EcgError) or (found == expected).all()
