"""Downloads of the two public data sets; a download is moved into place once it is complete."""

import contextlib
import io
import os
import shutil
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

from ecg.console import tracked
from ecg.errors import DataError, UsageError
from ecg.sources.mitdb_files import (
    RECORDS,
    SIZE_LIMITS,
    differing_files,
    matches_published,
    published_sha256,
)

PHYSIONET = "https://physionet.org/"
KAGGLE_DATASET = "shayanfazeli/heartbeat"
CONNECT_SECONDS = 5.0
RECORD_SECONDS = 600.0  # for 2 MB; wfdb itself waits forever for a stalled connection


class NetworkError(DataError):
    """The server cannot be reached, or the connection broke. Trying again may help."""


def fetch_mitdb(target: Path) -> Path:
    """Download the 48 MIT-BIH records (104 MB) from PhysioNet into a folder.

    The records are collected in the hidden folder `.<name>.partial` next to the target, each is
    checked against PhysioNet's SHA-256 list, and the folder is renamed at the end. An interrupted
    download resumes where it stopped. An existing incomplete folder is moved to
    `<name>.before-<id>`, and its valid files are reused.

    Args:
        target: the folder to create, e.g. `data/mitdb`. Nothing happens if it is complete.

    Returns:
        The target.

    Raises:
        NetworkError: PhysioNet cannot be reached, or the connection broke.
        DataError: a downloaded file differs from the list, or the target is not writable.
    """
    if not differing_files(target):
        return target
    partial = target.with_name(f".{target.name}.partial")
    try:
        _require_network()
        partial.mkdir(parents=True, exist_ok=True)
        for record in tracked(RECORDS, "MIT-BIH records"):
            _fetch_record(record, partial, reuse=target)
        _move_into_place(partial, target)
    except OSError as error:
        # Another process may have finished the same download first.
        if differing_files(target):
            raise DataError(
                f"cannot write {target} ({error}). Choose another folder, or free some space."
            ) from error
    return target


def fetch_kaggle(target: Path) -> Path:
    """Download `mitbih_train.csv` and `mitbih_test.csv` (490 MB) from Kaggle; no login.

    Args:
        target: the folder to put both files in; nothing happens if both are there.

    Returns:
        The target.

    Raises:
        UsageError: `kagglehub` is not installed.
        NetworkError: the download failed.
        DataError: the download lacks a file, or the target is not writable.
    """
    from ecg.sources.kaggle import TEST_FILE, TRAIN_FILE

    names = (TRAIN_FILE, TEST_FILE)
    if all(os.path.isfile(target / name) for name in names):
        return target
    try:
        import kagglehub
    except ImportError as error:
        raise UsageError(
            "downloading from Kaggle needs kagglehub. Run: pip install -e '.[kaggle]'"
        ) from error
    try:
        downloaded = Path(kagglehub.dataset_download(KAGGLE_DATASET))
    except Exception as error:  # kagglehub and its HTTP library raise many kinds
        raise NetworkError(
            f"the download of the Kaggle data set {KAGGLE_DATASET} failed "
            f"({type(error).__name__}: {error}). Check the network and try again."
        ) from error
    try:
        target.mkdir(parents=True, exist_ok=True)
        for name in names:
            temporary = target / f".{name}.{uuid.uuid4().hex}.tmp"
            try:
                shutil.copyfile(downloaded / name, temporary)
                temporary.replace(target / name)
            finally:
                temporary.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"cannot copy the downloaded files to {target} ({error})") from error
    return target


def _require_network() -> None:
    """Fail within seconds, instead of waiting for the much longer timeouts of the libraries."""
    try:
        # In a thread, because a name look-up does not honour the timeout.
        _within(2 * CONNECT_SECONDS, lambda: urlopen(PHYSIONET, timeout=CONNECT_SECONDS).close())
    except Exception as error:
        raise NetworkError(
            f"cannot reach {PHYSIONET} ({error}). Check the network, or copy the MIT-BIH records "
            "from elsewhere and name their folder."
        ) from error


def _fetch_record(record: int, partial: Path, reuse: Path) -> None:
    """Put the verified files of one record into the folder `partial`."""
    names = [f"{record}{suffix}" for suffix in SIZE_LIMITS]
    wanted = []
    for name in names:
        digest = published_sha256()[name]
        if matches_published(partial / name, digest):
            continue
        if matches_published(reuse / name, digest):
            shutil.copyfile(reuse / name, partial / name)
        else:
            wanted.append(name)
    if not wanted:
        return
    # Each attempt has its own folder, so that concurrent downloads never mix.
    attempt = partial / f"{record}-{uuid.uuid4().hex}"
    try:
        _download_record(record, attempt)
        for name in wanted:
            if not matches_published(attempt / name, published_sha256()[name]):
                raise DataError(
                    f"record {record}: the downloaded {name} differs from PhysioNet's SHA-256 "
                    "list. To continue, run `python -m ecg fetch mitdb` again."
                )
            (attempt / name).replace(partial / name)
    finally:
        shutil.rmtree(attempt, ignore_errors=True)


def _download_record(record: int, folder: Path) -> None:
    import wfdb

    def download() -> None:
        wfdb.dl_database("mitdb", str(folder), records=[str(record)], annotators=["atr"])

    try:
        with contextlib.redirect_stdout(io.StringIO()):  # wfdb prints a line per file
            _within(RECORD_SECONDS, download)
    except Exception as error:  # wfdb and its HTTP library raise many kinds
        raise NetworkError(
            f"record {record}: the download from PhysioNet was interrupted "
            f"({type(error).__name__}: {error}). To continue, run `python -m ecg fetch mitdb` "
            "again."
        ) from error


def _within(seconds: float, call: Callable[[], None]) -> None:
    """Run a call that cannot be interrupted, and stop waiting for it after some seconds.

    Raises:
        TimeoutError: the call took longer. Errors of the call itself propagate.
    """
    errors: list[Exception] = []

    def run() -> None:
        try:
            call()
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError(f"no answer within {seconds:.0f} s")
    if errors:
        raise errors[0]


def _move_into_place(partial: Path, target: Path) -> None:
    for left_over in partial.iterdir():
        if left_over.is_dir():  # an attempt of a killed process
            shutil.rmtree(left_over, ignore_errors=True)
    if target.exists():
        target.rename(target.with_name(f"{target.name}.before-{uuid.uuid4().hex[:8]}"))
    os.replace(partial, target)
