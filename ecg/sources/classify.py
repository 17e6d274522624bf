"""Identifies the files of a folder by their content, and says which are unusable and why."""

import os
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from ecg.sources import archive, cache, csv_files, kaggle, mitdb_files, records, table
from ecg.sources.csv_advice import COLUMNS
from ecg.sources.csv_files import CsvFile
from ecg.sources.found import Found
from ecg.sources.wfdb_files import HEADER

SHOWN = 3  # at most this many things are named
RESERVED = ("mitdb", "kaggle", "synthetic")  # source names that other data must not have
OTHER_FORMATS = {
    ".edf": "EDF", ".bdf": "BDF", ".mat": "MATLAB", ".h5": "HDF5", ".hdf5": "HDF5", ".xml": "XML",
    ".dcm": "DICOM", ".parquet": "Parquet", ".xlsx": "Excel", ".xls": "Excel", ".pkl": "pickle",
    ".pt": "PyTorch", ".npy": "NumPy", ".rar": "RAR", ".7z": "7z", ".tar": "tar", ".tgz": "tar",
}  # fmt: skip


def classify(
    folder: Path, names: Sequence[str], only: Path | None = None
) -> tuple[list[Found], list[tuple[Path, str]]]:
    """Return the data sets in a folder, and the unusable files with reasons.

    Args:
        folder: the folder.
        names: names of its files.
        only: the only file to look at; None for all.
    """
    found: list[Found] = []
    unused: list[tuple[Path, str]] = []
    is_record_file = _classify_records(folder, names, found, unused) if only is None else set()
    csvs: list[CsvFile] = []
    for name in names:
        path = folder / name
        if name in is_record_file or not path.is_file():
            continue
        start, suffix = csv_files.magic(path), path.suffix.lower()
        is_asked = only is None or path == only
        if start == csv_files.ZIP_MAGIC:
            if member := single_csv(path):
                csvs.append(CsvFile(path, member))
            elif is_asked:
                _classify_zip(path, found, unused)
        elif ".csv" in name.lower() or start == csv_files.GZIP_MAGIC:
            csvs.append(CsvFile(path))
        elif suffix in (".zip", ".npz") and is_asked:
            unused.append((path, "not a ZIP file, or its download was interrupted"))
        elif suffix in OTHER_FORMATS and is_asked:
            unused.append((path, f"a file in the unsupported {OTHER_FORMATS[suffix]} format"))
        elif only is not None and is_asked:  # such as 100.dat
            unused.append((path, "not a ZIP, .npz or CSV file; for records, name their folder"))
    _classify_csvs(csvs, folder, found, unused, only)
    return found, unused


def _classify_records(
    folder: Path, names: Sequence[str], found: list[Found], unused: list[tuple[Path, str]]
) -> set[str]:
    """Add the records of a folder; return the names of all files that belong to records."""
    stems = {name.rsplit(".", 1)[0] for name in names if name.endswith(HEADER)}
    mitdb = {name.rsplit(".", 1)[0] for name in names if name in mitdb_files.FILES}
    used = {name for name in names if name.rsplit(".", 1)[0] in stems | mitdb}
    if len(mitdb) == len(mitdb_files.RECORDS):
        found.append(Found("mitdb", folder, "mitdb"))
        return used
    with_beats = tuple(archive.annotated(names))
    bare = sorted((stems | mitdb) - set(with_beats))
    without = shown(bare)
    if with_beats:
        notes = [_say_subset(folder, with_beats)]
        if bare:
            notes.append(f"left out records without header or annotations (.atr): {without}")
        note = "; ".join(filter(None, notes))
        found.append(Found("records", folder, _source_name(folder), with_beats, note=note))
    elif bare:
        kind = "record" if len(bare) == 1 else "records"
        reason = f"{kind} {without} without both header (.hea) and beat annotations (.atr)"
        unused.append((folder, reason))
    return used


def _say_subset(folder: Path, names: Sequence[str]) -> str:
    if not records.has_mitdb_headers(folder, names):
        return ""
    missing = [str(one) for one in mitdb_files.RECORDS if str(one) not in names]
    return (
        f"only {len(names)} of the {len(mitdb_files.RECORDS)} MIT-BIH records are there, without "
        f"{shown(missing)}; `python -m ecg fetch mitdb` downloads all"
    )


def _classify_zip(path: Path, found: list[Found], unused: list[tuple[Path, str]]) -> None:
    try:
        with zipfile.ZipFile(path) as opened:
            names = _members(opened)
            folders = archive.by_folder(opened)
    except archive.UNREADABLE as error:
        reason = str(error).lower() or type(error).__name__
        unused.append((path, f"a damaged ZIP file or download ({reason})"))
        return
    source = _source_name(path)
    if names and all(name.endswith(".npy") for name in names):
        arrays = {name.removesuffix(".npy") for name in names}
        if {"key", "digest", "lengths"} <= arrays:
            if cache.is_prepared(path):
                found.append(Found("prepared", path, source))
            else:
                unused.append((path, "a cache file, not an output of `python -m ecg prepare`"))
        elif {table.SIGNALS, table.LABELS} <= arrays:
            found.append(Found("table", path, source))
        else:
            held = shown(sorted(arrays))
            unused.append((path, f"an .npz with the arrays {held} instead of signals and labels"))
        return
    expected = frozenset(mitdb_files.FILES)
    mitdb = max((len({n[:3] for n in inside if n in expected}) for inside in folders.values()),
                default=0)  # fmt: skip
    if mitdb == len(mitdb_files.RECORDS):
        found.append(Found("mitdb-zip", path, "mitdb"))
    elif any(archive.annotated(inside) for inside in folders.values()):
        found.append(Found("records-zip", path, source))
    elif csvs := [CsvFile(path, name) for name in names if name.lower().endswith(".csv")]:
        _classify_csvs(csvs, path, found, unused, None)
    elif mitdb:
        unused.append((path, "a ZIP file whose MIT-BIH records lack header or annotations"))
    else:
        held = shown(names) or "nothing"
        unused.append((path, f"a ZIP file without heartbeats; it holds {held}"))


def single_csv(path: Path) -> str:
    """Return the only member of a ZIP if it is a CSV file, else ""."""
    try:
        with zipfile.ZipFile(path) as opened:
            names = _members(opened)
    except archive.UNREADABLE:
        return ""
    return names[0] if len(names) == 1 and names[0].lower().endswith(".csv") else ""


def _members(opened: zipfile.ZipFile) -> list[str]:
    """Return the names of the files in a ZIP, without hidden ones such as macOS adds."""
    return [
        member.filename
        for member in opened.infolist()
        if not member.is_dir() and not member.filename.rsplit("/", 1)[-1].startswith(".")
    ]


def _classify_csvs(
    csvs: Sequence[CsvFile],
    place: Path,
    found: list[Found],
    unused: list[tuple[Path, str]],
    only: Path | None,
) -> None:
    """Add the pair of Kaggle's files and any tables; say why the other files are unusable."""
    rows = {file: file.first_row() for file in csvs}
    train, test = _part(rows, "train"), _part(rows, "test")
    pair = (train, test)
    if train and test and (only is None or only in (train.path, test.path)):
        if train.path == test.path:
            place = train.path
        is_named = all("mitbih" in file.name.lower() for file in (train, test))
        source = kaggle.SUBSET if is_named else _source_name(place)
        found.append(Found("kaggle", place, source, files=(train, test)))
    for file, row in rows.items():
        is_used = bool(found) and file in found[-1].files
        if is_used or (only is not None and file.path != only):
            continue
        if table.is_header(row):
            found.append(Found("table", file.path, _source_name(file.path), files=(file,)))
        elif not ("ptb" in file.name.lower() and train and test):  # Kaggle ships them together
            unused.append((file.path, _fault_of_csv(file, row, pair)))


def _part(rows: Mapping[CsvFile, Sequence[str]], part: str) -> CsvFile | None:
    """Return the file of a part, preferably with Kaggle's name, else one with such rows."""
    of_part = [
        file
        for file, row in rows.items()
        if part in file.name.lower() and "ptb" not in file.name.lower()
        and ("mitbih" in file.name.lower() or len(row) == COLUMNS) and not table.is_header(row)
    ]  # fmt: skip
    return min(
        of_part, key=lambda file: ("mitbih" not in file.name.lower(), str(file)), default=None
    )


def _fault_of_csv(file: CsvFile, row: Sequence[str], pair: Sequence[CsvFile | None]) -> str:
    if "ptb" in file.name.lower():
        return "a PTB file, whose beats have other classes"
    if file in pair:
        other = kaggle.TEST_FILE if file == pair[0] else kaggle.TRAIN_FILE
        return f"a CSV file without its counterpart {other}"
    if not row:
        return "an empty or unreadable CSV file"
    if len(row) == COLUMNS:
        return (
            "a CSV file like Kaggle's whose name contains neither train nor test; rename the two "
            f"files to {kaggle.TRAIN_FILE} and {kaggle.TEST_FILE}"
        )
    columns = f"{len(row)} column{'' if len(row) == 1 else 's'}"
    return f"a CSV file with {columns}, none of them named `label` in the first row"


def shown(names: Sequence[str]) -> str:
    """Return the first few names for a message; unprintable characters become "?"."""
    plain = ["".join(c if c.isprintable() else "?" for c in name)[:60] for name in names[:SHOWN]]
    return ", ".join([*plain, *(["..."] if len(names) > SHOWN else [])])


def _source_name(path: Path) -> str:
    """Return a name for the data at a path: the nearest path component that is descriptive."""
    path = Path(os.path.realpath(path))
    for name in (re.sub(r"(\.csv|\.npz|\.zip|\.gz)+$", "", path.name, flags=re.I), *_parents(path)):
        plain = re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip("-.")[:60]
        if re.search("[A-Za-z]", plain) and plain.lower() not in ("data", "records", "files"):
            return f"own-{plain}" if plain.lower().startswith(RESERVED) else plain
    return "own-data"


def _parents(path: Path) -> list[str]:
    return [one.name for one in list(path.parents)[:3]]
