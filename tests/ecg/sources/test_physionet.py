"""Rules of the MIT-BIH reader: the published beats exactly, and no damage goes unnoticed."""

import re
import shutil
import stat
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import wfdb

from ecg.errors import DataError
from ecg.heartbeats import Heartbeats
from ecg.sources import physionet
from ecg.sources.mitdb_files import FILES, RECORDS
from ecg.sources.windows import LABEL_OF_SYMBOL
from tests.ecg.sources.tiny_records import BEATS, SAMPLES, copy_record


@pytest.fixture(scope="module")
def rebuilt(mitdb: Path) -> tuple[Heartbeats, float]:
    """The real heartbeats and the CPU seconds of their rebuild."""
    start = time.process_time()
    beats = physionet.read_folder(mitdb)
    return beats, time.process_time() - start


def test_real_records_give_the_published_beats(rebuilt: tuple[Heartbeats, float]) -> None:
    # The Kaggle set has 109,446 rows with these class counts, and so has the rebuilt set.
    beats, _ = rebuilt
    assert len(beats) == 109_446
    assert beats.class_counts().tolist() == [90589, 2779, 7236, 803, 8039]
    assert beats.source == "mitdb"
    assert beats.in_test is None


def test_real_beats_are_scaled_padded_and_traceable(rebuilt: tuple[Heartbeats, float]) -> None:
    # Every beat spans [0, 1] (its maximum may be in the part cropped off), and has its
    # record, its position and its symbol.
    beats, _ = rebuilt
    assert beats.signals.shape == (109_446, 187)
    assert beats.signals.dtype == np.float32
    assert beats.signals.min() == 0.0
    assert beats.signals.max() == 1.0
    assert np.isfinite(beats.signals).all()
    assert np.mean(beats.signals.max(axis=1) == 1.0) > 0.99
    assert tuple(np.unique(beats.record)) == RECORDS
    assert (beats.sample >= 0).all()
    assert (beats.sample < 650_000).all()
    assert [LABEL_OF_SYMBOL[s] for s in beats.symbol[::97]] == beats.labels[::97].tolist()
    arrays = (beats.labels, beats.record, beats.sample, beats.symbol)
    assert [array.dtype.str for array in arrays] == ["<i8", "<i4", "<i4", "<U1"]


def test_three_real_beats_recomputed_sample_by_sample(
    rebuilt: tuple[Heartbeats, float], mitdb: Path
) -> None:
    # The window rule, written again in the simplest way, on bytes decoded by hand:
    # an ordinary beat, one of a record whose first channel is V5, and one cut at 187.
    beats, _ = rebuilt
    cropped = _first_cropped_beat(mitdb, 232)
    for record, k in ((100, 500), (114, 700), (232, cropped)):
        expected, decimated = _recompute(mitdb, record, k)
        row = np.flatnonzero((beats.record == record) & (beats.sample == expected["sample"]))
        assert len(row) == 1
        assert beats.signals[row[0]].tolist() == expected["values"]
        assert beats.symbol[row[0]] == expected["symbol"]
        assert (decimated > 187) == (record == 232)


def _first_cropped_beat(folder: Path, record: int) -> int:
    annotation = wfdb.rdann(str(folder / str(record)), "atr")
    intervals = np.diff(annotation.sample)
    long = np.flatnonzero(intervals > 3 * 187).tolist()
    return next(int(k) for k in long if annotation.symbol[k] in LABEL_OF_SYMBOL)


def _recompute(folder: Path, record: int, k: int) -> tuple[dict[str, object], int]:
    annotation = wfdb.rdann(str(folder / str(record)), "atr")
    p = [int(sample) for sample in annotation.sample]
    raw = (folder / f"{record}.dat").read_bytes()
    window = []
    for at in range(p[k], p[k] + int((p[k + 1] - p[k]) + 0.2 * (p[k + 2] - p[k + 1])), 3):
        value = raw[3 * at] + 256 * (raw[3 * at + 1] % 16)  # 12 bits, two's complement
        window.append(value - 4096 if value >= 2048 else value)
    low, high = min(window), max(window)
    values = [float(np.float32((value - low) / (high - low))) for value in window]
    padded = (values + [0.0] * 187)[:187]
    return {"values": padded, "sample": p[k], "symbol": annotation.symbol[k]}, len(window)


def test_rebuild_takes_less_than_15_seconds(rebuilt: tuple[Heartbeats, float]) -> None:
    # Users wait for it once; two cores need about three seconds.
    assert rebuilt[1] < 15


def test_the_real_files_match_the_published_hashes(mitdb: Path) -> None:
    # The shipped list is PhysioNet's, for exactly the 144 files.
    assert physionet.differing_files(mitdb) == ()


def test_changed_and_missing_files_differ_from_the_published_ones(tiny_mitdb: Path) -> None:
    # None of the tiny files is PhysioNet's, and all 144 are looked at.
    assert physionet.differing_files(tiny_mitdb) == FILES
    assert len(FILES) == 144


def test_a_record_gives_its_beats_without_the_last_annotation(tiny_record: Path) -> None:
    # Seven of the ten annotations are beats with a successor.
    windows = physionet.read_record(tiny_record, 100)
    assert windows.signals.shape == (BEATS, 187)
    assert "".join(windows.symbol) == "NAVF/NN"


def _truncate(suffix: str, keep: int) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / f"119{suffix}"
        path.write_bytes(path.read_bytes()[:keep])

    return damage


def _header(old: str, new: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / "119.hea"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return damage


def _drop(suffix: str) -> Callable[[Path], None]:
    return lambda folder: (folder / f"119{suffix}").unlink()


def _annotate(*samples: int) -> Callable[[Path], None]:
    """Replace the annotations by normal beats, stored as differences of up to 1023."""

    def damage(folder: Path) -> None:
        words = b""
        for step in np.diff([0, *samples]):
            if step < 0:
                high, low = divmod(int(step) % 2**32, 2**16)
                words += (59 << 10).to_bytes(2, "little")
                words += high.to_bytes(2, "little") + low.to_bytes(2, "little")
            words += ((1 << 10) + max(0, int(step))).to_bytes(2, "little")
        (folder / "119.atr").write_bytes(words + b"\0\0")

    return damage


def _flip_sample(folder: Path) -> None:
    content = bytearray((folder / "119.dat").read_bytes())
    content[300] ^= 1
    (folder / "119.dat").write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "cause"),
    [
        (_truncate(".dat", 8000), r"119\.dat is cut short: it has 8000 bytes, .* 9000"),
        (_truncate(".dat", 0), r"119\.dat is cut short"),
        (_truncate(".atr", 12), r"119\.atr is cut short: it has no end marker"),
        (_truncate(".atr", 0), r"119\.atr is cut short"),
        (_truncate(".hea", 0), r"119\.hea is unreadable"),
        (_truncate(".hea", 15), r"119\.hea describes no channel"),
        (_drop(".dat"), r"119\.dat missing"),
        (_drop(".atr"), r"119\.atr missing"),
        (_drop(".hea"), r"119\.hea missing"),
        (_header("119 2 360", "119 2 250"), r"sampling rate of 250 Hz instead of 360 Hz"),
        (_header("119 2 360", "?!"), r"119\.hea is unreadable"),
        (_header("119 2 360", "119 3 360"), r"declares 3 channels but describes 2"),
        (_header("119 2 360 3000", "119 2 360"), r"lacks the number of samples"),
        (_header("119 2 360 3000", f"119 2 360 {'9' * 4300}"), r"declares more samples than any"),
        (_header("119.dat 212", "118.dat 212"), r"names the signal file '118.dat'"),
        (_header("119.dat 212", "../119.dat 212"), r"119\.hea is unreadable"),
        (_header("119.dat 212", "119.dat 16"), r"plain signal format 212"),
        (_header("43677", "43678"), r"does not match the checksum"),
        (_flip_sample, r"119\.dat does not match the checksum"),
        (_annotate(100, 900, 500), r"annotation 2 of 119\.atr is earlier"),
        (_annotate(900, 1800, 2700, SAMPLES), r"at sample 3000, outside the 3000 samples"),
        (_annotate(), r"119\.atr has no annotation"),
    ],
)
def test_damage_is_named_with_folder_record_cause_and_advice(
    damage: Callable[[Path], None], cause: str, tiny_record: Path, tmp_path: Path
) -> None:
    # Every message says where, what and what to do, without wfdb's own text.
    copy_record(tiny_record, tmp_path, 119)
    damage(tmp_path)
    with pytest.raises(DataError) as caught:
        physionet.read_record(tmp_path, 119)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}: record 119: ")
    assert re.search(cause, message), message
    assert message.endswith("Download it again with `python -m ecg fetch mitdb`.")


def test_a_real_record_cut_short_is_refused(mitdb: Path, tmp_path: Path) -> None:
    # An interrupted download: the last bytes of the signal or the annotations are missing.
    for suffix in (".hea", ".dat", ".atr"):
        shutil.copy(mitdb / f"208{suffix}", tmp_path)
    for suffix in (".dat", ".atr"):
        content = (mitdb / f"208{suffix}").read_bytes()
        (tmp_path / f"208{suffix}").chmod(0o644)
        (tmp_path / f"208{suffix}").write_bytes(content[:-2])
        with pytest.raises(DataError, match=rf"record 208: 208\{suffix} is cut short"):
            physionet.read_record(tmp_path, 208)
        (tmp_path / f"208{suffix}").write_bytes(content)


def test_a_folder_without_one_record_is_refused(tiny_mitdb: Path, tmp_path: Path) -> None:
    # All 48 records are needed; a smaller set would be another experiment.
    folder = shutil.copytree(tiny_mitdb, tmp_path / "mitdb")
    for suffix in (".hea", ".dat", ".atr"):
        (folder / f"234{suffix}").unlink()
    with pytest.raises(DataError, match=r"record 234: 234\.hea and 234\.dat and 234\.atr missing"):
        physionet.read_folder(folder)


def _zip(path: Path, source: Path, prefix: str, skip: str = "") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in FILES:
            if name != skip:
                archive.write(source / name, prefix + name)
        archive.writestr("x_mitdb/100.dat", b"of another folder")
    return path


@pytest.mark.parametrize(
    "prefix", ["", "mit-bih-arrhythmia-database-1.0.0/", "../../evil/", "/tmp/evil/", "C:\\..\\/"]
)
def test_a_zip_reads_like_its_folder(prefix: str, tiny_mitdb: Path, tmp_path: Path) -> None:
    # The records may be in any inner folder, whose name never becomes a path.
    archive = _zip(tmp_path / "mitdb.zip", tiny_mitdb, prefix)
    before = sorted(tmp_path.parent.rglob("*"))
    assert physionet.read_zip(archive).fingerprint == (
        physionet.read_folder(tiny_mitdb).fingerprint
    )
    assert sorted(tmp_path.parent.rglob("*")) == before


def test_a_zip_lacking_a_file_names_zip_and_record(tiny_mitdb: Path, tmp_path: Path) -> None:
    # The name of the temporary folder would mean nothing to the user.
    archive = _zip(tmp_path / "mitdb.zip", tiny_mitdb, "a/", skip="118.atr")
    with pytest.raises(DataError, match=r"mitdb\.zip: record 118: 118\.atr missing"):
        physionet.read_zip(archive)


def test_a_zip_bomb_is_refused(tmp_path: Path) -> None:
    # No member may unpack to more than its real counterpart could have.
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("100.dat", bytes(5 * 2**20))
    with pytest.raises(DataError, match=r"100\.dat is larger than"):
        physionet.read_zip(path)
    # The same with a directory that declares a harmless size.
    content = path.read_bytes().replace((5 * 2**20).to_bytes(4, "little"), b"\x10\0\0\0")
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"bomb\.zip"):
        physionet.read_zip(path)


def test_a_link_in_a_zip_is_not_followed(tiny_mitdb: Path, tmp_path: Path) -> None:
    # Its content is the path of its target, not a record.
    (tmp_path / "secret.hea").write_bytes((tiny_mitdb / "100.hea").read_bytes())
    archive = _zip(tmp_path / "mitdb.zip", tiny_mitdb, "a/", skip="100.hea")
    link = zipfile.ZipInfo("a/100.hea")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr(link, str(tmp_path / "secret.hea"))
    with pytest.raises(DataError, match=r"mitdb\.zip: record 100: 100\.hea is unreadable"):
        physionet.read_zip(archive)


@pytest.mark.parametrize("cut", [0, 10, 3000, -30])
def test_a_zip_cut_short_is_refused(cut: int, tiny_mitdb: Path, tmp_path: Path) -> None:
    # An interrupted download has no directory at its end.
    archive = _zip(tmp_path / "mitdb.zip", tiny_mitdb, "a/")
    archive.write_bytes(archive.read_bytes()[:cut])
    with pytest.raises(DataError, match="not a readable ZIP file"):
        physionet.read_zip(archive)


def test_a_zip_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "photos.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("holiday.jpg", b"beach")
    with pytest.raises(DataError, match="holds no MIT-BIH record"):
        physionet.read_zip(path)
