"""From a record and its annotations to fixed-length beats.

The rule was found by matching the Kaggle rows (`shayanfazeli/heartbeat`) with the raw
MIT-BIH records; it reproduces them sample by sample.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecg.heartbeats import BEAT_LENGTH, CLASSES

DECIMATION = 3  # 360 Hz -> 120 Hz, plain, no filter

# AAMI EC57 classes of the MIT-BIH annotation symbols; every other symbol is not a beat.
AAMI_SYMBOLS = {"N": "NLRej", "S": "AaJS", "V": "VE", "F": "F", "Q": "/fQ"}
LABEL_OF_SYMBOL = {
    symbol: CLASSES.index(name) for name, symbols in AAMI_SYMBOLS.items() for symbol in symbols
}


@dataclass(frozen=True, eq=False)
class Windows:
    """The beats of one record: signals (n, 187) float32, labels, sample (n,), symbol (n,)."""

    signals: NDArray[np.float32]
    labels: NDArray[np.int64]
    sample: NDArray[np.int32]
    symbol: NDArray[np.str_]


def cut_windows(
    adc: NDArray[np.integer], sample: NDArray[np.integer], symbol: Sequence[str]
) -> Windows:
    """Cut one record into beats.

    For the annotation k at sample p[k], which is a beat and not the record's last
    annotation, the window starts at p[k] and spans one RR interval and a fifth of the next:
    int((p[k+1] - p[k]) + 0.2 * (p[k+2] - p[k+1])) raw samples. Every third sample is kept,
    scaled to [0, 1] by the minimum and maximum of the whole window, then cropped or
    zero-padded to 187.

    Args:
        adc: (samples,) raw ADC units of one lead at 360 Hz.
        sample: (annotations,) position of every annotation, non-beats included, ascending.
        symbol: (annotations,) the annotation symbols.

    Returns:
        The beats in the order of their annotations. A window without any variation is all
        zeros.
    """
    labels = np.array([LABEL_OF_SYMBOL.get(s, -1) for s in symbol], dtype=np.int64)
    beats = np.flatnonzero(labels[:-1] >= 0)
    signals = np.zeros((len(beats), BEAT_LENGTH), dtype=np.float32)
    for row, k in enumerate(beats):
        interval = int(sample[k + 1] - sample[k])
        has_next = k + 2 < len(sample)
        next_interval = int(sample[k + 2] - sample[k + 1]) if has_next else interval
        length = int(interval + 0.2 * next_interval)
        window = adc[sample[k] : sample[k] + length : DECIMATION].astype(np.float64)
        if len(window) == 0:
            continue
        low, high = window.min(), window.max()
        if high > low:
            scaled = (window - low) / (high - low)
            signals[row, : len(scaled)] = scaled[:BEAT_LENGTH]
    return Windows(
        signals=signals,
        labels=labels[beats],
        sample=np.asarray(sample)[beats].astype(np.int32),
        symbol=np.array(list(symbol), dtype="U1")[beats],
    )
