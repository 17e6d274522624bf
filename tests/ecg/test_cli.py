"""Rules of `python -m ecg`: its output and exit codes."""

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import ecg.sources
from ecg.cli import main
from ecg.sources.fetch import NetworkError
from ecg.sources.mitdb_files import RECORDS
from tests.conftest import REPOSITORY
from tests.ecg.sources.tiny_records import BEATS, copy_record, write_record


@dataclass(frozen=True)
class Ended:
    """Exit code and output of a command."""

    code: object
    out: str
    err: str


class Runner:
    """Runs `python -m ecg` in this process, by its entry point."""

    def __init__(self, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self._patch, self._capture = patch, capture

    def __call__(self, *arguments: str | Path) -> Ended:
        self._patch.setattr(sys, "argv", ["ecg", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return Ended(ended.value.code, *self._capture.readouterr())


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Runner:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    return Runner(monkeypatch, capsys)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All 48 records, each a copy of the same tiny one; read-only by convention."""
    one, folder = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("records")
    write_record(one, 100)
    for record in RECORDS:
        copy_record(one, folder, record)
    return folder


@pytest.fixture
def damaged(records: Path, tmp_path: Path) -> Path:
    """The records with the signal of one cut short."""
    folder = tmp_path / "damaged"
    shutil.copytree(records, folder)
    with (folder / "117.dat").open("r+b") as file:
        file.truncate(1000)
    return folder


@pytest.fixture
def csvs(tmp_path: Path) -> Path:
    folder = tmp_path / "csvs"
    folder.mkdir()
    for name, value in (("mitbih_train.csv", "0.25"), ("mitbih_test.csv", "0.5")):
        (folder / name).write_text(",".join([value] * 187 + ["2"]) + "\n")
    return folder


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No data in the working directory, and no network."""

    def fail(target: Path) -> Path:
        raise NetworkError("physionet.org cannot be reached")

    monkeypatch.setattr(ecg.sources, "fetch_mitdb", fail)
    monkeypatch.chdir(tmp_path)


# --- What the commands print


def test_prepare_prints_the_counts_per_class(run: Runner, records: Path) -> None:
    ended = run("prepare", "--data", records)
    assert ended.code == 0
    assert f"{48 * BEATS} beats in " in ended.out
    assert "\nN Normal              144  42.86%\n" in ended.out
    assert not ended.err


def test_describe_prints_classes_records_and_splits(run: Runner, records: Path) -> None:
    ended = run("describe", "--data", records)
    assert ended.code == 0
    assert "144 of 144 files differ from PhysioNet's (SHA-256): 100.hea, 100.dat" in ended.out
    assert "fingerprint" in ended.out
    assert "\n234     3  1  1  1  1    7\n" in ended.out
    assert "inter-patient test             22  66  22  22  22   0  132" in ended.out


def test_audit_prints_its_text_and_writes_it(run: Runner, records: Path, tmp_path: Path) -> None:
    ended = run("audit", "--records", records, "--output", tmp_path / "out")
    assert ended.code == 0
    text = (tmp_path / "out" / "audit.md").read_text()
    assert text in ended.out
    assert "files differ from PhysioNet's" in text
    assert str(tmp_path) not in text  # it can be kept anywhere
    # All records are one here, so every beat has 47 twins.
    assert "336 of 336 rows have the values of another row (in 7 groups)" in text
    assert (tmp_path / "out" / "audit.png").is_file()


def test_audit_of_csvs_writes_their_rows(
    run: Runner, records: Path, csvs: Path, tmp_path: Path
) -> None:
    ended = run("audit", "--records", records, "--data", csvs, "--output", tmp_path / "out")
    assert ended.code == 0
    assert "not found: train row 1, test row 1\n" in ended.out
    table = (tmp_path / "out" / "audit_rows.csv").read_text()
    assert table == "part,row,record,sample,symbol,label\ntrain,1,,,,2\ntest,1,,,,2\n"


def test_prepare_says_when_the_heartbeats_are_simulated(
    run: Runner, offline: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ecg.sources import synthetic

    few = synthetic.generate(records=2, beats_per_record=10)
    monkeypatch.setattr(synthetic, "generate", lambda: few)
    ended = run("prepare")
    assert ended.code == 0
    assert "data: simulated heartbeats, not ECG recordings" in ended.out
    assert "20 beats" in ended.out


def test_help_lists_the_commands_without_importing_torch() -> None:
    # Nor NumPy, so the help appears at once.
    code = (
        "import sys\n"
        "from ecg.cli import main\n"
        "sys.argv = ['ecg', '--help']\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as ended:\n"
        "    print('code', ended.code)\n"
        "print('heavy', sorted({'torch', 'numpy', 'scipy'} & sys.modules.keys()))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY
    )
    assert all(name in ended.stdout for name in ("prepare", "describe", "audit", "fetch"))
    assert "code 0\nheavy []\n" in ended.stdout


def test_no_command_needs_torch() -> None:
    code = (
        "import sys, ecg.audit_report, ecg.describe, ecg.sources.fetch\n"
        "print('torch' in sys.modules, 'matplotlib' in sys.modules)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY
    )
    assert ended.stdout == "False False\n"


def test_python_m_ecg_is_the_command_line() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "ecg", "fetch", "ptbdb"],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "error: cannot fetch 'ptbdb'. Use one of: mitdb, kaggle.\n"


# --- Exit codes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fetch", "ptbdb"], "error: cannot fetch 'ptbdb'. Use one of: mitdb, kaggle."),
        (["fetch"], "Missing argument"),
        (["prepare", "--data", "nowhere"], "error: nowhere: no such file or folder"),
        (["describe", "--data", "nowhere"], "error: nowhere: no such file or folder"),
        (["audit", "--records", "nowhere"], "error: nowhere: no such file or folder"),
        (["describe", "--speed", "3"], "No such option"),
        (["descrbe"], "Did you mean 'describe'?"),
        ([], ""),
    ],
)
def test_usage_errors_exit_with_2(run: Runner, arguments: list[str], message: str) -> None:
    ended = run(*arguments)
    assert ended.code == 2
    assert message in ended.err
    assert "Traceback" not in ended.err


def test_swapped_folders_exit_with_2(run: Runner, records: Path, csvs: Path) -> None:
    ended = run("audit", "--records", csvs)
    assert ended.code == 2
    assert "Pass the MIT-BIH records as --records and the CSV files as --data" in ended.err
    ended = run("audit", "--records", records, "--data", records)
    assert ended.code == 2
    assert "not Kaggle's CSV files" in ended.err


def test_an_unwritable_output_exits_with_1(run: Runner, records: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    ended = run("audit", "--records", records, "--output", tmp_path / "file")
    assert ended.code == 1
    assert "Use another place" in ended.err
    assert (tmp_path / "file").read_text() == "mine"


def test_prepared_heartbeats_are_one_file_that_replaces_the_data(
    run: Runner, records: Path, tmp_path: Path
) -> None:
    # On a machine without the records, the file gives the same heartbeats.
    file = tmp_path / "folder" / "beats.npz"
    assert f"wrote {file}" in run("prepare", "--data", records, "--output", file).out
    expected, found = ecg.sources.load(records), ecg.sources.load(file)
    assert found.fingerprint == expected.fingerprint
    assert (found.symbol == expected.symbol).all()
    assert run("describe", "--data", file).code == 0


def test_a_damaged_prepared_file_is_refused_by_name(
    run: Runner, records: Path, tmp_path: Path
) -> None:
    file = tmp_path / "beats.npz"
    run("prepare", "--data", records, "--output", file)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    ended = run("describe", "--data", file)
    assert ended.code == 1
    assert f"{file}: not a file of prepared heartbeats, or damaged" in ended.err
    assert len(ended.err.splitlines()) == 1


def test_a_cache_file_is_not_a_prepared_file(run: Runner, records: Path) -> None:
    # Its key belongs to files that were read elsewhere.
    from ecg.sources.cache import cache_folder

    ecg.sources.load(records)
    ended = run("describe", "--data", next(cache_folder().glob("*.npz")))
    assert (ended.code, "a cache file, not an output of" in ended.err) == (2, True)


@pytest.mark.parametrize(
    ("name", "message"),
    [("beats.csv", "does not end in .npz"), ("taken/beats.npz", "Cannot write")],
)
def test_an_invalid_output_is_refused(
    run: Runner, records: Path, tmp_path: Path, name: str, message: str
) -> None:
    (tmp_path / "taken").touch()
    ended = run("prepare", "--data", records, "--output", tmp_path / name)
    assert ended.code in (1, 2)
    assert message in ended.err


@pytest.mark.parametrize("command", ["prepare", "describe", "audit"])
def test_a_damaged_record_exits_with_1_and_its_name(
    run: Runner, command: str, damaged: Path, tmp_path: Path
) -> None:
    option = "--records" if command == "audit" else "--data"
    output = ["--output", tmp_path / "out"] if command == "audit" else []
    ended = run(command, option, damaged, *output)
    assert ended.code == 1
    (line,) = ended.err.splitlines()
    assert line.startswith(f"error: {damaged}: record 117: 117.dat is cut short")
    assert not (tmp_path / "out").exists()


def test_debug_adds_the_traceback(run: Runner, damaged: Path) -> None:
    ended = run("prepare", "--data", damaged, "--debug")
    assert ended.code == 1
    assert ended.err.startswith("Traceback")
    assert "error: " in ended.err.splitlines()[-1]


def test_an_unexpected_error_exits_with_1_and_asks_for_a_report(
    run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(location: str, lead: str | None) -> None:
        raise ZeroDivisionError("never")

    monkeypatch.setattr(ecg.sources, "load", fail)
    ended = run("prepare", "--data", "synthetic")
    assert ended.code == 1
    (line,) = ended.err.splitlines()
    assert line.startswith("error: unexpected ZeroDivisionError: never. Run again with --debug")


def test_simulated_heartbeats_are_audited_only_on_request(run: Runner, offline: None) -> None:
    ended = run("audit")
    assert ended.code == 1
    assert "there are no records to audit" in ended.err
    assert not Path("results").exists()


@pytest.fixture
def holter(tmp_path: Path) -> Path:
    """Six foreign records, two of one patient."""
    folder = tmp_path / "holter"
    folder.mkdir()
    for number in range(6):
        comments = ["patient 7"] if number < 2 else []
        write_record(
            folder, f"p{number}", rate=250, form="16", leads=("V1", "II"), comments=comments
        )
    return folder


def test_own_records_are_described_with_leads_rates_and_both_splits(
    run: Runner, holter: Path
) -> None:
    ended = run("describe", "--data", holter)
    assert ended.code == 0
    assert f"data: {holter}, as given: 6 WFDB records of {holter}\n" in ended.out
    assert f"{6 * BEATS} beats, source holter, fingerprint " in ended.out
    assert "records by lead and sampling rate: 6 with II at 250 Hz" in ended.out
    assert "inter-patient test " in ended.out
    assert "no split" not in ended.out


def test_a_file_of_records_makes_a_split(run: Runner, holter: Path, tmp_path: Path) -> None:
    lists = tmp_path / "split.toml"
    lists.write_text('train = ["p0", "p1", "p2"]\nvalidation = ["p3"]\ntest = ["p4"]\n')
    ended = run("describe", "--data", holter, "--records-file", lists)
    assert ended.code == 0
    assert re.search(r"\ninter-patient-[0-9a-f]{8} train +3 ", ended.out)
    lists.write_text('train = ["p0", "p2"]\nvalidation = ["p1"]\ntest = ["p4"]\n')
    ended = run("describe", "--data", holter, "--records-file", lists)
    assert "--records-file puts one patient into two parts: record p0 into train" in ended.out
    lists.write_text('train = ["p0"]\nvalidation = ["p0"]\ntest = ["p4"]\n')
    ended = run("describe", "--data", holter, "--records-file", lists)
    assert ended.code == 2
    assert "record p0 is in train and in validation. Put it into one part" in ended.err


def test_another_lead_is_packed_by_name(run: Runner, holter: Path, tmp_path: Path) -> None:
    ended = run("prepare", "--data", holter, "--lead", "V1", "--output", tmp_path / "v1.npz")
    assert ended.code == 0
    assert "6 with V1 at 250 Hz" in ended.out
    assert "6 with V1 at 250 Hz" in run("describe", "--data", tmp_path / "v1.npz").out
    ended = run("prepare", "--data", holter, "--lead", "aVF")
    assert ended.code == 1
    assert "record p0: there is no lead 'aVF'. Use one of: V1, II" in ended.err


def test_own_records_are_audited(run: Runner, holter: Path, tmp_path: Path) -> None:
    # The audit says what their splits share, and nothing about a published rate.
    ended = run("audit", "--records", holter, "--output", tmp_path / "out")
    assert ended.code == 0
    text = (tmp_path / "out" / "audit.md").read_text()
    assert "## Records on both sides of the split" in text
    assert "Sampling rate" not in text
    assert re.search(r"\np5 +\d", text)
