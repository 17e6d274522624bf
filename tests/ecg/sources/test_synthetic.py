"""The synthetic source: reproducible, balanced like the real set, neither trivial nor noise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from ecg.errors import UsageError
from ecg.heartbeats import BEAT_LENGTH, CLASSES, Heartbeats
from ecg.sources.synthetic import CLASS_SHARES, OFFSET, RECORDS, generate, generate_record
from ecg.sources.windows import LABEL_OF_SYMBOL

PACED = {102, 104, 107, 217}
VALIDATION = {118, 201, 207, 223}
DS1 = {101, 106, 108, 109, 112, 114, 115, 116, 118, 119, 122, 124}
DS1 |= {201, 203, 205, 207, 208, 209, 215, 220, 223, 230}
DS2 = set(RECORDS) - DS1 - PACED


@pytest.fixture(scope="module")
def beats() -> Heartbeats:
    return generate()


@pytest.fixture(scope="module")
def few_beats() -> Heartbeats:
    return generate(beats_per_record=20)


def records_with(beats: Heartbeats, label: int, records: set[int]) -> set[int]:
    return set(beats.record[beats.labels == label].tolist()) & records


def test_shapes_types_and_range(beats: Heartbeats) -> None:
    n = 48 * 450
    assert beats.signals.shape == (n, BEAT_LENGTH)
    assert beats.signals.dtype == np.float32
    assert beats.labels.dtype == np.int64
    assert beats.record.dtype == beats.sample.dtype == np.int32
    assert beats.symbol.dtype == np.dtype("U1")
    assert all(len(a) == n for a in (beats.labels, beats.record, beats.sample, beats.symbol))
    assert beats.signals.min() == 0.0
    assert beats.signals.max() == 1.0
    assert beats.in_test is None
    assert beats.source == "synthetic"


def test_labels_follow_from_symbols_and_samples_ascend(few_beats: Heartbeats) -> None:
    assert [LABEL_OF_SYMBOL[s] for s in few_beats.symbol] == few_beats.labels.tolist()
    for number in RECORDS:
        assert np.all(np.diff(few_beats.sample[few_beats.record == number]) > 0)


def test_the_seed_decides(few_beats: Heartbeats) -> None:
    assert generate(beats_per_record=20).fingerprint == few_beats.fingerprint
    assert generate(beats_per_record=20, seed=1).fingerprint != few_beats.fingerprint


def test_a_record_does_not_depend_on_how_many_there_are(few_beats: Heartbeats) -> None:
    first = generate(records=5, beats_per_record=20)
    same = slice(0, len(first))
    np.testing.assert_array_equal(first.signals, few_beats.signals[same])
    np.testing.assert_array_equal(first.labels, few_beats.labels[same])
    np.testing.assert_array_equal(first.sample, few_beats.sample[same])
    assert set(first.record.tolist()) == set(RECORDS[:5])


def test_class_shares_are_those_of_the_real_set(beats: Heartbeats) -> None:
    shares = beats.class_counts() / len(beats)
    np.testing.assert_allclose(shares, list(CLASS_SHARES.values()), rtol=0.1)


def test_every_class_is_present_in_the_smallest_set() -> None:
    assert generate(beats_per_record=10).class_counts().min() >= 5


@pytest.mark.parametrize("label", range(len(CLASSES)), ids=CLASSES)
def test_every_class_is_in_every_part_of_the_inter_patient_split(
    few_beats: Heartbeats, label: int
) -> None:
    assert len(records_with(few_beats, label, DS1 - VALIDATION)) >= 2
    assert len(records_with(few_beats, label, VALIDATION)) >= 1
    assert len(records_with(few_beats, label, DS2)) >= 2


@settings(max_examples=10, deadline=None)
@given(beats=st.integers(10, 40), seed=st.integers(0, 2**32), number=st.sampled_from(RECORDS))
def test_a_record_is_a_valid_annotated_record(beats: int, seed: int, number: int) -> None:
    adc, sample, symbol = generate_record(number, beats, np.random.default_rng(seed))
    assert np.issubdtype(adc.dtype, np.integer)
    assert 0 <= adc.min() < OFFSET < adc.max() <= 2047
    assert np.all(np.diff(sample) > 0)
    assert 0 <= sample[0] < sample[-1] < len(adc)
    assert symbol[0] == "+"  # a non-beat annotation shifts the index, as in real records
    assert sum(s in LABEL_OF_SYMBOL for s in symbol) == beats + 1
    assert symbol[-1] in LABEL_OF_SYMBOL


def test_noise_marks_occur() -> None:
    _, _, symbol = generate_record(100, 450, np.random.default_rng(0))
    assert symbol.count("~") >= 1
    assert symbol.count("+") >= 2


# A linear model must be better than chance (about 0.2) but not perfect.
def test_neither_trivial_nor_noise(beats: Heartbeats) -> None:
    order = np.random.default_rng(0).permutation(len(beats))[:6000]
    train, test = order[:4000], order[4000:]
    signals = beats.signals - beats.signals.mean(axis=1, keepdims=True)
    model = LogisticRegression(max_iter=100, C=1.0).fit(signals[train], beats.labels[train])
    score = f1_score(beats.labels[test], model.predict(signals[test]), average="macro")
    assert 0.3 < score < 0.85


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, "Use 0 or a larger"),
        ({"records": 0}, "Use 1 to 48"),
        ({"records": 49}, "Use 1 to 48"),
        ({"beats_per_record": 9}, "Use 10 or more"),
    ],
)
def test_bad_arguments_say_what_to_do(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        generate(**arguments)
