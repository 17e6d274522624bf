"""Rules of `load` and `resolve`: which data a path or an option selects."""

import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

import ecg.sources
from ecg.errors import DataError, UsageError
from ecg.sources import load, resolve
from ecg.sources.fetch import NetworkError
from ecg.sources.mitdb_files import FILES
from tests.conftest import REPOSITORY
from tests.ecg.sources.tiny_records import BEATS


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache for this test."""
    monkeypatch.setenv("ECG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, in which a download would fail the test."""

    def unexpected(target: Path) -> Path:
        raise AssertionError("nothing to download here")

    monkeypatch.setattr(ecg.sources, "fetch_mitdb", unexpected)
    folder = tmp_path / "workplace"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def kaggle_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "csvs"
    folder.mkdir()
    for name, value in (("mitbih_train.csv", "0.25"), ("mitbih_test.csv", "0.5")):
        (folder / name).write_text(",".join([value] * 187 + ["2"]) + "\n")
    return folder


def _zip(path: Path, source: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in FILES:
            archive.write(source / name, f"inner/{name}")
    return path


def test_the_second_load_of_real_data_takes_little_of_a_core(mitdb: Path) -> None:
    # Including the hashing of 104 MB; 0.4 s of CPU time, which hardly grows on a busy machine.
    first = load(mitdb)
    start = time.process_time()
    second = load(mitdb)
    assert time.process_time() - start < 2
    assert second.fingerprint == first.fingerprint
    sizes = [path.stat().st_size for path in Path(os.environ["ECG_CACHE"]).glob("*.npz")]
    assert 20e6 < max(sizes) < 40e6


def test_every_kind_of_data_loads_by_its_path(
    tiny_mitdb: Path, kaggle_folder: Path, cache: Path, tmp_path: Path
) -> None:
    # A folder of records, a ZIP of them and the Kaggle folder, as a string or as a path.
    records = load(str(tiny_mitdb))
    assert len(records) == 48 * BEATS
    assert load(_zip(tmp_path / "mitdb.ZIP", tiny_mitdb)).fingerprint == records.fingerprint
    assert load(kaggle_folder).source == "kaggle-subset"
    assert len(list(cache.glob("*.npz"))) == 3


def test_a_folder_selects_the_data_in_it(
    tiny_mitdb: Path, kaggle_folder: Path, cache: Path, workplace: Path
) -> None:
    # `data` may hold the CSVs, a ZIP or the records; the records come first, as only they
    # have patients, and hidden folders (a download in progress) do not count.
    data = workplace / "data"
    shutil.copytree(kaggle_folder, data / "a")
    shutil.copytree(tiny_mitdb, data / ".mitdb.partial")
    assert load("data").source == "kaggle-subset"
    _zip(data / "b.zip", tiny_mitdb)
    assert load("data").source == "mitdb"
    assert resolve().location == Path("data/b.zip")
    shutil.copytree(tiny_mitdb, data / "mitdb")
    assert resolve().location == Path("data/mitdb")


def test_a_changed_file_is_read_again(tiny_mitdb: Path, cache: Path, tmp_path: Path) -> None:
    # The key of the cache is the content of all files, not their names or dates.
    folder = shutil.copytree(tiny_mitdb, tmp_path / "mitdb")
    before = load(folder)
    shutil.copy(folder / "100.atr", tmp_path)
    content = (folder / "100.atr").read_bytes()
    (folder / "100.atr").write_bytes(content[:-4] + b"\0\0")  # one annotation less
    assert len(load(folder)) == len(before) - 1
    shutil.copy(tmp_path / "100.atr", folder)
    assert load(folder).fingerprint == before.fingerprint
    assert len(list(cache.glob("*.npz"))) == 2


def test_a_damaged_folder_is_no_cache_hit(tiny_mitdb: Path, cache: Path, tmp_path: Path) -> None:
    # A file that vanishes after the first load is an error again.
    folder = shutil.copytree(tiny_mitdb, tmp_path / "mitdb")
    load(folder)
    (folder / "118.dat").unlink()
    with pytest.raises(DataError, match=r"record 118: 118\.dat missing"):
        load(folder)


def test_a_name_that_is_not_utf_8_is_read_as_any_other(cache: Path, tmp_path: Path) -> None:
    # Linux allows any bytes in the name of a file.
    for suffix in (b".hea", b".atr"):
        (tmp_path / os.fsdecode(b"\xff" + suffix)).write_text("no record")
    with pytest.raises(DataError, match="record"):
        load(tmp_path)


def test_unusable_data_is_refused_with_what_is_accepted(tmp_path: Path) -> None:
    # The message says what was found, what is accepted, and how to get it.
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "empty").mkdir()
    for path, found in (
        (tmp_path, "a folder that holds empty, notes.txt but no heartbeats"),
        (tmp_path / "empty", "the folder is empty"),
        (tmp_path / "notes.txt", "not a ZIP, .npz or CSV file"),
        (tmp_path / "missing", "no such file or folder"),
        ("sinthetic", "no such file or folder"),
    ):
        with pytest.raises(UsageError) as caught:
            load(path)
        message = str(caught.value)
        assert message.startswith(f"{path}: {found}")
        for accepted in ("WFDB records", "ZIP", "mitbih_train.csv", "'synthetic'", "fetch"):
            assert accepted in message


def test_synthetic_beats_are_not_cached(cache: Path) -> None:
    assert load("synthetic").source == "synthetic"
    assert not cache.exists()


def test_an_option_is_taken_as_given(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Even if ECG_DATA or a data folder would select something else.
    monkeypatch.setenv("ECG_DATA", "elsewhere")
    assert resolve("some/folder").location == "some/folder"
    assert resolve("synthetic").location == "synthetic"
    assert not resolve("synthetic").fallback


def test_auto_prefers_ecg_data_to_the_data_folder(
    tiny_mitdb: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_mitdb, workplace / "data")
    monkeypatch.setenv("ECG_DATA", "elsewhere")
    found = resolve("auto")
    assert (found.location, found.fallback) == ("elsewhere", False)
    assert "ECG_DATA" in found.note
    for unset in ("", "auto"):
        monkeypatch.setenv("ECG_DATA", unset)
        assert resolve().location == Path("data")


def test_auto_downloads_where_there_is_no_data(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets: list[Path] = []
    monkeypatch.setattr(ecg.sources, "fetch_mitdb", targets.append)
    (workplace / "data").mkdir()
    found = resolve()
    assert targets == [found.location] == [Path("data/mitdb")]
    assert "downloaded" in found.note
    assert not found.fallback


def test_auto_falls_back_to_simulated_beats_without_a_network(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The note says so, and a flag lets the caller warn about it.
    def unreachable(target: Path) -> Path:
        raise NetworkError("no route to host")

    monkeypatch.setattr(ecg.sources, "fetch_mitdb", unreachable)
    found = resolve()
    assert (found.location, found.fallback) == ("synthetic", True)
    assert "simulated heartbeats, not ECG recordings" in found.note
    assert "no route to host" in found.note
    assert list(workplace.iterdir()) == []


def test_importing_the_sources_is_light() -> None:
    # Every command pays for it, so the heavy libraries are imported on use.
    code = "import ecg.sources, sys; print(*{'torch','wfdb','pandas','rich'} & set(sys.modules))"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    assert run.stdout.strip() == ""
