"""Simulated ECG as WFDB records of any rate, with annotations or without."""

from pathlib import Path

import numpy as np
import wfdb
from numpy.typing import NDArray
from scipy.signal import resample_poly

from ecg.sources.synthetic import generate_record


def make_record(
    folder: Path,
    name: str,
    *,
    seed: int = 0,
    beats: int = 60,
    rate: int = 360,
    leads: tuple[str, ...] = ("II", "V1"),
    suffix: str | None = "atr",
    gap: slice | None = None,
) -> NDArray[np.int64]:
    """Write a record; its first lead is simulated, the others are noise.

    Args:
        folder: folder that exists.
        name: name of the record.
        seed: seed of the signal.
        beats: number of beats in it, at least 10.
        rate: sampling rate in Hz.
        leads: names.
        suffix: suffix of the annotation file, None for no file.
        gap: samples that are missing.

    Returns:
        The positions of the annotations.
    """
    adc, sample, symbol = generate_record(100, beats, np.random.default_rng(seed))
    signal = resample_poly(adc - 1024.0, rate, 360)
    sample = np.round(sample * rate / 360).astype(np.int64)
    noise = np.random.default_rng(seed).integers(-9, 9, (len(signal), len(leads)))
    digital = np.where(np.arange(len(leads)) == 0, np.round(signal)[:, None], noise)
    if gap is not None:
        digital[gap] = -(2**15)  # how format 16 marks a missing sample
    wfdb.wrsamp(
        name, fs=rate, units=["mV"] * len(leads), sig_name=list(leads),
        d_signal=digital.astype(np.int64), fmt=["16"] * len(leads),
        adc_gain=[200.0] * len(leads), baseline=[0] * len(leads), write_dir=str(folder),
    )  # fmt: skip
    if suffix is not None:
        wfdb.wrann(name, suffix, sample, list(symbol), fs=rate, write_dir=str(folder))
    return sample
