"""The device file: what is known or assumed of a device, and the model that stands for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, PrivateAttr, model_validator

from hwloop.capabilities import Limits, PulseShape
from hwloop.device_file.cells import Cells, CellTable, require
from hwloop.device_file.fitted import FitBlock
from hwloop.device_file.models import Frozen, Model

SCHEMA_VERSION = 1
"""Version of the device file that this library writes, and the newest that it reads."""

ASSUMED = "assumed"
"""What a provenance begins with if no source states the value."""


class Conductance(Frozen):
    """How a device unit maps to SI: `conductance = middle_siemens + half_range_siemens * w`."""

    middle_siemens: float = Field(gt=0)
    """Conductance at w = 0. Siemens."""

    half_range_siemens: float = Field(gt=0)
    """Conductance of one device unit. Siemens."""

    read_volts: float = Field(gt=0)
    """Voltage at which the cells are read. Volts."""

    normalised: bool
    """Whether the data is in normalised units, so that siemens and volts are assumptions: such a
    device may be emulated, but never arms a chip."""

    @model_validator(mode="after")
    def _nominal_range_is_positive(self) -> Conductance:
        if self.half_range_siemens > self.middle_siemens:
            raise ValueError("half_range_siemens should be at most middle_siemens")
        return self


class Header(Frozen):
    """What a device file of any kind says about itself."""

    schema_version: int = Field(default=SCHEMA_VERSION, ge=1, le=SCHEMA_VERSION)
    """Version of the schema."""

    name: str = Field(min_length=1, max_length=200)
    """Name of the device."""

    description: str = ""
    """What the device is, for people."""

    technology: str = ""
    """Technology and stack, for example `ReRAM, HfO2, 14 nm, 1T1R`."""

    sources: dict[str, str] = Field(default_factory=dict)
    """Citations, by a short key that `provenance` refers to."""

    provenance: dict[str, str] = Field(default_factory=dict)
    """Where values come from, by the path of their field: `KEY` or `KEY: where in it` with a key
    of `sources`, or `assumed: why`. A path covers all fields below it that have no path of their
    own."""

    measured: dict[str, float] = Field(default_factory=dict)
    """Values that were measured, by the path of their field, where the file uses others on
    purpose."""

    def content(self) -> dict[str, Any]:
        """Return all fields as plain values; mappings keep their order."""
        return self.model_dump(mode="json")

    def canonical(self) -> str:
        """Return the canonical JSON, equal for files that say the same in any format."""
        return _canonical(self.content())

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, in hexadecimal."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()

    @model_validator(mode="after")
    def _paths_and_sources_exist(self) -> Header:
        content = self.content()
        for field in ("provenance", "measured"):
            for path in getattr(self, field):
                if not _has_path(content, path):
                    raise ValueError(f"{field}: {path}: no field of this file has this path")
        known = {ASSUMED, *self.sources}
        for path, source in self.provenance.items():
            if source.partition(":")[0].strip() not in known:
                raise ValueError(
                    f"provenance: {path}: {source!r} should begin with a key of sources or with "
                    f"`{ASSUMED}:`"
                )
        return self


class DeviceFile(Header):
    """A device as a model: step curves with the spread of the cells and the noise of a pulse."""

    kind: Literal["model"] = "model"
    """What the file holds."""

    conductance: Conductance
    """How a device unit maps to SI."""

    shapes: dict[str, PulseShape] = Field(min_length=1)
    """Pulse shapes that the model holds for, by name; the first one is the default."""

    limits: Limits = Limits()
    """What may be done to the device."""

    model: Model
    """The step curves."""

    fit: FitBlock | None = None
    """The fit that the model comes from, or None if it was not fitted here."""

    cells: CellTable | None = None
    """Table of measured cells, each of which is itself rather than drawn; None without one."""

    _cells: Cells | None = PrivateAttr(default=None)

    @property
    def measured_cells(self) -> Cells | None:
        """Table of cells, or None for a device without one.

        Raises:
            ConfigurationError: the device names a table, but was not loaded from a folder.
        """
        return None if self.cells is None else require(self._cells, self.name)

    def with_cells(self, cells: Cells | None, file: str = "cells.csv") -> DeviceFile:
        """Return the device with a table of cells, or without one.

        Args:
            cells: the table (`hwloop.device_file.cells.write_cells`), or None.
            file: name of its file; `save` writes it beside the device file.
        """
        table = None
        if cells is not None:
            table = {"file": file, "sha256": hashlib.sha256(cells.content).hexdigest()}
        content = self.content() | {"cells": table}
        if cells is None:
            provenance = content["provenance"]
            content["provenance"] = {
                k: v for k, v in provenance.items() if k.partition(".")[0] != "cells"
            }
        device = DeviceFile.model_validate(content)
        device._cells = cells
        return device

    @property
    def default_shape(self) -> str:
        """Name of the first pulse shape."""
        return next(iter(self.shapes))

    @property
    def granularity(self) -> float:
        """Mean |step| at w = 0 in device units (`StepModel.granularity`)."""
        return self.model.granularity

    @property
    def states(self) -> float:
        """Number of states between the mean bounds (`StepModel.states`)."""
        return self.model.states

    def canonical(self) -> str:
        """Return the canonical JSON, in which the pulse shapes keep their order."""
        content = self.content()
        content["shapes"] = list(content["shapes"].items())
        return _canonical(content)

    @model_validator(mode="after")
    def _shapes_within_limits(self) -> DeviceFile:
        for name, shape in self.shapes.items():
            for side in ("up", "down"):
                pulse = getattr(shape, side)
                for what, value, limit in (
                    ("amplitude_volts", abs(pulse.amplitude_volts), self.limits.voltage_max),
                    ("width_seconds", pulse.width_seconds, self.limits.width_max_seconds),
                    (
                        "compliance_amperes",
                        pulse.compliance_amperes or 0.0,
                        self.limits.compliance_max_amperes,
                    ),
                ):
                    if limit is not None and value > limit:
                        raise ValueError(
                            f"shapes.{name}.{side}.{what}: {value:g} should be at most the "
                            f"file's own limit, {limit:g}"
                        )
        return self


def _canonical(content: dict[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _has_path(content: Mapping[str, Any], path: str) -> bool:
    here: Any = content
    for part in path.split("."):
        if isinstance(here, list):  # of things with names, such as columns
            here = {
                item["name"]: item for item in here if isinstance(item, Mapping) and "name" in item
            }
        if not isinstance(here, Mapping) or part not in here:
            return False
        here = here[part]
    return True
