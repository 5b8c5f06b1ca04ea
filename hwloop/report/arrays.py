"""The arrays of a run, as its last checkpoint holds them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwloop.report.maps import LayerMaps, TileMaps
from hwloop.run import Run
from hwloop.untrusted import read_arrays

PERSISTENT, VISIBLE, REFERENCE, PULSES = range(4)
"""Planes of a tile's state in a checkpoint."""

TILE_NAMES = (("W", "weights"), ("A", "fast array"))


def last_layers(run: Run) -> list[LayerMaps]:
    """Return what the last checkpoint of a run holds of each layer, if the array is virtual."""
    if not run.checkpoints:
        return []
    arrays = _arrays(run.checkpoints[-1])
    numbers = sorted({int(name.split("/")[1]) for name in arrays if name.startswith("layer/")})
    tiles = sum(name.startswith("tile/") for name in arrays)
    if not numbers or not tiles:
        return []
    each = tiles // len(numbers)
    siemens = [tile.cell_siemens for tile in run.chip.tiles]
    columns = run.config["algorithm"].get("transfer", "columns") == "columns"
    layers = []
    for number in numbers:
        indices = range(number * each, (number + 1) * each)
        maps = tuple(
            _tile(arrays[f"tile/{i}"], siemens[i], *name)
            for i, name in zip(indices, TILE_NAMES, strict=False)
        )
        hidden = arrays.get(f"layer/{number}/hidden")
        if hidden is not None and columns:
            hidden = hidden.T
        rows, cols = maps[0].difference.shape
        title = f"Layer {number + 1}: {cols} inputs, {rows} outputs"
        layers.append(LayerMaps(title, maps, hidden))
    return layers


def _tile(state: NDArray[np.uint32], siemens: float, name: str, role: str) -> TileMaps:
    planes = state.view(np.float32)
    return TileMaps(
        name=name,
        role=role,
        difference=(planes[VISIBLE] - planes[REFERENCE]) * siemens,
        reference=planes[REFERENCE] * siemens,
        pulses=state[PULSES].astype(np.int64),
    )


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    return read_arrays(path, ("layer/", "tile/"))
