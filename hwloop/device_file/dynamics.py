"""What happens to a cell between two pulses: relaxation, drift, low-frequency and telegraph noise.

Every term depends on the chip's clock. What a read sees at a time `t` after the last pulse of a
cell is, `w` being the state that the pulse left,

`v = drifted(w, t) + mean(w) * L + std(w) * B(L) + read noise + telegraph noise`.

A *level curve* gives a quantity over the state: its values at equally spaced states from
`bound_min` to `bound_max` of the model, linear in between and constant beyond; a single value holds
for every state. docs/array-model.md, section 5, gives the arithmetic.
"""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from hwloop.device_file.base import Frozen, Spread, Units

MOST_LEVELS = 33
"""Most values of a level curve."""

MOST_OCTAVES = 40
"""Most octaves of a noise."""

Floats = NDArray[np.float64]
Levels = Annotated[tuple[Units, ...], Field(min_length=1, max_length=MOST_LEVELS)]
Magnitudes = Annotated[tuple[Spread, ...], Field(min_length=1, max_length=MOST_LEVELS)]
Seconds = Annotated[float, Field(ge=1e-9, le=1e9)]


def at_level(levels: tuple[float, ...], u: Floats) -> Floats:
    """Return a level curve at `u`, which is 0 at `bound_min` and 1 at `bound_max`."""
    values: Floats = np.interp(u, np.linspace(0, 1, len(levels)), levels)
    return values


class Relaxation(Frozen):
    """After a pulse the cell wanders off, as far in each doubling of time as in the one before.

    `L = log2(1 + t / onset_seconds)`; `B(L)` is a random path with independent unit steps per
    octave, drawn anew at each pulse: its standard deviation is `sqrt(L)`.
    """

    onset_seconds: Seconds
    """Time after which the first octave is over. Seconds."""

    mean: Levels = (0.0,)
    """Mean change per octave of time, a level curve. Device units."""

    std: Magnitudes = (0.0,)
    """Standard deviation of the change in one octave of time, a level curve. Device units."""


class Drift(Frozen):
    """The conductance falls as a power of time, as in PCM.

    `G(t) = G(w) * (1 + t / onset_seconds)**-nu`.

    `G` is that of `DeviceFile.conductance`, so that a state of conductance 0 stays where it is.
    """

    onset_seconds: Seconds
    """Time at which the power law sets in. Seconds."""

    exponent: Levels
    """Mean exponent `nu`, a level curve. Plain number."""

    exponent_spread: Spread = 0.0
    """Cell-to-cell spread of the exponent. Relative to `exponent`."""


class _Band(Frozen):
    """A band of time constants; each octave of it has its own generator."""

    shortest_seconds: Seconds
    """Shortest time constant; kept as the nearest power of two of the chip's ticks. Seconds."""

    longest_seconds: Seconds
    """Longest time constant. Seconds."""

    @model_validator(mode="after")
    def _band_is_open(self) -> _Band:
        ratio = self.longest_seconds / self.shortest_seconds
        if not 1 <= ratio <= 2.0 ** (MOST_OCTAVES - 1):
            raise ValueError(
                f"longest_seconds: {self.longest_seconds:g} should be 1 to "
                f"2**{MOST_OCTAVES - 1} times shortest_seconds, {self.shortest_seconds:g}"
            )
        return self

    @property
    def octaves(self) -> int:
        """Octaves of the band, both ends included."""
        return round(math.log2(self.longest_seconds / self.shortest_seconds)) + 1


class ReadNoise(_Band):
    """Low-frequency noise of reads: a sum of octaves, each constant for its time constant.

    Equal octaves give a spectrum of 1/f between 1 / longest_seconds and 1 / shortest_seconds.
    White noise belongs to the converters, not to the cells.
    """

    std: Magnitudes
    """Standard deviation of the sum over the whole band, a level curve. Device units."""

    slope: float = Field(default=1.0, ge=0, le=2)
    """Negative slope of the spectrum; an octave of time constant `tau` has a variance
    proportional to `tau**(slope - 1)`. Plain number."""


class Telegraph(_Band):
    """Random telegraph noise: some cells have a trap that is filled or empty.

    The time constant of a trap is one of the octaves of the band, all equally likely; it decides
    anew after each time constant.
    """

    share: float = Field(ge=0, le=1)
    """Share of cells that have a trap."""

    height: Levels
    """Change of the state when the trap fills, a level curve. Device units."""

    height_spread: Spread = 0.0
    """Cell-to-cell spread of the height. Relative to `height`."""

    filled: float = Field(default=0.5, gt=0, lt=1)
    """Share of the time in which a trap is filled. The mean over time is kept: a filled trap adds
    `height * (1 - filled)`, an empty one takes `height * filled` away."""
