"""Pictures of the round trip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from hwloop.report.style import ANALOG, FLOAT, style

if TYPE_CHECKING:
    from hwloop.experiments.reproduce.round_trip import Found


def pictures(found: Sequence[Found]) -> dict[str, Figure]:
    """Return fitted against hidden values, and each interval around the truth."""
    return {
        "fitted against hidden parameters": against(found),
        "errors in units of the intervals": intervals(found),
    }


def against(found: Sequence[Found]) -> Figure:
    """Draw fitted against hidden values, a panel per parameter."""
    names = list(dict.fromkeys(row.name for row in found))
    with style():
        figure = Figure(figsize=(11, 2.3 * ((len(names) + 4) // 5)), layout="constrained")
        axes = figure.subplots((len(names) + 4) // 5, 5, squeeze=False).ravel()
        for axis, name in zip(axes, names, strict=False):
            rows = [row for row in found if row.name == name]
            truths = [row.truth for row in rows]
            axis.plot([min(truths), max(truths)], [min(truths), max(truths)], color="#888888", lw=1)
            for row in rows:
                if not row.identified or row.low is None or row.high is None:
                    continue
                colour = ANALOG if row.covered else FLOAT
                axis.plot([row.truth] * 2, [row.low, row.high], color=colour, lw=1)
                axis.plot([row.truth], [row.value], ".", color=colour, ms=4)
            axis.set_title(name)
        for axis in axes[len(names) :]:
            axis.axis("off")
        axes[0].set_xlabel("hidden")
        axes[0].set_ylabel("fitted, 95 %")
        return figure


def intervals(found: Sequence[Found]) -> Figure:
    """Draw the errors over the half-widths of their intervals; within 1 the truth is covered."""
    names = list(dict.fromkeys(row.name for row in found))
    with style():
        figure = Figure(figsize=(8, 3.6), layout="constrained")
        axis = figure.subplots()
        axis.axhspan(-1, 1, color="#e6eef5")
        for place, name in enumerate(names):
            errors = [_error(row) for row in found if row.name == name and row.identified]
            spread = list(np.linspace(-0.25, 0.25, len(errors)))
            axis.plot(place + np.array(spread), errors, ".", color=ANALOG, ms=4)
        axis.set_xticks(range(len(names)), names, rotation=30, ha="right")
        axis.set_ylabel("error over half-width")
        axis.set_ylim(-3, 3)
        return figure


def _error(row: Found) -> float:
    """Return the error, relative to the side of the interval that it is on."""
    if row.value is None or row.low is None or row.high is None:
        return 0.0
    side = row.high - row.value if row.truth > row.value else row.value - row.low
    return float(np.clip((row.truth - row.value) / max(side, 1e-12), -3, 3))
