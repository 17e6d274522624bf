"""Classify beats with a model file: records with or without annotations, CSVs, tables."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecg import sources
from ecg.describe import table
from ecg.errors import UsageError
from ecg.heartbeats import CLASSES, UNKNOWN, Heartbeats
from ecg.metrics import per_class, scores
from ecg.model_file import Model
from ecg.record_lists import from_text
from ecg.rhythm import rhythm
from ecg.sources.records import read_folder
from ecg.sources.wfdb_files import ANNOTATIONS, HEADER, FileError, read_annotations
from ecg.splits import make_split

NOT_CLASSIFIED = "?"  # the WFDB symbol of a beat of unknown class
MITDB = ("mitdb", "kaggle")  # prefixes of the sources with MIT-BIH's beats
SHOWN = 5  # at most this many records are named


@dataclass(frozen=True, eq=False)
class Beats:
    """Beats to classify.

    Attributes:
        beats: the beats of all records; unknown labels have arbitrary values.
        is_labelled: (n,) bool, whether the true class of each beat is known.
        notes: sentences that say where beats, lead and labels come from.
    """

    beats: Heartbeats
    is_labelled: NDArray[np.bool_]
    notes: tuple[str, ...]


def find_beats(data: str, *, lead: str | None = None, peaks: str | None = None) -> Beats:
    """Read the beats to classify.

    Args:
        data: a WFDB record (`folder/100`), or any location that `ecg.sources.load` reads. The
            records of a folder need no annotations.
        lead: name of the lead to cut beats from; None as for `ecg.sources.load`.
        peaks: suffix of the annotation file with the R peaks. None means `.atr`, or the detector
            XQRS of `wfdb` for a record without that file. Only `.atr` gives true classes.

    Raises:
        UsageError: there is no such data.
        DataError: a file is missing or damaged, or a record lacks the lead or has no beat.
    """
    folder, names = _records(data)
    suffix = f".{(peaks or ANNOTATIONS).lstrip('.')}"
    bare = [name for name in names if not os.path.isfile(f"{folder / name}{suffix}")]
    if not names or (len(names) > 1 and not bare and suffix == ANNOTATIONS):
        if peaks is not None and not names:
            raise UsageError(f"{data} holds no WFDB record. Leave `peaks` out.")
        beats = sources.load(data, lead=lead)
        bare = []
    else:
        annotate = partial(_annotate, suffix=suffix, is_named=peaks is not None)
        source = folder.absolute().name or "records"
        beats = read_folder(folder, names, source, lead=lead, annotate=annotate)
    known = [
        n for n, one in beats.records.items() if suffix == ANNOTATIONS and one.name not in bare
    ]
    is_labelled = np.isin(beats.record, known) if names else np.ones(len(beats), dtype=np.bool_)
    return Beats(beats, is_labelled, tuple(_notes(beats, suffix, names, bare)))


def classify(
    model: Model, beats: Heartbeats, rows: NDArray[np.int64] | None = None
) -> NDArray[np.float32]:
    """Return the probability of each class for each beat, (n, 5).

    Args:
        model: trained network.
        beats: all beats of whole records.
        rows: (n,) rows of the beats to classify, None for all.

    Raises:
        UsageError: the network takes the rhythm, but the data has no RR intervals.
    """
    chosen = slice(None) if rows is None else rows
    around = None if model.config.rhythm is None else rhythm(beats)[chosen]
    return model.probabilities(beats.signals[chosen], around)


def fair_rows(model: Model, beats: Heartbeats) -> tuple[NDArray[np.int64], bool, str]:
    """Return the beats on which a network may be measured.

    Args:
        model: network whose file has the split and the fingerprint of the data of its study.
        beats: a whole data set.

    Returns:
        Rows, whether they are the test part of the network's study, and a sentence that says so.
        For other data than the study's, these are all rows.

    Raises:
        UsageError: the study's split cannot be made.
    """
    facts = model.facts
    if facts.get("data") == beats.fingerprint:
        listed = from_text(facts["records"]) if facts.get("records") else None
        rows = make_split(str(facts.get("split")), beats, listed).test
        said = f"measuring on the test part of the split {facts.get('split')}: {len(rows):,} beats"
        return rows, True, said
    caution = caution_of(model, beats)
    return (
        np.arange(len(beats)),
        False,
        f"measuring on all {len(beats):,} beats: this is not the data the network was trained on"
        + (f". {caution}" if caution else ""),
    )


def caution_of(model: Model, beats: Heartbeats) -> str:
    """Return why scores on these beats may not be fair, or "" if there is no known reason."""
    trained = str(model.facts.get("source", ""))
    is_mitdb = [name.startswith(MITDB) for name in (trained, beats.source)]
    if trained and (trained == beats.source or all(is_mitdb)):
        return (
            "Caution: the network was trained on beats of this database, so these scores say "
            "nothing about new patients. To measure its test part, use `python -m ecg evaluate`."
        )
    return ""


def count(labels: NDArray[np.int64], predicted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the confusion matrix, (5, 5), rows true, columns predicted."""
    counts = np.bincount(labels * len(CLASSES) + predicted, minlength=len(CLASSES) ** 2)
    return counts.reshape(len(CLASSES), len(CLASSES))


def say_confusion(confusion: NDArray[np.int64]) -> str:
    """Return a confusion matrix, the scores per class and their means, as text."""
    metrics = per_class(confusion)
    rows = [
        (name, *(f"{n:,}" for n in line), *(f"{values[i]:.4f}" for values in metrics.values()))
        for i, (name, line) in enumerate(zip(CLASSES, confusion, strict=True))
    ]
    header = ("true", *(f"as {name}" for name in CLASSES), *metrics)
    found = scores(confusion)
    means = [
        (f"mean, {name}", *(f"{found[f'{metric}_{name}']:.4f}" for metric in metrics))
        for name in ("macro", "weighted")
    ]
    return f"{table(header, rows)}\n\n{table(('', *metrics), means)}"


def _records(data: str) -> tuple[Path, list[str]]:
    """Return the folder and names of WFDB records; no names if the data holds no records."""
    path = Path(data).expanduser()
    stem = path.with_suffix("") if path.suffix == HEADER else path
    if os.path.isfile(f"{stem}{HEADER}"):
        return stem.parent, [stem.name]
    if os.path.isdir(path):
        return path, sorted(one.stem for one in path.glob(f"*{HEADER}"))
    return path, []


def _annotate(
    path: Path,
    rate: float,
    adc: NDArray[np.int64],
    gaps: NDArray[np.bool_] | None,
    *,
    suffix: str,
    is_named: bool,
) -> tuple[NDArray[np.int64], list[str]]:
    """Return the annotations of a record, or the R peaks found; see `wfdb_files.Annotate`."""
    if is_named or os.path.isfile(f"{path}{suffix}"):
        return read_annotations(path, rate, adc, suffix=suffix)
    found = detect_peaks(adc, rate, gaps)
    if len(found) < 2:
        raise FileError("the detector XQRS found no R peaks")
    return found, [NOT_CLASSIFIED] * len(found)


def detect_peaks(
    adc: NDArray[np.int64], rate: float, gaps: NDArray[np.bool_] | None = None
) -> NDArray[np.int64]:
    """Find R peaks with XQRS of the package `wfdb`.

    Args:
        adc: (samples,) signal of a lead, in any unit.
        rate: sampling rate in Hz.
        gaps: (samples,) where the signal is missing; gaps are interpolated linearly.

    Returns:
        Positions, ascending.
    """
    from wfdb.processing import xqrs_detect

    signal = adc.astype(np.float64)
    if gaps is not None:
        there = np.flatnonzero(~gaps)
        signal[gaps] = np.interp(np.flatnonzero(gaps), there, signal[there])
    try:
        found: Any = xqrs_detect(signal, fs=rate, verbose=False)
    except (ValueError, IndexError):  # the signal is too short or flat
        return np.array([], dtype=np.int64)
    peaks: NDArray[np.int64] = np.unique(np.asarray(found, dtype=np.int64))
    return peaks[(peaks >= 0) & (peaks < len(adc))]


def _notes(
    beats: Heartbeats, suffix: str, names: Sequence[str], bare: Sequence[str]
) -> Iterable[str]:
    known = beats.records.values()
    if leads := Counter(one.lead for one in known if one.lead):
        yield "lead: " + ", ".join(
            f"{lead} of {_named([one.name for one in known if one.lead == lead])}" for lead in leads
        )
    if rates := {one.rate for one in known if one.lead} - {360.0}:
        said = ", ".join(f"{rate:g} Hz" for rate in sorted(rates))
        yield f"resampled from {said} to 360 Hz; the window rule takes every third sample"
    if bare:
        yield (
            f"R peaks: no {suffix} file for {_named(bare)}, so the detector XQRS of wfdb found them"
        )
    if names and len(bare) < len(names):
        others = [name for name in names if name not in bare]
        yield f"R peaks: from the {suffix} file of {_named(others)}"
    if lost := sum(one.lost for one in known):
        yield f"{lost:,} beats were left out because of gaps in their signal"
    if (beats.record == UNKNOWN).all():
        yield "the data has no record numbers; the output has the same rows in the same order"


def _named(records: Sequence[str]) -> str:
    if len(records) == 1:
        return f"record {records[0]}"
    more = ", ..." if len(records) > SHOWN else ""
    return f"{len(records)} records ({', '.join(records[:SHOWN])}{more})"
