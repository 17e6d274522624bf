"""Cuts a record with annotations into fixed-length beats.

The rule was found by matching the Kaggle rows (`shayanfazeli/heartbeat`) with the raw MIT-BIH
records, and it reproduces them sample by sample. Records of another rate are first resampled to
MIT-BIH's, so that one rule fits all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ecg.heartbeats import BEAT_LENGTH, CLASSES, RAW_SAMPLING_RATE

DECIMATION = 3  # 360 Hz -> 120 Hz, without a filter

# AAMI EC57 classes of the annotation symbols; no other symbol is a beat. MIT-BIH does not use B
# (bundle branch block), n (supraventricular escape), r (R-on-T) and ? (not classified).
AAMI_SYMBOLS = {"N": "NLRejB", "S": "AaJSn", "V": "VEr", "F": "F", "Q": "/fQ?"}
LABEL_OF_SYMBOL = {
    symbol: CLASSES.index(name) for name, symbols in AAMI_SYMBOLS.items() for symbol in symbols
}


@dataclass(frozen=True, eq=False)
class Windows:
    """The beats of one record.

    Attributes:
        signals: (n, 187) float32.
        labels: (n,) int64.
        sample: (n,) int32, position of the R peak at the record's own rate.
        symbol: (n,) "U1".
        rr: (n, 2) float32, seconds since the previous beat and until the next; NaN if there is
            none.
        lost: number of beats left out because of gaps in their signal.
    """

    signals: NDArray[np.float32]
    labels: NDArray[np.int64]
    sample: NDArray[np.int32]
    symbol: NDArray[np.str_]
    rr: NDArray[np.float32]
    lost: int = 0


def cut_windows(
    adc: NDArray[np.integer],
    sample: NDArray[np.integer],
    symbol: Sequence[str],
    *,
    rate: float = RAW_SAMPLING_RATE,
    gaps: NDArray[np.bool_] | None = None,
) -> Windows:
    """Cut one record into beats.

    Each annotation k that is a beat, except the record's last annotation, gives one window. It
    starts at the sample p[k] (at 360 Hz) and spans one RR interval and a fifth of the next:
    int((p[k+1] - p[k]) + 0.2 * (p[k+2] - p[k+1])) samples. Every third sample is kept, scaled to
    [0, 1] by the minimum and maximum of the whole window, then cropped or zero-padded to 187.

    Args:
        adc: (samples,) raw ADC units of one lead.
        sample: (annotations,) position of every annotation, including non-beats, ascending.
        symbol: (annotations,) annotation symbols.
        rate: sampling rate in Hz; signal and positions are resampled to 360 Hz.
        gaps: (samples,) where the signal is missing; a beat whose window has a gap is left out.

    Returns:
        The beats in the order of their annotations. A constant window is all zeros.
    """
    labels = np.array([LABEL_OF_SYMBOL.get(s, -1) for s in symbol], dtype=np.int64)
    sample = np.asarray(sample)
    ratio = Fraction(RAW_SAMPLING_RATE / rate).limit_denominator(1000)
    place = sample if ratio == 1 else np.round(sample * float(ratio)).astype(np.int64)
    signal = adc if ratio == 1 and gaps is None else _resample(adc, ratio, gaps)
    missing = None if gaps is None else np.concatenate([[0], np.cumsum(gaps)])

    beats = np.flatnonzero(labels[:-1] >= 0)
    signals = np.zeros((len(beats), BEAT_LENGTH), dtype=np.float32)
    is_whole = np.ones(len(beats), dtype=np.bool_)
    for row, k in enumerate(beats):
        interval = int(place[k + 1] - place[k])
        has_next = k + 2 < len(place)
        next_interval = int(place[k + 2] - place[k + 1]) if has_next else interval
        length = int(interval + 0.2 * next_interval)
        if missing is not None:
            end = min(len(adc), int(sample[k] + np.ceil(length / float(ratio))) + 1)
            is_whole[row] = missing[end] == missing[sample[k]]
        window = signal[place[k] : place[k] + length : DECIMATION].astype(np.float64)
        if len(window) == 0:
            continue
        low, high = window.min(), window.max()
        if high > low:
            scaled = (window - low) / (high - low)
            signals[row, : len(scaled)] = scaled[:BEAT_LENGTH]
    kept = beats[is_whole]
    return Windows(
        signals=signals if missing is None else signals[is_whole],
        labels=labels[kept],
        sample=sample[kept].astype(np.int32),
        symbol=np.array(list(symbol), dtype="U1")[kept],
        rr=_rr_intervals(sample, labels >= 0, rate)[kept],
        lost=len(beats) - len(kept),
    )


def _rr_intervals(
    sample: NDArray[np.integer], is_beat: NDArray[np.bool_], rate: float
) -> NDArray[np.float32]:
    """Return the seconds since the previous beat and until the next, (annotations, 2)."""
    found = np.full((len(sample), 2), np.nan, dtype=np.float32)
    beats = np.flatnonzero(is_beat)
    seconds = np.diff(sample[beats]) / rate
    found[beats[1:], 0] = seconds
    found[beats[:-1], 1] = seconds
    return found


def _resample(
    adc: NDArray[np.integer], ratio: Fraction, gaps: NDArray[np.bool_] | None
) -> NDArray[np.float64]:
    """Return the signal at `ratio` times its rate, band-limited; gaps are interpolated."""
    signal = adc.astype(np.float64)
    if gaps is not None and gaps.any() and not gaps.all():
        signal[gaps] = np.interp(np.flatnonzero(gaps), np.flatnonzero(~gaps), signal[~gaps])
    if ratio == 1:
        return signal
    from scipy.signal import resample_poly

    # With zero padding, the signal would seem to jump at its beginning and end.
    resampled: NDArray[np.float64] = resample_poly(
        signal, ratio.numerator, ratio.denominator, padtype="mean"
    )
    return resampled
