"""A metric over a setting, with the standard error of the seeds: the picture of a study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from hwloop.report.style import style

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555")
"""Colours of Okabe and Ito, for curves that have none of their own."""

MARKERS = "osD^vP*X"


@dataclass(frozen=True, slots=True)
class Curve:
    """Means over seeds.

    Attributes:
        label: its name; may be empty.
        x: abscissas, rising; texts where they are no numbers.
        mean: means over the seeds.
        error: standard errors of the means; NaN for a single seed.
        seeds: numbers of seeds.
        colour: its colour; one by its place otherwise.
    """

    label: str
    x: Sequence[float] | Sequence[str]
    mean: Sequence[float]
    error: Sequence[float]
    seeds: Sequence[int]
    colour: str | None = None


def sweep_figure(
    curves: Sequence[Curve],
    *,
    x_label: str,
    y_label: str,
    title: str = "",
    x_scale: Literal["linear", "log", "symlog"] = "linear",
    y_scale: Literal["linear", "log", "symlog"] = "linear",
    percent: bool = False,
    joined: bool = True,
) -> Figure:
    """Draw curves with error bars of one standard error; the number of seeds stands below.

    Args:
        curves: what is drawn; at least one.
        x_label, y_label, title: texts.
        x_scale, y_scale: scales of the axes.
        percent: whether the values are shares.
        joined: whether the points of a curve are joined by lines.
    """
    with style():
        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        axes = figure.subplots()
        names = list(dict.fromkeys(x for c in curves for x in c.x if isinstance(x, str)))
        for i, curve in enumerate(curves):
            x = [names.index(v) if isinstance(v, str) else v for v in curve.x]
            colour = curve.colour or COLOURS[i % len(COLOURS)]
            error = np.nan_to_num(np.asarray(curve.error, dtype=float))
            axes.errorbar(
                x,
                curve.mean,
                yerr=error if error.any() else None,
                color=colour,
                label=curve.label or None,
                marker=MARKERS[i % len(MARKERS)],
                markersize=4.5,
                linestyle="-" if joined else "none",
                capsize=3,
                elinewidth=1.1,
            )
        if names:
            axes.set_xticks(range(len(names)), names)
        else:
            axes.set_xscale(x_scale, **_threshold(x_scale, curves))
        axes.set_yscale(y_scale)
        axes.set(xlabel=x_label, ylabel=y_label, title=title)
        if percent:
            axes.yaxis.set_major_formatter(PercentFormatter(1))
        if any(curve.label for curve in curves):
            axes.legend(loc="best")
        figure.text(0.995, 0.005, _caption(curves), ha="right", va="bottom", fontsize=7.5)
        figure.get_layout_engine().set(rect=(0, 0.04, 1, 0.96))  # type: ignore[union-attr, call-arg]
        return figure


def _threshold(scale: str, curves: Sequence[Curve]) -> dict[str, float]:
    """Return where a symmetrical logarithmic axis becomes linear: at its smallest value but 0."""
    if scale != "symlog":
        return {}
    values = [abs(float(x)) for curve in curves for x in curve.x if float(x) != 0]
    return {"linthresh": min(values, default=1.0)}


def _caption(curves: Sequence[Curve]) -> str:
    counts = sorted({n for curve in curves for n in curve.seeds})
    if not counts:
        return "no finished points"
    seeds = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    if counts == [1]:
        return "1 seed, no error bars"
    return f"mean and standard error of {seeds} seeds"
