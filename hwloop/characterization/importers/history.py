"""Histories of cells, as testers keep them: a row per pulse or read, cells mixed in time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwloop.characterization.importers.facts import Facts
from hwloop.characterization.importers.trains import cell_numbers, trains
from hwloop.characterization.measurement import Measurement
from hwloop.errors import ConfigurationError

KINDS = ("pulse_response", "amplitude_response")

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def finish_history(
    facts: Facts,
    *,
    row: Ints,
    col: Ints,
    amplitude: Floats,
    width: Floats,
    state: dict[str, Floats],
    read_volts: Floats,
) -> Measurement:
    """Return the measured data of a tester's history.

    Args:
        facts: what was said at the import.
        row, col: the cells, from 0.
        amplitude: volts of the pulse before the read; 0 for a read alone.
        width: seconds of the pulse.
        state: column of the measured state by its name.
        read_volts: volts of the read.

    Raises:
        ConfigurationError: `--kind` is not given, or pulses of several amplitudes are called a
            response to equal ones.
    """
    kind = facts.need("kind", "what was measured", "pulse_response (or amplitude_response)")
    if kind not in KINDS:
        raise ConfigurationError(f"--kind {kind}: a history of pulses is one of {', '.join(KINDS)}")
    cell = cell_numbers(row, col)
    order = np.argsort(cell, kind="stable")
    pulses = (np.sign(amplitude) * facts.sign()).astype(np.int64)[order]
    if kind == "pulse_response":
        for side, word in ((1, "up"), (-1, "down")):
            used = np.unique(np.round(amplitude[order][pulses == side], 6))
            if used.size > 1:
                raise ConfigurationError(
                    f"pulses {word} have {used.size} amplitudes, {used[0]:g} to {used[-1]:g} V; a "
                    "pulse response is one of equal pulses",
                    remedy="import it with --kind amplitude_response, or cut the file",
                )
    starts = np.flatnonzero(np.diff(cell[order], prepend=-1))
    parts = [trains(part) for part in np.split(pulses, starts[1:])]
    sequence = np.concatenate([np.arange(len(part[0])) for part in parts])
    direction, repeat, pulse = (np.concatenate([part[i] for part in parts]) for i in range(3))
    columns: dict[str, Any] = {
        "cell": cell[order],
        "row": row[order],
        "col": col[order],
        "repeat": repeat,
        "sequence": sequence,
        "direction": direction,
        "pulse": pulse,
        "amplitude_volts": amplitude[order],
        "width_seconds": width[order],
        "read_volts": read_volts[order],
        **{name: values[order] for name, values in state.items()},
    }
    return facts.finish(kind, columns)
