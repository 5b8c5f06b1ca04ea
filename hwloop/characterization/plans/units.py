"""The unit in which a plan's states are given."""

from __future__ import annotations

from dataclasses import dataclass

from hwloop.device_file import Conductance, DeviceFile
from hwloop.procedures.bench import Values


@dataclass(frozen=True, slots=True)
class StateUnits:
    """Siemens, or device units where the array is one in normalised units.

    What is measured on such an array stays normalised, so that it can never arm a chip.

    Attributes:
        conductance: map from device units to siemens, or None for siemens.
    """

    conductance: Conductance | None

    @classmethod
    def of(cls, device: DeviceFile | None) -> StateUnits:
        """Return the unit for an array whose cells a device file describes."""
        normalised = device is not None and device.conductance.normalised
        return cls(device.conductance if device is not None and normalised else None)

    @property
    def quantity(self) -> str:
        """Column of the states."""
        return "conductance_siemens" if self.conductance is None else "state_units"

    def state(self, siemens: Values) -> Values:
        """Return conductances in this unit."""
        if self.conductance is None:
            return siemens
        return (siemens - self.conductance.middle_siemens) / self.conductance.half_range_siemens

    def difference(self, siemens: float) -> float:
        """Return a difference of conductances in this unit."""
        return (
            siemens if self.conductance is None else siemens / self.conductance.half_range_siemens
        )
