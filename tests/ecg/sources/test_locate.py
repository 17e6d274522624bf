"""Rules of finding data: content counts, not names; anything unused is reported with a reason."""

import gzip
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

import ecg.sources
from ecg.errors import UsageError
from ecg.sources import load, resolve
from ecg.sources.cache import write_prepared
from ecg.sources.fetch import NetworkError
from ecg.sources.locate import locate, survey
from ecg.sources.mitdb_files import FILES
from tests.ecg.sources.tiny_records import BEATS, write_record
from tests.support.toy import toy_heartbeats

TRAIN, TEST = "mitbih_train.csv", "mitbih_test.csv"
ROWS = {TRAIN: ",".join(["0.25"] * 187 + ["2"]), TEST: ",".join(["0.5"] * 187 + ["3"])}
PTB = ",".join(["0.5"] * 187 + ["1"])


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder `data` of a working directory without a network."""

    def unreachable(target: Path) -> Path:
        raise NetworkError("no route to host")

    monkeypatch.setattr(ecg.sources, "fetch_mitdb", unreachable)
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    return Path("data")


def write_pair(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, row in ROWS.items():
        (folder / name).write_text(row + "\n")


def write_zip(path: Path, members: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


@pytest.mark.parametrize(
    "inner",
    [
        "physionet.org/files/mitdb/1.0.0",
        "mit-bih-arrhythmia-database-1.0.0/mit-bih-arrhythmia-database-1.0.0",
        "a/b/c/d/e/f",
        ".",
    ],
)
def test_records_are_found_however_deep_they_were_unpacked(
    inner: str, data: Path, tiny_mitdb: Path
) -> None:
    # `wget -r`, and "Extract all" of PhysioNet's ZIP.
    shutil.copytree(tiny_mitdb, data / inner, dirs_exist_ok=True)
    found = resolve()
    assert found.location == data / inner
    assert not found.fallback
    assert load(data).source == "mitdb"


def test_kaggles_own_archive_is_read(data: Path) -> None:
    # It includes the PTB files, which are ignored silently.
    members = {name: f"{row}\n" for name, row in ROWS.items()}
    write_zip(data / "archive.zip", {"ptbdb_normal.csv": PTB, **members, "__MACOSX/._x.csv": "x"})
    found = resolve()
    assert found.note == "data: the Kaggle heartbeats of data/archive.zip"
    folder = data / "unpacked"
    write_pair(folder)
    assert load(found.location).fingerprint == load(folder).fingerprint


@pytest.mark.parametrize("form", ["zip", "gz", "zip-named-csv", "gz-named-csv", "mixed"])
def test_kaggles_files_are_read_packed_one_by_one(form: str, data: Path, tmp_path: Path) -> None:
    # kagglehub and Kaggle's own command download single files as ZIPs, some named .csv.
    write_pair(tmp_path / "plain")
    for name, row in ROWS.items():
        if form == "mixed" and name == TRAIN:
            (data / name).write_text(row)
        elif form.startswith("gz"):
            suffix = "" if form.endswith("csv") else ".gz"
            (data / f"{name}{suffix}").write_bytes(gzip.compress(row.encode()))
        else:
            write_zip(data / (name if form.endswith("csv") else f"{name}.zip"), {name: row})
    assert load(data).fingerprint == load(tmp_path / "plain").fingerprint
    assert load(next(data.iterdir())).source == "kaggle-subset"  # one file leads to both


def test_no_zip_or_npz_hides_data_next_to_it_or_below(data: Path, tmp_path: Path) -> None:
    write_zip(data / "archive.zip", {"holiday.jpg": "beach"})
    np.savez(data / "weights.npz", layer=np.zeros(3))
    (data / "broken.zip").write_bytes(b"PK\x03\x04 and no more")
    write_pair(data / "heartbeat")
    found = resolve()
    assert found.location == data / "heartbeat"
    assert "data/archive.zip (a ZIP file without heartbeats; it holds holiday.jpg)" in found.note
    assert "weights.npz (an .npz with the arrays layer instead of signals and labels)" in found.note
    assert "broken.zip (a damaged ZIP file" in found.note


def test_the_preference_does_not_depend_on_other_files(data: Path, tiny_mitdb: Path) -> None:
    # Raw records have patients, so they come first; the others are reported.
    write_prepared(data / "packed.npz", toy_heartbeats(20))
    assert resolve().location == data / "packed.npz"
    write_pair(data / "deep" / "er")
    assert resolve().location == data / "deep" / "er"
    with zipfile.ZipFile(data / "z.zip", "w") as archive:
        for name in FILES:
            archive.write(tiny_mitdb / name, name)
    assert resolve().location == data / "z.zip"
    shutil.copytree(tiny_mitdb, data / "deep" / "mitdb")
    found = resolve()
    assert found.location == data / "deep" / "mitdb"
    assert (
        "not used: data/z.zip (MIT-BIH records in a ZIP file), data/deep/er (Kaggle" in found.note
    )


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("mitbih_train.csv", ROWS[TRAIN], "a CSV file without its counterpart mitbih_test.csv"),
        ("train.csv", ROWS[TRAIN], "without its counterpart mitbih_test.csv"),
        ("beats.csv", ROWS[TRAIN], "whose name contains neither train nor test"),
        ("ptbdb_normal.csv", PTB, "a PTB file, whose beats have other classes"),
        ("notes.csv", "a;b\n1;2\n", "1 column, none of them named `label`"),
        ("empty.csv", "", "an empty or unreadable CSV file"),
        ("100.hea", "100 2 360 650000\n", "record 100 without both header (.hea) and beat annot"),
        ("holter.edf", "0", "in the unsupported EDF format"),
        ("mitdb.zip", "<html>not found</html>", "not a ZIP file, or its download was interrupted"),
    ],
)
def test_nothing_is_simulated_if_there_is_something_unusable(
    name: str, content: str, reason: str, data: Path
) -> None:
    # Even without a network, so that nobody mistakes a simulation for the data.
    (data / name).write_text(content)
    with pytest.raises(UsageError) as caught:
        resolve()
    assert reason in str(caught.value)
    assert "fetch mitdb" in str(caught.value)
    with pytest.raises(UsageError) as caught:
        load(data)
    assert reason in str(caught.value)


def test_an_unrelated_file_is_ignored(data: Path) -> None:
    (data / "README.md").write_text("nothing here yet")
    assert resolve().fallback


def test_an_incomplete_set_of_records_is_used_and_reported(data: Path, mitdb: Path) -> None:
    for name in ("100.hea", "100.dat", "100.atr", "101.hea", "101.dat"):
        shutil.copy(mitdb / name, data)
    note = resolve().note
    assert "only 1 of the 48 MIT-BIH records are there, without 101, 102, 103, ..." in note
    assert "left out records without header or annotations (.atr): 101" in note


def test_a_source_is_named_after_its_folder(tmp_path: Path) -> None:
    # By the nearest name that is more than a version, and never by a name reserved for
    # published data.
    for inner, name in (
        ("svdb/1.0.0", "svdb"),
        ("mitdb", "own-mitdb"),
        ("my lab (2024)", "my-lab-2024"),
        ("kaggle-copy/data", "own-kaggle-copy"),
    ):
        folder = tmp_path / inner
        folder.mkdir(parents=True)
        write_record(folder, "a", rate=250, form="16")
        beats = load(folder)
        assert (beats.source, len(beats)) == (name, BEATS)


def test_a_cycle_of_links_terminates(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    os.symlink(tmp_path, tmp_path / "a" / "back")
    assert locate(tmp_path) is None


def test_a_search_that_takes_too_long_ends_between_folders_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A folder is read completely or not at all: half of its records would be other data.
    monkeypatch.setattr("ecg.sources.locate.MOST_FILES", 5)
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        for number in range(4):
            write_record(tmp_path / folder, f"p{number}")
    (found,) = survey(tmp_path).found
    assert (found.path, len(found.names)) == (tmp_path / "a", 4)
    assert survey(tmp_path).unused == (
        (tmp_path / "b", "not searched, because 12 files came before it"),
    )


def test_names_in_a_zip_are_shown_without_control_characters(tmp_path: Path) -> None:
    write_zip(tmp_path / "x.zip", {"\x1b[31mred\n": "x", "y" * 500: "x"})
    ((_, reason),) = survey(tmp_path).unused
    assert reason.isprintable()
    assert len(reason) < 200


def test_a_cache_file_is_not_data(
    tmp_path: Path, tiny_record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # ECG_CACHE may name a cache in the folder that is searched.
    folder = shutil.copytree(tiny_record, tmp_path / "lab")
    monkeypatch.setenv("ECG_CACHE", str(folder / "cache"))
    first = load(folder)
    assert list(folder.glob("cache/*.npz"))
    assert load(folder).fingerprint == first.fingerprint
    assert "a cache file, not an output of" in survey(folder).unused[0][1]
