"""A data set on disk: its kind, its reader, and its key in the cache."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ecg.heartbeats import Heartbeats
from ecg.sources import (
    archive,
    cache,
    csv_files,
    kaggle,
    mitdb_files,
    physionet,
    records,
    table,
    wfdb_files,
    windows,
)
from ecg.sources.csv_files import CsvFile

Kind = Literal["mitdb", "mitdb-zip", "kaggle", "prepared", "records", "records-zip", "table"]

# In order of preference if a folder holds several; only raw records include patients.
DESCRIPTIONS: dict[Kind, str] = {
    "mitdb": "MIT-BIH records",
    "mitdb-zip": "MIT-BIH records in a ZIP file",
    "kaggle": "Kaggle heartbeats",
    "prepared": "prepared heartbeats",
    "records": "WFDB records",
    "records-zip": "WFDB records in a ZIP file",
    "table": "table of heartbeats",
}


@dataclass(frozen=True)
class Found:
    """A data set on disk.

    Attributes:
        kind: kind of the data set.
        path: folder or file of the data set.
        source: name of the data set, unless its content has a fixed name.
        names: names of its records, for kind "records".
        files: its CSV files, for "kaggle" (training, test) and "table".
        note: note for the user, or "".
    """

    kind: Kind
    path: Path
    source: str
    names: tuple[str, ...] = ()
    files: tuple[CsvFile, ...] = ()
    note: str = ""

    def __str__(self) -> str:
        count = f"{len(self.names)} " if self.names else "the "
        return f"{count}{DESCRIPTIONS[self.kind]} of {self.path}"

    def read(self, lead: str | None = None) -> Heartbeats:
        """Read the data set from its files.

        Args:
            lead: name of the lead to cut beats from, for raw records.

        Raises:
            DataError: a file is missing or damaged.
        """
        return READERS[self.kind](self, lead)

    def key(self, lead: str | None = None) -> str:
        """Return the SHA-256 (hex) of the files and of the code that turns them into beats.

        Because the code is included, the cache of an earlier cutting rule is never used. A file
        that cannot be read counts as absent; `read` then reports it.
        """
        digest = hashlib.sha256(repr((self.kind, self.source, lead)).encode())
        digest.update(repr([file.member for file in self.files]).encode())
        for path in (*self._files(), *_code_files()):
            try:
                content = mitdb_files.sha256_of(path)
            except OSError:
                content = "absent"
            digest.update(f"\n{path.name} {content}".encode(errors="surrogateescape"))
        return digest.hexdigest()

    def _files(self) -> list[Path]:
        if self.kind == "mitdb":
            return [self.path / name for name in mitdb_files.FILES]
        if self.kind == "records":
            own = frozenset(self.names)
            return sorted(file for file in self.path.iterdir() if file.stem in own)
        return [file.path for file in self.files] or [self.path]


READERS: dict[Kind, Callable[[Found, str | None], Heartbeats]] = {
    "mitdb": lambda one, lead: physionet.read_folder(one.path, lead=lead),
    "mitdb-zip": lambda one, lead: physionet.read_zip(one.path, lead=lead),
    "kaggle": lambda one, _: kaggle.read_pair(*one.files, source=one.source),
    "prepared": lambda one, _: cache.read_prepared(one.path),
    "records": lambda one, lead: records.read_folder(one.path, one.names, one.source, lead=lead),
    "records-zip": lambda one, lead: records.read_zip(one.path, one.source, lead=lead),
    "table": lambda one, _: table.read(one.path, one.files, one.source),
}


def _code_files() -> list[Path]:
    modules = (windows, wfdb_files, records, physionet, archive, csv_files, kaggle, table)
    return [Path(str(module.__file__)) for module in modules]
