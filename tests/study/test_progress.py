"""Rules of what a person sees while a study runs."""

import io

import pytest
from rich.console import Console

from study import progress
from study.news import Notice, Progress
from study.progress import LiveView, PlainView, Tally, make_view
from study.words import format_seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which passes when a test says so."""
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def paper(*, terminal: bool = False) -> Console:
    """Return a console of 80 columns that writes into the air."""
    return Console(file=io.StringIO(), record=True, force_terminal=terminal, width=80)


def test_a_tally_counts_what_ended(clock: list[float]) -> None:
    # Rule: complete and pruned trials are finished, others only counted; only complete trials
    # can be the best; a trial that ended is not running.
    tally = Tally(target=10, finished=2, best=0.5, began=clock[0])
    tally.take(Progress(2, "running", 1, 10, 0.9))
    assert list(tally.running) == [2]
    for news in (
        Progress(2, "complete", value=0.7),
        Progress(3, "complete", value=0.6),
        Progress(4, "pruned", value=0.9),
        Progress(5, "failed", message="out of luck"),
        Progress(6, "interrupted"),
    ):
        tally.take(news)
    assert tally.finished == 5
    assert tally.best == 0.7
    assert tally.running == {}
    assert tally.counts == {"complete": 2, "pruned": 1, "failed": 1, "interrupted": 1}


def test_the_time_left_is_the_pace_so_far(clock: list[float]) -> None:
    # Rule: trials finished since the start, running ones by their share of epochs, set the
    # pace; nothing is said before a fifth of a trial is done; trials of before do not count.
    tally = Tally(target=10, finished=4, best=None, began=clock[0])
    clock[0] += 100
    assert tally.seconds_left is None
    tally.take(Progress(4, "running", 1, 10))
    assert tally.seconds_left is None
    tally.take(Progress(4, "running", 5, 10))
    assert tally.seconds_left == pytest.approx(100 / 0.5 * 5.5)
    tally.take(Progress(4, "complete", value=0.5))
    assert tally.seconds_left == pytest.approx(100 * 5)
    tally.take(Progress(5, "failed"))
    assert tally.seconds_left == pytest.approx(100 * 5)
    for number in range(6, 12):
        tally.take(Progress(number, "pruned"))
    assert tally.seconds_left == 0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (89.4, "89 s"), (90, "2 min"), (5399, "1 h 30 min"), (7500, "2 h 05 min")],
)
def test_a_duration_is_said_as_people_say_it(seconds: float, words: str) -> None:
    # Rule: seconds under a minute and a half, then minutes, then hours and minutes.
    assert format_seconds(seconds) == words


def test_plain_lines_are_one_a_trial_that_ended(clock: list[float]) -> None:
    # Rule: without a terminal a trial is one line when it ends, however long, never markup.
    console = paper()
    with make_view(Tally(3, 0, None, began=clock[0]), "f1_macro", console) as view:
        assert isinstance(view, PlainView)
        clock[0] += 60
        view(Progress(0, "running", 1, 2, 0.1))
        view(Progress(0, "complete", value=0.25))
        view(Progress(1, "failed", message="[bold]no[/bold] " + "luck " * 30))
        view(Progress(2, "interrupted"))
    lines = console.export_text().splitlines()
    assert lines[0] == (
        "trial 0 complete, f1_macro 0.2500 (1/3 finished, best 0.2500, about 2 min left)"
    )
    assert lines[1].startswith("trial 1 failed: [bold]no[/bold] luck luck ")
    assert lines[2] == "trial 2 interrupted (1/3 finished, best 0.2500, about 2 min left)"
    assert len(lines) == 3


def test_the_live_view_keeps_its_lines_on_80_columns(clock: list[float]) -> None:
    # Rule: on the narrowest usual terminal every part of the view is one whole line, also
    # with large numbers and the longest name of an objective.
    tally = Tally(1000, 123, 0.91234, began=clock[0])
    tally.counts = {"complete": 110, "pruned": 13, "failed": 2, "interrupted": 1}
    tally.running = {n: Progress(n, "running", 37, 100, 0.9) for n in (991, 992)}
    clock[0] += 5000
    console = paper(terminal=True)
    view = make_view(tally, "precision_macro", console)
    assert isinstance(view, LiveView)
    console.print(view.render())
    lines = console.export_text().splitlines()
    assert len(lines) == 4
    assert "123/1000 trials" in lines[0]
    assert "best 0.9123" in lines[0]
    assert "about 9 h 50 min left" in lines[0]
    assert "110 complete, 13 pruned, 2 failed, 1 interrupted" in lines[1]
    for number, line in zip((991, 992), lines[2:], strict=True):
        assert line.startswith(f"  trial {number}")
        assert line.rstrip().endswith("epoch 37/100  precision_macro 0.9000")
    assert "…" not in "".join(lines)


def test_the_live_view_scrolls_ended_trials_above_itself(clock: list[float]) -> None:
    # Rule: an ended trial is printed once; its message is text, not markup; the view can be
    # drawn before anything is known.
    console = paper(terminal=True)
    with make_view(Tally(2, 0, None, began=clock[0]), "f1_macro", console) as view:
        view(Progress(0, "running", 0, 10))
        view(Progress(0, "failed", message="[red]no[/red]"))
    text = console.export_text()
    assert text.count("trial 0 failed: [red]no[/red] (0/2 finished)") == 1
    assert "0/2 trials" in text


@pytest.mark.parametrize("kind", [PlainView, LiveView])
def test_what_all_workers_notice_is_said_once(kind: type[PlainView] | type[LiveView]) -> None:
    # Rule: a notice is said by the first worker that has it; after a trial that ended well the
    # next one is news again. It is no trial: nothing is counted.
    console = paper(terminal=kind is LiveView)
    tally = Tally(target=3, finished=0, best=None)
    with kind(tally, "f1_macro", console) as view:
        view(Progress(0, "running", 1, 2))
        view(Notice("the storage [fails] (one reason)"))
        view(Progress(1, "running", 1, 2))
        view(Notice("the storage [fails] (another reason)"))
        view(Progress(0, "interrupted"))
        view(Progress(1, "complete", value=0.5))
        view(Notice("the storage [fails] once more"))
    said = console.export_text()
    assert said.count("the storage [fails]") == 2
    assert "the storage [fails] (one reason)\n" in said
    assert "the storage [fails] once more\n" in said
    assert tally.counts == {"interrupted": 1, "complete": 1}
