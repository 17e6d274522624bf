"""Rules of the command line: exit codes, messages for people, quick help."""

import os
import re
import shlex
import signal
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from study.cli import app
from study.storage.studies import open_storage
from tests.support.setting import REPOSITORY, TINY, Typed, finish, open_new, start

Command = Callable[..., Typed]
COMMANDS = sorted(
    command.name or command.callback.__name__  # type: ignore[union-attr]
    for command in app.registered_commands
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(typed: Command, command: str) -> None:
    # Rule: `--help` and `-h` of every command end with code 0 and name every option.
    result = typed(command, "--help")
    assert result.code == 0
    assert f"study {command}" in result.out
    assert typed(command, "-h").out == result.out
    assert "--debug" in result.out or command == "spaces"


def test_the_bare_command_shows_what_there_is(typed: Command) -> None:
    # Rule: without a command the help is shown, all commands in it.
    result = typed()
    assert all(command in result.out + result.err for command in COMMANDS)


def test_help_does_not_show_a_password(typed: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    # Rule: the database in the environment is used, its URL is not shown.
    monkeypatch.setenv("ECG_STORAGE", "postgresql+psycopg://user:pl4nted@host/x")
    assert "pl4nted" not in typed("run", "--help").out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--space", "imbalanse"), "unknown space 'imbalanse'. Use one of: architecture, "),
        (("--budget", "huge"), "unknown budget 'huge'. Use one of: smoke, quick, short, paper"),
        (("--split", "random"), "unknown split 'random'. Use one of"),
        (("--device", "tpu"), "unknown device 'tpu'. Use one of: auto, cpu, cuda, cuda:N"),
        (("--sampler", "magic"), "unknown sampler 'magic'. Use one of: tpe, random, gp, grid"),
        (("--pruner", "magic"), "unknown pruner 'magic'. Use one of: median, hyperband, none"),
        (("--prune-patience", "-1"), "--prune-patience must be 0 or more"),
        (("--prune-warm-up", "-1"), "--prune-warm-up must be 0 or more"),
        (("--prune-startup", "-1"), "--prune-startup must be 0 or more"),
        (("--repeats", "0"), "--repeats must be at least 1, not 0"),
        (("--repeats", "2", "--space", "tables"), "--repeats is for searches that train"),
        (("--stop-after", "-1"), "--stop-after must be at least 0, not -1"),
        (("--warm-start", "x", "--top", "0"), "--top must be at least 1, not 0"),
        (("--jobs", "0"), "--jobs must be at least 1, not 0"),
        (("--jobs", "x"), "--jobs must be a whole number or auto, not 'x'"),
        (("--threads", "0"), "--threads must be at least 1, not 0"),
        (("--threads", "257"), "--threads must be at most 256, not 257"),
        (("--trials", "0"), "--trials must be at least 1, not 0"),
        (("--seeds", "0"), "--seeds must be at least 1, not 0"),
        (("--jobs", "1000000"), "--jobs must be at most 256, not 1000000"),
        (("--seeds", "9" * 20), "--seeds must be at most 1000, not 9"),
        (("--timeout", "nan"), "--timeout must be at least 0, not nan"),
        (("--seed", "-1"), "--seed must be 0 or more, not -1"),
        (("--checkpoint-every", "-1"), "--checkpoint-every must be 0 or more seconds"),
        (("--data", "no/such/place"), "no/such/place: no such file or folder. Name a folder"),
        (("--storage", "study.db"), "is not a database URL"),
        (("--replay", "no/such/file"), "no/such/file"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    typed: Command, toy_data: None, sqlite_url: str, words: tuple[str, ...], message: str
) -> None:
    # Rule: a wrong option ends with code 2 and one sentence that names it and what is known,
    # before anything is stored.
    setting = ("--data", "synthetic", "--budget", "smoke", "--storage", sqlite_url)
    result = typed("run", *setting, *words)
    assert result.code == 2
    assert message in result.err
    assert len(result.err.splitlines()) == 1
    assert result.err.startswith("error: ")
    assert not Path(sqlite_url.removeprefix("sqlite:///")).exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA here")
def test_cuda_where_there_is_none_is_refused(typed: Command, sqlite_url: str) -> None:
    # Rule: a device that is not there is named, with what to use instead.
    result = typed("run", "--data", "synthetic", "--device", "cuda", "--storage", sqlite_url)
    assert result.code == 2
    assert "sees 0 CUDA devices. Use --device cpu" in result.err


def test_a_number_that_is_none_is_refused(typed: Command) -> None:
    # Rule: what the parser refuses ends with code 2 and names the option.
    result = typed("run", "--trials", "many")
    assert result.code == 2
    assert "--trials" in result.err


@pytest.mark.parametrize("command", ["show", "retry", "confirm", "record"])
def test_an_unknown_study_is_answered_with_the_nearest(
    typed: Command, sqlite_url: str, command: str, tmp_path: Path
) -> None:
    # Rule: a mistyped study ends with code 2 and a suggestion.
    open_new(sqlite_url, "imbalance-intra")
    more = (tmp_path / "curves.json",) if command == "record" else ()
    result = typed(command, "imbalence-intra", *more, "--storage", sqlite_url)
    assert result.code == 2
    assert "There is no study named 'imbalence-intra'. Did you mean: imbalance-intra?" in result.err


@pytest.mark.parametrize("words", [("list",), ("show", "s"), ("retry", "s"), ("confirm", "s")])
def test_looking_at_a_missing_database_creates_none(
    typed: Command, sqlite_url: str, words: tuple[str, ...]
) -> None:
    # Rule: the message says how to start a study; no file is created.
    result = typed(*words, "--storage", sqlite_url)
    assert result.code == 2
    assert "Start a study with: python -m study run" in result.err
    assert not Path(sqlite_url.removeprefix("sqlite:///")).exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "does not exist"),
        ("SPACE = Space(", "mine.py: SyntaxError"),
        ("import nothing_of_that_name", "mine.py: ModuleNotFoundError"),
        ("raise SystemExit", "mine.py: SystemExit"),
        ("A = 1", "does not define SPACE. Add SPACE = Space(...)"),
        (TINY.replace('"learning_rate"', '"learning_speed"'), "'learning_speed' is neither a"),
        (TINY.replace('"model": "simple", ', ""), "the baseline has ['learning_rate', 'width"),
        (TINY.replace("3e-4}", "3.0}"), "the baseline's learning_rate = 3.0 is not in 0.0001 .."),
        (TINY.replace('"tiny",\n', '"tiny",\n    objective="luck",\n'), "unknown objective 'luck'"),
    ],
)
def test_a_space_file_that_does_not_fit_is_refused(
    typed: Command, tmp_path: Path, sqlite_url: str, text: str | None, message: str
) -> None:
    # Rule: a mistake in a user's space ends with code 2 and a sentence about it, before any
    # data is loaded; a traceback only with --debug.
    path = tmp_path / "mine.py"
    if text is not None:
        path.write_text(text)
    words = ("run", "--space", path, "--data", "no/such/place", "--storage", sqlite_url)
    result = typed(*words)
    assert result.code == 2
    assert message in result.err
    assert str(path) in result.err
    assert "Traceback" not in result.err
    if "is neither a field" in message:
        assert "known fields: model, width_multiplier, kernel_multiplier" in result.err
    assert "Traceback" in typed(*words, "--debug").err


def test_an_unexpected_error_is_one_line(
    typed: Command, monkeypatch: pytest.MonkeyPatch, sqlite_url: str
) -> None:
    # Rule: an error nobody planned for ends with code 1, one line, and how to get more.
    def broken(*_: object) -> None:
        raise LookupError("that is odd")

    monkeypatch.setattr("study.run.command.run_study", broken)
    result = typed("run", "--storage", sqlite_url)
    assert (result.code, len(result.err.splitlines())) == (1, 1)
    assert "unexpected LookupError: that is odd. Run again with --debug" in result.err
    assert "Traceback" in typed("run", "--storage", sqlite_url, "--debug").err


def test_ctrl_c_is_no_error(typed: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    # Rule: code 130, and the command to type again with a password in it hidden.
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("study.run.command.run_study", interrupted)
    result = typed("run", "--storage", "postgresql+psycopg://user:pl4nted@host/x", "--trials", 3)
    assert result.code == 130
    assert (
        "python -m study run --storage 'postgresql+psycopg://user:***@host/x' --trials 3"
        in result.out
    )
    assert "pl4nted" not in result.out + result.err


def test_ctrl_c_while_the_data_is_read_ends_quietly(sqlite_url: str) -> None:
    # Rule: whenever Ctrl-C comes, the command ends with code 130 and without a traceback.
    words = ("--data", "synthetic", "--budget", "smoke", "--storage", sqlite_url)
    process = start("run", *words)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("data: synthetic")
    os.kill(process.pid, signal.SIGINT)
    result = finish(process)
    assert (result.code, result.err) == (130, "")


def test_what_was_found_is_shown(
    typed: Command, toy_data: None, tiny: Path, sqlite_url: str
) -> None:
    # Rule: `list` has a line per study with its best value and its baseline's; `show` has the
    # best configuration compared with the baseline, scores per class, and the trials requested; a
    # pipe gets no control characters.
    storage = ("--storage", sqlite_url)
    options = ("--data", "synthetic", "--budget", "smoke", "--trials", 3, *storage)
    assert typed("run", "--space", tiny, *options).code == 0
    trials = open_storage(sqlite_url).get_all_trials(1)
    best = max(trial.value for trial in trials if trial.value is not None)
    listed = typed("list", *storage)
    assert listed.code == 0
    name = "tiny-synthetic-intra-patient-smoke"
    (line,) = [line for line in listed.out.splitlines() if name in line]
    for words in ("3/3", f"{best:.4f}", f"{trials[0].value:.4f}"):
        assert words in line
    shown = typed("show", name, "--trials", 2, *storage)
    assert shown.code == 0
    for words in (
        "space tiny, data synthetic",
        "3 trials: 3 complete",
        "baseline: model=simple, width_multiplier=0.1, learning_rate=0.0003",
        "difference, one run each",
        "S Supraventricular",
        "the best 2 finished trials",
    ):
        assert words in shown.out
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", listed.out + shown.out)


def test_a_study_without_a_complete_trial_is_shown(typed: Command, sqlite_url: str) -> None:
    # Rule: `list` and `show` work before the first trial ends.
    study, _ = open_new(sqlite_url, "young")
    study.enqueue_trial({"x": 1.0})
    assert "0/1" in typed("list", "--storage", sqlite_url).out
    shown = typed("show", "young", "--storage", sqlite_url)
    assert shown.code == 0
    assert "no trial is complete yet" in shown.out


def test_a_foreign_study_does_not_break_a_list(typed: Command, sqlite_url: str) -> None:
    # Rule: studies of other tools in the same database are listed as far as they can be read,
    # and `show` says that it is not ours.
    import optuna

    open_new(sqlite_url, "ours")
    storage = open_storage(sqlite_url)
    foreign = optuna.create_study(storage=storage, study_name="theirs")
    foreign.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    optuna.create_study(storage=storage, study_name="two", directions=["minimize"] * 2).optimize(
        lambda trial: (trial.suggest_float("x", 0, 1), 1.0), n_trials=1
    )
    listed = typed("list", "--storage", sqlite_url)
    assert (listed.code, listed.err) == (0, "")
    assert "ours" in listed.out
    shown = typed("show", "theirs", "--storage", sqlite_url)
    assert shown.code == 2
    assert "'theirs' was made by another tool" in shown.err


def test_a_study_module_in_the_folder_hides_nothing(tmp_path: Path, sqlite_url: str) -> None:
    # Rule: the script `ecg-study` takes the same commands wherever it is called, starts workers,
    # and names itself in what to type next.
    scripts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["scripts"]
    module, function = scripts["ecg-study"].split(":")
    script = tmp_path / "bin" / "ecg-study"
    script.parent.mkdir()
    script.write_text(
        f"from {module} import {function}\n\nif __name__ == '__main__':\n    main()\n"
    )
    (tmp_path / "study.py").write_text("raise SystemExit('this one is not meant')")
    (tmp_path / "tiny.py").write_text(TINY)
    words = ("--space", "tiny.py", "--data", "synthetic", "--budget", "smoke", "--trials", 1)
    words = ("run", *words, "--jobs", 1, "--storage", sqlite_url)
    ended = finish(start(*words, script=(str(script),), folder=tmp_path))
    assert (ended.code, ended.err) == (0, "")
    assert "\n  ecg-study show tiny-synthetic-intra-patient-smoke --storage" in ended.out
    recording = REPOSITORY / "results" / "search" / "imbalance-quick.jsonl"
    words = ("run", "--replay", recording, "--trials", 4, "--jobs", 2, "--storage", sqlite_url)
    ended = finish(start(*words, script=(str(script),), folder=tmp_path))
    assert (ended.code, ended.err) == (0, "")
    assert "starting 2 workers" in ended.out
    assert "(4/4 finished" in ended.out
    ended = finish(start("--help", script=(str(script),), folder=tmp_path))
    assert "Usage: ecg-study [OPTIONS] COMMAND" in ended.out


@pytest.mark.parametrize("program", ["study", "ecg"])
def test_the_version_is_printed(program: str) -> None:
    # Rule: `--version` names the installed package and ends; the help names the program.
    ended = finish(start("--version", script=("-m", program)))
    assert (ended.code, ended.err) == (0, "")
    assert re.fullmatch(r"ecg-study \d+\.\d+\.\d+\n", ended.out)
    assert f"Usage: python -m {program} [OPT" in finish(start("-h", script=("-m", program))).out


def test_spaces_are_listed_with_their_baselines(typed: Command) -> None:
    # Rule: every space and published table is listed, with parameters, ranges and baseline.
    result = typed("spaces")
    assert result.code == 0
    for name in ("architecture", "optimizer", "scheduler", "imbalance", "full"):
        assert re.search(rf"^{name}: ", result.out, re.MULTILINE)
    for number in range(1, 6):
        assert f"\ntable{number}: " in result.out
    assert "strategy is class weights or both" in result.out


def test_list_keeps_names_whole_at_any_width(
    typed: Command, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "a-study-whose-name-is-longer-than-" + "any-terminal-is-wide-" * 4
    recording = REPOSITORY / "results" / "search" / "imbalance-quick.jsonl"
    words = ("run", "--replay", recording, "--trials", 1)
    typed(*words, "--study", name, "--storage", sqlite_url)
    monkeypatch.setenv("COLUMNS", "60")
    assert f"{name}  " in typed("list", "--storage", sqlite_url).out


@pytest.mark.parametrize("name", ["a b; $(id)", "-x", "o'clock"])
def test_next_commands_can_be_pasted(typed: Command, sqlite_url: str, name: str) -> None:
    # Rule: a shell splits what is to be typed next into the words that are meant, whatever the
    # name of the study; the command that shows it does.
    recording = REPOSITORY / "results" / "search" / "imbalance-quick.jsonl"
    words = ("run", "--replay", recording, "--trials", 1, f"--study={name}")
    ended = typed(*words, "--storage", sqlite_url)
    (line,) = [line for line in ended.out.splitlines() if "python -m study show" in line]
    shown = typed(*shlex.split(line)[3:])
    assert (shown.code, shown.err) == (0, "")
    assert f"study {name}" in shown.out
