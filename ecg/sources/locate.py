"""What a path holds: MIT-BIH records, PhysioNet's ZIP, the Kaggle files or prepared beats."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ecg.heartbeats import Heartbeats
from ecg.sources import archive, cache, kaggle, mitdb_files, physionet, windows

Kind = Literal["mitdb", "zip", "kaggle", "prepared"]

# In the order of preference where a folder holds several; only the raw records tell patients.
READERS: dict[Kind, Callable[[Path], Heartbeats]] = {
    "mitdb": physionet.read_folder,
    "zip": physionet.read_zip,
    "kaggle": kaggle.read_folder,
    "prepared": cache.read_prepared,
}
DESCRIPTIONS: dict[Kind, str] = {
    "mitdb": "MIT-BIH records",
    "zip": "MIT-BIH records in a ZIP file",
    "kaggle": "Kaggle heartbeats",
    "prepared": "prepared heartbeats",
}


@dataclass(frozen=True)
class Found:
    """A data set on disk: its kind and the folder or ZIP file that is it."""

    kind: Kind
    path: Path

    def read(self) -> Heartbeats:
        """Read it from its files.

        Raises:
            DataError: a file is missing or damaged.
        """
        return READERS[self.kind](self.path)

    def key(self) -> str:
        """Return the SHA-256 (hex) of the files and of the code that turns them into beats.

        With the code in it, an edited cutting rule is never answered from an old cache. A
        file that cannot be read counts as absent; `read` then says so.
        """
        digest = hashlib.sha256(self.kind.encode())
        for path in (*self._files(), *_code_files()):
            try:
                content = mitdb_files.sha256_of(path)
            except OSError:
                content = "absent"
            digest.update(f"\n{path.name} {content}".encode())
        return digest.hexdigest()

    def _files(self) -> list[Path]:
        if self.kind == "mitdb":
            return [self.path / name for name in mitdb_files.FILES]
        if self.kind == "kaggle":
            return [self.path / kaggle.TRAIN_FILE, self.path / kaggle.TEST_FILE]
        return [self.path]


def locate(path: Path) -> Found | None:
    """Return the data set that a path is or, for a folder, holds one level down."""
    if found := _classify(path):
        return found
    if not path.is_dir():
        return None
    inside = [_classify(entry) for entry in sorted(path.iterdir()) if entry.name[0] != "."]
    order = list(READERS)
    return min((one for one in inside if one), key=lambda one: order.index(one.kind), default=None)


def _classify(path: Path) -> Found | None:
    if path.is_file():
        kinds: dict[str, Kind] = {".zip": "zip", ".npz": "prepared"}
        kind = kinds.get(path.suffix.lower())
        return Found(kind, path) if kind else None
    if any((path / name).is_file() for name in mitdb_files.FILES):
        return Found("mitdb", path)
    if any((path / name).is_file() for name in (kaggle.TRAIN_FILE, kaggle.TEST_FILE)):
        return Found("kaggle", path)
    return None


def _code_files() -> list[Path]:
    return [Path(str(module.__file__)) for module in (windows, physionet, archive, kaggle)]
