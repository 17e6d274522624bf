import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ecg import models
from ecg.dropout import Dropout
from ecg.training import TrainConfig
from ecg.training.run import Run, build_model
from tests.benchmarks import training
from tests.benchmarks.loops import FusedLoop
from tests.benchmarks.plain import plain_network
from tests.ecg.toy import toy_data


@pytest.mark.parametrize("name", models.MODELS)
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


@pytest.mark.filterwarnings("ignore:There is a performance drop")  # of a pool's small output
@pytest.mark.parametrize("name", models.MODELS)
def test_fused_trials_learn_what_single_ones_do(name: str) -> None:
    # What is timed as fused is the same work: each member's losses are those of its own trial.
    data = toy_data(300, 100)
    config = TrainConfig(model=name, width_multiplier=0.25, dropout_multiplier=0)
    configs = [config.replace(seed=seed, alpha=seed) for seed in range(2)]
    fused, alone = FusedLoop(configs, data, "fp32"), [Run(config, data) for config in configs]

    def losses() -> tuple[Tensor, Tensor]:
        signals, labels = data.train.signals, data.train.labels
        single = [
            nn.functional.cross_entropy(run.model.train()(signals), labels, run._loss_weights)
            for run in alone
        ]
        fused._model.train()
        together = fused.losses(signals.expand(2, *signals.shape), labels.expand(2, *labels.shape))
        return together, torch.stack(single)

    first, single = losses()
    torch.testing.assert_close(first, single, rtol=1e-5, atol=0)
    fused.epoch()
    for run in alone:
        run.next_epoch()
    after, single = losses()
    torch.testing.assert_close(after, single, rtol=1e-2, atol=0)
    assert (after < first).all()


def test_the_yardstick_measures_and_writes_what_it_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One loop without memory or compiler does not cost the figures of the others.
    monkeypatch.setattr(training, "VARIANTS", {"cpu": {"ours, unknown": None}})
    words = "--data synthetic --budget smoke --device cpu --models simple --repeats 2 --jobs 2"
    training.main([*words.split(), "--out", str(tmp_path)])
    report = json.loads((tmp_path / "training-cpu.json").read_text())
    (measured,) = report["models"]
    loops = measured["loops"]
    assert list(loops) == ["plain", "ours"]
    # 3 convolutions and a dense layer, forward and backward; the first has no input gradient.
    macs = 187 * 5 * (32 + 32 * 64 + 64 * 128) + 128 * 5
    first = 187 * 5 * 32
    assert measured["flops_a_step"] == 2 * 64 * (3 * macs - first)
    for row in loops.values():
        assert len(row["seconds_an_epoch"]) == len(row["ratio"]) == 2
        assert 64 / row["training_beats_a_second"] == pytest.approx(row["ms_a_step"] / 1e3)
        assert row["peak_memory_bytes"] > 50 * 2**20
    assert loops["plain"]["ratio"] == [1, 1]
    pairs = zip(loops["plain"]["seconds_an_epoch"], loops["ours"]["seconds_an_epoch"], strict=True)
    assert loops["ours"]["ratio"] == [plain / ours for plain, ours in pairs]
    together = report["jobs"]
    assert [row["way"] for row in together] == ["processes", "threads", "fused"]
    for row in together:
        assert row["jobs"] == len(row["ratio"]) == 2
    text = (tmp_path / "training-cpu.md").read_text()
    assert "## Simple CNN" in text
    assert measured["failed"] == {"ours, unknown": "KeyError: 'ours, unknown'"}
    assert "| ours, unknown | failed: KeyError: 'ours, unknown' |" in text
    assert "budget `smoke`: 512 training and 512 validation beats" in text
