"""Health of the link of a run: what was lost and sent again, and how long answers took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator, PercentFormatter

from hwloop.report.style import ANALOG, FLOAT, style

Counters = Mapping[str, Any]
"""Fields of `hwloop.backend.LinkCounters`, as run folders hold them."""

_SHOWN = ("frames_sent", "frames_resent", "frames_received", "frames_bad")


def link_rows(link: Counters) -> list[tuple[str, str]]:
    """Return the counters of a link as rows of a table.

    Args:
        link: the counters at the end of the run.
    """
    metric = EngFormatter(places=2)
    sent, received = link["frames_sent"], link["frames_received"]
    return [
        ("frames sent", f"{sent:,}"),
        ("of them sent again", _share(link["frames_resent"], sent)),
        ("frames received", f"{received:,}"),
        ("dropped for a wrong check", _share(link["frames_bad"], received + link["frames_bad"])),
        ("received twice", f"{link['frames_duplicate']:,}"),
        ("sent", f"{metric(link['bytes_sent'])}B"),
        ("received", f"{metric(link['bytes_received'])}B"),
        ("round trip, smoothed", f"{metric(link['round_trip'])}s"),
        ("most frames in flight", f"{link['most_in_flight']:,}"),
    ]


def link_figure(link: Counters, metrics: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw the round trips of a run, and the share of frames that were lost over its epochs.

    Args:
        link: the counters at the end of the run.
        metrics: rows of `Run.metrics`.
    """
    with style():
        figure = Figure(figsize=(12, 2.8))
        margins = {"left": 0.06, "right": 0.99, "bottom": 0.17, "top": 0.9, "wspace": 0.2}
        trips, losses = figure.subplots(1, 2, gridspec_kw=margins)
        _draw_round_trips(trips, link["round_trips"])
        _draw_losses(losses, [row for row in metrics if row.get("link") is not None])
        return figure


def _draw_round_trips(axes: Axes, counts: Sequence[int]) -> None:
    """Draw the histogram, its bins of a factor of two, from the first that is not empty on."""
    axes.set(title="Round trips", xlabel="time between a frame and its answer", ylabel="frames")
    axes.yaxis.set_major_formatter(EngFormatter())
    filled = np.flatnonzero(counts)
    if not len(filled):
        return
    bins = np.arange(filled[0], filled[-1] + 1)
    edges = 2.0 ** np.arange(bins[0] - 1, bins[-1] + 1) * 1e-6
    axes.stairs(np.asarray(counts)[bins], edges, fill=True, color=ANALOG)
    axes.set(xscale="log", xlim=(edges[0], edges[-1]))
    axes.xaxis.set_major_formatter(EngFormatter(unit="s"))
    axes.grid(visible=False, axis="x")
    axes.set_axisbelow(True)


def _draw_losses(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    axes.set(title="Lost frames", xlabel="epochs", ylabel="share of the frames")
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    if not rows:
        return
    at = {row["progress"]: row["link"] for row in rows}  # the last one counts where there are two
    edges = [0.0, *at]
    counts = {name: np.array([link[name] for link in at.values()]) for name in _SHOWN}
    restarts = np.diff(counts["frames_sent"], prepend=0) < 0  # a resumed run counts from zero
    steps = {n: np.where(restarts, c, np.diff(c, prepend=0)) for n, c in counts.items()}
    for key, of, label, colour in (
        ("frames_resent", "frames_sent", "sent again", ANALOG),
        ("frames_bad", "frames_received", "received with a wrong check", FLOAT),
    ):
        shares = steps[key] / np.maximum(steps[of], 1)
        axes.stairs(shares, edges, baseline=None, label=label, color=colour, linewidth=1.6)
    axes.set_ylim(0, max(1.05 * axes.get_ylim()[1], 1e-3))
    axes.set_xlim(0, edges[-1] * 1.02)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=edges[-1] >= 4))
    axes.legend(loc="best")


def _share(part: int, whole: int) -> str:
    return f"{part:,}" + (f" ({100 * part / whole:.3g} %)" if whole else "")
