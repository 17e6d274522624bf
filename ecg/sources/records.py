"""Folders and ZIPs of WFDB records with beat annotations, from any database, rate and leads."""

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ecg.errors import DataError
from ecg.heartbeats import Heartbeats, Record
from ecg.sources.archive import unpack_records
from ecg.sources.mitdb_files import published_sha256, sha256_of
from ecg.sources.wfdb_files import (
    ANNOTATIONS,
    ANY,
    HEADER,
    SUBSET,
    Annotate,
    FileError,
    Rules,
    lead_names,
    named,
    read_header,
    read_record,
)
from ecg.sources.windows import Windows

MITDB_SUBSET = "mitdb-subset"  # source name of some of the 48 records
PREFERRED_LEADS = ("MLII", "II")  # MIT-BIH's name of the lead first, then the usual name


def read_folder(
    folder: Path,
    names: Sequence[str],
    source: str,
    *,
    lead: str | None = None,
    shown_as: Path | None = None,
    annotate: Annotate | None = None,
) -> Heartbeats:
    """Read the records of a folder into heartbeats.

    Args:
        folder: folder of the files.
        names: names of the records, such as "100".
        source: name of the data, unless it is a part of MIT-BIH.
        lead: name of the lead to cut beats from. None means lead II (or MLII) of every record if
            any has it, else the first lead; for MIT-BIH always the first.
        shown_as: path for error messages, if the folder is temporary.
        annotate: finds the annotations of a record; None reads its `.atr` file.

    Raises:
        DataError: a file is missing or damaged, a record lacks the lead, or there is no beat.
    """
    is_subset = has_mitdb_headers(folder, names)
    rules, shown = SUBSET if is_subset else ANY, shown_as or folder
    if annotate is not None:
        limits = {HEADER: rules.size_limits[HEADER]}
        rules = replace(rules, size_limits=limits)
    leads = {} if is_subset or lead else _common_leads(folder, names, rules, shown)
    found = {
        name: read_record(
            folder, name, rules, lead=lead or leads.get(name), shown_as=shown, annotate=annotate
        )
        for name in names
    }
    beats = assemble(found, MITDB_SUBSET if is_subset else source)
    if len(beats) == 0:
        raise DataError(
            f"{shown}: the {ANNOTATIONS} files mark no beat (records read: {len(found)}). Use "
            "records whose annotation files mark every beat."
        )
    return beats


def read_zip(path: Path, source: str, *, lead: str | None = None) -> Heartbeats:
    """Read the annotated records of a ZIP; otherwise like `read_folder`."""
    with tempfile.TemporaryDirectory(prefix="ecg-records-") as folder:
        names = unpack_records(path, Path(folder))
        return read_folder(Path(folder), names, source, lead=lead, shown_as=path)


def has_mitdb_headers(folder: Path, names: Sequence[str]) -> bool:
    """Return whether all headers are identical to PhysioNet's headers of MIT-BIH."""
    published = published_sha256()
    try:
        return bool(names) and all(
            published.get(name + HEADER) == sha256_of(folder / (name + HEADER)) for name in names
        )
    except OSError:
        return False


def assemble(parts: Mapping[str, tuple[Windows, Record]], source: str) -> Heartbeats:
    """Concatenate the beats of records, in the given order."""
    numbers = number_records(list(parts))
    windows = [one for one, _ in parts.values()]
    return Heartbeats(
        signals=np.concatenate([one.signals for one in windows]),
        labels=np.concatenate([one.labels for one in windows]),
        record=np.repeat(np.array(numbers, dtype=np.int32), [len(one.labels) for one in windows]),
        sample=np.concatenate([one.sample for one in windows]),
        symbol=np.concatenate([one.symbol for one in windows]),
        in_test=None,
        source=source,
        rr=np.concatenate([one.rr for one in windows]),
        records=dict(zip(numbers, (record for _, record in parts.values()), strict=True)),
    )


def number_records(names: Sequence[str]) -> list[int]:
    """Return a number for each record: its name if all names are numbers, else 1, 2, ..."""
    if all(re.fullmatch(r"0|[1-9][0-9]{0,8}", name) for name in names):
        return [int(name) for name in names]
    return list(range(1, len(names) + 1))


def _common_leads(
    folder: Path, names: Sequence[str], rules: Rules, shown: Path
) -> dict[str, str | None]:
    """Return the preferred lead of every record, if any record has one.

    Raises:
        DataError: some records have it and others do not.
    """
    leads: dict[str, list[str]] = {}
    for name in names:
        try:
            leads[name] = lead_names(read_header(folder.absolute() / name, rules))
        except (FileError, OSError) as error:
            raise named(error, shown, name, rules) from error
    chosen = {
        name: next((one for one in PREFERRED_LEADS if one in there), None)
        for name, there in leads.items()
    }
    lacking = [name for name, one in chosen.items() if one is None]
    if lacking and len(lacking) < len(chosen):
        raise DataError(
            f"{shown}: record {lacking[0]} has the leads {', '.join(leads[lacking[0]])} but "
            f"neither {' nor '.join(PREFERRED_LEADS)}, which other records have"
            f"{f' ({len(lacking)} records lack it)' if len(lacking) > 1 else ''}. Move it out of "
            "the folder, or name a lead that all records have as `lead` of `python -m ecg prepare`."
        )
    return chosen
