"""The report as one HTML page without anything outside it."""

from __future__ import annotations

from importlib import resources
from typing import Any

import jinja2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hwloop.conformance.evidence import Judgement
from hwloop.conformance.runner import Report
from hwloop.report.page import quantity
from hwloop.report.style import ANALOG, DIVERGING, FLOAT, png, style, svg

_TITLES = {
    "cells": "read of cells",
    "reversed": "read of cells, lines turned",
    "forward": "forward vectors",
    "backward": "backward vectors",
}


def render(report: Report) -> str:
    """Return the report of a run of the checks as HTML."""
    chip, content = report.capabilities, report.content()
    pictures = []
    if report.pictures.get("marks"):
        pictures.append(
            {
                "title": "Where the one-hots came out",
                "picture": f'<img src="{png(marks_figure(report.pictures))}" alt="Marks">',
                "caption": "Change of each cell, in device units, from pulses down to pulses up "
                "on the cell in the square: one row per corner of the region, one column per kind "
                "of read. All should show the same one cell, in red.",
            }
        )
    if "averaging" in report.pictures:
        pictures.append(
            {
                "title": "Averaged reads",
                "picture": svg(averaging_figure(report.pictures["averaging"])),
                "caption": "Noise of a read of a cell against the number of reads in it, from "
                "differences of successive reads. The host's averages are made of the same number "
                "of single reads; the line is white noise.",
            }
        )
    template = resources.files("hwloop.conformance").joinpath("page.html.j2")
    css = resources.files("hwloop.report").joinpath("page.css").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(template.read_text(encoding="utf-8")).render(
        css=css,
        title=f"Conformance of {chip.chip_id}",
        subtitle=f"{chip.name}, {report.backend}",
        facts=[
            ("verdict", content["verdict"]),
            ("passed", str(content["passed"])),
            ("failed", str(content["failed"])),
            ("skipped", str(content["skipped"])),
            ("most pulses per cell", quantity(report.most_pulses_per_cell)),
            ("pulses", quantity(content["dose"]["pulses"])),
        ],
        outcomes=report.outcomes,
        failed=Judgement.FAILED,
        pictures=pictures,
        tables=_tables(report),
    )


def marks_figure(pictures: dict[str, Any]) -> Figure:
    """Draw what each kind of read saw of each mark."""
    marks, rows, cols = pictures["marks"], pictures["rows"], pictures["cols"]
    kinds = [kind for kind in _TITLES if any(kind in mark["swings"] for mark in marks)]
    with style():
        figure = Figure(figsize=(2.6 * max(len(kinds), 1) + 0.6, 2.1 * len(marks) + 0.4))
        figure.set_layout_engine("constrained")
        grid = figure.subplots(len(marks), max(len(kinds), 1), squeeze=False)
        for axes, mark in zip(grid, marks, strict=True):
            swings = mark["swings"].values()
            span = max((float(np.abs(swing).max()) for swing in swings), default=1.0) or 1.0
            for one, kind in zip(axes, kinds, strict=False):
                _mark(one, mark, kind, span, rows, cols)
        for one, kind in zip(grid[0], kinds, strict=False):
            one.set_title(_TITLES[kind])
        return figure


def averaging_figure(seen: dict[str, dict[int, float]]) -> Figure:
    """Draw the noise of averages against the number of reads in them."""
    with style():
        figure = Figure(figsize=(4.6, 3.0))
        figure.set_layout_engine("constrained")
        axes = figure.subplots()
        n = np.linspace(min(seen["host"]), max(seen["host"]), 100)
        white = seen["host"][1] / np.sqrt(n)
        axes.plot(n, white, color="#999999", linewidth=1, label="white noise")
        for name, mark, colour in (("host", "x", FLOAT), ("array", ".", ANALOG)):
            reads, noise = list(seen[name]), list(seen[name].values())
            axes.plot(reads, noise, mark, color=colour, label=f"averaged by the {name}")
        axes.set(xlabel="reads in an average", ylabel="noise, codes")
        axes.set_ylim(bottom=0)
        axes.set_xticks(list(seen["host"]))
        axes.legend(loc="best")
        return figure


def _mark(
    axes: Axes, mark: dict[str, Any], kind: str, span: float, rows: list[int], cols: list[int]
) -> None:
    swing = mark["swings"].get(kind)
    if swing is None:
        axes.set_axis_off()
        return
    axes.grid(False)
    axes.imshow(swing, cmap=DIVERGING, vmin=-span, vmax=span, interpolation="nearest")
    row, col = mark["cell"]
    place = (cols.index(col) - 0.5, rows.index(row) - 0.5)
    axes.add_patch(_square(place))
    for axis, lines in ((axes.xaxis, cols), (axes.yaxis, rows)):
        axis.set_major_locator(MaxNLocator(4, integer=True))
        ticks = [t for t in axis.get_ticklocs() if 0 <= t < len(lines)]
        axis.set_ticks(ticks, [str(lines[int(t)]) for t in ticks])
    axes.set_xlabel("column")
    axes.set_ylabel("row")


def _square(place: tuple[float, float]) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle(place, 1, 1, fill=False, edgecolor="black", linewidth=1.2)


def _tables(report: Report) -> list[dict[str, Any]]:
    chip, scope = report.capabilities, report.scope
    bound = scope.dose if scope.dose is not None else scope.most_pulses_per_cell
    return [
        {
            "title": "Array",
            "rows": [
                ("chip id", chip.chip_id),
                ("kind", chip.kind),
                ("tiles", ", ".join(f"{t.rows} × {t.cols}" for t in chip.tiles)),
                ("operations", ", ".join(sorted(chip.operations))),
                ("firmware", chip.firmware or "–"),
            ],
        },
        {
            "title": "Run",
            "rows": [
                ("region", str(scope.region)),
                ("pulses of a mark", quantity(scope.mark)),
                ("allowed per cell", quantity(bound)),
                ("most on any one cell", quantity(report.most_pulses_per_cell)),
                ("wall time", quantity(report.seconds, "s")),
            ],
        },
    ]
