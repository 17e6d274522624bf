"""Whatever comes in, only our own errors come out, quickly and without much memory.

`make test` runs 100 cases per target, the same ones each time. A soak test runs 2,000 new ones:

    make soak ARGS=tests/fuzz

It logs its seed; `ECG_SOAK_SEED` runs the same cases again.
"""

import contextlib
import os
import re
import secrets
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st

from ecg.errors import EcgError
from tests.soak import SOAK

SEED = int(os.environ.get("ECG_SOAK_SEED") or secrets.randbelow(2**32))
CASES = 2000 if SOAK else 100
SECONDS = 10.0  # of processor time; ten times as long where it waits, as a busy machine does
MEMORY = 2**30  # bytes beyond what the process has already
WRONG = re.compile(r"Traceback|\(unexpected|MemoryError|Unable to allocate", re.IGNORECASE)

T = TypeVar("T")
cases: Counter[str] = Counter()  # run so far, by test

# What people and programs write by mistake where a number or a name should be.
NUMBERS = (
    "0", "-1", "1", "1e400", "-inf", "nan", "NaN", "1e-320", "-0.0", "1_000", "0x10", "٣",
    "99999999999999999999999999", "2147483648", "9223372036854775808", "-9223372036854775809",
    "9" * 4300, "1" * 5000,
)  # fmt: skip
TEXTS = (
    "", " ", "\t", "\x01\x1b[31m\x7f", "\n", "\r\n", "é", "心電図", "\U0001f493", "\u202e",
    "[/]", "[bold]", "[/bold]", "[red]x", "<script>alert(1)</script>", "</script>", "%s{0}{x}",
    "\udcff", "a" * 600, "~nobody-of-this-name/x", "~", "'; DROP TABLE studies; --", "$HOME", "*",
    "..", "../../x", "/x", "a/b", "a\nb", "con", "nul.txt", "~/x", "lab[/b]2", "\x1b]0;x\x07", "-x",
)  # fmt: skip
# A NUL cannot be in the words of a command: the operating system ends a word there.
anything = st.text(st.characters(exclude_characters="\0", exclude_categories=()), max_size=12)
evil = st.sampled_from((*NUMBERS, *TEXTS)) | anything


def fuzz(test: Callable[..., None]) -> Callable[..., None]:
    """Decorate a hypothesis test: sets the number of cases and their seed."""
    chosen = settings(
        max_examples=CASES,
        deadline=None,
        derandomize=not SOAK,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    found: Callable[..., None] = pytest.mark.soak(chosen(seed(SEED)(test) if SOAK else test))
    return found


def only_ours(call: Callable[[], T], *named: str | Path) -> T | EcgError:
    """Return what a call returns, or our own error that it raises; fail on any other.

    Args:
        call: call whose input is damaged.
        named: what the message of an error must name, such as the file.
    """
    with limited():
        try:
            return call()
        except EcgError as error:
            message = str(error)
    assert not WRONG.search(message), message
    assert all(str(name) in message for name in named), message
    return EcgError(message)


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """Count a case; fail the test if it takes too long, and limit its memory."""
    cases[os.environ["PYTEST_CURRENT_TEST"].split(" ")[0]] += 1

    def stuck(*_: object) -> None:
        pytest.fail(f"stuck for {SECONDS:g} s")  # not an Exception, so nobody catches it

    clocks = {
        signal.SIGPROF: (signal.ITIMER_PROF, SECONDS),
        signal.SIGALRM: (signal.ITIMER_REAL, 10 * SECONDS),
    }
    before = {number: signal.signal(number, stuck) for number in clocks}
    for clock, seconds in clocks.values():
        signal.setitimer(clock, seconds)
    try:
        with _little_memory():
            yield
    finally:
        for number, (clock, _) in clocks.items():
            signal.setitimer(clock, 0)
            signal.signal(number, before[number])


@contextlib.contextmanager
def _little_memory() -> Iterator[None]:
    if sys.platform != "linux":
        yield
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """The content after one to four accidents: bytes changed, inserted, lost, doubled, cut off."""
    found = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(("flip", "flip", "set", "insert", "lose", "double", "cut")))
        at = draw(st.integers(0, max(0, len(found) - 1)))
        size = draw(st.sampled_from((1, 1, 2, 3, 4, 8, 100)))
        if kind == "flip" and found:
            found[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "set":
            found[at : at + size] = draw(st.sampled_from((b"\0", b"\xff", b"\x7f", b"9"))) * size
        elif kind == "insert":
            found[at:at] = draw(st.binary(max_size=8))
        elif kind == "lose":
            del found[at : at + size]
        elif kind == "double":
            found[at:at] = found[at : at + size]
        elif kind == "cut":
            del found[at:]
    return bytes(found)


@st.composite
def misspelt(draw: st.DrawFn, text: str, tokens: str = r"[^\s,]+") -> bytes:
    """The text with one to three of its tokens replaced, or damaged like bytes."""
    if draw(st.integers(0, 3)) == 0:
        return draw(damaged(text.encode()))
    for _ in range(draw(st.integers(1, 3))):
        found = list(re.finditer(tokens, text))
        if found:
            one = draw(st.sampled_from(found))
            other = draw(evil | st.sampled_from([token.group() for token in found]))
            text = text[: one.start()] + other + text[one.end() :]
    return text.encode("utf-8", "surrogateescape" if "\udcff" in text else "replace")


def json_like() -> st.SearchStrategy[Any]:
    """Values that JSON can hold, including NaN and huge numbers."""
    plain = (
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.sampled_from((10**400, -1, 2**63, "", "nan", "x"))
    )
    return st.recursive(
        plain,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(anything, inner, max_size=3),
        max_leaves=6,
    )


@st.composite
def bent(draw: st.DrawFn, value: Any) -> Any:
    """The JSON value with one part of it replaced or lost."""
    keys = (
        list(value)
        if isinstance(value, dict)
        else list(range(len(value)))
        if isinstance(value, list)
        else []
    )
    if not keys or draw(st.integers(0, 4)) == 0:
        return draw(json_like())
    copy = value.copy()
    key = draw(st.sampled_from(keys))
    if draw(st.integers(0, 5)) == 0:
        del copy[key]
    else:
        copy[key] = draw(bent(value[key]))
    return copy
