"""Synthetic records: continuous ECG with annotations, cut by the same rule as the real records.

For tests, demonstrations and machines without the data. Results on them say nothing about
patients.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecg.errors import UsageError
from ecg.heartbeats import Heartbeats, Record
from ecg.sources.windows import cut_windows

Floats = NDArray[np.float64]

RATE = 360.0  # Hz
UNITS_PER_MV, OFFSET, ADC_MAX = 200.0, 1024, 2047
FIRST_BEAT = 0.4  # s before the first RR interval, to leave room for the first P wave
MINIMUM_BEATS = 10  # a record must have room for a beat of each of its classes
RECORDS = (
    *(100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 111, 112, 113, 114, 115, 116),
    *(117, 118, 119, 121, 122, 123, 124, 200, 201, 202, 203, 205, 207, 208, 209, 210),
    *(212, 213, 214, 215, 217, 219, 220, 221, 222, 223, 228, 230, 231, 232, 233, 234),
)
PACED_RECORDS = (102, 104, 107, 217)
CLASS_SHARES = dict(zip("NSVFQ", np.array([90589, 2779, 7236, 803, 8039]) / 109446, strict=True))
# Relative weights of the records that hold the rarer classes. They follow the ranking of the real
# records but are flatter, so that no class depends on one patient.
CARRIERS = {
    "S": {100: 2, 114: 1, 118: 3, 124: 1, 200: 1, 201: 4, 202: 2, 207: 3, 209: 8, 210: 1}
    | {213: 1, 220: 3, 222: 6, 223: 3, 228: 1, 232: 24, 233: 1, 234: 2},
    "V": {105: 1, 106: 5, 116: 1, 118: 1, 119: 4, 200: 8, 201: 2, 203: 4, 205: 1, 207: 2, 208: 8}
    | {210: 2, 213: 2, 214: 3, 215: 2, 217: 2, 219: 1, 221: 4, 223: 5, 228: 4, 233: 8},
    "F": {114: 1, 118: 1, 124: 1, 200: 1, 201: 1, 205: 2, 207: 1, 208: 20, 210: 2, 213: 20}
    | {214: 1, 219: 1, 223: 3, 233: 2},
    "Q": {102: 90, 104: 90, 107: 95, 217: 70, 101: 1, 105: 1, 111: 1, 118: 1, 202: 1, 203: 1}
    | {207: 1, 208: 1, 214: 1, 223: 1, 231: 1},
}
P_WAVE, T_WAVES = 0, (4, 5, 8)  # rows in `Patient.waves`


@dataclass(frozen=True, eq=False)
class Patient:
    """The properties that stay constant within a record.

    Attributes:
        period: mean RR interval in seconds.
        variability: standard deviation of the RR intervals over their mean.
        waves: (13, 3) amplitude (mV), centre (s after R) and width (s) of the Gaussians:
            P, Q, R, S, T rise and T of the normal beat; QRS, its end and T of the
            ventricular beat; spike, QRS, its end and T of the paced beat.
        wander: amplitude of the baseline wander in mV.
        muscle: standard deviation of the muscle noise in mV.
        hum: amplitude of the 60 Hz mains hum in mV.
        paced: whether the Q beats are paced; otherwise they cannot be classified.
    """

    period: float
    variability: float
    waves: Floats
    wander: float
    muscle: float
    hum: float
    paced: bool


def _wide_waves(rng: np.random.Generator, polarity: float) -> Floats:
    """Draw QRS, its end and a discordant T wave of a beat that originates in the ventricles."""
    height, width = polarity * rng.uniform(0.8, 2.0), rng.uniform(0.022, 0.045)
    return np.array(
        [
            [height, 0.0, width],
            [-height * rng.uniform(-0.3, 0.7), rng.uniform(2.0, 3.0) * width, 1.2 * width],
            [-height * rng.uniform(0.15, 0.5), rng.uniform(0.26, 0.36), rng.uniform(0.05, 0.08)],
        ]
    )


def _draw_patient(paced: bool, rng: np.random.Generator) -> Patient:
    """Draw one patient."""
    height = rng.uniform(0.3, 0.6) if rng.random() < 0.15 else rng.uniform(0.8, 1.8)
    polarity = -1.0 if rng.random() < 0.1 else 1.0
    width = rng.uniform(0.016, 0.026) if rng.random() < 0.2 else rng.uniform(0.009, 0.014)
    t_height = height * rng.uniform(0.12, 0.4) * (-1.0 if rng.random() < 0.2 else 1.0)
    t_centre, t_width = rng.uniform(0.24, 0.32), rng.uniform(0.035, 0.055)
    normal = [
        [rng.uniform(0.05, 0.22), rng.uniform(-0.2, -0.14), rng.uniform(0.018, 0.03)],
        [-height * rng.uniform(0.0, 0.15), -2.6 * width, width],
        [polarity * height, 0.0, width],
        [-polarity * height * rng.uniform(0.0, 0.5), 2.7 * width, 1.1 * width],
        [0.4 * t_height, t_centre - 1.6 * t_width, 1.2 * t_width],
        [t_height, t_centre, t_width],
    ]
    spike = [rng.uniform(0.2, 1.0), rng.uniform(-0.07, -0.04), 0.003]
    irregular = rng.random() < 0.2  # as in atrial fibrillation
    return Patient(
        period=rng.uniform(0.6, 1.05),
        variability=rng.uniform(0.12, 0.2) if irregular else rng.uniform(0.02, 0.07),
        waves=np.vstack(
            [
                normal,
                _wide_waves(rng, polarity=rng.choice([-1.0, 1.0], p=[0.3, 0.7])),
                spike,
                _wide_waves(rng, polarity=rng.choice([-1.0, 1.0])),
            ]
        ),
        wander=rng.uniform(0.02, 0.15),
        muscle=rng.uniform(0.005, 0.025),
        hum=rng.uniform(0.01, 0.04) if rng.random() < 0.2 else 0.0,
        paced=paced,
    )


def _draw_classes(number: int, beats: int, rng: np.random.Generator) -> NDArray[np.str_]:
    """Return the classes of a record's beats in order, (beats + 1,); the last is not cut."""
    ectopic: list[str] = []
    for name, weights in CARRIERS.items():
        total = CLASS_SHARES[name] * beats * len(RECORDS)
        expected = total * weights.get(number, 0) / sum(weights.values())
        ectopic += [name] * (max(1, round(expected)) if number in weights else 0)
    classes = np.array(ectopic + ["N"] * (beats - len(ectopic)), dtype="U1")
    return np.append(rng.permutation(classes), "N")


def _draw_intervals(
    patient: Patient, classes: NDArray[np.str_], rng: np.random.Generator
) -> Floats:
    """Return the RR interval before each beat in seconds, (beats,).

    S and V beats come early. The pause after V is fully compensatory, after S partly.
    """
    n = len(classes)
    breathing = np.sin(0.25 * 2 * np.pi * patient.period * np.arange(n) + rng.uniform(0, 2 * np.pi))
    rhythm = 1 + patient.variability * (0.7 * rng.standard_normal(n) + breathing)
    before, after = np.ones(n), np.ones(n)
    for name, earliest, latest, pause in (("S", 0.55, 0.82, 0.5), ("V", 0.58, 0.9, 1.0)):
        chosen = classes == name
        before[chosen] = rng.uniform(earliest, latest, chosen.sum())
        after[chosen] += pause * (1 - before[chosen])
    before[classes == "F"] = rng.uniform(0.88, 1.0, (classes == "F").sum())
    rhythm[1:] *= after[:-1]
    intervals: Floats = patient.period * np.clip(rhythm * before, 0.4, 1.8)
    return intervals


def _mixture(patient: Patient, classes: NDArray[np.str_], rng: np.random.Generator) -> Floats:
    """Return the shares of the normal, ventricular and paced shape in each beat, (beats, 3)."""
    n = len(classes)
    share = np.zeros((n, 3))
    share[:, 0] = 1.0
    aberrant = np.where(classes == "S", rng.beta(1.2, 3.5, n), 0.0)  # aberrant conduction of S
    ventricular = np.where(classes == "V", rng.uniform(0.7, 1.0, n), aberrant)
    ventricular = np.where(classes == "F", rng.uniform(0.3, 0.7, n), ventricular)
    if not patient.paced:
        ventricular = np.where(classes == "Q", rng.uniform(-0.5, 1.0, n), ventricular)
    share[:, 1] = ventricular
    share[:, 0] = 1 - np.abs(ventricular)
    if patient.paced:
        share[classes == "Q"] = (0.0, 0.0, 1.0)
    return share


def _draw_beats(
    patient: Patient, classes: NDArray[np.str_], intervals: Floats, rng: np.random.Generator
) -> Floats:
    """Return the waves of every beat, (beats, 13, 3), as in `Patient.waves`."""
    share = np.repeat(_mixture(patient, classes, rng), (6, 3, 4), axis=1)  # (beats, 13)
    unclassifiable = (classes == "Q") & (not patient.paced)
    spread = np.where(unclassifiable, 0.5, 0.06)[:, None]
    waves = np.repeat(patient.waves[None], len(classes), axis=0)
    waves[:, :, 0] *= share * np.exp(spread * rng.standard_normal(share.shape))
    waves[:, :, 2] *= np.exp(0.5 * spread * rng.standard_normal(share.shape))
    waves[:, :, 1] += 0.003 * rng.standard_normal(share.shape)
    # An early beat repolarises early (Bazett: QT is proportional to the square root of RR).
    waves[:, T_WAVES, 1] *= np.sqrt(intervals / patient.period)[:, None]
    early = classes == "S"
    waves[early, P_WAVE, 0] *= rng.uniform(-0.8, 0.4, early.sum())
    waves[early[:, None] & np.isin(np.arange(13), T_WAVES), 0] *= 0.7
    waves[(classes == "V") | (classes == "F"), P_WAVE, 0] = 0.0
    return waves


def _render(waves: Floats, peaks: NDArray[np.int64], samples: int) -> Floats:
    """Sum the Gaussians of all beats into one signal in mV, (samples,).

    After McSharry et al. 2003 ("A dynamical model for generating synthetic electrocardiogram
    signals", IEEE Trans. Biomed. Eng. 50:289), but with the waves placed directly in time.
    """
    offsets = np.arange(int(-0.32 * RATE), int(0.65 * RATE))
    time = (offsets / RATE).astype(np.float32)
    shapes = np.zeros((len(peaks), len(offsets)), dtype=np.float32)
    for amplitude, centre, width in waves.astype(np.float32).transpose(1, 2, 0):
        present = np.flatnonzero(amplitude)
        z = (time - centre[present, None]) / width[present, None]
        shapes[present] += amplitude[present, None] * np.exp(-0.5 * z * z)
    signal = np.zeros(samples)
    for peak, shape in zip(peaks, shapes, strict=True):
        signal[peak + offsets[0] : peak + offsets[-1] + 1] += shape
    return signal


def _disturbance(
    patient: Patient, samples: int, noise_marks: NDArray[np.int64], rng: np.random.Generator
) -> Floats:
    """Return wander, muscle noise (three times as strong for 6 s after a mark) and hum in mV."""
    time = np.arange(samples) / RATE
    signal = np.zeros(samples)
    for frequency in rng.uniform(0.05, 0.4, 3):
        phase = rng.uniform(0, 2 * np.pi)
        signal += patient.wander * np.sin(2 * np.pi * frequency * time + phase)
    loud = np.zeros(samples)
    for mark in noise_marks:
        loud[mark : mark + int(6 * RATE)] = 1
    white = rng.standard_normal(samples + 1)
    signal += patient.muscle * (1 + 2 * loud) * (white[1:] + 0.5 * white[:-1])
    if patient.hum:
        signal += patient.hum * np.sin(2 * np.pi * 60 * time)
    return signal


def _marks_between(
    peaks: NDArray[np.int64], place: float, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return positions at the fraction `place` of about every 125th RR interval, ascending."""
    chosen = np.flatnonzero(rng.random(len(peaks) - 1) < 0.008)
    return peaks[chosen] + (place * (peaks[chosen + 1] - peaks[chosen])).astype(np.int64)


def generate_record(
    number: int, beats: int, rng: np.random.Generator
) -> tuple[NDArray[np.int16], NDArray[np.int64], list[str]]:
    """Generate one record and its annotations.

    Args:
        number: MIT-BIH record number; it determines which classes occur and how often.
        beats: number of beats to cut. One more follows, because a record's last is never cut.
        rng: random generator of the record.

    Returns:
        (samples,) ADC units at 360 Hz (200 per mV, offset 1024), the (annotations,) positions,
        ascending, and the annotation symbols: beats, rhythm changes "+", noise changes "~".
    """
    patient = _draw_patient(number in PACED_RECORDS, rng)
    classes = _draw_classes(number, beats, rng)
    intervals = _draw_intervals(patient, classes, rng)
    peaks = np.round((FIRST_BEAT + np.cumsum(intervals)) * RATE).astype(np.int64)
    samples = int(peaks[-1] + RATE)
    rhythm_marks = _marks_between(peaks, 0.5, rng)
    noise_marks = _marks_between(peaks, 0.6, rng)
    signal = _render(_draw_beats(patient, classes, intervals, rng), peaks, samples)
    signal += _disturbance(patient, samples, noise_marks, rng)
    adc = np.clip(np.round(signal * UNITS_PER_MV) + OFFSET, 0, ADC_MAX).astype(np.int16)

    symbol_of = {"N": "N", "S": "A", "V": "V", "F": "F", "Q": "/" if patient.paced else "Q"}
    marked = peaks + np.round(rng.normal(0, 1.5, len(peaks))).astype(np.int64)
    positions = np.concatenate([marked, [18], rhythm_marks, noise_marks])
    symbols = [symbol_of[name] for name in classes]
    symbols += ["+"] * (1 + len(rhythm_marks)) + ["~"] * len(noise_marks)
    order = np.argsort(positions, kind="stable")
    return adc, positions[order], [symbols[k] for k in order]


def generate(*, seed: int = 0, records: int = 48, beats_per_record: int = 450) -> Heartbeats:
    """Generate a synthetic set of heartbeats.

    All 48 records together have about the class shares of the real set, and every class occurs in
    several training, validation and test patients of the inter-patient split. Fewer records
    hold only the classes of their own patients. A record depends on the seed, its number and
    `beats_per_record`, not on how many records are generated.

    Args:
        seed: at least 0; the same seed gives the same set.
        records: number of records from 1 to 48, in the order of MIT-BIH's numbers.
        beats_per_record: number of beats in every record, at least 10.

    Raises:
        UsageError: an argument is out of its range.

    Example:
        >>> generate(records=2, beats_per_record=10).signals.shape
        (20, 187)
    """
    if seed < 0:
        raise UsageError(f"the seed of synthetic heartbeats is {seed}. Use 0 or a larger integer.")
    if not 1 <= records <= len(RECORDS):
        raise UsageError(
            f"cannot generate {records} synthetic records. Use 1 to {len(RECORDS)}, one for each "
            "MIT-BIH record number."
        )
    if beats_per_record < MINIMUM_BEATS:
        raise UsageError(
            f"{beats_per_record} beats per synthetic record are too few for its classes. "
            f"Use {MINIMUM_BEATS} or more."
        )
    streams = np.random.SeedSequence(seed).spawn(records)
    parts = [
        cut_windows(*generate_record(number, beats_per_record, np.random.default_rng(stream)))
        for number, stream in zip(RECORDS, streams, strict=False)
    ]
    return Heartbeats(
        signals=np.concatenate([part.signals for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        record=np.repeat(np.array(RECORDS[:records], dtype=np.int32), beats_per_record),
        sample=np.concatenate([part.sample for part in parts]),
        symbol=np.concatenate([part.symbol for part in parts]),
        in_test=None,
        source="synthetic",
        rr=np.concatenate([part.rr for part in parts]),
        records={number: Record(str(number), RATE, "simulated") for number in RECORDS[:records]},
    )
