"""Rules of what a person sees while a study runs."""

import io
from datetime import datetime, tzinfo

import pytest
from rich.console import Console

from study.run import progress
from study.run.progress import LiveView, PlainView, Tally, make_view
from study.trials.messages import Notice, Progress
from study.wording import format_seconds


class Noon(datetime):
    """It is always noon."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "Noon":
        """Return noon of one day."""
        return cls(2024, 5, 6, 12, 0, tzinfo=tz)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which passes when a test says so."""
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(progress, "datetime", Noon)
    return now


def paper(*, terminal: bool = False) -> Console:
    """Return a console of 80 columns that writes into the air."""
    return Console(file=io.StringIO(), record=True, force_terminal=terminal, width=80)


def test_a_tally_counts_what_ended(clock: list[float]) -> None:
    # Rule: complete and pruned trials are finished, others only counted; only complete trials
    # can be the best; a trial that ended is not running.
    tally = Tally(target=10, finished=2, best=0.5)
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


def test_the_time_left_is_the_pace_of_all_epochs_so_far(clock: list[float]) -> None:
    # Rule: the epochs trained since the start set the pace; no time is given before one is; a
    # trial may take all its epochs, until some have ended: then as many as they took on average.
    tally = Tally(target=10, finished=4, best=None)
    tally.take(Progress(4, "running", 0, 10))
    clock[0] += 100
    assert tally.seconds_left is None
    tally.take(Progress(4, "running", 1, 10))
    assert tally.seconds_left == pytest.approx(100 * (9 + 5 * 10))
    clock[0] += 100
    tally.take(Progress(4, "running", 2, 10))
    tally.take(Progress(4, "complete", value=0.5))
    assert tally.seconds_left == pytest.approx(100 * 5 * 2)
    tally.take(Progress(5, "failed"))
    assert tally.seconds_left == pytest.approx(100 * 5 * 2)
    for number in range(6, 12):
        tally.take(Progress(number, "pruned"))
    assert tally.seconds_left == 0


def test_several_jobs_share_what_is_left_but_not_the_last_trial(clock: list[float]) -> None:
    # Rule: two trials at once finish the waiting ones in half the time; a trial that is alone at
    # the end takes as long as it does by itself.
    tally = Tally(target=4, finished=0, best=None)
    for number in (0, 1):
        tally.take(Progress(number, "running", 0, 10))
    clock[0] += 50
    for number in (0, 1):
        tally.take(Progress(number, "running", 5, 10))
    assert tally.seconds_left == pytest.approx(10 / 2 * (5 + 5 + 20))
    tally = Tally(target=2, finished=0, best=None)
    for number in (0, 1):
        tally.take(Progress(number, "running", 0, 10))
    clock[0] += 50
    tally.take(Progress(0, "running", 10, 10))
    tally.take(Progress(0, "complete", value=0.5))
    tally.take(Progress(1, "running", 5, 10))
    assert tally.seconds_left == pytest.approx(10 * 5)


def test_epochs_of_a_checkpoint_took_no_time_now(clock: list[float]) -> None:
    # Rule: what a checkpoint held counts as done, not as work of this command.
    tally = Tally(target=1, finished=0, best=None)
    tally.take(Progress(0, "running", 0, 100))
    for epoch in range(1, 81):
        tally.take(Progress(0, "running", epoch, 100, resumed=80))
    assert tally.seconds_left is None
    clock[0] += 30
    tally.take(Progress(0, "running", 81, 100, resumed=80))
    assert tally.seconds_left == pytest.approx(30 * 19)


def test_a_trial_beyond_the_usual_length_may_take_all_its_epochs(clock: list[float]) -> None:
    # Rule: earlier finished trials give the usual length; one that is longer than that is not about
    # to end.
    tally = Tally(target=3, finished=2, best=None, lengths=[20, 40])
    tally.take(Progress(2, "running", 0, 100))
    clock[0] += 10
    tally.take(Progress(2, "running", 10, 100))
    assert tally.seconds_left == pytest.approx(20)
    clock[0] += 30
    tally.take(Progress(2, "running", 40, 100))
    assert tally.seconds_left == pytest.approx(60)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (89.4, "89 s"), (90, "2 min"), (5399, "1 h 30 min"), (7500, "2 h 05 min")],
)
def test_durations_are_worded_for_people(seconds: float, words: str) -> None:
    # Rule: seconds under a minute and a half, then minutes, then hours and minutes.
    assert format_seconds(seconds) == words


def test_plain_output_has_one_line_per_ended_trial(clock: list[float]) -> None:
    # Rule: without a terminal a short trial is one line when it ends, however long, never markup.
    console = paper()
    with make_view(Tally(3, 0, None), "f1_macro", console) as view:
        assert isinstance(view, PlainView)
        view(Progress(0, "running", 0, 2))
        clock[0] += 59
        view(Progress(0, "running", 2, 2, 0.1))
        view(Progress(0, "complete", value=0.25))
        view(Progress(1, "failed", message="[bold]no[/bold] " + "luck " * 30))
        view(Progress(2, "interrupted"))
    lines = console.export_text().splitlines()
    assert lines[0] == (
        "trial 0 complete, F1(M) 0.2500 (1/3 finished, best 0.2500, about 2 min left, ends 12:01)"
    )
    assert lines[1].startswith("trial 1 failed: [bold]no[/bold] luck luck ")
    assert lines[2] == (
        "trial 2 interrupted (1/3 finished, best 0.2500, about 2 min left, ends 12:01)"
    )
    assert len(lines) == 3


def test_a_log_has_a_line_per_minute_about_long_trials(clock: list[float]) -> None:
    # Rule: a minute after the last line, and not sooner, news of an epoch is a line: of the
    # trial without a line for longest, even if another one has epochs more often.
    console = paper()
    with make_view(Tally(4, 0, None), "f1_macro", console) as view:
        for number in (0, 1):
            view(Progress(number, "running", 0, 100))
        for second in range(10, 301, 10):
            clock[0] += 10
            view(Progress(0, "running", second // 10, 100, 0.5))
            if second % 100 == 0:
                view(Progress(1, "running", second // 100, 100, 0.25))
    lines = console.export_text().splitlines()
    assert lines[0] == (
        "trial 0 at epoch 6/100, F1(M) 0.5000 so far, at most 16 min left (0/4 finished, "
        "about 66 min left, ends 13:05)"
    )
    assert [line.partition(" at ")[0] for line in lines] == [
        "trial 0", "trial 1", "trial 0", "trial 1", "trial 0"
    ]  # fmt: skip
    assert "trial 1 at epoch 1/100, F1(M) 0.2500 so far, at most" in lines[1]


def test_the_live_view_keeps_its_lines_on_80_columns(clock: list[float]) -> None:
    # Rule: on the narrowest usual terminal every part of the view is one whole line, also
    # with large numbers and the longest name of an objective.
    tally = Tally(1000, 123, 0.91234)
    tally.counts = {"complete": 110, "pruned": 13, "failed": 2, "interrupted": 1}
    for number in (991, 992):
        said = "strategy=sampler, ratio=0.05997"
        tally.take(Progress(number, "running", 0, 100, message=said))
    clock[0] += 5000
    for number in (991, 992):
        tally.take(Progress(number, "running", 37, 100, 0.9))
    console = paper(terminal=True)
    view = make_view(tally, "precision_macro", console)
    assert isinstance(view, LiveView)
    console.print(view.render())
    lines = console.export_text().splitlines()
    assert len(lines) == 6
    assert "123/1000 trials" in lines[0]
    assert "best 0.9123" in lines[0]
    assert "about 1644 h 38 min left" in lines[0]
    assert lines[1].rstrip() == (
        "ends Sun 14 Jul 00:37; 110 complete, 13 pruned, 2 failed, 1 interrupted"
    )
    for number, line in zip((991, 992), lines[4:], strict=True):
        assert line.rstrip() == (
            f"  trial {number}: running for 83 min, strategy=sampler, ratio=0.05997"
        )
    for number, line in zip((991, 992), lines[2:4], strict=True):
        assert line.startswith(f"  trial {number}")
        assert line.rstrip().endswith("epoch 37/100  precision(M) 0.9000")
    assert "…" not in "".join(lines)


def test_the_live_view_scrolls_ended_trials_above_itself(clock: list[float]) -> None:
    # Rule: an ended trial is printed once; its message is text, not markup; the view can be
    # drawn before anything is known.
    console = paper(terminal=True)
    with make_view(Tally(2, 0, None), "f1_macro", console) as view:
        view(Progress(0, "running", 0, 10))
        view(Progress(0, "failed", message="[red]no[/red]"))
    text = console.export_text()
    assert text.count("trial 0 failed: [red]no[/red] (0/2 finished)") == 1
    assert "0/2 trials" in text


@pytest.mark.parametrize("kind", [PlainView, LiveView])
def test_a_notice_of_all_workers_is_printed_once(kind: type[PlainView] | type[LiveView]) -> None:
    # Rule: a notice is printed for the first worker that sends it; after a trial that ended well
    # the next one is printed again. It is no trial: nothing is counted.
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
