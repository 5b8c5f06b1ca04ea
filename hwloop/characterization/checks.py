"""What measured data says against itself: order, repeats, polarity, ranges, plateaus."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwloop.characterization.measurement import Measurement
from hwloop.device_file.problems import FileError, Problem
from hwloop.device_file.quantities import KINDS

PLATEAU = 5
"""Equal values in a row at a cell's maximum that look like a limit of the source."""

NEGATIVE = 0.1
"""Share of the largest conductance by which noise may make one negative."""

IMPOSSIBLE = "is a conductance or resistance that no cell has"
REMEDY = "correct the sign of current or read voltage (--read-volts), or leave the row out"

SIGNIFICANT = 4.0
"""Standard errors by which a train must have moved before its direction is judged."""


def check(measurement: Measurement) -> list[Problem]:
    """Return every problem of measured data: errors make it unfit for a fit, warnings do not."""
    return [
        *_order(measurement),
        *_times(measurement),
        *_cells(measurement),
        *_points(measurement),
        *_values(measurement),
        *_polarity(measurement),
        *_plateaus(measurement),
    ]


def require(measurement: Measurement) -> None:
    """Refuse measured data that has errors.

    Raises:
        FileError: all of its errors.
    """
    errors = [problem for problem in check(measurement) if problem.severity == "error"]
    if errors:
        raise FileError(measurement.header.name, errors)


def _keys(measurement: Measurement, *names: str) -> NDArray[np.int64]:
    """Return a number per row that is equal where the columns of these names are."""
    keys = np.zeros(measurement.rows, np.int64)
    for name in names:
        if name not in measurement.columns:
            continue
        values = measurement.columns[name]
        if values.dtype.kind == "f":
            values = np.unique(values, return_inverse=True)[1]
        low = int(values.min())
        keys = keys * (int(values.max()) - low + 1) + (values - low)
    return keys


def _sorted_by(keys: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return rows in stable order of their keys, and which of them continue the one before."""
    if (keys[1:] >= keys[:-1]).all():
        rows = np.arange(len(keys))
    else:
        rows = np.argsort(keys, kind="stable")
        keys = keys[rows]
    return rows, np.concatenate([[False], keys[1:] == keys[:-1]])


def _order(measurement: Measurement) -> list[Problem]:
    if "sequence" not in measurement.columns:
        return []
    rows, follows = _sorted_by(_keys(measurement, "cell", "repeat"))
    sequence = measurement.columns["sequence"][rows]
    wrong = rows[follows & (np.diff(sequence, prepend=sequence[:1]) <= 0)]
    if not wrong.size:
        return []
    row = int(wrong.min())
    return [
        Problem(
            f"sequence, row {row + 1}",
            _shown(measurement, "sequence", row),
            f"should rise from row to row of a cell and repeat ({wrong.size} rows do not)",
            "sort the rows in time; a new pass over the same cell is another repeat",
        )
    ]


def _times(measurement: Measurement) -> list[Problem]:
    if "time_seconds" not in measurement.columns:
        return []
    keys = _keys(measurement, "cell", "repeat", "time_seconds")
    rows, follows = _sorted_by(keys)
    twice = rows[follows]
    if not twice.size:
        return []
    row = int(twice.min())
    reading = measurement.kind in ("read_noise", "retention")
    return [
        Problem(
            f"time_seconds, row {row + 1}",
            _shown(measurement, "time_seconds", row),
            f"is given twice for its cell and repeat ({twice.size} rows)",
            "leave out rows that were copied twice; number repeats in the column repeat",
            "error" if reading else "warning",
        )
    ]


def _cells(measurement: Measurement) -> list[Problem]:
    columns = measurement.columns
    if not {"cell", "row", "col"} <= set(columns):
        return []
    place = _keys(measurement, "tile", "row", "col")
    cell = columns["cell"]
    problems = []
    for one, other, expected, remedy in (
        (
            place,
            cell,
            "is the place of more than one cell number",
            "repeats must be labelled repeat: give the same cell number and count `repeat`",
        ),
        (cell, place, "is one cell number at more than one place", "number the cells apart"),
    ):
        pairs = np.unique(np.stack([one, other]), axis=1)
        values, counts = np.unique(pairs[0], return_counts=True)
        if (counts > 1).any():
            row = int(np.flatnonzero(one == values[counts > 1][0])[0])
            where = f"row {columns['row'][row]}, col {columns['col'][row]}, cell {cell[row]}"
            more = f" ({np.count_nonzero(counts > 1)} such)"
            problems.append(Problem(f"cell, row {row + 1}", where, expected + more, remedy))
    return problems


def _points(measurement: Measurement) -> list[Problem]:
    needed = KINDS[measurement.kind].points_per_cell
    if "cell" not in measurement.columns or needed == 1:
        return []
    cells, counts = np.unique(measurement.columns["cell"], return_counts=True)
    few = counts < needed
    if not few.any():
        return []
    first = int(np.flatnonzero(few)[0])
    # A cell or two that were lost on the way leave the others usable.
    lost = np.count_nonzero(few) <= 0.1 * len(cells)
    return [
        Problem(
            f"cell {cells[first]}",
            f"{counts[first]} rows",
            f"{measurement.kind} needs at least {needed} per cell; {np.count_nonzero(few)} of "
            f"{len(cells)} cells have fewer",
            "measure more, or leave these cells out",
            "warning" if lost else "error",
        )
    ]


def _values(measurement: Measurement) -> list[Problem]:
    header = measurement.header
    problems: list[Problem] = []
    if header.kind == "read_noise" and not header.conditions.noise_in_values:
        problems.append(
            Problem(
                "conditions.noise_in_values", "false", "values without noise say nothing of noise"
            )
        )
    if header.quantity is None:
        return problems
    values = np.asarray(measurement.columns[header.quantity], np.float64)
    measured = np.isfinite(values)
    if not measured.any():
        problems.append(Problem(header.quantity, "nan", "should hold a value in some row"))
        return problems
    for bound, beyond, word in (
        (header.conditions.value_minimum, np.less, "least"),
        (header.conditions.value_maximum, np.greater, "most"),
    ):
        if bound is not None:
            _rows(
                problems,
                measurement,
                beyond(values, bound),
                f"the instrument reads at {word} {bound:g}",
            )
    if header.quantity == "state_units" or header.kind == "iv":
        return problems
    wrong = impossible(
        header.quantity, measurement.state if header.quantity == "current_amperes" else values
    )
    _rows(problems, measurement, wrong, IMPOSSIBLE, REMEDY)
    state = np.abs(measurement.state[measured])
    if np.median(state) > 1:
        problems.append(
            Problem(
                header.quantity,
                f"median {np.median(state):.3g} S",
                "is no conductance of a cell",
                "give the unit of the source as it is, for example --unit microsiemens",
                "warning",
            )
        )
    return problems


def impossible(quantity: str, values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which values no cell has: resistances of 0 or less, clearly negative conductances.

    Noise can make the conductance of a cell near 0 negative by a little.

    Args:
        quantity: name of the column.
        values: its values; currents as conductances.
    """
    if quantity == "resistance_ohms":
        return values <= 0
    if quantity == "state_units":
        return np.zeros(values.shape, dtype=bool)
    largest = np.nanmax(np.abs(values), initial=0.0)
    return np.asarray(values < -NEGATIVE * largest)


def _rows(
    problems: list[Problem],
    measurement: Measurement,
    wrong: NDArray[Any],
    expected: str,
    remedy: str = "",
) -> None:
    rows = np.flatnonzero(wrong)
    if rows.size:
        quantity = measurement.header.quantity or ""
        where, value = f"{quantity}, row {rows[0] + 1}", _shown(measurement, quantity, int(rows[0]))
        problems.append(Problem(where, value, f"{expected} ({rows.size} rows)", remedy))


def _polarity(measurement: Measurement) -> list[Problem]:
    """Report trains up that fall and trains down that rise, where the change is beyond noise."""
    if measurement.kind != "pulse_response":
        return []
    pulsed = measurement.select(
        (measurement.columns["direction"] != 0) & np.isfinite(measurement.state)
    )
    if not pulsed.rows:
        return []
    rows, follows = _sorted_by(_keys(pulsed, "cell", "repeat", "direction"))
    starts = np.flatnonzero(~follows)
    moved = pulsed.columns["direction"][rows[starts]] * _changes(pulsed.state[rows], starts)
    right, against = int(np.sum(moved > SIGNIFICANT)), np.flatnonzero(moved < -SIGNIFICANT)
    wrong = len(against)
    if not wrong:
        return []
    first = _train(pulsed, int(rows[starts[against]].min()))
    trains = right + wrong
    return [
        Problem(
            "direction",
            first,
            f"the conductance moves against the direction in {wrong} of {trains} trains that move",
            "if the source counts the other polarity as up, import it with --polarity swapped"
            if wrong > right
            else "leave these cells out",
            "error" if wrong > right else "warning",
        )
    ]


def _changes(state: NDArray[np.float64], starts: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the change from the first to the last tenth of each train, in standard errors."""
    lengths = np.diff([*starts, len(state)])
    tenth = np.maximum(1, lengths // 10)
    place = np.arange(len(state)) - np.repeat(starts, lengths)
    first = place < np.repeat(tenth, lengths)
    last = place >= np.repeat(lengths - tenth, lengths)
    change = np.add.reduceat((last * state) - (first * state), starts) / tenth
    steps = np.diff(state, prepend=state[:1])
    steps[starts] = 0
    mean = np.add.reduceat(steps, starts) / np.maximum(lengths - 1, 1)
    steps -= np.repeat(mean, lengths)
    steps[starts] = 0
    variance = np.add.reduceat(steps**2, starts) / np.maximum(lengths - 1, 1)
    # The step of a train without noise is compared with its own rounding.
    noise = np.maximum(np.sqrt(variance / tenth), 1e-12 * np.abs(change))
    moved = np.divide(change, noise, out=np.zeros_like(change), where=noise > 0)
    return np.where(lengths < 4, 0.0, moved)


def _train(measurement: Measurement, row: int) -> str:
    columns = measurement.columns
    word = "up" if columns["direction"][row] > 0 else "down"
    return f"cell {columns['cell'][row]}, repeat {columns['repeat'][row]}, {word}"


def _plateaus(measurement: Measurement) -> list[Problem]:
    """Report runs of equal values at a cell's maximum, as a source at its limit gives."""
    header = measurement.header
    if header.quantity is None or {"limited", "saturated"} & set(measurement.columns):
        return []
    if KINDS[header.kind].points_per_cell <= 2:
        return []
    rows, follows = _sorted_by(_keys(measurement, "cell"))
    state = measurement.state[rows]
    if header.kind == "iv":  # a limited current is what is level there
        state = np.abs(np.asarray(measurement.columns[header.quantity], np.float64)[rows])
    starts = np.flatnonzero(~follows)
    highest = np.repeat(
        np.maximum.reduceat(np.nan_to_num(state, nan=-np.inf), starts),
        np.diff([*starts, len(rows)]),
    )
    lowest = np.repeat(
        np.minimum.reduceat(np.nan_to_num(state, nan=np.inf), starts),
        np.diff([*starts, len(rows)]),
    )
    top = (state == highest) & (highest > lowest)
    begins = np.flatnonzero(top & ~(np.concatenate([[False], top[:-1]]) & follows))
    ends = np.flatnonzero(top & ~np.concatenate([top[1:] & follows[1:], [False]]))
    long = ends - begins + 1 >= PLATEAU
    if not long.any():
        return []
    cells = np.unique(measurement.columns["cell"][rows[begins[long]]])
    row = int(rows[begins[long][0]])
    return [
        Problem(
            f"{header.quantity}, row {row + 1}",
            _shown(measurement, header.quantity, row),
            f"{len(cells)} cells hold their maximum for {PLATEAU} or more rows",
            "mark rows at the compliance current in a column `limited` (1), or at the converter's "
            "bound in `saturated`, so that a fit leaves them out",
            "warning",
        )
    ]


def _shown(measurement: Measurement, name: str, row: int) -> str:
    return f"{measurement.columns[name][row]:.6g}"
