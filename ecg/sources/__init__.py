"""Sources of heartbeats: MIT-BIH or other WFDB records, CSV files, tables, or a simulation."""

import os
from dataclasses import dataclass
from pathlib import Path

from ecg.errors import UsageError
from ecg.heartbeats import Heartbeats
from ecg.sources.cache import cached
from ecg.sources.fetch import NetworkError, fetch_mitdb
from ecg.sources.locate import Found, Survey, survey

__all__ = ["SYNTHETIC", "Resolved", "load", "resolve"]

SYNTHETIC = "synthetic"
AUTO = "auto"
DATA_FOLDER = Path("data")  # in the working directory

_ACCEPTED = (
    "Name a folder or ZIP of WFDB records with beat annotations (100.hea, 100.dat, 100.atr, ...), "
    "Kaggle's mitbih_train.csv and mitbih_test.csv (also as .zip or .csv.gz), an .npz of "
    "`python -m ecg prepare --output`, a table of beats (docs/data.md), a folder that holds one of "
    f"these, or the word {SYNTHETIC!r}. To download the MIT-BIH records, run "
    "`python -m ecg fetch mitdb`."
)


@dataclass(frozen=True)
class Resolved:
    """Which data is used and why.

    Attributes:
        location: argument for `load`.
        note: sentence for the user.
        fallback: whether simulated data is used because no real data is available.
    """

    location: str | Path
    note: str
    fallback: bool = False


def load(path: str | Path, *, lead: str | None = None) -> Heartbeats:
    """Load heartbeats. Real data comes from the cache if its files have not changed.

    Args:
        path: a folder or ZIP of WFDB records with beat annotations, Kaggle's files, a table, a
            folder that holds one of these a few levels down, the file of `ecg prepare
            --output`, or "synthetic". docs/data.md describes the forms.
        lead: name of the lead to cut the beats of records from. None means the first lead for
            MIT-BIH; for other records lead II (or MLII) if any record has it, else the first.

    Raises:
        UsageError: the path does not exist or holds none of these.
        DataError: a file of the data is missing or damaged, or a record lacks the lead.

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
    if found.kind == "prepared":
        return found.read()
    return cached(found.key(lead), lambda: found.read(lead))


def resolve(option: str = AUTO) -> Resolved:
    """Decide which data to use.

    "auto" takes the first of these that is available: the location in the environment variable
    ECG_DATA; the data in the folder `data` of the working directory; a download of the MIT-BIH
    records into `data/mitdb`; simulated heartbeats, if there is no network. Any other option is
    returned unchanged, and `load` reports what is wrong with it.

    Raises:
        UsageError: the folder `data` holds only unusable files.
        DataError: the download failed for another reason than the network.
    """
    if option != AUTO:
        return Resolved(option, _say(f"data: {option}, as given", option))
    if (named := os.environ.get("ECG_DATA", AUTO)) not in ("", AUTO):
        said = f"data: {named}, from the environment variable ECG_DATA"
        return Resolved(named, _say(said, named))
    seen = survey(DATA_FOLDER)
    if seen.found:
        return Resolved(seen.found[0].path, _join(f"data: {seen.found[0]}", seen))
    if seen.unused:
        raise UsageError(
            f"the folder {DATA_FOLDER} holds nothing that can be used: {seen.say_unused()}. Fix "
            "it, name other data with `data`, or download the MIT-BIH records with "
            "`python -m ecg fetch mitdb`."
        )
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


def _say(said: str, named: str) -> str:
    """Add what a named path holds; nothing if `load` will refuse it."""
    if named == SYNTHETIC:
        return said
    try:
        seen = survey(Path(named).expanduser())
    except (OSError, RuntimeError):
        return said
    return _join(f"{said}: {seen.found[0]}", seen) if seen.found else said


def _join(said: str, seen: Survey) -> str:
    unused = f"not used: {seen.say_unused()}" if seen.say_unused() else ""
    return "; ".join(filter(None, (said, seen.found[0].note, unused)))


def _require(path: Path) -> Found:
    try:
        path = path.expanduser()
        seen = survey(path)
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: ~ of an unknown user
        raise UsageError(f"{path}: cannot be read ({error}). {_ACCEPTED}") from error
    if seen.found:
        return seen.found[0]
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder. {_ACCEPTED}")
    if path.is_file():
        raise UsageError(f"{path}: {seen.unused[0][1] if seen.unused else 'no data'}. {_ACCEPTED}")
    if seen.unused:
        raise UsageError(f"{path} has no usable heartbeats: {seen.say_unused()}. {_ACCEPTED}")
    names = sorted(entry.name for entry in path.iterdir() if entry.name[0] != ".")
    if not names:
        raise UsageError(f"{path}: the folder is empty. {_ACCEPTED}")
    held = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    raise UsageError(f"{path}: a folder that holds {held} but no heartbeats. {_ACCEPTED}")
