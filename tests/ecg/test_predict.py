"""Rules of `ecg predict` and `ecg evaluate`: input, output and errors."""

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import wfdb

import ecg
from ecg.cli import main
from ecg.heartbeats import CLASSES
from ecg.model_file import Model
from ecg.networks import forget_networks, load_user_file
from ecg.predict import count, detect_peaks, say_confusion
from ecg.rhythm import SCALE, rhythm
from ecg.sources.records import read_folder
from ecg.sources.wfdb_files import read_record
from ecg.test_part_log import readings_of
from ecg.training import TrainConfig, TrainingData, find_device, make_part, train
from ecg.training.run import build_model
from tests.support.made_records import make_record
from tests.support.setting import Typed
from tests.support.toy import toy_heartbeats

Command = Callable[..., Typed]
SMALL = TrainConfig(model="simple", width_multiplier=0.2)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """A function that runs `python -m ecg WORDS` in this process."""

    def typed(*words: object) -> Typed:
        monkeypatch.setattr(sys, "argv", ["ecg", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        return Typed(int(ended.value.code or 0), *capsys.readouterr())

    return typed


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model file of a small network."""
    return write_model(tmp_path / "model.safetensors")


def write_model(path: Path, config: TrainConfig = SMALL, **facts: object) -> Path:
    torch.manual_seed(0)
    ecg.save_model(path, config, build_model(config).state_dict(), {"source": "lab", **facts})
    return path


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("rate", [360, 250])
def test_a_record_is_classified_beat_by_beat(
    run: Command, model: Path, tmp_path: Path, rate: int
) -> None:
    # Rule: one row per beat with the class of its window; the true classes are
    # counted; the annotation file has the same classes in WFDB format.
    make_record(tmp_path, "holter", rate=rate)
    output, folder = tmp_path / "out" / "beats.csv", tmp_path / "ann"
    done = run("predict", model, tmp_path / "holter", "-o", output, "--annotations", folder)
    assert done.code == 0, done.err
    windows, _ = read_record(tmp_path, "holter", lead="II")
    network = ecg.load_model(model)
    labels = network.labels(windows.signals)
    rows = rows_of(output)
    assert [row["class"] for row in rows] == [CLASSES[label] for label in labels]
    assert [int(row["sample"]) for row in rows] == windows.sample.tolist()
    assert [float(row["time"]) for row in rows] == pytest.approx(windows.sample / rate, abs=6e-4)
    assert {row["record"] for row in rows} == {"holter"}
    found = np.array([[float(row[name]) for name in CLASSES] for row in rows])
    assert found == pytest.approx(network.probabilities(windows.signals), abs=1e-6)
    back = wfdb.rdann(str(folder / "holter"), "aami")
    assert back.sample.tolist() == windows.sample.tolist()
    assert back.symbol == [row["class"] for row in rows]
    assert back.fs == rate
    assert say_confusion(count(windows.labels, labels)) in done.out
    assert "lead: II of record holter" in done.out
    assert ("resampled from 250 Hz" in done.out) == (rate == 250)


def test_without_annotations_the_detector_finds_the_beats(
    run: Command, model: Path, tmp_path: Path
) -> None:
    # Rule: the output says so, and nothing is compared with unknown classes.
    sample = make_record(tmp_path, "holter", beats=120, rate=250, suffix=None)
    done = run("predict", model, tmp_path / "holter.hea", "-o", tmp_path / "beats.csv")
    assert done.code == 0, done.err
    assert "no .atr file for record holter, so the detector XQRS of wfdb found them" in done.out
    assert "true" not in done.out
    found = [int(row["sample"]) for row in rows_of(tmp_path / "beats.csv")]
    near = np.abs(np.subtract.outer(sample, found)).min(axis=1)
    assert (near <= 12).mean() > 0.9  # 50 ms


def test_another_annotation_file_has_the_peaks(run: Command, model: Path, tmp_path: Path) -> None:
    make_record(tmp_path, "a", suffix="qrs")
    done = run("predict", model, tmp_path / "a", "--peaks", "qrs", "-o", tmp_path / "beats.csv")
    assert done.code == 0, done.err
    assert "R peaks: from the .qrs file of record a" in done.out
    assert "true classes" not in done.out
    windows_by_qrs = [int(row["sample"]) for row in rows_of(tmp_path / "beats.csv")]
    make_record(tmp_path, "a", suffix="atr")
    done = run("predict", model, tmp_path / "a", "-o", tmp_path / "beats.csv")
    assert [int(row["sample"]) for row in rows_of(tmp_path / "beats.csv")] == windows_by_qrs
    assert f"true classes of {len(windows_by_qrs)} beats are known" in done.out


def test_a_folder_may_have_records_with_and_without_annotations(
    run: Command, model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "records"
    folder.mkdir()
    make_record(folder, "a", seed=1)
    make_record(folder, "b", seed=2, suffix=None)
    done = run("predict", model, folder, "-o", tmp_path / "beats.csv")
    assert done.code == 0, done.err
    names = [row["record"] for row in rows_of(tmp_path / "beats.csv")]
    assert set(names) == {"a", "b"}
    assert f"true classes of {names.count('a')} beats are known" in done.out


def test_rows_of_csv_files_and_tables_are_classified(
    run: Command, model: Path, tmp_path: Path
) -> None:
    beats = toy_heartbeats(60)
    np.savez(tmp_path / "table.npz", signals=beats.signals, labels=beats.labels)
    for part in ("train", "test"):
        table = np.column_stack([beats.signals, beats.labels])
        half = table[:30] if part == "train" else table[30:]
        np.savetxt(tmp_path / f"mitbih_{part}.csv", half, delimiter=",")
    expected = [CLASSES[label] for label in ecg.load_model(model).labels(beats.signals)]
    for data in ("table.npz", "mitbih_train.csv"):
        done = run("predict", model, tmp_path / data, "-o", tmp_path / "beats.csv")
        assert done.code == 0, done.err
        rows = rows_of(tmp_path / "beats.csv")
        assert [row["class"] for row in rows] == expected
        assert {row["sample"] + row["time"] for row in rows} == {""}
        assert "true classes of 60 beats are known" in done.out
    done = run("predict", model, tmp_path / "table.npz", "-o", tmp_path / "b.csv", "--annotations",
               tmp_path / "ann")  # fmt: skip
    assert (done.code, "needs the record and sample of every beat" in done.err) == (2, True)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--lead", "aVR"), 1, "record a: there is no lead 'aVR'. Use one of: II, V1"),
        (("--peaks", "qrs"), 1, "record a: a.qrs missing"),
        (("--device", "tpu"), 2, "unknown device 'tpu'"),
    ],
)
def test_unusable_data_is_refused(
    run: Command, model: Path, tmp_path: Path, words: tuple[str, ...], code: int, message: str
) -> None:
    # Rule: one line says what is wrong, and nothing is written.
    make_record(tmp_path, "a")
    done = run("predict", model, tmp_path / "a", "-o", tmp_path / "beats.csv", *words)
    assert done.code == code
    (line,) = done.err.splitlines()
    assert message in line
    assert not (tmp_path / "beats.csv").exists()


def test_unusable_files_are_refused(run: Command, model: Path, tmp_path: Path) -> None:
    def fails(model: Path, data: Path, *more: object) -> str:
        done = run("predict", model, data, "-o", tmp_path / "beats.csv", *more)
        assert done.code in (1, 2)
        assert len(done.err.splitlines()) == 1
        return done.err

    make_record(tmp_path, "a")
    assert "no such file" in fails(tmp_path / "none", tmp_path / "a")
    assert "not a model file" in fails(tmp_path / "a.dat", tmp_path / "a")
    assert "no such file or folder" in fails(model, tmp_path / "b")
    flat = np.zeros((3000, 1), dtype=np.int64)
    wfdb.wrsamp("flat", 360, ["mV"], ["II"], d_signal=flat, fmt=["16"], adc_gain=[200.0],
                baseline=[0], write_dir=str(tmp_path))  # fmt: skip
    assert "record flat: the detector XQRS found no R peaks" in fails(model, tmp_path / "flat")
    (tmp_path / "a.dat").write_bytes((tmp_path / "a.dat").read_bytes()[:-9])
    assert "record a: a.dat is cut short" in fails(model, tmp_path / "a")
    (tmp_path / "taken").touch()
    make_record(tmp_path, "a")
    done = run("predict", model, tmp_path / "a", "-o", tmp_path / "taken" / "beats.csv")
    assert (done.code, "Cannot write" in done.err) == (1, True)


def test_beats_in_a_gap_are_left_out_and_counted(run: Command, model: Path, tmp_path: Path) -> None:
    sample = make_record(tmp_path, "a", suffix=None, gap=slice(5000, 6000))
    done = run("predict", model, tmp_path / "a", "-o", tmp_path / "beats.csv")
    assert done.code == 0, done.err
    assert "were left out because of gaps in their signal" in done.out
    found = [int(row["sample"]) for row in rows_of(tmp_path / "beats.csv")]
    assert found
    assert not [one for one in found if 5000 <= one < 6000]
    assert len(found) < len(sample)


def test_a_signal_without_beats_has_no_peaks() -> None:
    for signal in (np.zeros(5, dtype=np.int64), np.zeros(5000, dtype=np.int64)):
        assert len(detect_peaks(signal, 360)) == 0


def test_a_network_that_takes_the_rhythm_gets_it(run: Command, tmp_path: Path) -> None:
    # Rule: its intervals are seconds, whatever the rate of the record.
    config = SMALL.replace(rhythm="rr")
    file = write_model(tmp_path / "rr.safetensors", config)
    for rate in (360, 180):
        make_record(tmp_path, f"at{rate}", rate=rate)
    found = {}
    for rate in (360, 180):
        beats = read_folder(tmp_path, [f"at{rate}"], "lab", lead="II")
        found[rate] = rhythm(beats)
        done = run("predict", file, tmp_path / f"at{rate}", "-o", tmp_path / "beats.csv")
        assert done.code == 0, done.err
        expected = ecg.load_model(file).labels(beats.signals, found[rate])
        classes = [row["class"] for row in rows_of(tmp_path / "beats.csv")]
        assert classes == [CLASSES[label] for label in expected]
    assert found[180] == pytest.approx(found[360], abs=0.05 * SCALE)
    np.savez(tmp_path / "table.npz", signals=beats.signals, labels=beats.labels)
    done = run("predict", file, tmp_path / "table.npz", "-o", tmp_path / "beats.csv")
    assert (done.code, "the rhythm needs the RR intervals" in done.err) == (2, True)


def test_scores_on_the_training_database_carry_a_caution(run: Command, tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    folder.mkdir()
    make_record(folder, "a")
    for source, cautious in (("lab", True), ("mitdb", False)):
        file = write_model(tmp_path / "model.safetensors", source=source)
        done = run("predict", file, folder / "a", "-o", tmp_path / "beats.csv")
        assert (
            "Caution: the network was trained on beats of this database" in done.out
        ) == cautious


# --- A user's own network


def test_an_own_network_predicts_and_is_evaluated_with_its_file(
    run: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Rule: the commands run the file that is named, and only with the text of the training.
    file = tmp_path / "mine.py"
    file.write_text(
        "from torch import nn\nfrom ecg.networks import network\n\n"
        '@network("linear")\ndef linear():\n'
        "    return nn.Sequential(nn.Flatten(), nn.Linear(187, 5))\n"
    )
    load_user_file(file)
    beats = toy_heartbeats()
    monkeypatch.setattr("ecg.sources.load", lambda *_, **__: beats)
    data = TrainingData(
        make_part(beats, np.arange(200), find_device("cpu")),
        make_part(beats, np.arange(200, 300), find_device("cpu")),
    )
    trained = train(TrainConfig(model="linear", max_epochs=1), data)
    model = tmp_path / "own.safetensors"
    ecg.save_model(model, trained.config, trained.weights, {"source": "lab"})
    forget_networks(file)  # as in another process

    output = tmp_path / "beats.csv"
    commands = (("predict", model, "toy", "-o", output), ("evaluate", model, "toy"))
    for command in commands:
        done = run(*command)
        assert (done.code, output.exists()) == (1, False)
        assert "Name an unchanged copy of mine.py, which defines it, with --networks." in done.err
    for command in commands:
        done = run(*command, "--networks", file)
        assert done.code == 0, done.err
        forget_networks(file)
    expected = ecg.load_model(model, networks=file).labels(beats.signals)
    assert [row["class"] for row in rows_of(output)] == [CLASSES[label] for label in expected]
    assert say_confusion(count(beats.labels, expected)) in done.out
    forget_networks(file)


# --- Evaluate


def studied(path: Path, **facts: object) -> Model:
    write_model(path, study="mine", trial=3, split="inter-patient", **facts)
    return ecg.load_model(path)


def test_evaluate_measures_the_test_part_and_logs_it(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Rule: only the test part of the study's data is measured; each reading is a line in the log.
    beats = toy_heartbeats(400)
    monkeypatch.setattr("ecg.sources.synthetic.generate", lambda: beats)
    file, log = tmp_path / "model.safetensors", tmp_path / "results" / "reads.jsonl"
    model = studied(file, data=beats.fingerprint)
    for readings in (1, 2):
        done = run("evaluate", file, "synthetic", "--log", log)
        assert done.code == 0, done.err
        rows = ecg.make_split("inter-patient", beats).test
        confusion = count(beats.labels[rows], model.labels(beats.signals[rows]))
        assert f"the test part of the split inter-patient: {len(rows)} beats" in done.out
        assert say_confusion(confusion) in done.out
        logged = readings_of(log, "mine")
        assert len(logged) == readings
        assert logged[-1]["scores"] == ecg.scores(confusion)
        assert (logged[-1]["trial"], readings_of(log, "another")) == (3, [])
    log.write_text(log.read_text() + "{broken\n[]\n")
    assert len(readings_of(log, "mine")) == 2
    assert json.loads(log.read_text().splitlines()[0])["split"] == "inter-patient"


def test_other_data_is_measured_completely_and_not_logged(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats = toy_heartbeats(100)
    monkeypatch.setattr("ecg.sources.synthetic.generate", lambda: beats)
    file, log = tmp_path / "model.safetensors", tmp_path / "reads.jsonl"
    studied(file, data="another")
    done = run("evaluate", file, "synthetic", "--log", log)
    assert done.code == 0, done.err
    assert "all 100 beats: this is not the data the network was trained on" in done.out
    assert not log.exists()


def test_a_reading_that_cannot_be_logged_is_not_shown(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats = toy_heartbeats(100)
    monkeypatch.setattr("ecg.sources.synthetic.generate", lambda: beats)
    file = tmp_path / "model.safetensors"
    studied(file, data=beats.fingerprint)
    (tmp_path / "taken").touch()
    done = run("evaluate", file, "synthetic", "--log", tmp_path / "taken" / "reads.jsonl")
    assert (done.code, "Name another file with --log" in done.err) == (1, True)
    assert "macro" not in done.out
