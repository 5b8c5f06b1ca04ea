"""Look of all pictures: colours that people with any colour vision tell apart, and plain axes."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.figure import Figure

ANALOG, FLOAT, PULSES = "#0072B2", "#D55E00", "#009E73"
"""Colours of Okabe and Ito, for the analog network, the float network, and pulses."""

DIVERGING, SEQUENTIAL = "RdBu_r", "viridis"
UNTOUCHED = "#cccccc"
"""Colour of cells that a logarithmic map has no place for."""

_SETTINGS: dict[str, Any] = {
    "figure.dpi": 120,
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "legend.frameon": False,
    "image.cmap": SEQUENTIAL,
    "image.interpolation": "nearest",
    "svg.fonttype": "path",
    "svg.hashsalt": "hwloop",
}


@contextmanager
def style() -> Iterator[None]:
    """Draw in the common look."""
    with matplotlib.rc_context(_SETTINGS):  # type: ignore[arg-type]
        yield


def svg(figure: Figure) -> str:
    """Return a picture as an SVG element."""
    buffer = io.StringIO()
    metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with style():  # some settings are looked at only now
        figure.savefig(buffer, format="svg", metadata=metadata)
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def png(figure: Figure) -> str:
    """Return a picture as the address of an inline PNG."""
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format="png")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
