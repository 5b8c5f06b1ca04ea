"""How a training run is shown while it goes on, on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hwloop.cli.output import si
from hwloop.experiments.progress import Plan, State

SECONDS_BETWEEN_UPDATES = 0.2
SECONDS_BETWEEN_LINES = 5.0


class Lines:
    """Shows a run as plain lines: every few seconds one, and one per epoch.

    Attributes:
        folder: the run's folder, once it has one.
    """

    def __init__(self) -> None:
        self.folder: Path | None = None
        self._plan: Plan | None = None
        self._next = 0.0
        self._started = 0.0

    def begin(self, plan: Plan) -> None:
        """Say what begins."""
        self._plan, self.folder = plan, plan.folder
        self._started = time.monotonic()
        self._next = self._started + SECONDS_BETWEEN_LINES
        self._say(_headline(plan))

    def batch(self, state: State) -> None:
        """Say every few seconds how it goes."""
        now = time.monotonic()
        if now >= self._next and self._plan is not None:
            self._next = now + SECONDS_BETWEEN_LINES
            shown = describe(self._plan, state, now - self._started)
            self._say(", ".join(f"{k} {v}" for k, v in shown.items()))

    def epoch(self, row: dict[str, Any]) -> None:
        """Say how the epoch went."""
        self._say(epoch_line(row))

    def note(self, text: str) -> None:
        """Say it."""
        self._say(text)

    def close(self) -> None:
        """Nothing to close."""

    def _say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


class Live(Lines):
    """Shows a run as a bar with figures that change in place, above it the epochs so far."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        super().__init__()
        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[shown]}"),
            console=self._console,
            auto_refresh=False,
            transient=True,
        )
        self._task = self._bar.add_task("", total=None, shown="")

    def begin(self, plan: Plan) -> None:
        """Say what begins, and show the bar."""
        super().begin(plan)
        self._next = 0.0
        self._bar.update(self._task, total=plan.batches, completed=plan.done)
        self._bar.start()

    def batch(self, state: State) -> None:
        """Bring bar and figures up to date a few times a second."""
        now = time.monotonic()
        if now < self._next or self._plan is None:
            return
        self._next = now + SECONDS_BETWEEN_UPDATES
        shown = describe(self._plan, state, now - self._started)
        epoch = shown.pop("epoch")
        self._bar.update(
            self._task,
            completed=state.progress.batches,
            description=f"epoch {epoch}",
            shown="  ".join(f"{k} {v}" for k, v in shown.items()),
            refresh=True,
        )

    def close(self) -> None:
        """Take the bar away."""
        self._bar.stop()

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def display() -> Iterator[Lines]:
    """Show a run as fits standard error: live in a terminal, as plain lines elsewhere."""
    shown = Live() if sys.stderr.isatty() else Lines()
    try:
        yield shown
    finally:
        shown.close()


def describe(plan: Plan, state: State, seconds: float) -> dict[str, str]:
    """Return what is shown of a run after a batch, by name, `seconds` after this session began."""
    progress, tally = state.progress, state.progress.epoch_tally
    samples = max(tally.samples, 1)
    done = progress.batches - plan.done
    rate = done * plan.config.schedule.batch / max(seconds, 1e-9)
    shown = {
        "epoch": f"{progress.epoch + 1}/{plan.config.schedule.epochs}",
        "batch": f"{progress.batch}/{plan.epoch_batches}",
        "loss": f"{tally.loss / samples:.3f}",
        "accuracy": f"{100 * tally.correct / samples:.1f} %",
    }
    if state.test_accuracy is not None:
        shown["test"] = f"{100 * state.test_accuracy:.1f} %"
    shown["pulses"] = si(state.pulses, "").strip()
    shown["chip"] = si(state.chip_seconds, "s")
    shown["samples/s"] = f"{rate:.0f}"
    if done:
        shown["left"] = f"{(plan.batches - progress.batches) * seconds / done:.0f} s"
    return shown


def epoch_line(row: dict[str, Any]) -> str:
    """Return what is said of a completed epoch."""
    text = (
        f"epoch {row['epoch']}: loss {row['loss']:.3f}, training accuracy "
        f"{100 * row['accuracy']:.1f} %, test accuracy {100 * row['test_accuracy']:.1f} %"
    )
    if row["float_test_accuracy"] is not None:
        text += f" (float {100 * row['float_test_accuracy']:.1f} %)"
    pulses, chip = si(row["pulses"], "").strip(), si(row["chip_seconds"], "s")
    return f"{text}, {pulses} pulses, {chip} chip time"


def _headline(plan: Plan) -> str:
    verb = "resuming" if plan.done else "training"
    return (
        f"{verb} with {plan.config.algorithm.name} on {plan.array} ({plan.url}): {plan.data}, "
        f"{plan.batches} batches, run {plan.folder}"
    )
