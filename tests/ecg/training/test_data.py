import dataclasses
import warnings

import numpy as np
import pytest
import torch

from ecg.budget import Budget
from ecg.errors import UsageError
from ecg.heartbeats import BEAT_LENGTH
from ecg.splits import make_split, subsample
from ecg.training import TrainingData, find_device, make_part, training_data
from ecg.training.data import normalise
from tests.support.toy import CPU, toy_heartbeats

ALL = Budget("all", 1, 1, None, None, trials=1)
FEW = Budget("few", 1, 1, train_beats=100, validation_beats=40, trials=1)


def test_beats_are_z_scored_one_by_one() -> None:
    # Mean 0 and population standard deviation 1 over the 187 values of each beat.
    normal = normalise(toy_heartbeats(100).signals).astype(np.float64)
    assert normal.shape == (100, BEAT_LENGTH)
    np.testing.assert_allclose(normal.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(normal.std(axis=1, ddof=0), 1, rtol=1e-5)


def test_z_scores_ignore_scale_and_offset() -> None:
    signals = toy_heartbeats(20).signals
    scaled = signals * np.float32(0.25) + np.float32(0.5)
    np.testing.assert_allclose(normalise(scaled), normalise(signals), atol=1e-4)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_constant_beat_becomes_zeros(value: float) -> None:
    # A standard deviation of 0 causes no division by zero.
    flat = np.full((2, BEAT_LENGTH), value, dtype=np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (normalise(flat) == 0).all()


def test_normalising_leaves_the_heartbeats_alone() -> None:
    beats = toy_heartbeats(20)
    before = beats.fingerprint
    normalise(beats.signals)
    assert dataclasses.replace(beats).fingerprint == before


def test_a_part_has_the_requested_rows_in_order() -> None:
    beats = toy_heartbeats(50)
    rows = np.array([40, 3, 7])
    part = make_part(beats, rows, CPU)
    assert len(part) == 3
    assert part.signals.shape == (3, 1, BEAT_LENGTH)
    assert (part.signals.dtype, part.labels.dtype) == (torch.float32, torch.int64)
    assert part.labels.tolist() == beats.labels[rows].tolist()
    np.testing.assert_array_equal(part.signals[:, 0].numpy(), normalise(beats.signals[rows]))


def test_training_data_has_no_test_part() -> None:
    # A training run cannot be tuned on data that it cannot see.
    names = [field.name for field in dataclasses.fields(TrainingData)]
    assert names == ["train", "validation", "by_patient"]  # the last is a fact, not beats


@pytest.mark.parametrize("split_name", ["intra-patient", "inter-patient"])
def test_training_data_holds_no_signal_of_the_test_part(split_name: str) -> None:
    beats = toy_heartbeats(440)
    split = make_split(split_name, beats)
    data = training_data(beats, split, ALL, CPU)
    held = torch.cat([data.train.signals, data.validation.signals])[:, 0].numpy()
    seen = {signal.tobytes() for signal in held}
    test = {signal.tobytes() for signal in normalise(beats.signals[split.test])}
    assert (len(data.train), len(data.validation)) == (len(split.train), len(split.validation))
    assert len(test) == len(split.test)
    assert not seen & test


def test_training_data_is_reduced_to_the_budget() -> None:
    # To the same fixed stratified subset for every run.
    beats = toy_heartbeats(600)
    split = make_split("intra-patient", beats)
    data = training_data(beats, split, FEW, CPU)
    for part, rows, size in (
        (data.train, split.train, 100),
        (data.validation, split.validation, 40),
    ):
        assert part.labels.tolist() == beats.labels[subsample(rows, beats.labels, size)].tolist()
        assert len(part) == pytest.approx(size, abs=3)
        assert len(part.labels.unique()) == 5


def test_training_data_is_on_the_requested_device() -> None:
    beats = toy_heartbeats(300)
    data = training_data(beats, make_split("intra-patient", beats), FEW, CPU)
    devices = {
        tensor.device
        for part in (data.train, data.validation)
        for tensor in (part.signals, part.labels)
    }
    assert devices == {data.device} == {CPU}


def test_device_names() -> None:
    assert find_device("cpu") == CPU
    assert find_device().type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["gpu", "mps", "meta", "cuda:x", ""])
def test_unknown_device_lists_the_known_ones(name: str) -> None:
    with pytest.raises(
        UsageError, match=f"unknown device '{name}'. Use one of: auto, cpu, cuda, cuda:N"
    ):
        find_device(name)


def test_absent_cuda_device_says_what_there_is() -> None:
    absent = f"cuda:{torch.cuda.device_count()}"
    with pytest.raises(UsageError, match=f"{absent}: PyTorch .* Use `device` cpu"):
        find_device(absent)
