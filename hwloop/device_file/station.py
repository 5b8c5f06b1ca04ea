"""The station file: links, limits, line maps and converter calibrations of one bench."""

from __future__ import annotations

import datetime
from collections import Counter
from typing import Annotated, Literal

from pydantic import Field, model_validator

from hwloop.capabilities import Limits
from hwloop.device_file.models import Frozen
from hwloop.device_file.schema import SCHEMA_VERSION

Text = Annotated[str, Field(max_length=1000)]
Line = Annotated[int, Field(ge=0, lt=1 << 20)]
Gain = Annotated[float, Field(gt=0, le=100)]
Amperes = Annotated[float, Field(ge=-1, le=1)]


class Link(Frozen):
    """A way to a chip."""

    url: str = Field(pattern=r"^[a-z][a-z0-9_-]*:\S+$", max_length=1000)
    """URL of a backend, for example `serial:/dev/ttyACM0,baud=921600`."""

    chip_id: Text = ""
    """Id of the chip at its end; empty where chips are exchanged."""


class LineMap(Frozen):
    """Where the lines of a tile are wired to: a permutation per side, applied below the guard."""

    tile: int = Field(default=0, ge=0)
    """Tile of the chip."""

    rows: tuple[Line, ...] = Field(min_length=1)
    """Physical word line of row 0, 1, ..."""

    cols: tuple[Line, ...] = Field(min_length=1)
    """Physical bit line of column 0, 1, ..."""

    @model_validator(mode="after")
    def _bijective(self) -> LineMap:
        faults = []
        for side, lines in (("rows", self.rows), ("cols", self.cols)):
            missing = sorted(set(range(len(lines))) - set(lines))
            if missing:
                twice = sorted(line for line, count in Counter(lines).items() if count > 1)
                found = f"{_some(twice)} twice, " if twice else ""
                faults.append(
                    f"{side}: should hold each of 0 to {len(lines) - 1} once: {found}"
                    f"{_some(missing)} not at all"
                )
        if faults:
            raise ValueError("\n".join(faults))
        return self


class ConverterCalibration(Frozen):
    """What a converter's readings mean: `amperes = gain * (reading - offset_amperes)` by line.

    Codes on the tape stay as the converter gave them.
    """

    chip_id: str = Field(min_length=1, max_length=1000)
    """Id of the chip."""

    date: datetime.date
    """Day of the calibration, as 2026-11-24."""

    tile: int = Field(default=0, ge=0)
    """Tile of the chip."""

    axis: Literal["forward", "backward", "cells"]
    """Which reads the converter serves."""

    gain: tuple[Gain, ...] = Field(min_length=1)
    """Gain of each output line."""

    offset_amperes: tuple[Amperes, ...] = Field(min_length=1)
    """Reading of each output line at no current. Amperes."""

    source: Text = ""
    """File of kind `converter_calibration` that it comes from."""

    @model_validator(mode="after")
    def _same_lines(self) -> ConverterCalibration:
        if len(self.gain) != len(self.offset_amperes):
            raise ValueError(
                f"gain has {len(self.gain)} lines, offset_amperes {len(self.offset_amperes)}; both "
                "should have one per output line"
            )
        return self


class Station(Frozen):
    """One bench: how its chips are reached and wired, and what may be done on it."""

    schema_version: int = Field(default=SCHEMA_VERSION, ge=1, le=SCHEMA_VERSION)
    """Version of the schema."""

    kind: Literal["station"] = "station"
    """What the file holds."""

    name: str = Field(min_length=1, max_length=200)
    """Name of the bench."""

    description: Text = ""
    """What it is, for people."""

    links: dict[str, Link] = Field(default_factory=dict)
    """Ways to chips, by name."""

    limits: Limits = Limits()
    """What may be done on this bench; the tightest of station, chip and device file holds."""

    bias_scheme: Literal["V/2", "V/3", "1T1R"]
    """How lines that are not selected are held."""

    line_maps: tuple[LineMap, ...] = ()
    """Wiring, one entry per tile; a tile without one is wired straight."""

    calibrations: tuple[ConverterCalibration, ...] = ()
    """Converter calibrations; the latest of a chip, tile and axis holds."""

    def calibration(self, chip_id: str, tile: int, axis: str) -> ConverterCalibration | None:
        """Return the latest calibration of a converter, or None."""
        found = [
            c for c in self.calibrations if (c.chip_id, c.tile, c.axis) == (chip_id, tile, axis)
        ]
        return max(found, key=lambda c: c.date, default=None)

    @model_validator(mode="after")
    def _nothing_twice(self) -> Station:
        faults = []
        chips = Counter(link.chip_id for link in self.links.values() if link.chip_id)
        tiles = Counter(line_map.tile for line_map in self.line_maps)
        dates = Counter((c.chip_id, str(c.date), c.tile, c.axis) for c in self.calibrations)
        for field, counts in (("links", chips), ("line_maps", tiles), ("calibrations", dates)):
            for what, count in counts.items():
                if count > 1:
                    faults.append(f"{field}: {what!r} is given {count} times")
        if faults:
            raise ValueError("\n".join(faults))
        return self


def _some(lines: list[int]) -> str:
    return ", ".join(map(str, lines[:5])) + (", ..." if len(lines) > 5 else "")
