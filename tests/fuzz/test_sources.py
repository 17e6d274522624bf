"""Damaged data files: records, archives, CSVs, tables, lists of records, and the cache."""

import io
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg import record_lists, sources
from ecg.errors import EcgError
from ecg.heartbeats import Heartbeats
from ecg.sources import cache, csv_files, kaggle, locate, physionet, table, wfdb_files
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


def _record(name: int | str = 100, **how: Any) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        write_record(Path(folder), name, **how)
        return {suffix: (Path(folder) / f"{name}{suffix}").read_bytes() for suffix in SUFFIXES}


RECORD = _record()


@st.composite
def caches_of(draw: st.DrawFn, whole: bytes) -> bytes:
    """A damaged `.npz` file, or a well-formed one with a damaged array in it."""
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


@st.composite
def records(draw: st.DrawFn, whole: dict[str, bytes]) -> dict[str, bytes]:
    """The files of a record, one of them or two damaged, or one missing."""
    files = dict(whole)
    for suffix in draw(st.lists(st.sampled_from(SUFFIXES), min_size=1, max_size=2, unique=True)):
        if draw(st.integers(0, 20)) == 0:
            del files[suffix]
        elif suffix == ".hea":
            files[suffix] = draw(misspelt(files[suffix].decode(), WORDS))
        else:
            files[suffix] = draw(damaged(files[suffix]))
    return files


def _is_sound(beats: object) -> bool:
    signals = beats.signals  # type: ignore[attr-defined]
    return bool(np.isfinite(signals).all() and (signals >= 0).all() and (signals <= 1).all())


@fuzz
@given(records(RECORD))
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


FOREIGN = _record(name="own", rate=250, form="16", leads=("V1", "II"), comments=("patient 1",))


@fuzz
@given(st.data())
def test_a_damaged_foreign_record_is_refused_by_name_or_gives_beats(
    place: Path, data: st.DataObject
) -> None:
    # Any format, rate and lead that a header may name.
    for suffix, content in data.draw(records(FOREIGN)).items():
        (place / f"own{suffix}").write_bytes(content)
    found = only_ours(lambda: wfdb_files.read_record(place, "own"), place, "record own: ")
    assert isinstance(found, EcgError) or _is_sound(found[0])
    assert isinstance(only_ours(lambda: sources.load(place)), EcgError | Heartbeats)
    for path in place.iterdir():
        path.unlink()


def _archive(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.encode("utf-8", "replace").decode() or "x", content)
    return file.getvalue()


PAIR = {name: f"{LINE}\n".encode() for name in (kaggle.TRAIN_FILE, kaggle.TEST_FILE)}
OWN = {f"own{suffix}": content for suffix, content in FOREIGN.items()}
MEMBERS = {**PAIR, **OWN, "ptbdb_normal.csv": b"", "a.npy": b"\x93NUMPY", "x.zip": ZIP}


@st.composite
def archives(draw: st.DrawFn) -> bytes:
    """A ZIP of some members, some damaged, some under names that are none; or cut."""
    chosen = draw(st.lists(st.sampled_from(sorted(MEMBERS)), max_size=5, unique=True))
    members = {}
    for name in chosen:
        content = draw(damaged(MEMBERS[name])) if draw(st.booleans()) else MEMBERS[name]
        folder = draw(st.sampled_from(("", "", "in/", "../../", "/", "C:\\")) | evil)
        members[folder + (name if draw(st.integers(0, 3)) else draw(evil))] = content
    whole = _archive(members)
    return draw(damaged(whole)) if draw(st.booleans()) else whole


@fuzz
@given(archives(), st.sampled_from(("x.zip", "x.npz", "mitbih_train.csv", "x.csv.gz", "x")))
def test_any_archive_gives_beats_or_the_reason_why_not(
    place: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, name: str
) -> None:
    # It is what its content says, and never hides what lies beside it.
    monkeypatch.setenv("ECG_CACHE", str(place / "cache"))
    folder = place / "a" / "b" / "data"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    found = only_ours(lambda: sources.load(folder / name), folder / name)
    assert isinstance(found, EcgError | Heartbeats)
    _all_printable(found)
    np.savez(folder / "own.npz", signals=TABLE, labels=np.zeros(len(TABLE), dtype=np.int64))
    assert isinstance(only_ours(lambda: sources.load(folder)), EcgError | Heartbeats)
    assert "own.npz" in str([one.path for one in locate.survey(folder).found])
    outside = {path for path in place.rglob("*") if path.parts[len(place.parts)] != "cache"}
    assert outside == {place / "a", place / "a" / "b", folder, *folder.iterdir()}
    shutil.rmtree(folder)


def _all_printable(found: object) -> None:
    if isinstance(found, EcgError):
        assert str(found).isprintable(), repr(str(found))


@fuzz
@given(st.lists(st.tuples(evil, st.sampled_from(("", ".csv", ".zip", ".hea", ".atr", ".npz")))))
def test_names_that_are_none_are_survived(place: Path, names: list[tuple[str, str]]) -> None:
    # Of files in the folder that is searched; on a disk, a name has neither "/" nor NUL.
    folder = place / "names"
    folder.mkdir(exist_ok=True)
    for stem, suffix in names:
        with suppress(OSError, ValueError):
            (folder / (stem.replace("/", "_") + suffix)).write_bytes(ROWS.encode())
    found = only_ours(lambda: sources.load(folder))
    assert isinstance(found, EcgError | Heartbeats)
    shutil.rmtree(folder)


TABLE = np.linspace(0, 1, 4 * 187, dtype=np.float32).reshape(4, 187)
CSV_TABLE = "\n".join(
    [",".join(["record", "label", *(f"t{place}" for place in range(187))])]
    + [",".join([f"p{k}", "NSVF"[k], *(f"{value:.3f}" for value in TABLE[k])]) for k in range(4)]
)


@fuzz
@given(misspelt(CSV_TABLE) | misspelt(CSV_TABLE, r"[\n,]|label|record"))
def test_a_damaged_table_is_refused_by_name_or_gives_beats(place: Path, content: bytes) -> None:
    (place / "lab.csv").write_bytes(content)
    file = csv_files.CsvFile(place / "lab.csv")
    found = only_ours(lambda: table.read_csv(file, "lab"), place / "lab.csv")
    assert isinstance(found, EcgError) or _is_sound(found)


def _npz_table() -> bytes:
    file = io.BytesIO()
    np.savez(file, signals=TABLE, labels=np.arange(4), record=np.array(["a", "b", "c", "c"]))
    return file.getvalue()


@fuzz
@given(caches_of(_npz_table()))
def test_a_damaged_npz_table_is_refused_by_name_or_gives_beats(place: Path, content: bytes) -> None:
    (place / "lab.npz").write_bytes(content)
    found = only_ours(lambda: table.read_npz(place / "lab.npz", "lab"), place / "lab.npz")
    assert isinstance(found, EcgError) or _is_sound(found)


LISTS = 'train = ["100", "a"]\nvalidation = ["b"]\ntest = [3, "c"]\n[patients]\nx = ["100", "a"]'


@fuzz
@given(misspelt(LISTS, r"[\w]+|[^\w\s]"))
def test_a_damaged_list_of_records_is_refused_by_name_or_is_sound(
    place: Path, content: bytes
) -> None:
    path = place / "split.toml"
    path.write_bytes(content)
    found = only_ours(lambda: record_lists.read_record_lists(path), path)
    if not isinstance(found, EcgError):
        named = [*found.train, *found.validation, *found.test]
        assert len(named) == len(set(named))
        assert record_lists.from_text(found.as_text()) == found


BEATS = toy_heartbeats(8)


def _cached(place: Path) -> bytes:
    cache._write(place / "whole.npz", KEY, BEATS)
    return (place / "whole.npz").read_bytes()


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
    path.write_bytes(data.draw(caches_of(_cached(place))))
    carried = only_ours(lambda: cache.read_prepared(path), path)
    assert isinstance(carried, EcgError) or cache._digest(carried) == cache._digest(BEATS)
    found = only_ours(lambda: cache.cached(KEY, lambda: BEATS))
    assert isinstance(found, Heartbeats)
    assert cache._digest(found) == cache._digest(BEATS)
    assert cache._digest(cache._read(path, KEY)) == cache._digest(BEATS)
    assert not WRONG.search(caplog.text), caplog.text
