"""Learning curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogFormatterSciNotation, MaxNLocator, PercentFormatter

from hwloop.report.style import ANALOG, FLOAT, PULSES, style

Rows = Sequence[dict[str, Any]]


def learning_curves(metrics: Rows) -> Figure:
    """Draw training loss, test accuracy and pulses over the epochs of a run.

    Args:
        metrics: rows of `Run.metrics`.
    """
    batches = [row for row in metrics if row["kind"] == "batch"]
    epochs = [row for row in metrics if row["kind"] == "epoch"]
    with style():
        figure = Figure(figsize=(12, 3.2))
        margins = {"left": 0.05, "right": 0.99, "bottom": 0.15, "top": 0.92, "wspace": 0.25}
        loss, accuracy, pulses = figure.subplots(1, 3, gridspec_kw=margins)
        _curve(loss, batches, "loss", ANALOG, "analog")
        _curve(loss, batches, "float_loss", FLOAT, "float")
        loss.set(title="Training loss", yscale="log", ylabel="cross entropy, nats")
        loss.yaxis.set_major_formatter("{x:g}")
        loss.yaxis.set_minor_formatter(_Minor(minor_thresholds=(1.5, 0.5)))
        _curve(accuracy, epochs, "test_accuracy", ANALOG, "analog, noisy reads", marker="o")
        _curve(accuracy, epochs, "float_test_accuracy", FLOAT, "float", marker="o")
        accuracy.set(title="Test accuracy", ylabel="share of the test samples")
        accuracy.yaxis.set_major_formatter(PercentFormatter(1))
        _accuracy_range(accuracy, epochs)
        _curve(pulses, batches, "pulses", PULSES, "")
        pulses.set(title="Pulses so far, all cells", ylabel="pulses", ylim=(0, None))
        pulses.yaxis.set_major_formatter(EngFormatter())
        last = max((row["progress"] for row in metrics), default=1)
        for axes in (loss, accuracy, pulses):
            axes.set(xlabel="epochs", xlim=(0, last * 1.02))
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=last >= 4))
        for axes in (loss, accuracy):
            if axes.get_legend_handles_labels()[1]:
                axes.legend(loc="best")
        return figure


class _Minor(LogFormatterSciNotation):
    """Labels between the powers of ten, where there is room, as plain numbers."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}" if super().__call__(x, pos) else ""


def _curve(
    axes: Axes, rows: Rows, key: str, colour: str, label: str, *, marker: str | None = None
) -> None:
    points = [(row["progress"], row[key]) for row in rows if row.get(key) is not None]
    if not points:
        return
    x, y = np.array(points).T
    axes.plot(x, y, color=colour, label=label, marker=marker, markersize=3.5)


def _accuracy_range(axes: Axes, epochs: Rows) -> None:
    """Show where the curves differ: from a little below the second epoch to the best one."""
    values = [
        row[key]
        for row in epochs
        for key in ("test_accuracy", "float_test_accuracy")
        if row.get(key) is not None
    ]
    if values:
        span = max(max(values) - min(values), 0.02)
        axes.set_ylim(max(min(values) - 0.1 * span, 0), min(max(values) + 0.1 * span, 1))
