"""The columns of measured data with their units, and what each kind of measurement needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MeasurementKind = Literal[
    "pulse_response",
    "amplitude_response",
    "forming",
    "symmetry_point",
    "iv",
    "read_noise",
    "retention",
    "endurance",
    "array_map",
    "write_verify",
    "converter_calibration",
    "summary",
]


@dataclass(frozen=True, slots=True)
class ColumnRule:
    """What a column of a known name holds.

    Attributes:
        unit: its unit; `1` for plain numbers.
        meaning: what it says.
        integer: whether it holds whole numbers.
        minimum, maximum: bounds of its values, both allowed.
        gaps: whether NaN may stand for a value that was not measured.
    """

    unit: str
    meaning: str
    integer: bool = False
    minimum: float = float("-inf")
    maximum: float = float("inf")
    gaps: bool = False


QUANTITIES: tuple[str, ...] = (
    "conductance_siemens",
    "current_amperes",
    "resistance_ohms",
    "state_units",
)
"""Columns that hold the measured state of a cell; a table has exactly one."""

COLUMNS: dict[str, ColumnRule] = {
    # Noise makes a read of a cell near 0 negative, so that it has no minimum.
    "conductance_siemens": ColumnRule("S", "conductance of the cell", gaps=True),
    "current_amperes": ColumnRule("A", "current through the cell", gaps=True),
    "resistance_ohms": ColumnRule("ohm", "resistance of the cell", minimum=0, gaps=True),
    "state_units": ColumnRule("device unit", "state in normalised units", gaps=True),
    "cell": ColumnRule("1", "number of the cell among those measured", True, 0),
    "tile": ColumnRule("1", "tile of the chip", True, 0),
    "row": ColumnRule("1", "word line, from 0", True, 0),
    "col": ColumnRule("1", "bit line, from 0", True, 0),
    "repeat": ColumnRule("1", "repetition on the same cell, from 0", True, 0),
    "sequence": ColumnRule("1", "order of the rows of a cell in time", True, 0),
    "direction": ColumnRule("1", "1: after a pulse up, -1: down, 0: before any", True, -1, 1),
    "pulse": ColumnRule("1", "pulses given in this train so far", True, 0),
    "pulses_spent": ColumnRule("1", "pulses that a cell got for this value", True, 0),
    "cycle": ColumnRule("1", "number of the switching cycle", True, 0),
    "level": ColumnRule("1", "number of the nominal level", True, 0),
    "amplitude_volts": ColumnRule("V", "amplitude of the pulse", minimum=-100, maximum=100),
    "width_seconds": ColumnRule("s", "width of the pulse", minimum=0),
    "compliance_amperes": ColumnRule("A", "compliance current", minimum=0),
    "read_volts": ColumnRule("V", "voltage of the read", minimum=-100, maximum=100),
    "time_seconds": ColumnRule("s", "time of the read, from the start or from programming"),
    "nominal_seconds": ColumnRule("s", "time that the read was planned for", minimum=0),
    "initial_siemens": ColumnRule("S", "first read after programming", minimum=0),
    "target_siemens": ColumnRule("S", "wanted conductance", minimum=0),
    "temperature_kelvin": ColumnRule("K", "temperature", minimum=0, maximum=2000),
    "breakdown_volts": ColumnRule("V", "voltage at which the cell formed or broke down", gaps=True),
    "standard_error_siemens": ColumnRule("S", "standard error of the value", minimum=0, gaps=True),
    "average": ColumnRule("1", "reads behind the value", True, 1),
    "saturated": ColumnRule("1", "1 where the converter was at its bound", True, 0, 1),
    "limited": ColumnRule("1", "1 where the compliance was reached", True, 0, 1),
    "axis": ColumnRule("1", "0: forward, 1: backward, 2: cell read", True, 0, 2),
    "line": ColumnRule("1", "output line of the converter, from 0", True, 0),
    "expected_amperes": ColumnRule("A", "current that the line should read"),
    "measured_amperes": ColumnRule("A", "current that the line read"),
}
"""Columns of known names."""


@dataclass(frozen=True, slots=True)
class KindRule:
    """What a kind of measurement needs.

    Attributes:
        meaning: what it is.
        required: columns besides the quantity.
        measures_state: whether a quantity is needed.
        points_per_cell: fewest rows of a cell that say anything.
    """

    meaning: str
    required: tuple[str, ...]
    measures_state: bool = True
    points_per_cell: int = 1


KINDS: dict[str, KindRule] = {
    "pulse_response": KindRule(
        "state after each of a train of equal pulses, up and down",
        ("cell", "repeat", "sequence", "direction", "pulse"),
        points_per_cell=10,
    ),
    "amplitude_response": KindRule(
        "state after pulses of rising amplitude",
        ("cell", "repeat", "sequence", "amplitude_volts"),
        points_per_cell=5,
    ),
    "forming": KindRule("voltage at which cells form", ("cell", "breakdown_volts"), False),
    "symmetry_point": KindRule(
        "state at which up and down pulses cancel", ("cell", "repeat", "pulses_spent")
    ),
    "iv": KindRule(
        "current against voltage", ("cell", "repeat", "sequence", "read_volts"), points_per_cell=3
    ),
    "read_noise": KindRule(
        "reads of untouched cells in time", ("cell", "time_seconds"), points_per_cell=16
    ),
    "retention": KindRule("reads after programming", ("cell", "time_seconds"), points_per_cell=2),
    "endurance": KindRule(
        "states against switching cycles", ("cell", "cycle", "direction"), points_per_cell=4
    ),
    "array_map": KindRule("one value per cell of an array", ("cell", "row", "col")),
    "write_verify": KindRule(
        "what programming left, against its target", ("cell", "target_siemens", "pulses_spent")
    ),
    "converter_calibration": KindRule(
        "reads of known currents",
        ("tile", "axis", "line", "expected_amperes", "measured_amperes"),
        False,
    ),
    "summary": KindRule("figures per cell or device", ("cell",), False),
}
"""Kinds of measurements."""
