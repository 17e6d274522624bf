"""Rules of other WFDB records: any rate and leads, MIT-BIH's window rule, faults by name."""

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import wfdb
from scipy.signal import resample_poly

from ecg.errors import DataError
from ecg.heartbeats import CLASSES, Heartbeats
from ecg.sources import load, physionet, records
from ecg.sources.locate import locate
from ecg.sources.windows import LABEL_OF_SYMBOL, cut_windows
from tests.ecg.sources.tiny_records import BEATS, write_record

SUFFIXES = (".hea", ".dat", ".atr")


def read(folder: Path, **options: str) -> Heartbeats:
    found = locate(folder)
    assert found is not None
    assert found.kind == "records"
    return found.read(**options)


@pytest.fixture(scope="module")
def hundred(mitdb: Path) -> tuple[np.ndarray, wfdb.Annotation]:
    """Signal (mV, first lead) and annotations of a real record."""
    signal = wfdb.rdrecord(str(mitdb / "100"), channels=[0]).p_signal[:, 0]
    return signal, wfdb.rdann(str(mitdb / "100"), "atr")


@pytest.mark.parametrize(("rate", "up", "down"), [(250, 25, 36), (500, 25, 18), (257, 257, 360)])
def test_a_record_of_another_rate_gives_the_beats_that_mitdb_gives(
    rate: int, up: int, down: int, hundred: tuple[np.ndarray, wfdb.Annotation],
    mitdb: Path, tmp_path: Path,
) -> None:  # fmt: skip
    # The same heart at another rate: the same beats, classes and times, nearly the same values.
    signal, notes = hundred
    other = resample_poly(signal, up, down)
    wfdb.wrsamp("own", rate, ["mV"], ["II"], other[:, None], fmt=["16"], write_dir=str(tmp_path))
    sample = np.minimum(np.round(notes.sample * rate / 360).astype(int), len(other) - 1)
    wfdb.wrann("own", "atr", sample, notes.symbol, write_dir=str(tmp_path))
    expected = physionet.read_record(mitdb, 100)
    found = read(tmp_path)
    assert found.labels.tolist() == expected.labels.tolist()
    assert np.abs(found.times() - expected.sample / 360).max() < 0.5 / rate + 1e-9
    assert np.nanmax(np.abs(found.rr - expected.rr)) < 1.01 / rate
    middle = slice(5, -5)  # the record's ends are bent by any filter
    alike = [
        np.corrcoef(one, other)[0, 1]
        for one, other in zip(found.signals[middle], expected.signals[middle], strict=True)
    ]
    assert np.median(alike) > 0.99
    assert found.records[1].rate == rate


def test_some_of_mitdb_give_the_rows_of_the_whole(mitdb: Path, tmp_path: Path) -> None:
    # Bit-identical, with their own numbers, and under a name that no published table accepts.
    for record in (114, 208):
        for suffix in SUFFIXES:
            shutil.copy(mitdb / f"{record}{suffix}", tmp_path)
    found, whole = load(tmp_path), load(mitdb)
    rows = np.isin(whole.record, [114, 208])
    assert found.source == "mitdb-subset"
    assert found.signals.tobytes() == whole.signals[rows].tobytes()
    for name in ("labels", "record", "sample", "symbol", "rr"):
        assert np.array_equal(
            getattr(found, name), getattr(whole, name)[rows], equal_nan=name == "rr"
        )
    assert found.records[114].lead == "V5"  # the first one, as in the whole


def test_records_are_numbered_by_their_names_where_these_are_numbers(tmp_path: Path) -> None:
    for name in ("800", "801"):
        write_record(tmp_path, name, rate=128, form="16", leads=("ECG1", "ECG2"))
    beats = read(tmp_path)
    assert np.unique(beats.record).tolist() == [800, 801]
    write_record(tmp_path, "p_9", rate=128, form="16", leads=("ECG1", "ECG2"))
    beats = read(tmp_path)
    assert [beats.record_name(number) for number in (1, 2, 3)] == ["800", "801", "p_9"]
    assert len(beats) == 3 * BEATS
    assert beats.source == tmp_path.name


def test_lead_two_is_taken_where_records_have_it_and_another_by_name(tmp_path: Path) -> None:
    write_record(tmp_path, "a", leads=("V1", "II"))
    write_record(tmp_path, "b", leads=("MLII", "V1", "V5"))
    beats = read(tmp_path)
    assert [beats.records[number].lead for number in (1, 2)] == ["II", "MLII"]
    other = read(tmp_path, lead="v1")
    assert [other.records[number].lead for number in (1, 2)] == ["V1", "V1"]
    assert other.fingerprint != beats.fingerprint
    with pytest.raises(DataError, match=r"record a: there is no lead 'V5'. Use one of: V1, II"):
        read(tmp_path, lead="V5")


def test_a_record_without_the_lead_of_the_others_is_named(tmp_path: Path) -> None:
    # Beats of different leads in one set would be a silent mixture.
    write_record(tmp_path, "a", leads=("V1", "II"))
    write_record(tmp_path, "b", leads=("V1", "V5"))
    with pytest.raises(DataError, match=r"record b has the leads V1, V5 but neither MLII nor II"):
        read(tmp_path)
    assert len(read(tmp_path, lead="V1")) == 2 * BEATS


@pytest.mark.parametrize(("form", "rate"), [("212", 360), ("16", 250)])
def test_beats_in_a_gap_are_left_out_and_counted(form: str, rate: float, tmp_path: Path) -> None:
    # The second beat's window has the gap; the others are unaffected.
    write_record(tmp_path, "a", rate=rate, form=form)
    whole = read(tmp_path)
    first, second = (int(whole.sample[k]) for k in (1, 2))
    write_record(tmp_path, "a", rate=rate, form=form, gap=slice((first + second) // 2, second - 60))
    beats = read(tmp_path)
    assert beats.records[1].lost == 1
    assert beats.sample.tolist() == np.delete(whole.sample, 1).tolist()
    assert beats.rr.tolist()[1:] == whole.rr.tolist()[2:]  # by the annotations, gap or not
    assert np.isfinite(beats.signals).all()


def test_a_lead_that_is_one_gap_is_refused(tmp_path: Path) -> None:
    write_record(tmp_path, "a", gap=slice(None))
    with pytest.raises(DataError, match="record a: the lead MLII has no signal at all"):
        read(tmp_path)


def test_records_of_one_patient_are_known_by_their_headers(tmp_path: Path) -> None:
    # In the form that incartdb uses.
    write_record(tmp_path, "I01", comments=["<age>: 65 <sex>: F", "patient 1"])
    write_record(tmp_path, "I02", comments=["patient 1"])
    write_record(tmp_path, "I03")
    beats = read(tmp_path)
    assert [beats.records[n].patient for n in (1, 2, 3)] == ["patient 1", "patient 1", ""]


def test_symbols_of_other_databases_have_their_class(tmp_path: Path) -> None:
    # AAMI EC57; MIT-BIH has none of these.
    symbols = ["B", "n", "r", "?", "N", "N"]
    write_record(tmp_path, "a", symbols=symbols)
    beats = read(tmp_path)
    assert [CLASSES[label] for label in beats.labels] == ["N", "S", "V", "Q", "N"]
    assert not {"+", "~", "|", "!", "x", "[", "]", '"'} & LABEL_OF_SYMBOL.keys()


def test_intervals_are_between_beats_whatever_is_annotated_in_between() -> None:
    # A rhythm change is not a beat; the last beat has no window but ends an interval.
    sample = np.array([100, 460, 500, 820, 1180])
    found = cut_windows(np.arange(2000), sample, ["N", "V", "+", "N", "N"])
    assert np.array_equal(
        found.rr,
        np.array([[np.nan, 1], [1, 1], [1, 1]], dtype=np.float32),
        equal_nan=True,
    )
    assert found.sample.tolist() == [100, 460, 820]


def _header(old: str, new: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / "a.hea"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return damage


def _split_in_two(folder: Path) -> None:
    (folder / "a.hea").write_text("a/2 2 250 2000\nb 1000\nc 1000\n")


def _cut(folder: Path) -> None:
    path = folder / "a.dat"
    path.write_bytes(path.read_bytes()[:-10])


@pytest.mark.parametrize(
    ("damage", "cause", "advice"),
    [
        (_header("a.dat 16", "a.dat 516"), "unsupported signal format 516", "xform"),
        (_header("a.dat 16", "a.dat 16x4"), "leads of different rates", "xform"),
        (_split_in_two, "several segments", "xform"),
        (_header("a 2 250", "a 2 20"), "a sampling rate of 20", "not between 100 and 20000 Hz"),
        (_header("a.dat", "b.dat"), "names the signal file 'b.dat'", "move it out"),
        (_cut, r"a.dat is cut short", "move it out"),
        (lambda folder: (folder / "a.dat").unlink(), "a.dat missing", "move it out"),
        (_header("a 2 250", "a 99999 250"), "channels", "move it out"),
    ],
)
def test_a_faulty_record_is_named_with_the_cause_and_what_to_do(
    damage: Callable[[Path], None], cause: str, advice: str, tmp_path: Path
) -> None:
    write_record(tmp_path, "a", rate=250, form="16")
    damage(tmp_path)
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}: record a: ")
    assert cause in message
    assert advice in message


def test_annotations_without_a_beat_are_refused(tmp_path: Path) -> None:
    # afdb's annotations are rhythms only.
    write_record(tmp_path, "a", symbols=["+", "+", "+"])
    with pytest.raises(DataError, match=r"the \.atr files mark no beat"):
        read(tmp_path)


def test_a_zip_of_other_records_reads_like_their_folder(tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    folder.mkdir()
    for name in ("a", "b"):
        write_record(folder, name, rate=250, form="16")
    with zipfile.ZipFile(tmp_path / "lab.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in folder.iterdir():
            archive.write(path, f"deep/er/{path.name}")
        archive.writestr("../../evil.hea", "evil")
        archive.writestr("../../evil.atr", "evil")
    beats = load(tmp_path / "lab.zip")
    assert beats.fingerprint == load(folder).fingerprint
    assert not list(tmp_path.rglob("evil*"))


def test_a_zip_bomb_of_other_records_is_refused(tmp_path: Path) -> None:
    write_record(tmp_path, "a")
    with zipfile.ZipFile(tmp_path / "lab.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for suffix in (".hea", ".atr"):
            archive.write(tmp_path / f"a{suffix}", f"a{suffix}")
        archive.writestr("a.dat", bytes(2**26))
    with pytest.raises(DataError, match=r"lab\.zip: a\.dat is larger than"):
        records.read_zip(tmp_path / "lab.zip", "lab")
