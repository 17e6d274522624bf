"""Rules of `export-model`: which trial, what the file says, and what is refused."""

import html
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import study as face
from ecg.metrics import scores
from ecg.training import find_device, make_part, measure
from study.storage.studies import load_study, open_storage
from tests.support.setting import Typed
from tests.support.toy import toy_heartbeats

Command = Callable[..., Typed]
NAME = "tiny-synthetic-intra-patient-smoke"
SHARED = ("--data", "synthetic", "--budget", "smoke", "--precision", "fp32")


@pytest.fixture
def searched(typed: Command, toy_data: None, tiny: Path, sqlite_url: str) -> str:
    """The URL of a database with a search of three trials."""
    words = (*SHARED, "--space", tiny, "--pruner", "none", "--trials", 3, "--storage", sqlite_url)
    assert typed("run", *words).code == 0
    return sqlite_url


def test_the_best_trial_is_written_with_all_that_is_known_of_it(
    typed: Command, searched: str, tmp_path: Path
) -> None:
    file = tmp_path / "best.safetensors"
    done = typed("export-model", NAME, "-o", file, "--storage", searched)
    assert done.code == 0, done.err
    best = load_study(open_storage(searched), NAME).best_trial
    assert f"trial {best.number} of '{NAME}'" in done.out
    assert f"python -m ecg predict {file}" in done.out.replace("\n", " ")
    model = face.load_model(file)
    assert model.config.to_fields() == best.user_attrs["config"]
    facts = model.facts
    assert facts["trial"] == best.number
    assert facts["scores"]["validation"] == best.user_attrs["validation"]
    assert "test" not in facts["scores"]
    assert facts["parameters"] == best.params
    assert facts["versions"] == best.user_attrs["versions"]
    assert (facts["split"], facts["budget"], facts["source"]) == (
        "intra-patient", "smoke", "synthetic",
    )  # fmt: skip
    assert facts["data"] == toy_heartbeats(1500).fingerprint
    # The network is the trial's: it counts the same beats.
    from study.storage.artifacts import VALIDATION_PREDICTIONS, artifact_folder
    from study.storage.reading import read_files

    path = (
        artifact_folder(searched) / read_files(searched, NAME, VALIDATION_PREDICTIONS)[best.number]
    )
    with np.load(path, allow_pickle=False) as kept:
        rows, labels, kept_probability = kept["row"], kept["label"], kept["probability"]
    beats = toy_heartbeats(1500)
    assert (beats.labels[rows] == labels).all()
    found = model.probabilities(beats.signals[rows])
    assert found == pytest.approx(kept_probability.astype(float), abs=1e-3)
    part = make_part(beats, rows, find_device("cpu"))
    confusion = measure(model.config, model.network.state_dict(), part, "fp32")
    assert scores(confusion) == facts["scores"]["validation"]


def test_a_trial_can_be_named(typed: Command, searched: str, tmp_path: Path) -> None:
    for number in range(3):
        file = tmp_path / f"{number}.safetensors"
        words = ("--trial", number, "-o", file, "--storage", searched)
        assert typed("export-model", NAME, *words).code == 0
        assert face.load_model(file).facts["trial"] == number


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--trial", 7), "has no complete trial 7. Name one of its complete trials: 0, 1, 2."),
        (("--trial", 1, "--confirmed"), "Use --trial or --confirmed, not both"),
        (("--confirmed",), "is not confirmed yet. Confirm it with: python -m study confirm"),
        (("--format", "pickle"), "unknown format 'pickle'. Use one of: safetensors, onnx, keras"),
        (("--format", "onnx"), "must end in .onnx for --format onnx"),
    ],
)
def test_what_cannot_be_exported_is_refused(
    typed: Command, searched: str, tmp_path: Path, words: tuple[object, ...], message: str
) -> None:
    file = tmp_path / "best.safetensors"
    done = typed("export-model", NAME, "-o", file, *words, "--storage", searched)
    assert (done.code, message in done.err) == (2, True)
    assert not file.exists()


def test_an_unknown_study_is_named(typed: Command, searched: str, tmp_path: Path) -> None:
    for more in ((), ("--confirmed",)):
        words = ("-o", tmp_path / "x.safetensors", *more, "--storage", searched)
        done = typed("export-model", "tinny", *words)
        assert (done.code, "no study named 'tinny'" in done.err) == (2, True)


def test_damaged_weights_and_a_place_that_cannot_be_written_are_named(
    typed: Command, searched: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    words = ("-o", tmp_path / "file" / "x.safetensors", "--storage", searched)
    done = typed("export-model", NAME, *words)
    assert (done.code, "Cannot write" in done.err) == (1, True)
    for path in (tmp_path / "artifacts").iterdir():
        path.write_bytes(path.read_bytes()[:-5])
    done = typed("export-model", NAME, "-o", tmp_path / "x.safetensors", "--storage", searched)
    assert (done.code, "are damaged" in done.err) == (1, True)
    for path in (tmp_path / "artifacts").iterdir():
        path.unlink()
    done = typed("export-model", NAME, "-o", tmp_path / "x.safetensors", "--storage", searched)
    assert (done.code, "were not kept; trials with weights: none" in done.err) == (2, True)


@pytest.mark.parametrize(("budget", "ending"), [((), ""), (("--budget", "quick"), "-quick")])
def test_the_confirmed_winner_is_chosen_on_validation(
    typed: Command, searched: str, tmp_path: Path, budget: tuple[str, ...], ending: str
) -> None:
    # Rule: the configuration with the best mean on validation, of its runs the best on validation.
    confirm = ("--top", 1, "--seeds", 2, "--data", "synthetic", "--storage", searched)
    assert typed("confirm", NAME, *confirm, *budget).code == 0
    file = tmp_path / "best.safetensors"
    done = typed("export-model", NAME, "--confirmed", "-o", file, "--storage", searched)
    assert done.code == 0, done.err
    trials = load_study(open_storage(searched), f"{NAME}-confirm{ending}").trials
    runs: dict[str, list[float]] = {}
    for trial in trials:
        runs.setdefault(trial.user_attrs["config"]["learning_rate"], []).append(trial.value or 0)
    rate, values = max(runs.items(), key=lambda one: sum(one[1]))
    facts = face.load_model(file).facts
    assert facts["study"] == f"{NAME}-confirm{ending}"
    chosen = trials[facts["trial"]]
    assert (chosen.user_attrs["config"]["learning_rate"], chosen.value) == (rate, max(values))
    assert facts["scores"]["test"] == chosen.user_attrs["test"]
    assert facts["test_read"] == chosen.user_attrs["test_read"]


def test_onnx_says_what_it_is_and_answers_the_same(
    typed: Command, searched: str, tmp_path: Path
) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="no extra: pip install -e '.[onnx]'")
    pytest.importorskip("onnxscript", reason="no extra: pip install -e '.[onnx]'")
    for kind in ("safetensors", "onnx"):
        words = ("-o", tmp_path / f"best.{kind}", "--format", kind, "--storage", searched)
        assert typed("export-model", NAME, *words).code == 0
    model = face.load_model(tmp_path / "best.safetensors")
    session = runtime.InferenceSession(tmp_path / "best.onnx", providers=["CPUExecutionProvider"])
    beats = toy_heartbeats(70).signals
    for number in (1, 70):
        (found,) = session.run(None, {"beats": beats[:number]})
        assert found == pytest.approx(model.logits(beats[:number]), abs=1e-4)
    stated = session.get_modelmeta().custom_metadata_map
    assert {name: json.loads(text) for name, text in stated.items()}.items() >= model.facts.items()


def test_keras_answers_the_same(typed: Command, searched: str, tmp_path: Path) -> None:
    keras = pytest.importorskip("keras", reason="no extra: pip install -e '.[tensorflow]'")
    for kind in ("safetensors", "keras"):
        words = ("-o", tmp_path / f"best.{kind}", "--format", kind, "--storage", searched)
        assert typed("export-model", NAME, *words).code == 0
    model = face.load_model(tmp_path / "best.safetensors")
    beats = toy_heartbeats(70).signals.copy()
    beats[3] = 0.25  # a beat without any variation
    network = keras.saving.load_model(tmp_path / "best.keras")
    assert network.predict(beats, verbose=0) == pytest.approx(model.logits(beats), abs=1e-4)


def test_readings_of_the_test_part_are_logged_and_shown(
    typed: Command, searched: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Rule: a model of a study, measured on the study's data, counts as a reading of its test part.
    from ecg.cli import main

    file = tmp_path / "best.safetensors"
    assert typed("export-model", NAME, "-o", file, "--storage", searched).code == 0
    assert "The test part was not read." in typed("show", NAME, "--storage", searched).out
    log = tmp_path / "test-reads.jsonl"
    words = ["ecg", "evaluate", str(file), "synthetic", "--log", str(log)]
    for _ in range(2):
        monkeypatch.setattr("sys.argv", words)
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
    shown = typed("show", NAME, "--storage", searched).out
    assert "The test part was read twice by `ecg evaluate`" in shown
    # A confirmation reads it too, and the report says the same.
    words = ("confirm", NAME, "--top", 1, "--seeds", 1, "--data", "synthetic")
    assert typed(*words, "--storage", searched).code == 0
    said = f"The test part was read twice by the study {NAME}-confirm; twice by `ecg evaluate`."
    assert said in " ".join(typed("show", NAME, "--storage", searched).out.split())
    page = tmp_path / "report.html"
    assert typed("report", NAME, "-o", page, "--storage", searched).code == 0
    text = html.unescape(page.read_text(encoding="utf-8"))
    assert said in text
    assert "To measure it on the test part" not in text
