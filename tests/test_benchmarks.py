import json
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks import training
from benchmarks.loops import EVALUATING, LOOPS, Setting, start
from benchmarks.plain import plain_network
from benchmarks.training_report import ratios, render
from ecg import models, sources
from ecg.dropout import Dropout
from ecg.training import TrainConfig
from ecg.training.run import build_model


@pytest.mark.parametrize("name", training.NETWORKS)
def test_the_plain_network_is_the_same_function(name: str) -> None:
    # The baseline is the same network in PyTorch's usual layers, not an easier or harder one.
    config = TrainConfig(model=name, width_multiplier=0.25)
    torch.manual_seed(0)
    ours = build_model(config).eval()
    torch.manual_seed(0)
    plain = plain_network(config).eval()
    beats = torch.randn(9, 1, 187)
    torch.testing.assert_close(plain(beats), ours(beats), rtol=1e-4, atol=1e-5)
    kinds = {type(module) for module in plain.modules()}
    assert nn.Conv1d in kinds
    assert not kinds & {nn.Conv2d, nn.BatchNorm2d, Dropout}
    assert models.count_parameters(plain) == models.count_parameters(ours)


@pytest.mark.parametrize("loop", LOOPS)
def test_every_loop_that_is_timed_learns(loop: str) -> None:
    precision = "bf16" if "bf16" in LOOPS[loop].precisions else "fp32"
    data = str(sources.resolve("synthetic").location)
    setting = Setting(data=data, device="cpu", network="simple", precision=precision)
    remote = start(loop, setting, steps=10)
    try:
        reason = remote.ready()
        if reason and reason.startswith("ModuleNotFoundError"):
            pytest.skip(reason)
        assert reason is None
        turns = [remote.time("train") for _ in range(5)]
        assert all(turn.steps == 10 and turn.process > 0 and turn.wall > 0 for turn in turns)
        assert turns[-1].loss < 1.2  # log(5) = 1.61 where nothing was learnt
        if loop in EVALUATING:
            assert remote.time("evaluate").process > 0
            assert remote.time("train").loss < 1.2  # evaluation left it in training
    finally:
        remote.stop()


@pytest.mark.parametrize("name", training.NETWORKS)
def test_the_network_in_keras_has_our_parameters(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    pytest.importorskip("tensorflow")
    pytest.importorskip("keras")
    from benchmarks.peers import keras_network

    model = keras_network(TrainConfig(model=name, width_multiplier=0.25))
    assert model.output_shape == (None, 5)


def test_a_ratio_compares_neighboring_turns() -> None:
    assert ratios([30, 20], [10, 20]) == [3, 1]


def test_the_yardstick_measures_and_writes_what_it_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A loop that fails, such as one of a library that is not installed, does not affect the others.
    monkeypatch.syspath_prepend(_folder_with_broken_skorch(tmp_path))
    words = "--data synthetic --device cpu --networks simple --precisions fp32 --repeats 2 --jobs 2"
    training.main([*words.split(), "--peers", "plain", "skorch", "--out", str(tmp_path)])
    text = (tmp_path / "training-cpu.json").read_text()
    report = json.loads(text)
    (measured,) = report["networks"]
    ours, plain = measured["loops"]
    assert (ours["loop"], plain["loop"]) == ("ours", "plain")
    # 3 convolutions and a dense layer, forward and backward; the first has no input gradient.
    macs = 187 * 5 * (32 + 32 * 64 + 64 * 128) + 128 * 5
    first = 187 * 5 * 32
    assert measured["flops_a_step"] == 2 * 64 * (3 * macs - first)
    assert measured["parameters"] == 52_229
    for row in (ours, plain):
        assert all(
            len(row[f"{what}_ms"]) == 2
            for what in ("process", "wall", "evaluation_process", "evaluation_wall")
        )
    (left_out,) = measured["left_out"]
    assert left_out["loop"] == "skorch"
    (together,) = report["jobs"]
    assert together["jobs"] == len(together["wall_ms_a_step"]["together"]) == 2
    page = (tmp_path / "training-cpu.md").read_text()
    assert page == render(report)
    assert "- skorch, fp32: ModuleNotFoundError: not here" in page


def test_the_report_shows_ours_over_each_peer_in_its_own_precision() -> None:
    def row(loop: str, precision: str, process: list[float]) -> dict[str, object]:
        times = {"process_ms": process, "wall_ms": [2 * one for one in process]}
        evaluation = {"evaluation_process_ms": [], "evaluation_wall_ms": []}
        return {"loop": loop, "precision": precision, **times, **evaluation}

    report = {
        "command": "python -m benchmarks.training",
        "date": "2026-01-01",
        "device": "cpu: some, 1 thread",
        "time": "process",
        "cores": 2,
        "cpu_features": {"avx2": True, "amx_bf16": False},
        "mps": False,
        "versions": {"python": "3.12", "torch": "2.13", "skorch": "1.4", "commit": "abc"},
        "source": "synthetic",
        "beats": {"train": 100, "evaluated": 64},
        "default_precision": "fp32",
        "repeats": 3,
        "networks": [
            {
                "network": "simple",
                "parameters": 52_229,
                "flops_a_step": 4e9,
                "steps_a_turn": 15,
                "loops": [
                    row("ours", "fp32", [10, 20, 10]),
                    row("plain", "fp32", [15, 60, 20]),
                    row("ours", "bf16", [5, 5, 5]),
                    row("plain", "bf16", [6, 7, 8]),
                ],
                "left_out": [],
            }
        ],
        "jobs": [
            {
                "network": "simple",
                "precision": "fp32",
                "jobs": 2,
                "plain_threads": 2,
                "wall_ms_a_step": {"plain": [30.0], "alone": [10.0], "together": [12.5]},
            }
        ],
    }
    page = render(report)
    assert "| plain loop | fp32 | 2.00 [1.50, 3.00] |" in page
    assert "| plain loop | bf16 | 1.40 [1.20, 1.60] |" in page
    assert "has avx2; lacks amx_bf16" in page
    # Also across precisions: what the plain loop in fp32 takes over ours in bf16.
    assert "| 2.00 [1.50, 3.00] | 4.00 [3.00, 12.00] |" in page
    assert "| Simple CNN | fp32 | 2 | 1.60 [1.60, 1.60] | 4.80 [4.80, 4.80] |" in page


def _folder_with_broken_skorch(folder: Path) -> Path:
    module = folder / "hidden" / "skorch.py"
    module.parent.mkdir()
    module.write_text("raise ModuleNotFoundError('not here')\n")
    return module.parent
