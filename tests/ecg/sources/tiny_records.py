"""Writes small WFDB records, some of which pass for MIT-BIH records."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import wfdb

SAMPLES = 3000
SYMBOLS = ["+", "N", "A", "V", "F", "/", "~", "N", "N", "N"]
BEATS = 7  # those of SYMBOLS that are a beat and not the last annotation


def write_record(
    folder: Path,
    record: int | str,
    *,
    rate: float = 360,
    leads: Sequence[str] = ("MLII", "V1"),
    form: str = "212",
    comments: Sequence[str] = (),
    symbols: Sequence[str] = SYMBOLS,
    gap: slice | None = None,
) -> None:
    """Write `<record>.hea`, `.dat` and `.atr`: leads of noise, ten annotations.

    Args:
        folder: folder to write to.
        record: its name.
        rate: sampling rate in Hz; the annotations have the same times at any rate.
        leads: their names.
        form: signal format.
        comments: comments of the header.
        symbols: symbols of the annotations.
        gap: samples that are marked as missing.
    """
    scale = rate / 360
    seed = record if isinstance(record, int) else sum(record.encode())
    adc = np.random.default_rng(seed).integers(-500, 500, (int(SAMPLES * scale), len(leads)))
    if gap is not None:
        adc[gap] = {"212": -2048, "16": -32768}[form]
    wfdb.wrsamp(
        str(record),
        fs=rate,
        units=["mV"] * len(leads),
        sig_name=list(leads),
        d_signal=adc,
        fmt=[form] * len(leads),
        adc_gain=[200] * len(leads),
        baseline=[0] * len(leads),
        comments=list(comments),
        write_dir=str(folder),
    )
    sample = np.round((50 + 290 * np.arange(len(symbols))) * scale).astype(np.int64)
    notes = ["(N" if symbol == "+" else "" for symbol in symbols]
    wfdb.wrann(str(record), "atr", sample, list(symbols), aux_note=notes, write_dir=str(folder))


def copy_record(source: Path, target: Path, record: int) -> None:
    """Copy the record 100 of one folder under another number into another folder."""
    header = (source / "100.hea").read_text()
    (target / f"{record}.hea").write_text(header.replace("100", str(record)))
    for suffix in (".dat", ".atr"):
        (target / f"{record}{suffix}").write_bytes((source / f"100{suffix}").read_bytes())
