"""The header of measured data: what was measured, on what, how, in which units, by whom."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from hwloop.capabilities import Limits, PulseShape
from hwloop.device_file.models import Frozen
from hwloop.device_file.quantities import COLUMNS, KINDS, QUANTITIES, MeasurementKind
from hwloop.device_file.schema import Conductance, Header

Text = Annotated[str, Field(max_length=1000)]


class MeasuredDevice(Frozen):
    """The specimen; an empty text is not known."""

    stack: Text = ""
    """Materials from bottom to top, for example `TiN/HfO2/Ti/TiN`."""

    wafer: Text = ""
    """Wafer or lot."""

    die: Text = ""
    """Die on the wafer."""

    chip_id: Text = ""
    """Id of the chip, as a backend gives it."""

    cell_area_square_metres: float | None = Field(default=None, gt=0)
    """Area of a cell. Square metres."""


class Instrument(Frozen):
    """What measured; an empty text is not known."""

    model: Text = ""
    """Maker and model, or the URL of a backend."""

    serial: Text = ""
    """Serial number."""

    firmware: Text = ""
    """Version or hash of its firmware."""


class Conditions(Frozen):
    """How it was measured; None is not known."""

    temperature_kelvin: float | None = Field(default=None, gt=0, le=2000)
    """Temperature, where the table has no column for it. Kelvin."""

    read_volts: float | None = Field(default=None, ge=-100, le=100)
    """Voltage of the reads, where the table has no column for it. Volts."""

    read_seconds: float | None = Field(default=None, gt=0)
    """Duration of a read. Seconds."""

    read_delay_seconds: float | None = Field(default=None, ge=0)
    """Time between a pulse and the read after it. Seconds."""

    series_resistance_ohms: float | None = Field(default=None, ge=0)
    """Resistance in series with the cell. Ohms."""

    reads_averaged: int | None = Field(default=None, ge=1)
    """Reads behind each value."""

    value_resolution: float | None = Field(default=None, gt=0)
    """Smallest difference between values, in the unit of the quantity: the converter's step."""

    noise_in_values: bool = True
    """Whether the values carry the noise of the device; false for digitised or smoothed curves,
    from which no noise can be had."""


class Column(Frozen):
    """A column of the table."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)
    """Name; those of `hwloop.device_file.quantities.COLUMNS` have a fixed meaning and unit."""

    unit: str = Field(max_length=20)
    """Unit, `1` for numbers without one."""

    meaning: Text = ""
    """What it says, for columns with names of their own."""


class Table(Frozen):
    """The columnar table beside the header."""

    file: str = Field(pattern=r"^[^/\\\x00]+$", max_length=200)
    """File name, in the folder of the header."""

    format: Literal["csv", "hdf5"]
    """`csv`: a line of column names, then numbers; `hdf5`: one dataset per column."""

    rows: int = Field(ge=1)
    """Number of rows."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of the file."""


class MeasurementHeader(Header):
    """What a file of measured data says about itself; the numbers are in its table.

    Positive pulses, `direction` 1 and shapes `up`, raise the conductance, whatever the sign of
    their voltage; `shapes` states that sign.
    """

    kind: MeasurementKind
    """What was measured."""

    quantity: str | None = None
    """Column that holds the measured state: exactly one of current, conductance, resistance and
    device units; None for kinds that measure none."""

    device: MeasuredDevice = MeasuredDevice()
    """The specimen."""

    instrument: Instrument = Instrument()
    """What measured."""

    conditions: Conditions = Conditions()
    """How it was measured."""

    shapes: dict[str, PulseShape] = Field(default_factory=dict)
    """Pulse shapes used; empty if not known. The first is that of rows without a `shape` column."""

    limits: Limits = Limits()
    """Limits under which it was measured."""

    conductance: Conductance | None = None
    """Map from device units to siemens; required where the quantity is in device units and siemens
    are claimed."""

    columns: tuple[Column, ...] = Field(min_length=1, max_length=64)
    """Columns of the table, in order."""

    table: Table | None = None
    """Where the numbers are; None while they are in memory only."""

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def normalised(self) -> bool:
        """Whether the state is in device units, so that it can never arm a chip."""
        return self.quantity == "state_units"

    @model_validator(mode="after")
    def _columns_fit_the_kind(self) -> MeasurementHeader:
        names = self.column_names
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"columns: {twice} is given twice")
        for column in self.columns:
            known = COLUMNS.get(column.name)
            if known is not None and column.unit != known.unit:
                raise ValueError(
                    f"columns: {column.name}: unit {column.unit!r} should be {known.unit!r}"
                )
            if known is None and not column.meaning:
                raise ValueError(
                    f"columns: {column.name} is no known column; give its meaning, or use one of "
                    f"{', '.join(sorted(COLUMNS))}"
                )
        found = [name for name in QUANTITIES if name in names]
        rule = KINDS[self.kind]
        if rule.measures_state:
            if len(found) != 1:
                raise ValueError(
                    f"columns: kind {self.kind} needs exactly one of {', '.join(QUANTITIES)}, "
                    f"found {', '.join(found) or 'none'}"
                )
            if self.quantity != found[0]:
                raise ValueError(f"quantity: {self.quantity!r} should be {found[0]!r}")
        elif self.quantity is not None and self.quantity not in found:
            raise ValueError(f"quantity: {self.quantity!r} is not among the columns")
        missing = [name for name in rule.required if name not in names]
        if missing:
            raise ValueError(f"columns: kind {self.kind} also needs {', '.join(missing)}")
        if (
            self.quantity == "current_amperes"
            and self.conditions.read_volts is None
            and "read_volts" not in names
        ):
            raise ValueError(
                "conditions.read_volts: is needed to make conductances of currents, unless the "
                "table has a column read_volts"
            )
        return self
