import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ecg import models, networks
from ecg.errors import UsageError
from ecg.heartbeats import Heartbeats
from ecg.rhythm import LONGEST, SCALE, SHORTEST, USUAL, has_rhythm, rhythm
from ecg.sources import load
from ecg.training import TrainConfig, TrainingData, make_part, measure, train
from ecg.training.data import inputs
from tests.support.toy import CPU, flat_heartbeats, rule, toy_data, toy_heartbeats

TINY = TrainConfig(model="simple", width_multiplier=0.1, max_epochs=2, rhythm="rr")


def octaves(ratio: Any) -> Any:
    return SCALE * np.log2(ratio)


def beats_at(*records: list[float]) -> Heartbeats:
    """Return beats at some seconds of some records, numbered from 100."""
    samples = [round(360 * second) for record in records for second in record]
    number = [100 + i for i, record in enumerate(records) for _ in record]
    flat = flat_heartbeats(np.zeros(len(samples), dtype=np.int64), record=np.array(number))
    lasting = np.diff(samples) / 360
    lasting[np.diff(number) != 0] = np.nan
    rr = np.stack([[np.nan, *lasting], [*lasting, np.nan]], axis=1).astype(np.float32)
    return dataclasses.replace(flat, sample=np.array(samples, dtype=np.int32), rr=rr)


def test_intervals_are_logarithms_per_usual_interval_and_per_mean() -> None:
    # An early beat: 0.4 s after the previous one, 1.6 s before the next, at a mean of 0.8 s.
    found = rhythm(beats_at([0.0, 0.8, 1.6, 2.0, 3.6]))
    mean = (0.8 + 0.8 + 0.4) / 3
    early = octaves([0.4 / USUAL, 1.6 / USUAL, 0.4 / mean, 1.6 / mean])
    np.testing.assert_allclose(found[3], early, rtol=1e-5)
    np.testing.assert_allclose(found[1], 0, atol=1e-6)


def test_the_mean_covers_the_last_ten_intervals_and_no_later_one() -> None:
    seconds = [*np.cumsum([1.0] * 20), *(20 + np.cumsum([0.5] * 20))]
    found = rhythm(beats_at([0.0, *seconds]))
    after_change = 20 + 4  # four intervals of 0.5 s, six of 1 s
    assert found[after_change, 2] == pytest.approx(octaves(0.5 / 0.8), abs=1e-5)
    assert found[30, 2] == pytest.approx(0, abs=1e-5)
    cut = rhythm(beats_at([0.0, *seconds[:25]]))
    np.testing.assert_allclose(cut[:25], found[:25], rtol=1e-6)  # the last has no beat after it


def test_the_ends_of_a_record_count_as_usual_and_no_interval_spans_two_records() -> None:
    found = rhythm(beats_at([0.0, 0.5, 1.0], [0.0], [100.0, 101.0]))
    assert found[0].tolist() == pytest.approx(
        [0, octaves(0.5 / 0.8), 0, octaves(0.5 / 0.8)], abs=1e-5
    )
    assert found[2].tolist() == pytest.approx([octaves(0.5 / 0.8)] * 2 + [0, 0], abs=1e-5)
    assert found[3].tolist() == [0, 0, 0, 0]


@rule
@given(st.lists(st.integers(0, 100_000), min_size=1, max_size=30, unique=True), st.randoms())
def test_rhythm_follows_its_beats_in_any_order_and_is_bounded(samples: list, random) -> None:
    beats = beats_at([sample / 360 for sample in sorted(samples)])
    order = list(range(len(beats)))
    random.shuffle(order)
    shuffled = dataclasses.replace(
        beats,
        record=beats.record[order],
        sample=beats.sample[order],
        labels=beats.labels[order],
        rr=beats.rr[order],
    )
    found = rhythm(beats)
    np.testing.assert_array_equal(rhythm(shuffled), found[order])
    assert found.dtype == np.float32
    bound = octaves(LONGEST / SHORTEST) + 1e-5
    assert (np.abs(found) <= bound).all()


def test_supraventricular_beats_come_early() -> None:
    # The purpose of the option; simulated patients have early beats too.
    beats = load("synthetic")
    before = rhythm(beats)[:, 2]
    assert (
        np.median(before[beats.labels == 1]) < -0.2 * SCALE < np.median(before[beats.labels == 0])
    )


def test_a_part_has_the_rhythm_of_whole_records_whatever_its_rows() -> None:
    beats, rows = toy_heartbeats(100), np.array([70, 3, 9])
    part = make_part(beats, rows, CPU)
    assert part.rhythm is not None
    np.testing.assert_array_equal(part.rhythm.numpy(), rhythm(beats)[rows])
    seen = inputs(TINY, part)
    assert seen.signals.shape == (3, 1, 187 + 4)
    np.testing.assert_array_equal(seen.signals[:, 0, 187:].numpy(), rhythm(beats)[rows])
    assert inputs(TrainConfig(), part) is part


@pytest.mark.parametrize("missing", ["record", "sample", "rr"])
def test_beats_of_unknown_records_have_no_rhythm(missing: str) -> None:
    beats = toy_heartbeats(20)
    gone = None if missing == "rr" else np.array([-1, *getattr(beats, missing)[1:]], np.int32)
    beats = dataclasses.replace(beats, **{missing: gone})
    assert not has_rhythm(beats)
    assert make_part(beats, np.arange(20), CPU).rhythm is None
    with pytest.raises(UsageError, match="needs the RR intervals of every beat"):
        rhythm(beats)


def test_a_network_with_rhythm_is_refused_for_data_without_records() -> None:
    data = toy_data(60, validation=20)
    parts = [dataclasses.replace(part, rhythm=None) for part in (data.train, data.validation)]
    with pytest.raises(UsageError, match="leave the rhythm out"):
        train(TINY, TrainingData(*parts))


@pytest.mark.parametrize("model", networks.MODELS)
def test_four_numbers_are_appended_to_the_flattened_features(model: str) -> None:
    plain = models.build(model, width_multiplier=0.25)
    beside = models.build(model, width_multiplier=0.25, rhythm=True)
    more = models.count_parameters(beside) - models.count_parameters(plain)
    assert more == 4 * (64 if model.startswith("coupled") else 5)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("model", networks.MODELS)
def test_a_network_learns_from_the_rhythm_alone(model: str, precision: str) -> None:
    # The labels do not depend on the beats: only the rhythm separates class 1 from class 0.
    data = toy_data(360, validation=120)
    parts = []
    for part in (data.train, data.validation):
        labels = torch.arange(len(part)) % 2
        numbers = SCALE * (labels - 0.5)[:, None].repeat(1, 4)
        parts.append(dataclasses.replace(part, labels=labels, rhythm=numbers))
    epochs = 20 if model == "coupled-tf" else 6  # its moving statistics follow slowly
    config = TrainConfig(
        model=model, width_multiplier=0.1, dropout_multiplier=0.0, learning_rate=0.03,
        batch_size=16, max_epochs=epochs, rhythm="rr",
    )  # fmt: skip
    result = train(config, TrainingData(*parts), precision=precision)
    assert result.best.scores["recall_weighted"] > 0.99
    assert measure(config, result.weights, parts[1], precision) == result.confusion
