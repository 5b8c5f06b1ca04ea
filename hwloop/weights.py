"""The only place that knows weights: their mapping to conductances, and back."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hwloop.capabilities import TileCapabilities
from hwloop.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class WeightMap:
    """A fixed, linear mapping of one tile: `weight = weight_per_unit * w`, `w` in device units.

    A device unit is `TileCapabilities.cell_siemens` of conductance difference to the reference
    plane.

    Attributes:
        weight_per_unit: weight of one device unit.
    """

    weight_per_unit: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight_per_unit) and self.weight_per_unit > 0):
            raise ConfigurationError(
                f"weight_per_unit is {self.weight_per_unit}, expected a positive number"
            )

    @classmethod
    def for_inputs(cls, inputs: int, gain: float = 16.0) -> WeightMap:
        """Return the mapping in which one device unit is the weight `gain / sqrt(inputs)`."""
        return cls(gain / math.sqrt(inputs))

    def siemens_per_weight(self, tile: TileCapabilities) -> float:
        """Conductance difference of the weight 1."""
        return tile.cell_siemens / self.weight_per_unit

    def forward_lsb(self, tile: TileCapabilities) -> float:
        """Weighted sum per ADC code of a forward read, the input 1 being the DAC's full scale."""
        return self._lsb(tile, tile.adc_forward.lsb)

    def backward_lsb(self, tile: TileCapabilities) -> float:
        """Weighted sum per ADC code of a backward read, the input 1 being the DAC's full scale."""
        return self._lsb(tile, tile.adc_backward.lsb)

    def cell_lsb(self, tile: TileCapabilities) -> float:
        """Weight per ADC code of a cell read."""
        return self._lsb(tile, tile.adc_cells.lsb)

    def _lsb(self, tile: TileCapabilities, amperes: float) -> float:
        return amperes / tile.dac.full_scale / self.siemens_per_weight(tile)
