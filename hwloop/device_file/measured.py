"""The header of measured data: what was measured, on what, how, in which units, by whom."""

from __future__ import annotations

from collections import Counter
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

    value_minimum: float | None = None
    """Smallest value that the instrument can read, in the unit of the quantity."""

    value_maximum: float | None = None
    """Largest value that the instrument can read, in the unit of the quantity."""

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

    labels: dict[str, tuple[Text, ...]] = Field(default_factory=dict)
    """Names of the values 0, 1, ... of columns that number things, for example of the cells."""

    notes: dict[str, Text] = Field(default_factory=dict)
    """What the source says besides, as it says it, for example the parameters of a procedure."""

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
        faults = [
            *self._column_faults(),
            *self._quantity_faults(),
            *self._label_faults(),
        ]
        if faults:
            raise ValueError("\n".join(faults))
        return self

    def _column_faults(self) -> list[str]:
        names = self.column_names
        faults = [
            f"columns: {name} is given {count} times"
            for name, count in Counter(names).items()
            if count > 1
        ]
        for column in self.columns:
            known = COLUMNS.get(column.name)
            if known is not None and column.unit != known.unit:
                faults.append(
                    f"columns: {column.name}: unit {column.unit!r} should be {known.unit!r}"
                )
            if known is None and not column.meaning:
                faults.append(
                    f"columns: {column.name} is no known column; give its meaning, or use one of "
                    f"{', '.join(sorted(COLUMNS))}"
                )
        missing = [name for name in KINDS[self.kind].required if name not in names]
        if missing:
            faults.append(f"columns: kind {self.kind} also needs {', '.join(missing)}")
        return faults

    def _quantity_faults(self) -> list[str]:
        names, faults = self.column_names, []
        found = [name for name in QUANTITIES if name in names]
        if len(found) > 1 or (KINDS[self.kind].measures_state and not found):
            faults.append(
                f"columns: kind {self.kind} needs exactly one of {', '.join(QUANTITIES)}, found "
                f"{', '.join(found) or 'none'}"
            )
        elif self.quantity != (found[0] if found else None):
            faults.append(
                f"quantity: {self.quantity!r} should be {found[0] if found else 'left out'}"
            )
        if (
            "current_amperes" in found
            and self.conditions.read_volts is None
            and "read_volts" not in names
        ):
            faults.append(
                "conditions.read_volts: is needed to make conductances of currents, unless the "
                "table has a column read_volts"
            )
        if self.conditions.read_volts == 0:
            faults.append("conditions.read_volts: 0 should not be 0; leave out what is not known")
        return faults

    def _label_faults(self) -> list[str]:
        return [
            f"labels: {name} is no column" for name in self.labels if name not in self.column_names
        ]
