"""Damaged data files: MIT-BIH records, their ZIP, Kaggle's CSVs, and the cache."""

import io
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg.errors import EcgError
from ecg.heartbeats import Heartbeats
from ecg.sources import cache, kaggle, physionet
from tests.ecg.sources.tiny_records import write_record
from tests.fuzz.fuzzing import WRONG, damaged, evil, fuzz, misspelt, only_ours
from tests.support.toy import toy_heartbeats

KEY = cache.PREPARED  # so that the same file is one of the cache and one that is carried about
SUFFIXES = (".hea", ".dat", ".atr")
WORDS = r"[^\s/()+:]+|[/()+:]"  # of a header


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def _record() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as name:
        write_record(Path(name), 100)
        return {suffix: (Path(name) / f"100{suffix}").read_bytes() for suffix in SUFFIXES}


RECORD = _record()
HEADER = RECORD[".hea"].decode()


@st.composite
def records(draw: st.DrawFn) -> dict[str, bytes]:
    """The files of record 100, one of them or two damaged, or one missing."""
    files = dict(RECORD)
    for suffix in draw(st.lists(st.sampled_from(SUFFIXES), min_size=1, max_size=2, unique=True)):
        if draw(st.integers(0, 20)) == 0:
            del files[suffix]
        elif suffix == ".hea":
            files[suffix] = draw(misspelt(HEADER, WORDS))
        else:
            files[suffix] = draw(damaged(files[suffix]))
    return files


def _is_sound(beats: object) -> bool:
    signals = beats.signals  # type: ignore[attr-defined]
    return bool(np.isfinite(signals).all() and (signals >= 0).all() and (signals <= 1).all())


@fuzz
@given(records())
def test_a_damaged_record_is_refused_by_name_or_gives_beats(
    place: Path, files: dict[str, bytes]
) -> None:
    # Header, signal, annotations: truncated, shifted, of another rate, with other channels.
    for suffix in SUFFIXES:
        (place / f"100{suffix}").unlink(missing_ok=True)
    for suffix, content in files.items():
        (place / f"100{suffix}").write_bytes(content)
    found = only_ours(lambda: physionet.read_record(place, 100), place, "record 100: ")
    assert isinstance(found, EcgError) or _is_sound(found)


def _zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for suffix, content in RECORD.items():
            archive.writestr(f"mitdb/100{suffix}", content)
    return file.getvalue()


ZIP = _zip()


@fuzz
@given(damaged(ZIP))
def test_a_damaged_zip_is_refused_by_name(place: Path, content: bytes) -> None:
    # Never whole: it has one record of 48.
    path = place / "mitdb.zip"
    path.write_bytes(content)
    assert isinstance(only_ours(lambda: physionet.read_zip(path), path), EcgError)


LINE = ",".join([*(f"{i / 187:.6f}" for i in range(187)), "2.0"])
ROWS = f"{LINE}\n" * 3


@fuzz
@given(misspelt(ROWS) | misspelt(ROWS, r"[\n,]"))
def test_a_damaged_csv_is_refused_by_name_or_gives_beats(place: Path, content: bytes) -> None:
    (place / kaggle.TRAIN_FILE).write_bytes(content)
    (place / kaggle.TEST_FILE).write_text(LINE)
    found = only_ours(lambda: kaggle.read_folder(place), place / kaggle.TRAIN_FILE)
    assert isinstance(found, EcgError) or _is_sound(found)


BEATS = toy_heartbeats(8)


def _cached(place: Path) -> bytes:
    cache._write(place / "whole.npz", KEY, BEATS)
    return (place / "whole.npz").read_bytes()


@st.composite
def caches(draw: st.DrawFn, whole: bytes) -> bytes:
    """A damaged cache file, or a well-formed one with a damaged array in it."""
    if draw(st.booleans()):
        return draw(damaged(whole))
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        members = {one: archive.read(one) for one in archive.namelist()}
    name = draw(st.sampled_from(sorted(members)))
    if draw(st.booleans()):
        members[name] = draw(damaged(members[name]))
    else:
        header = members[name].split(b"\n", 1)[0].decode("latin-1")
        end = draw(misspelt(header[10:], r"[\w<>|]+"))[: len(header) - 10].ljust(len(header) - 10)
        members[name] = header[:10].encode("latin-1") + end + members[name][len(header) :]
    if draw(st.integers(0, 5)) == 0:
        members[f"{draw(evil)}.npy".encode("utf-8", "replace").decode()] = members.pop(name)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


@fuzz
@given(st.data())
def test_a_damaged_cache_is_never_used(
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    data: st.DataObject,
) -> None:
    # Whatever the bytes on disk are, the answer is the same; the file is made whole again. As
    # a file of prepared beats it is refused.
    monkeypatch.setenv("ECG_CACHE", str(place))
    caplog.clear()
    path = place / f"{KEY}.npz"
    path.write_bytes(data.draw(caches(_cached(place))))
    carried = only_ours(lambda: cache.read_prepared(path), path)
    assert isinstance(carried, EcgError) or cache._digest(carried) == cache._digest(BEATS)
    found = only_ours(lambda: cache.cached(KEY, lambda: BEATS))
    assert isinstance(found, Heartbeats)
    assert cache._digest(found) == cache._digest(BEATS)
    assert cache._digest(cache._read(path, KEY)) == cache._digest(BEATS)
    assert not WRONG.search(caplog.text), caplog.text
