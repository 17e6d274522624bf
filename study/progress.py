"""What a person sees while a study runs: a live view, or plain lines where that cannot be."""

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from study.news import Notice, Progress
from study.words import format_seconds


@dataclass
class Tally:
    """The state of a study as far as this command has heard.

    Attributes:
        target: finished trials asked for.
        finished: finished trials when the command began, and since.
        counts: ended trials by state since the command began.
        best: the best objective so far, None before the first.
        running: the latest news of every running trial.
        seconds: of this command.
    """

    target: int
    finished: int
    best: float | None
    counts: dict[str, int] = field(default_factory=dict)
    running: dict[int, Progress] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)

    def take(self, news: Progress) -> None:
        """Take in the news of one trial."""
        if news.state == "running":
            self.running[news.trial] = news
            return
        self.running.pop(news.trial, None)
        self.counts[news.state] = self.counts.get(news.state, 0) + 1
        if news.state in ("complete", "pruned"):
            self.finished += 1
        if news.state == "complete" and news.value is not None:
            self.best = news.value if self.best is None else max(self.best, news.value)

    @property
    def seconds_left(self) -> float | None:
        """Estimate from the pace so far, running trials counted by their epochs."""
        begun = sum(n.epoch / n.max_epochs for n in self.running.values() if n.max_epochs)
        done = self.counts.get("complete", 0) + self.counts.get("pruned", 0) + begun
        left = self.target - self.finished - begun
        elapsed = time.monotonic() - self.began
        return elapsed / done * max(0.0, left) if done > 0.2 else None


class ProgressView(ABC):
    """Shows the news of the trials; a context manager.

    Args:
        tally: to keep up to date.
        objective: what the values are called.
        console: where to print.
    """

    def __init__(self, tally: Tally, objective: str, console: Console) -> None:
        """Remember where to print."""
        self.tally = tally
        self.objective = objective
        self.console = console
        self._noticed = False

    def __enter__(self) -> "ProgressView":
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the terminal as it is."""
        return

    def __call__(self, news: Progress | Notice) -> None:
        """Take and show the news of one trial, or a notice: one until a trial ends well again."""
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
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    @abstractmethod
    def show(self, news: Progress) -> None:
        """Show the news that the tally has just taken."""

    def sentence(self, news: Progress) -> str:
        """Return one line about a trial that ended."""
        value = f", {self.objective} {news.value:.4f}" if news.value is not None else ""
        message = f": {news.message}" if news.message else ""
        total = f"{self.tally.finished}/{self.tally.target} finished"
        best = "" if self.tally.best is None else f", best {self.tally.best:.4f}"
        left = self.tally.seconds_left
        time_left = "" if left is None else f", about {format_seconds(left)} left"
        return f"trial {news.trial} {news.state}{value}{message} ({total}{best}{time_left})"


class PlainView(ProgressView):
    """One line a trial that ends: for logs and pipes."""

    def show(self, news: Progress) -> None:
        """Print the trials that ended."""
        if news.state != "running":
            self.console.print(self.sentence(news), markup=False, highlight=False, soft_wrap=True)


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
        """Print the trials that ended above the live lines."""
        if news.state != "running":
            self.console.print(Text(self.sentence(news)))

    def render(self) -> RenderableType:
        """Draw the bar, the counts and the running trials."""
        tally = self.tally
        left = tally.seconds_left
        counts = ", ".join(f"{count} {state}" for state, count in tally.counts.items())
        head = _line_grid(columns=4)
        head.add_row(
            ProgressBar(total=tally.target, completed=tally.finished, width=20),
            f"{tally.finished}/{tally.target} trials",
            "" if tally.best is None else f"best {tally.best:.4f}",
            "" if left is None else f"about {format_seconds(left)} left",
        )
        rows = _line_grid(columns=4)
        for number, news in sorted(tally.running.items()):
            rows.add_row(
                f"  trial {number}",
                ProgressBar(total=news.max_epochs, completed=news.epoch, width=20),
                f"epoch {news.epoch}/{news.max_epochs}",
                "" if news.value is None else f"{self.objective} {news.value:.4f}",
            )
        ended = [Text(f"since the start: {counts}", style="dim")] if counts else []
        return Group(head, *ended, rows)


def make_view(tally: Tally, objective: str, console: Console) -> ProgressView:
    """Return the live view on a terminal, plain lines elsewhere."""
    kind = LiveView if console.is_terminal else PlainView
    return kind(tally, objective, console)


def _line_grid(columns: int) -> Table:
    """Return a grid whose rows stay lines, cut where the terminal is too narrow."""
    grid = Table.grid(padding=(0, 2))
    for _ in range(columns):
        grid.add_column(no_wrap=True, overflow="ellipsis")
    return grid
