"""Trainings that take turns, each in its own process, and are timed."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import multiprocessing


@dataclass(frozen=True)
class Timed:
    """How long something took.

    Attributes:
        process: seconds of CPU, of all threads of the process.
        wall: seconds on the clock.
        steps: training steps in it, 0 for an evaluation.
        loss: loss at its end.
    """

    process: float
    wall: float
    steps: int = 0
    loss: float = 0.0


class Turns:
    """Holds a training back between its turns.

    A training calls `step` after each of its steps and never ends; in a library's loop a callback
    does so. At the end of a turn `step` reports the time and waits for the next turn.

    Attributes:
        steps: per turn.
        evaluate: measures the validation part; set by trainings that can evaluate.
    """

    evaluate: Callable[[], object]

    def __init__(self, pipe: Any, steps: int, device: torch.device) -> None:
        """Begin the first turn."""
        self.steps = steps
        self._pipe, self._device = pipe, device
        self._begin()

    def step(self, loss: Any, steps: int = 1) -> None:
        """Count finished steps, and wait if they were the last of a turn.

        Args:
            loss: loss of the last step, or the mean of these; anything that `float` takes.
            steps: steps finished since the last call.
        """
        self._done += steps
        if self._done < self.steps:
            return
        self._report(loss)
        while self._pipe.recv() == "evaluate":
            self._begin()
            self.evaluate()
            self._report()
        self._begin()

    def _begin(self) -> None:
        self._done = 0
        self._began = time.process_time(), time.perf_counter()

    def _report(self, loss: Any = 0.0) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        process, wall = self._began
        took = time.process_time() - process, time.perf_counter() - wall
        self._pipe.send(Timed(*took, self._done, float(loss)))


class Remote:
    """A training in its own process, so that none profits from what another one set up.

    Args:
        train: called there with the arguments and the `Turns`; picklable.
        arguments: arguments of `train`.
        steps: per turn.
        device: device that it trains on.
        threads: threads of PyTorch on a CPU.
    """

    def __init__(
        self,
        train: Callable[..., object],
        arguments: tuple[object, ...],
        *,
        steps: int,
        device: torch.device,
        threads: int = 1,
    ) -> None:
        """Start the process; `ready` waits until it can be timed."""
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        target = (other, train, arguments, steps, device, threads)
        self._process = context.Process(target=_serve, args=target, daemon=True)
        self._process.start()
        other.close()

    def ready(self) -> str | None:
        """Wait for the end of the first turn, which does not count; return why it failed."""
        try:
            first = self._pipe.recv()
        except EOFError:
            first = "its process died"
        return None if isinstance(first, Timed) else str(first)

    def begin(self, what: str) -> None:
        """Start a turn of "train" or "evaluate"."""
        self._pipe.send(what)

    def end(self) -> Timed:
        """Wait until the turn ends, and return how long it took."""
        timed = self._pipe.recv()
        if not isinstance(timed, Timed):
            raise RuntimeError(timed)
        return timed

    def time(self, what: str) -> Timed:
        """Run one turn and return how long it took."""
        self.begin(what)
        return self.end()

    def stop(self) -> None:
        """Kill the process, however its library handles signals."""
        self._process.kill()
        self._process.join()


def _serve(
    pipe: Any,
    train: Callable[..., object],
    arguments: tuple[object, ...],
    steps: int,
    device: torch.device,
    threads: int,
) -> None:
    import warnings

    warnings.simplefilter("ignore")
    torch.set_num_threads(threads)
    try:
        train(*arguments, Turns(pipe, steps, device))
    except Exception as error:  # such as a library that is not installed, or a full GPU
        first, *_ = str(error).splitlines() or [""]
        pipe.send(f"{type(error).__name__}: {first}"[:200])
