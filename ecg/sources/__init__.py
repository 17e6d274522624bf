"""Where heartbeats come from: MIT-BIH records, PhysioNet's ZIP, Kaggle's CSVs, or a simulation."""

import os
from dataclasses import dataclass
from pathlib import Path

from ecg.errors import UsageError
from ecg.heartbeats import Heartbeats
from ecg.sources.cache import cached
from ecg.sources.fetch import NetworkError, fetch_mitdb
from ecg.sources.locate import DESCRIPTIONS, Found, locate

__all__ = ["SYNTHETIC", "Resolved", "load", "resolve"]

SYNTHETIC = "synthetic"
AUTO = "auto"
DATA_FOLDER = Path("data")  # in the working directory

_ACCEPTED = (
    "accepted are: a folder with the 48 MIT-BIH records (100.hea, 100.dat, 100.atr, ...), "
    "PhysioNet's ZIP of them, an .npz of `python -m ecg prepare --output`, a folder with "
    "mitbih_train.csv and mitbih_test.csv, a folder "
    f"that holds one of these, or the word {SYNTHETIC!r}; "
    "get the records with `python -m ecg fetch mitdb`"
)


@dataclass(frozen=True)
class Resolved:
    """Which data is used and why.

    Attributes:
        location: what to give to `load`.
        note: a sentence for the person.
        fallback: whether simulated data stands in because no real data could be had.
    """

    location: str | Path
    note: str
    fallback: bool = False


def load(path: str | Path) -> Heartbeats:
    """Load heartbeats; real data comes from the cache where its files have not changed.

    Args:
        path: a folder of MIT-BIH records, PhysioNet's ZIP, a folder with the Kaggle files, a
            folder that holds one of these one level down, the file of `ecg prepare --output`,
            or "synthetic".

    Raises:
        UsageError: the path does not exist or holds none of these.
        DataError: a file of the data is missing or damaged.

    Example:
        >>> from ecg import load
        >>> beats = load("synthetic")
        >>> beats.signals.shape
        (21600, 187)
        >>> beats.class_counts()
        array([17882,   547,  1428,   162,  1581])
    """
    if path == SYNTHETIC:
        from ecg.sources.synthetic import generate

        return generate()
    found = _require(Path(path))
    return found.read() if found.kind == "prepared" else cached(found.key(), found.read)


def resolve(option: str = AUTO) -> Resolved:
    """Decide which data to use.

    "auto" takes the first of: what the environment variable ECG_DATA names; what the folder
    `data` of the working directory holds; a download of the MIT-BIH records into
    `data/mitdb`; simulated heartbeats, if there is no network. Anything else is taken as
    given and looked at only by `load`.

    Raises:
        DataError: the download failed for another reason than the network.
    """
    if option != AUTO:
        return Resolved(option, f"data: {option}, as given")
    if (named := os.environ.get("ECG_DATA", AUTO)) not in ("", AUTO):
        return Resolved(named, f"data: {named}, as the environment variable ECG_DATA says")
    if found := locate(DATA_FOLDER):
        return Resolved(found.path, f"data: the {DESCRIPTIONS[found.kind]} of {found.path}")
    target = DATA_FOLDER / "mitdb"
    try:
        fetch_mitdb(target)
    except NetworkError as error:
        return Resolved(
            SYNTHETIC,
            "data: simulated heartbeats, not ECG recordings, because the MIT-BIH records could "
            f"not be downloaded: {error}",
            fallback=True,
        )
    return Resolved(target, f"data: the MIT-BIH records, downloaded into {target}")


def _require(path: Path) -> Found:
    try:
        path = path.expanduser()
        found = locate(path)
    except (OSError, RuntimeError) as error:  # RuntimeError: ~ of somebody who is not there
        raise UsageError(f"{path}: cannot be read ({error}); {_ACCEPTED}") from error
    if found:
        return found
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder; {_ACCEPTED}")
    if path.is_file():
        raise UsageError(f"{path}: a file that is neither a ZIP nor an .npz; {_ACCEPTED}")
    names = sorted(entry.name for entry in path.iterdir() if entry.name[0] != ".")
    held = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "") if names else "nothing"
    raise UsageError(f"{path}: a folder that holds {held} and no heartbeats; {_ACCEPTED}")
