"""How a study is shown while it goes on, on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hwloop.cli.output import print_error

if TYPE_CHECKING:
    from rich.table import Table

    from hwloop.experiments.sweep import Row, State

SECONDS_BETWEEN_LINES = 10.0
SECONDS_BETWEEN_UPDATES = 0.25
QUIET_SECONDS = 2.0
MOST_RUNNING = 12
MOST_ENDED = 8


class Lines:
    """Shows a study as plain lines: one for each point that ends, and one now and then."""

    def __init__(self) -> None:
        self._next = time.monotonic() + QUIET_SECONDS

    def checking(self, done: int, total: int) -> None:
        """Say how many points were checked."""
        if self._due():
            self._say(f"checking the points: {done} of {total} different ones")

    def state(self, state: State) -> None:
        """Say now and then how far the study is."""
        if self._due():
            self._say(headline(state))

    def ended(self, row: Row, done: int, total: int) -> None:
        """Say how a point ended."""
        self._next = time.monotonic() + SECONDS_BETWEEN_LINES
        self._say(f"{done} of {total}: {ending(row)}")

    def note(self, text: str) -> None:
        """Say it."""
        self._say(text)

    def close(self) -> None:
        """Nothing to close."""

    def _due(self) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + SECONDS_BETWEEN_LINES
        return True

    def _say(self, text: str) -> None:
        print_error(text)


class Live(Lines):
    """Shows a study as a table that changes in place."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live as RichLive

        super().__init__()
        self._console = Console(stderr=True)
        self._live = RichLive(console=self._console, auto_refresh=False, transient=True)
        self._ended: list[str] = []
        self._begun: dict[str, float] = {}
        self._live.start()

    def checking(self, done: int, total: int) -> None:
        """Show how many points were checked."""
        from rich.text import Text

        self._live.update(Text(f"checking the points: {done} of {total}"), refresh=True)

    def state(self, state: State) -> None:
        """Show how far the study is, what is running, and what ended last."""
        now = time.monotonic()
        running = [row for row in state.rows if row.state == "running"]
        self._begun = {row.hash: self._begun.get(row.hash, now) for row in running}
        if now < self._next:
            return
        self._next = now + SECONDS_BETWEEN_UPDATES
        times = {hash_: now - begun for hash_, begun in self._begun.items()}
        self._live.update(live_table(state, running, times, self._ended), refresh=True)

    def ended(self, row: Row, done: int, total: int) -> None:
        """Show how a point ended."""
        self._ended = [*self._ended, ending(row)][-MOST_ENDED:]

    def close(self) -> None:
        """Take the table away."""
        self._live.stop()

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def display() -> Iterator[Lines]:
    """Show a study as fits standard error: live in a terminal, as plain lines elsewhere."""
    shown = Live() if sys.stderr.isatty() else Lines()
    try:
        yield shown
    finally:
        shown.close()


def headline(state: State) -> str:
    """Return how far a study is, on one line."""
    from hwloop.cli.sweep import duration

    counts = {
        name: sum(row.state == name for row in state.rows)
        for name in ("finished", "failed", "running", "waiting")
    }
    shown = [f"{count} {name}" for name, count in counts.items() if count or name == "finished"]
    text = f"{state.name}: {', '.join(shown)} of {len(state.rows)}, {duration(state.seconds)}"
    if state.seconds_left is not None:
        text += f", about {duration(state.seconds_left)} left"
    return text


def ending(row: Row) -> str:
    """Return how a point ended, on one line."""
    from hwloop.experiments.sweep.points import describe

    text = describe(row.settings)
    if row.state == "failed":
        return f"FAILED {text}: {' '.join(row.error.split())}"
    accuracy = row.metric("test_accuracy")
    if isinstance(accuracy, float):
        text += f": test accuracy {100 * accuracy:.1f} %"
    return text if row.seconds is None else f"{text}, {row.seconds:.1f} s"


def live_table(
    state: State, running: list[Row], times: dict[str, float], ended: list[str]
) -> Table:
    """Return the table that is shown in a terminal.

    Args:
        state: how far the study is.
        running: points that are handed out.
        times: seconds since, by hash.
        ended: lines on the points that ended last.
    """
    from rich import box
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    from hwloop.experiments.sweep.points import describe

    table = Table(box=box.SIMPLE_HEAD, title=headline(state), title_justify="left", pad_edge=False)
    table.add_column("point", overflow="fold")
    table.add_column("seconds", justify="right")
    done = sum(row.state in ("finished", "failed") for row in state.rows)
    table.add_row(ProgressBar(total=len(state.rows), completed=done, width=40), "")
    for line in ended:
        table.add_row(Text(line, style="red" if line.startswith("FAILED") else "dim"), "")
    for row in running[:MOST_RUNNING]:
        expected = "" if row.expected_seconds is None else f" of {row.expected_seconds:.0f}"
        table.add_row(Text(describe(row.settings)), f"{times[row.hash]:.0f}{expected}")
    if len(running) > MOST_RUNNING:
        table.add_row(f"and {len(running) - MOST_RUNNING} more", "")
    return table
