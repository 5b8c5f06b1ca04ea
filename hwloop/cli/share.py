"""How far something is that goes through a file, on standard error, once it takes two seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

QUIET_SECONDS = 2.0
SECONDS_BETWEEN_LINES = 5.0
SECONDS_BETWEEN_UPDATES = 0.2


@contextmanager
def share(what: str, size: int) -> Iterator[Callable[[int], None]]:
    """Give a function that is told how much of `size` is done: in place in a terminal.

    Args:
        what: what is done, for people.
        size: all of it.
    """
    terminal, started, shown = sys.stderr.isatty(), time.monotonic(), 0
    pause = SECONDS_BETWEEN_UPDATES if terminal else SECONDS_BETWEEN_LINES
    following = started + QUIET_SECONDS

    def tell(done: int) -> None:
        nonlocal following, shown
        now = time.monotonic()
        if now < following:
            return
        following = now + pause
        text = f"{what}: {100 * done / max(size, 1):.0f} %, {now - started:.0f} s"
        ends = ("\r", "") if terminal else ("", "\n")
        print(ends[0] + text.ljust(shown), end=ends[1], file=sys.stderr, flush=True)
        shown = len(text) if terminal else 0

    try:
        yield tell
    finally:
        if shown:
            print("\r" + " " * shown + "\r", end="", file=sys.stderr, flush=True)
