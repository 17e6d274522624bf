"""Writes small WFDB records that the readers take for MIT-BIH ones."""

from pathlib import Path

import numpy as np
import wfdb

SAMPLES = 3000
SYMBOLS = ["+", "N", "A", "V", "F", "/", "~", "N", "N", "N"]
BEATS = 7  # those of SYMBOLS that are a beat and not the last annotation


def write_record(folder: Path, record: int) -> None:
    """Write `<record>.hea`, `.dat` and `.atr`: two channels of noise, ten annotations."""
    adc = np.random.default_rng(record).integers(-500, 500, (SAMPLES, 2))
    wfdb.wrsamp(
        str(record),
        fs=360,
        units=["mV", "mV"],
        sig_name=["MLII", "V1"],
        d_signal=adc,
        fmt=["212", "212"],
        adc_gain=[200, 200],
        baseline=[0, 0],
        write_dir=str(folder),
    )
    sample = 50 + 290 * np.arange(len(SYMBOLS))
    notes = ["(N", *[""] * (len(SYMBOLS) - 1)]
    wfdb.wrann(str(record), "atr", sample, SYMBOLS, aux_note=notes, write_dir=str(folder))


def copy_record(source: Path, target: Path, record: int) -> None:
    """Copy the record 100 of one folder under another number into another folder."""
    header = (source / "100.hea").read_text()
    (target / f"{record}.hea").write_text(header.replace("100", str(record)))
    for suffix in (".dat", ".atr"):
        (target / f"{record}{suffix}").write_bytes((source / f"100{suffix}").read_bytes())
