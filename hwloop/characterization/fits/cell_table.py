"""The table of cells of a fitted device: each measured cell as itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwloop.characterization.fits.cells import CellFits
from hwloop.characterization.fits.curves import BOUND_MAX, BOUND_MIN, SIZE, SKEW
from hwloop.characterization.fits.traces import Traces
from hwloop.characterization.measurement import Measurement
from hwloop.device_file import StepModel
from hwloop.device_file.cells import Cells, write_cells

Floats = NDArray[np.float64]


def cell_table(
    measurement: Measurement,
    data: Traces,
    stuck: NDArray[np.bool_],
    fits: CellFits,
    model: StepModel,
) -> Cells | None:
    """Return the table of cells, or None where the data does not say where they are.

    Slopes of a cell's own have no place in a table, so that linear steps have none.

    Args:
        measurement: the data.
        data: trains of all cells, in device units.
        stuck: which of them do not move.
        fits: parameters of those that move, in their order.
        model: the fitted model.
    """
    columns = measurement.columns
    if "row" not in columns or "col" not in columns or model.kind == "linear_step":  # type: ignore[attr-defined]
        return None
    numbers, first = np.unique(columns["cell"], return_index=True)
    rows = first[np.searchsorted(numbers, data.cells)]
    places = np.stack([columns[name][rows] for name in ("row", "col")], 1)
    tile = columns["tile"][rows] if "tile" in columns else np.zeros(len(rows), np.int64)
    if len(np.unique(tile)) > 1 or len(np.unique(places, axis=0)) < len(places):
        return None
    size, skew = np.exp(fits.own[:, SIZE]), fits.own[:, SKEW]
    found: dict[str, Floats] = {
        name: np.full(len(rows), np.nan)
        for name in ("step_up", "step_down", "bound_max", "bound_min", "state")
    }
    found["step_up"][~stuck], found["step_down"][~stuck] = np.abs(size + skew), np.abs(size - skew)
    found["bound_max"][~stuck] = np.clip(fits.own[:, BOUND_MAX], 0, 100)
    found["bound_min"][~stuck] = np.clip(fits.own[:, BOUND_MIN], -100, 0)
    for cell in np.flatnonzero(stuck):
        found["state"][cell] = np.nanmean(data.values[:, data.cell == cell])
    return write_cells(
        {"row": places[:, 0], "col": places[:, 1], **found, "stuck": stuck.astype(float)}
    )
