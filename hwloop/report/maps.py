"""Maps of arrays: conductances, hidden matrices, pulses per cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator
from numpy.typing import NDArray

from hwloop.report.style import ANALOG, DIVERGING, SEQUENTIAL, UNTOUCHED, style

Matrix = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class TileMaps:
    """What is known of one tile; all of shape (rows, cols).

    Attributes:
        name: what the tile is for, such as `W`.
        role: the same in words.
        difference: conductance less the reference, siemens.
        reference: reference, siemens from the middle of the range.
        pulses: pulses per cell.
    """

    name: str
    role: str
    difference: Matrix
    reference: Matrix
    pulses: NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class LayerMaps:
    """What is known of one layer.

    Attributes:
        title: which layer it is.
        tiles: its tiles, the one that holds the weights first.
        hidden: hidden matrix in units of a pulse, shape (rows, cols), or None.
    """

    title: str
    tiles: tuple[TileMaps, ...]
    hidden: Matrix | None


def layer_figure(layer: LayerMaps) -> Figure:
    """Draw the maps of a layer: a row of pictures per tile."""
    with style():
        count = len(layer.tiles)
        height = 2.75 * count + 0.2
        figure = Figure(figsize=(13, height))
        # Fixed margins: a layout that is solved for takes as long as all the drawing.
        margins = {"left": 0.045, "right": 0.965, "bottom": 0.5 / height, "top": 1 - 0.3 / height}
        room = {"wspace": 0.24, "hspace": 0.36, **margins}
        grid = figure.subplots(count, 4, squeeze=False, gridspec_kw=room)
        for axes, tile in zip(grid, layer.tiles, strict=True):
            axes[0].set_ylabel("row (output)")
            _conductance_map(axes[0], tile.difference, f"{tile.name}, {tile.role}: difference, µS")
            _conductance_map(axes[1], tile.reference, f"{tile.name}: reference, µS")
            _pulse_map(axes[2], tile.pulses, f"{tile.name}: pulses per cell")
            if tile is layer.tiles[-1] and layer.hidden is not None:
                span = min(max(_span(layer.hidden), 0.01), 1.0)
                _signed_map(axes[3], layer.hidden, span, "H: hidden matrix, pulses")
            else:
                _histogram(axes[3], tile)
        return figure


def _span(values: Matrix) -> float:
    """Return the largest magnitude, but for the outermost half per cent of the cells."""
    return float(np.percentile(np.abs(values), 99.5)) or 1e-12


def _conductance_map(axes: Axes, siemens: Matrix, title: str) -> None:
    micro = siemens * 1e6
    _signed_map(axes, micro, _span(micro), title)


def _signed_map(axes: Axes, values: Matrix, span: float, title: str) -> None:
    image = _image(axes, values, title, cmap=DIVERGING, norm=Normalize(-span, span))
    bar = _colour_bar(axes, image, extend="both")
    bar.locator = MaxNLocator(5, symmetric=True)
    bar.update_ticks()


def _pulse_map(axes: Axes, pulses: NDArray[np.integer[Any]], title: str) -> None:
    most = int(pulses.max(initial=0))
    image = _image(
        axes,
        np.ma.masked_equal(pulses, 0),
        f"{title}, {_count(int(pulses.sum()))} in all",
        cmap=SEQUENTIAL,
        norm=LogNorm(1, max(most, 10)),
    )
    axes.set_facecolor(UNTOUCHED)
    _colour_bar(axes, image)


def _image(axes: Axes, values: Any, title: str, **options: Any) -> Any:
    axes.grid(False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(True)
    axes.set(title=title, xlabel="column (input)")
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    if not axes.get_ylabel():  # rows are numbered once, on the left
        axes.tick_params(labelleft=False)
    return axes.imshow(values, aspect="auto", interpolation="nearest", **options)


def _colour_bar(axes: Axes, image: Any, **options: Any) -> Any:
    bar = axes.figure.colorbar(image, ax=axes, pad=0.03, fraction=0.07, **options)
    bar.outline.set_visible(False)
    return bar


def _histogram(axes: Axes, tile: TileMaps) -> None:
    values = tile.difference.ravel() * 1e6
    span = float(np.abs(values).max(initial=0)) or 1e-12
    axes.hist(values, bins=np.linspace(-span, span, 61).tolist(), color=ANALOG)
    axes.set(title=f"{tile.name}: cells by conductance", xlabel="difference, µS")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(EngFormatter(sep=""))


def _count(number: int) -> str:
    formatter: Callable[[float], str] = EngFormatter(places=1)
    return formatter(number) if number >= 1000 else str(number)
