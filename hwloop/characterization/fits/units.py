"""The map from measured states to the device units that a fit works in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwloop.characterization.fits.traces import Traces
from hwloop.characterization.measurement import Measurement
from hwloop.device_file import Conductance, DeviceFile

ASSUMED_MIDDLE, ASSUMED_HALF, ASSUMED_READ = 2.0e-5, 1.0e-5, 0.2
"""Conductances and read voltage that stand for data without any; they only serve emulation."""


@dataclass(frozen=True)
class DeviceUnits:
    """How states become device units: `w = (state - offset) / scale`.

    Attributes:
        offset, scale: in the units of `Measurement.state`.
        conductance: the map to siemens that the device file gets.
        provenance: where it comes from.
    """

    offset: float
    scale: float
    conductance: Conductance
    provenance: str


def device_units(
    measurement: Measurement,
    traces: Traces,
    *,
    base: DeviceFile | None = None,
    conductance: Conductance | None = None,
) -> DeviceUnits:
    """Return the units of a fit: those given, those of the base, or those of the data's range.

    Args:
        measurement: the data.
        traces: its trains.
        base: device file whose units are taken.
        conductance: units to take.
    """
    header = measurement.header
    given = conductance or (base.conductance if base is not None else None) or header.conductance
    if header.quantity == "state_units":
        if given is None:
            given = Conductance(
                middle_siemens=ASSUMED_MIDDLE,
                half_range_siemens=ASSUMED_HALF,
                read_volts=ASSUMED_READ,
                normalised=True,
            )
            why = "assumed: the data is in normalised units and states no conductance"
        else:
            why = "fit: as the data states"
        return DeviceUnits(0.0, 1.0, given.model_copy(update={"normalised": True}), why)
    if given is not None:
        return DeviceUnits(
            given.middle_siemens, given.half_range_siemens, given, "fit: units as they were given"
        )
    low, high = np.nanpercentile(traces.values, [1, 99])
    middle, half = float(high + low) / 2, float(high - low) / 2
    volts = header.conditions.read_volts
    return DeviceUnits(
        middle,
        half,
        Conductance(
            middle_siemens=middle,
            half_range_siemens=half,
            read_volts=abs(volts) if volts else ASSUMED_READ,
            normalised=volts is None,
        ),
        "fit: middle and half of the range of the data"
        + ("" if volts else "; assumed: the read voltage, which the data does not state"),
    )
