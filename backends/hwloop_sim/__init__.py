"""The simulated array: `sim:reram-om,shape=64x64,seed=1`."""

from __future__ import annotations

import difflib
import re

from hwloop import device_file
from hwloop.errors import ConfigurationError
from hwloop_sim import periphery
from hwloop_sim.backend import SimBackend

__all__ = ["SimBackend", "open_backend"]

_OWN_OPTIONS = ("shape", "seed", "threads", "periphery")
OPTIONS: tuple[str, ...] = (*_OWN_OPTIONS, *periphery.FIELDS, *device_file.OVERRIDES)
"""Names of the options of a URL."""

DEFAULT_DEVICE = "reram-om"

_SHAPE = re.compile(r"(?:([1-9]\d*)x)?([1-9]\d*)x([1-9]\d*)")
_LARGEST_SIDE = 1 << 14
_MOST_CELLS = 1 << 28


def open_backend(address: str, options: dict[str, str]) -> SimBackend:
    """Return a simulated array.

    Args:
        address: name or path of the device file that the cells follow; `reram-om` if empty.
        options: `shape` of the tiles (`rowsxcols`, `countxrowsxcols`, several joined by `+`;
            default: those of the device's table of cells, or `64x64`), `seed` (default 1),
            `threads` of one operation (default 1), `periphery` (`default` or `ideal`), the fields
            of `Periphery`, and the overrides of the device (`hwloop.device_file.OVERRIDES`).

    Raises:
        ConfigurationError: no such device, an unknown option, or a value that does not fit.
    """
    for name in options:
        if name not in OPTIONS:
            near = difflib.get_close_matches(name, OPTIONS, n=1)
            raise ConfigurationError(
                f"sim: option {name!r} is unknown",
                remedy=(f"did you mean {near[0]}? " if near else "")
                + f"options: {', '.join(OPTIONS)}",
            )
    address = address or DEFAULT_DEVICE
    device = device_file.load(address)
    overrides = {k: v for k, v in options.items() if k in device_file.OVERRIDES}
    cells = device_file.override(device, overrides).measured_cells
    shapes = "64x64" if cells is None else "+".join(f"{r}x{c}" for r, c in cells.shapes)
    settings = {k: v for k, v in options.items() if k == "periphery" or k in periphery.FIELDS}
    return SimBackend(
        device,
        _shapes(options.get("shape", shapes)),
        periphery.from_options(settings),
        seed=_whole(options, "seed", 1, 0, 2**63 - 1),
        threads=_whole(options, "threads", 1, 1, 256),
        overrides=overrides,
        address=address,
    )


def _whole(options: dict[str, str], name: str, default: int, low: int, high: int) -> int:
    text = options.get(name, str(default))
    try:
        value = int(text)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise ConfigurationError(
            f"sim: option {name}={text}: should be a whole number from {low} to {high}"
        )
    return value


def _shapes(text: str) -> list[tuple[int, int]]:
    shapes: list[tuple[int, int]] = []
    for part in text.split("+"):
        match = _SHAPE.fullmatch(part)
        if match is None:
            raise ConfigurationError(
                f"sim: option shape={text}: {part!r} is not a shape",
                remedy="write rowsxcols, countxrowsxcols, or several of these joined by +",
            )
        count, rows, cols = (int(n or 1) for n in match.groups())
        if max(rows, cols) > _LARGEST_SIDE or count * rows * cols > _MOST_CELLS:
            raise ConfigurationError(f"sim: option shape={text}: {part} is too large")
        shapes += [(rows, cols)] * count
    return shapes
