"""What an array can do, downloaded when its backend is opened, and what is installed in it."""

from __future__ import annotations

import hashlib
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_serializer

PROTOCOL_VERSION = 1
"""Version of the operations and capabilities that this library speaks."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Converter(_Frozen):
    """A converter at the edge of a tile.

    Attributes:
        code_max: largest code; codes run from -code_max to code_max.
        full_scale: volts (DAC) or amperes (ADC) at code_max.
    """

    code_max: int = Field(ge=1, lt=2**24)
    full_scale: float = Field(gt=0)

    @property
    def lsb(self) -> float:
        """Volts or amperes per code."""
        return self.full_scale / self.code_max


class TileCapabilities(_Frozen):
    """One tile.

    Attributes:
        rows, cols: word lines and bit lines; columns are driven in a forward read.
        reference: where the reference plane is kept.
        dac: converter that drives the lines of a `Vmm`; a `ReadCells` drives its full scale.
        adc_forward, adc_backward, adc_cells: converters of the three reads.
        cell_siemens: conductance of one device unit, the unit of the device file's normalised
            values.
        middle_siemens: conductance of a cell whose main plane reads 0: 0 where reads are absolute.
        output_noise: standard deviation of one conversion, in amperes, or None if not known.
        update_code_max: largest code of an `OuterUpdate`.
        longest_train: most slots of one sample.
        update_encodings: encodings of an outer-product update that the tile takes.
        generator: name of the generator behind the seeded encoding.
        average_max: most reads that the tile sums by itself.
        state_words: words per cell of a `Snapshot`'s state: 4, or 8 of a virtual array whose cells
            change with time.
    """

    rows: int = Field(ge=1)
    cols: int = Field(ge=1)
    reference: Literal["none", "cell", "column", "digital"] = "none"
    dac: Converter
    adc_forward: Converter
    adc_backward: Converter
    adc_cells: Converter
    cell_siemens: float = Field(gt=0)
    middle_siemens: float = Field(default=0.0, ge=0)
    output_noise: float | None = None
    update_code_max: int = Field(ge=1, lt=2**24)
    longest_train: int = Field(ge=1, le=255)
    update_encodings: tuple[Literal["seeded", "trains"], ...] = ()
    generator: str = ""
    average_max: int = Field(default=1, ge=1)
    state_words: int = Field(default=4, ge=0, le=64)


class PolarityShape(_Frozen):
    """Voltage pulse of one polarity, at the selected cell."""

    amplitude_volts: float
    width_seconds: float = Field(gt=0)
    compliance_amperes: float | None = Field(default=None, gt=0)


class PulseShape(_Frozen):
    """A named pulse: what a positive and a negative count give."""

    up: PolarityShape
    down: PolarityShape


LIFE_LIMITS = ("life_dose_per_cell", "life_dose_per_line")
"""Limits that hold for the whole life of a chip."""


class Limits(_Frozen):
    """What may be done to an array; None is no limit of that kind.

    Attributes:
        voltage_max: largest magnitude of voltage at a selected cell.
        half_select_max: largest magnitude of voltage at a half-selected cell.
        width_max_seconds: longest pulse.
        compliance_max_amperes: largest compliance current that may be asked for.
        pulses_per_operation: most pulses on any one cell by one operation.
        dose_per_cell: most pulses on any one cell in a run.
        dose_per_line: most pulses on any one line in a run, summed over its cells.
        life_dose_per_cell, life_dose_per_line: the same in the whole life of a chip, as the ledger
            that is kept of it counts.
        forming: whether forming is allowed.
    """

    voltage_max: float | None = Field(default=None, gt=0)
    half_select_max: float | None = Field(default=None, gt=0)
    width_max_seconds: float | None = Field(default=None, gt=0)
    compliance_max_amperes: float | None = Field(default=None, gt=0)
    pulses_per_operation: int | None = Field(default=None, ge=0)
    dose_per_cell: int | None = Field(default=None, ge=0)
    dose_per_line: int | None = Field(default=None, ge=0)
    life_dose_per_cell: int | None = Field(default=None, ge=0)
    life_dose_per_line: int | None = Field(default=None, ge=0)
    forming: bool = True

    @property
    def for_life(self) -> bool:
        """Whether a limit holds for the whole life of a chip."""
        return self.life_dose_per_cell is not None or self.life_dose_per_line is not None

    def installed(self) -> Limits:
        """Return what is installed in an array: all but the limits for life.

        A session of an array knows nothing of its life; whoever keeps the ledger does.
        """
        return self.model_copy(update=dict.fromkeys(LIFE_LIMITS))

    def tightened(self, other: Limits) -> Limits:
        """Return the tightest of both, limit by limit."""
        merged: dict[str, float | int | bool | None] = {}
        for name in Limits.model_fields:
            mine, its = getattr(self, name), getattr(other, name)
            if name == "forming":
                merged[name] = mine and its
            else:
                known = [v for v in (mine, its) if v is not None]
                merged[name] = min(known) if known else None
        return Limits.model_validate(merged)


class Configuration(_Frozen):
    """What `Configure` installs: the table of pulse shapes and the limits, as one object."""

    shapes: dict[str, PulseShape]
    limits: Limits = Limits()

    def canonical(self) -> str:
        """Return the canonical JSON of what is installed, equal for equal configurations."""
        ordered = self.model_copy(update={"shapes": dict(sorted(self.shapes.items()))})
        return ordered.model_dump_json(exclude={"limits": set(LIFE_LIMITS)})

    def hash(self) -> int:
        """Return the 63-bit hash that consuming operations name."""
        digest = hashlib.sha256(self.canonical().encode()).digest()
        return int.from_bytes(digest[:8], "little") >> 1


class Capabilities(_Frozen):
    """What a backend says of its array.

    Attributes:
        name: what the array is, for people.
        kind: `virtual` for a simulated or emulated array, `physical` for all else.
        chip_id: identity of the array.
        tiles: the tiles, by index.
        operations: kinds of operations that are understood.
        device: name or path of the device file that describes the cells, if any.
        device_overrides: options that change that device (`hwloop.device_file.override`).
        granularity: mean step of one pulse at the symmetry point, in device units, or None if it
            is not known; `Chip` fills in the device file's.
        configuration: pulse shapes and limits of the device itself.
        bias_scheme: how unselected lines are held.
        retained_evidence: whether intent and commit records survive a reboot.
        firmware: version or hash of what runs on the device.
        tick_seconds: length of a tick of the chip's clock.
        protocol_version: version of the operations.
    """

    name: str
    kind: Literal["virtual", "physical"]
    chip_id: str
    tiles: tuple[TileCapabilities, ...]
    operations: frozenset[str]
    device: str | None = None
    device_overrides: dict[str, str] = {}
    granularity: float | None = Field(default=None, gt=0)
    configuration: Configuration
    bias_scheme: Literal["V/2", "V/3", "1T1R"] = "1T1R"
    retained_evidence: bool = False
    firmware: str = ""
    tick_seconds: float = Field(default=1e-9, gt=0)
    protocol_version: int = PROTOCOL_VERSION

    @field_serializer("operations", when_used="json")
    def _in_order(self, operations: frozenset[str]) -> list[str]:
        return sorted(operations)
