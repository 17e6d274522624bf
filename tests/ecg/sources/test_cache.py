"""Rules of the cache: it returns what was stored, or builds it again."""

import io
import os
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ecg.heartbeats import Heartbeats
from ecg.sources import cache

KEY = "0" * 64


def _beats(n: int = 20, *, in_test: bool = False) -> Heartbeats:
    generator = np.random.default_rng(n)
    signals = generator.random((n, 187), dtype=np.float32)
    for row, length in enumerate(generator.integers(0, 188, n)):
        signals[row, length:] = 0
    return Heartbeats(
        signals=signals,
        labels=np.arange(n, dtype=np.int64) % 5,
        record=np.full(n, 100, dtype=np.int32),
        sample=np.arange(n, dtype=np.int32),
        symbol=np.full(n, "N", dtype="U1"),
        in_test=generator.random(n) < 0.5 if in_test else None,
        source="kaggle" if in_test else "mitdb",
    )


class Builder:
    """Counts how often the heartbeats are built."""

    def __init__(self, beats: Heartbeats) -> None:
        self.beats, self.calls = beats, 0

    def __call__(self) -> Heartbeats:
        self.calls += 1
        return self.beats


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ECG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def _assert_same(found: Heartbeats, expected: Heartbeats) -> None:
    assert found.fingerprint == expected.fingerprint
    for name in ("signals", "labels", "record", "sample", "symbol"):
        one, other = getattr(found, name), getattr(expected, name)
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)
        assert one.flags.writeable
    assert (found.in_test is None) == (expected.in_test is None)
    assert found.source == expected.source


@pytest.mark.parametrize("in_test", [False, True])
def test_the_second_call_returns_the_same_without_building(in_test: bool, folder: Path) -> None:
    build = Builder(_beats(in_test=in_test))
    _assert_same(cache.cached(KEY, build), build.beats)
    _assert_same(cache.cached(KEY, build), build.beats)
    assert build.calls == 1


def test_beats_of_zeros_and_negative_zeros_survive(folder: Path) -> None:
    # Trailing zeros are not stored; a negative zero has another bit pattern and is stored.
    beats = _beats(3)
    beats.signals[0] = 0.0
    beats.signals[1] = -0.0
    build = Builder(beats)
    cache.cached(KEY, build)
    _assert_same(cache.cached(KEY, build), beats)
    assert build.calls == 1


def test_another_key_is_built_separately(folder: Path) -> None:
    cache.cached(KEY, Builder(_beats(20)))
    assert len(cache.cached("1" * 64, Builder(_beats(10)))) == 10


def _rewrite(path: Path, **changed: object) -> None:
    """Store the file again with some arrays changed."""
    with np.load(path, allow_pickle=False) as stored:
        arrays = dict(stored) | changed
    np.savez_compressed(path, **{k: v for k, v in arrays.items() if v is not None})


@pytest.mark.parametrize(
    "changed",
    [
        {"version": np.array(99)},
        {"key": np.array("1" * 64)},
        {"digest": np.array("1" * 64)},
        {"labels": np.zeros(20, dtype=np.int64)},
        {"labels": np.zeros(20, dtype=np.int32)},
        {"labels": np.zeros(19, dtype=np.int64)},
        {"labels": np.full(20, 7, dtype=np.int64)},
        {"symbol": np.full(20, "V", dtype="U1")},
        {"sample": None},
        {"source": np.array("kaggle")},
        {"values": np.zeros(3, dtype=np.float32)},
        {"lengths": np.full(20, 255, dtype=np.uint8)},
        {"in_test": np.zeros(20, dtype=bool)},
        {"symbol": np.array([None] * 20, dtype=object)},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_file_that_does_not_verify_is_rebuilt_and_replaced(
    changed: dict[str, object], folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # Version, input hash, fingerprint, shapes and types are all checked and never repaired.
    build = Builder(_beats())
    cache.cached(KEY, build)
    _rewrite(folder / f"{KEY}.npz", **changed)
    _assert_same(cache.cached(KEY, build), build.beats)
    assert build.calls == 2
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "rebuilding the cache file" in caplog.text
    cache.cached(KEY, build)
    assert build.calls == 2


def test_a_zip_bomb_is_not_unpacked(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # Members whose declared total size exceeds any data set are refused unread.
    monkeypatch.setattr(cache, "SIZE_LIMIT", 2**20)
    monkeypatch.setattr(zipfile.ZipFile, "read", None)
    build = Builder(_beats())
    cache.cached(KEY, build)
    with zipfile.ZipFile(folder / f"{KEY}.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("values.npy", "labels.npy"):
            archive.writestr(name, bytes(2**19 + 1))
    _assert_same(cache.cached(KEY, build), build.beats)
    assert "too large" in caplog.text


def test_a_claim_of_more_beats_than_fit_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # Beats of length 0 take a few bytes in the file and 748 in memory.
    build = Builder(_beats())
    cache.cached(KEY, build)
    _rewrite(folder / f"{KEY}.npz", lengths=np.zeros(10**6, dtype=np.uint8))
    monkeypatch.setattr(np, "isin", None)  # nothing is worked out about them
    _assert_same(cache.cached(KEY, build), build.beats)
    assert "more beats than any data set" in caplog.text


def test_an_array_header_that_claims_too_much_is_refused(folder: Path) -> None:
    # A header may declare terabytes that are not there; they are not allocated.
    build = Builder(_beats())
    cache.cached(KEY, build)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": (10**13,)}
    )
    with zipfile.ZipFile(folder / f"{KEY}.npz", "w") as archive:
        archive.writestr("values.npy", header.getvalue())
    _assert_same(cache.cached(KEY, build), build.beats)


def test_errors_of_building_propagate_and_leave_no_file(folder: Path) -> None:
    def build() -> Heartbeats:
        raise KeyError("broken")

    with pytest.raises(KeyError, match="broken"):
        cache.cached(KEY, build)
    assert not folder.exists()


def test_an_unwritable_cache_costs_a_warning_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # Nobody can create a folder below a file, not even root.
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("ECG_CACHE", str(tmp_path / "file" / "cache"))
    build = Builder(_beats())
    _assert_same(cache.cached(KEY, build), build.beats)
    assert "cannot cache the heartbeats" in caplog.text


def test_a_failed_write_leaves_no_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A full disk or a killed process must not leave something that looks like a cache file.
    def fail(descriptor: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    cache.cached(KEY, Builder(_beats()))
    assert list(folder.iterdir()) == []


def test_temporary_files_of_killed_processes_are_removed_after_a_day(folder: Path) -> None:
    folder.mkdir()
    old, young = folder / f".{KEY}.npz.a.tmp", folder / f".{KEY}.npz.b.tmp"
    for path in (old, young):
        path.write_bytes(b"half")
    two_days_ago = time.time() - 2 * 24 * 3600
    os.utime(old, (two_days_ago, two_days_ago))
    cache.cached(KEY, Builder(_beats()))
    assert sorted(path.name for path in folder.iterdir()) == [young.name, f"{KEY}.npz"]


def test_concurrent_builders_do_not_disturb_each_other(folder: Path) -> None:
    # Each writes a separate file and renames it, so no reader sees half a file.
    beats = _beats(200)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: cache.cached(KEY, lambda: beats), range(16)))
    assert {one.fingerprint for one in found} == {beats.fingerprint}
    assert [path.name for path in folder.iterdir()] == [f"{KEY}.npz"]


def test_the_folder_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    # ECG_CACHE, else the XDG folder, else ~/.cache.
    monkeypatch.setenv("ECG_CACHE", "/own")
    monkeypatch.setenv("XDG_CACHE_HOME", "/shared")
    assert cache.cache_folder() == Path("/own")
    monkeypatch.delenv("ECG_CACHE")
    assert cache.cache_folder() == Path("/shared/ecg-study")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache.cache_folder() == Path("/home/someone/.cache/ecg-study")
