"""Rules of the downloads: only complete ones are moved into place; no network fails fast."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import wfdb

from ecg.errors import DataError, UsageError
from ecg.sources import fetch, mitdb_files
from ecg.sources.fetch import NetworkError
from ecg.sources.mitdb_files import FILES, RECORDS


class Server:
    """Replaces PhysioNet: serves a folder, and can disconnect or send garbage."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.served: list[str] = []
        self.breaks_at = ""
        self.spoils = ""

    def dl_database(
        self, database: str, folder: str, *, records: list[str], annotators: list[str]
    ) -> None:
        assert (database, annotators) == ("mitdb", ["atr"])
        print("wfdb is chatty")
        Path(folder).mkdir(parents=True, exist_ok=True)
        for record in records:
            if record == self.breaks_at:
                raise ConnectionResetError("connection reset by peer")
            self.served.append(record)
            for suffix in (".hea", ".dat", ".atr"):
                content = (self.folder / f"{record}{suffix}").read_bytes()
                spoiled = f"{record}{suffix}" == self.spoils
                (Path(folder) / f"{record}{suffix}").write_bytes(
                    content[:-1] if spoiled else content
                )


@pytest.fixture
def server(tiny_mitdb: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    hashes = {name: mitdb_files.sha256_of(tiny_mitdb / name) for name in FILES}
    for module in (fetch, mitdb_files):
        monkeypatch.setattr(module, "published_sha256", lambda: hashes)
    monkeypatch.setattr(fetch, "urlopen", lambda url, timeout: SimpleNamespace(close=lambda: None))
    served = Server(tiny_mitdb)
    monkeypatch.setattr(wfdb, "dl_database", served.dl_database)
    return served


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_download_brings_the_144_files_and_nothing_else(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The folder appears complete; progress is shown, and wfdb's output is not.
    target = tmp_path / "data" / "mitdb"
    assert fetch.fetch_mitdb(target) == target
    assert _names(target) == sorted(FILES)
    assert _names(tmp_path / "data") == ["mitdb"]
    assert capsys.readouterr().out == ""


def test_a_complete_folder_is_left_alone(server: Server, tmp_path: Path) -> None:
    target = fetch.fetch_mitdb(tmp_path / "mitdb")
    server.served.clear()
    fetch.fetch_mitdb(target)
    assert server.served == []


def test_an_interrupted_download_resumes(server: Server, tmp_path: Path) -> None:
    # The target does not exist before the last record; no record is downloaded twice.
    target = tmp_path / "mitdb"
    server.breaks_at = "203"
    with pytest.raises(NetworkError, match=r"record 203: .* interrupted \(ConnectionResetError"):
        fetch.fetch_mitdb(target)
    assert not target.exists()
    server.breaks_at = ""
    fetch.fetch_mitdb(target)
    assert server.served == [str(record) for record in RECORDS]
    assert _names(tmp_path) == ["mitdb"]


def test_a_file_that_differs_from_the_published_hash_is_refused(
    server: Server, tmp_path: Path
) -> None:
    server.spoils = "119.atr"
    with pytest.raises(DataError, match=r"record 119: the downloaded 119\.atr differs"):
        fetch.fetch_mitdb(tmp_path / "mitdb")
    assert not (tmp_path / "mitdb").exists()


def test_an_incomplete_folder_is_completed_and_kept_aside(server: Server, tmp_path: Path) -> None:
    # Manual changes are never lost, and valid files are not downloaded again.
    target = fetch.fetch_mitdb(tmp_path / "mitdb")
    (target / "119.atr").write_bytes(b"corrected by hand")
    (target / "234.dat").unlink()
    server.served.clear()
    fetch.fetch_mitdb(target)
    assert server.served == ["119", "234"]
    assert mitdb_files.differing_files(target) == ()
    (aside,) = tmp_path.glob("mitdb.before-*")
    assert (aside / "119.atr").read_bytes() == b"corrected by hand"


def test_a_folder_that_cannot_be_created_is_named(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match=r"cannot write .* Choose another folder"):
        fetch.fetch_mitdb(tmp_path / "file" / "mitdb")


@pytest.mark.parametrize("fault", [OSError("Name or service not known"), TimeoutError("timed out")])
def test_without_a_network_it_fails_at_once(
    fault: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(url: str, timeout: float) -> None:
        assert timeout <= 5
        raise fault

    monkeypatch.setattr(fetch, "urlopen", unreachable)
    with pytest.raises(NetworkError, match=r"cannot reach .*physionet\.org/ .* Check the net"):
        fetch.fetch_mitdb(tmp_path / "mitdb")
    assert _names(tmp_path) == []


def test_a_call_that_hangs_is_given_up() -> None:
    # Neither a name look-up nor wfdb has a timeout.
    start = time.perf_counter()
    with pytest.raises(TimeoutError, match="no answer"):
        fetch._within(0.05, lambda: time.sleep(1))
    assert time.perf_counter() - start < 0.8


def _kagglehub(monkeypatch: pytest.MonkeyPatch, download: Callable[[str], str]) -> None:
    monkeypatch.setitem(sys.modules, "kagglehub", SimpleNamespace(dataset_download=download))


def test_kaggle_files_are_copied_to_the_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "cache"
    source.mkdir()
    for name in ("mitbih_train.csv", "mitbih_test.csv", "ptbdb_normal.csv"):
        (source / name).write_text(name)
    asked = []

    def download(handle: str) -> str:
        asked.append(handle)
        return str(source)

    _kagglehub(monkeypatch, download)
    for _ in range(2):  # the second time there is nothing to do
        target = fetch.fetch_kaggle(tmp_path / "data" / "kaggle")
        assert _names(target) == ["mitbih_test.csv", "mitbih_train.csv"]
    assert asked == ["shayanfazeli/heartbeat"]


def test_kaggle_errors_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A missing package, a missing network, a download without the files.
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(UsageError, match=r"pip install -e '\.\[kaggle\]'"):
        fetch.fetch_kaggle(tmp_path / "kaggle")

    def fail(handle: str) -> str:
        raise ConnectionError("no route to host")

    _kagglehub(monkeypatch, fail)
    with pytest.raises(NetworkError, match="no route to host"):
        fetch.fetch_kaggle(tmp_path / "kaggle")
    _kagglehub(monkeypatch, lambda handle: str(tmp_path))
    with pytest.raises(DataError, match=r"mitbih_train\.csv"):
        fetch.fetch_kaggle(tmp_path / "kaggle")
    assert list((tmp_path / "kaggle").iterdir()) == []
