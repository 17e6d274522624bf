"""What is printed while a study runs: a live view on a terminal, plain lines elsewhere."""

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from study.run.output import print_line
from study.trials.messages import Notice, Progress
from study.wording import format_seconds, score_title

SOON_SECONDS = 90.0  # with less time left, the clock time of the end is not printed
QUIET_SECONDS = 60.0  # after this silence, a log gets a line about a running trial


@dataclass
class Running:
    """A trial in training.

    Attributes:
        news: its latest news.
        began: when its first news came, by `time.monotonic()`.
        heard: when its latest news came.
        printed: when a line about it was last printed, see `PlainView`.
        parameters: its parameters as text, "" if none vary.
    """

    news: Progress
    began: float
    heard: float
    printed: float
    parameters: str = ""

    @property
    def trained(self) -> int:
        """Epochs trained since it began, without those of a checkpoint."""
        return max(0, self.news.epoch - self.news.resumed)

    def seconds_left(self, epochs: float) -> float | None:
        """Return the time that more epochs take, at the pace of those before; None at first."""
        if not self.trained:
            return None
        pace = (self.heard - self.began) / self.trained
        return max(0.0, epochs * pace - (time.monotonic() - self.heard))


@dataclass
class Tally:
    """The state of a study as far as this command knows it.

    Attributes:
        target: number of finished trials to reach.
        finished: number of finished trials, including those before the command began.
        best: the best objective so far, None before the first.
        lengths: epochs of each finished trial, where known.
        counts: trials that ended since the command began, by state.
        running: trials in training, by number.
        trained: epochs of the trials that ended since the command began.
        max_epochs: the most epochs that a trial may take, 0 before the first.
        began: when the first news came, by `time.monotonic()`.
    """

    target: int
    finished: int
    best: float | None
    lengths: list[int] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    running: dict[int, Running] = field(default_factory=dict)
    trained: int = 0
    max_epochs: int = 0
    began: float | None = None

    def take(self, news: Progress) -> None:
        """Take in the news of one trial."""
        now = time.monotonic()
        if self.began is None:
            self.began = now
        if news.state == "running":
            begun = Running(news, now, now, now, news.message)
            known = self.running.setdefault(news.trial, begun)
            known.news, known.heard = news, now
            self.max_epochs = max(self.max_epochs, news.max_epochs)
            return
        if (ended := self.running.pop(news.trial, None)) is not None:
            self.trained += ended.trained
            if news.state in ("complete", "pruned"):
                self.lengths.append(ended.news.epoch)
        self.counts[news.state] = self.counts.get(news.state, 0) + 1
        if news.state in ("complete", "pruned"):
            self.finished += 1
        if news.state == "complete" and news.value is not None:
            self.best = news.value if self.best is None else max(self.best, news.value)

    @property
    def mean_length(self) -> float | None:
        """The mean number of epochs of the finished trials, None if none is known."""
        return sum(self.lengths) / len(self.lengths) if self.lengths else None

    @property
    def seconds_left(self) -> float | None:
        """The time left, estimated at the pace of all jobs together; None at first.

        A trial is expected to take the mean number of epochs of those before it. The first trial,
        and one that has passed the mean, is expected to take the most epochs allowed.
        """
        trained = self.trained + sum(running.trained for running in self.running.values())
        if self.began is None or not trained:
            return None
        each = self.mean_length
        longest, epochs = 0.0, 0.0
        for running in self.running.values():
            news = running.news
            usual = news.max_epochs if each is None or news.epoch >= each else each
            epochs += usual - news.epoch
            longest = max(longest, running.seconds_left(usual - news.epoch) or 0.0)
        waiting = max(0, self.target - self.finished - len(self.running))
        epochs += waiting * (self.max_epochs if each is None else each)
        elapsed = time.monotonic() - self.began
        return max(longest, elapsed / trained * epochs)


class ProgressView(ABC):
    """Shows the news of trials; a context manager.

    Args:
        tally: the tally to keep up to date.
        objective: name of the score that the values are.
        console: where to print.
    """

    def __init__(self, tally: Tally, objective: str, console: Console) -> None:
        """Prepare to print."""
        self.tally = tally
        self.score = score_title(objective)
        self.console = console
        self._noticed = False

    def __enter__(self) -> "ProgressView":
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing; the live view restores the terminal."""
        return

    def __call__(self, news: Progress | Notice) -> None:
        """Take in and show news of a trial, or a notice unless one was shown since a good end."""
        if isinstance(news, Notice):
            if not self._noticed:
                self.say(news.text)
            self._noticed = True
            return
        self._noticed = self._noticed and news.state not in ("complete", "pruned")
        self.tally.take(news)
        self.show(news)

    def say(self, line: str) -> None:
        """Print one line of any text."""
        print_line(self.console, line)

    @abstractmethod
    def show(self, news: Progress) -> None:
        """Show news that the tally has just taken in."""

    def sentence(self, news: Progress) -> str:
        """Return one line about a trial that ended."""
        value = f", {self.score} {news.value:.4f}" if news.value is not None else ""
        message = f": {news.message}" if news.message else ""
        return f"trial {news.trial} {news.state}{value}{message} ({self.standing()})"

    def standing(self) -> str:
        """Return the state of the whole study."""
        total = f"{self.tally.finished}/{self.tally.target} finished"
        best = "" if self.tally.best is None else f", best {self.tally.best:.4f}"
        left = self.tally.seconds_left
        time_left = "" if left is None else f", about {format_seconds(left)} left"
        end = "" if left is None or left < SOON_SECONDS else f", {_end(left)}"
        return f"{total}{best}{time_left}{end}"


class PlainView(ProgressView):
    """A line per trial that ends, and one per minute without any: for logs and pipes."""

    def __init__(self, tally: Tally, objective: str, console: Console) -> None:
        """Begin the first minute."""
        super().__init__(tally, objective, console)
        self.printed = time.monotonic()

    def say(self, line: str) -> None:
        """Print one line of any text."""
        super().say(line)
        self.printed = time.monotonic()

    def show(self, news: Progress) -> None:
        """Print a trial that ended; after a minute of silence, one that runs."""
        if news.state != "running":
            self.say(self.sentence(news))
        elif time.monotonic() - self.printed >= QUIET_SECONDS:
            self.say_running()

    def say_running(self) -> None:
        """Print the state of a running trial, beginning with the one printed longest ago."""
        begun = [running for running in self.tally.running.values() if running.trained]
        if not begun:
            return
        running = min(begun, key=lambda one: one.printed)
        running.printed = time.monotonic()
        news = running.news
        value = "" if news.value is None else f", {self.score} {news.value:.4f} so far"
        left = running.seconds_left(news.max_epochs - news.epoch)
        most = "" if left is None else f", at most {format_seconds(left)} left"
        self.say(
            f"trial {news.trial} at epoch {news.epoch}/{news.max_epochs}{value}{most} "
            f"({self.standing()})"
        )


class LiveView(ProgressView):
    """A few lines at the bottom of the terminal, redrawn in place; ended trials scroll above."""

    def __init__(self, tally: Tally, objective: str, console: Console) -> None:
        """Prepare the live display."""
        super().__init__(tally, objective, console)
        self.live = Live(console=console, get_renderable=self.render, refresh_per_second=4)

    def __enter__(self) -> "ProgressView":
        self.live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.live.__exit__(None, None, None)

    def show(self, news: Progress) -> None:
        """Print a trial that ended above the live lines."""
        if news.state != "running":
            self.console.print(Text(self.sentence(news)))

    def render(self) -> RenderableType:
        """Draw the bar, the counts and the running trials."""
        tally = self.tally
        left = tally.seconds_left
        counts = ", ".join(f"{count} {state}" for state, count in tally.counts.items())
        settings: list[Text] = []
        head = _line_grid(columns=4)
        head.add_row(
            ProgressBar(total=tally.target, completed=tally.finished, width=20),
            f"{tally.finished}/{tally.target} trials",
            "" if tally.best is None else f"best {tally.best:.4f}",
            "" if left is None else f"about {format_seconds(left)} left",
        )
        rows = _line_grid(columns=4)
        now = time.monotonic()
        for number, running in sorted(tally.running.items()):
            news = running.news
            rows.add_row(
                f"  trial {number}",
                ProgressBar(total=news.max_epochs, completed=news.epoch, width=20),
                f"epoch {news.epoch}/{news.max_epochs}",
                "" if news.value is None else f"{self.score} {news.value:.4f}",
            )
            parameters = f", {running.parameters}" if running.parameters else ""
            lasted = format_seconds(now - running.began)
            settings.append(_line(f"  trial {number}: running for {lasted}{parameters}"))
        facts = [] if left is None or left < SOON_SECONDS else [_end(left)]
        facts += [counts] if counts else []
        ended = [_line("; ".join(facts))] if facts else []
        return Group(head, *ended, rows, *settings)


def make_view(tally: Tally, objective: str, console: Console) -> ProgressView:
    """Return the live view on a terminal, plain lines elsewhere."""
    kind = LiveView if console.is_terminal else PlainView
    return kind(tally, objective, console)


def _end(seconds_left: float) -> str:
    """Return the clock time of the end, with the date if it is another day."""
    now = datetime.now()
    end = now + timedelta(seconds=seconds_left)
    return f"{end:ends %H:%M}" if end.date() == now.date() else f"{end:ends %a %d %b %H:%M}"


def _line(text: str) -> Text:
    """Return dim text of one line, cut if the terminal is too narrow."""
    return Text(text, style="dim", no_wrap=True, overflow="ellipsis")


def _line_grid(columns: int) -> Table:
    """Return a grid whose rows are one line each, cut if the terminal is too narrow."""
    grid = Table.grid(padding=(0, 2))
    for _ in range(columns):
        grid.add_column(no_wrap=True, overflow="ellipsis")
    return grid
