"""Choppers: signs of lines that flip now and then, so that offsets average out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hwloop.errors import ConfigurationError
from hwloop.random import host_generator

Signs = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class ChopperRule:
    """When choppers flip (Rasch et al. 2024).

    Attributes:
        mode: `random`: with probability `rho` at each read of the line; `regular`: at every
            `period`-th read of the line.
        rho: probability of a flip.
        period: reads between two flips.
    """

    mode: Literal["random", "regular"] = "random"
    rho: float = 0.1
    period: int = 10

    def __post_init__(self) -> None:
        """Refuse what is no rule."""
        if self.mode not in ("random", "regular"):
            raise ConfigurationError(f"chopper is {self.mode!r}, expected 'random' or 'regular'")
        if not 0 <= self.rho <= 1:
            raise ConfigurationError(f"rho is {self.rho}, expected a probability")
        if self.period < 1:
            raise ConfigurationError(f"period is {self.period}, expected 1 or more reads")


class Choppers:
    """Signs of the lines of one axis.

    Flips are decided by the number of the sweep over all lines alone, so that they are known before
    a line is read and do not depend on how vectors are batched.

    Attributes:
        signs: int32 in {-1, 1}, shape (lines,).
    """

    def __init__(self, lines: int, rule: ChopperRule, seed: int, purpose: str, layer: int) -> None:
        self.signs: Signs = np.ones(lines, np.int32)
        self._rule = rule
        self._place = seed, purpose, layer
        self._drawn_for = -1
        self._drawn: NDArray[np.bool_] = np.zeros(lines, np.bool_)

    @property
    def active(self) -> bool:
        """Whether they ever flip."""
        return self._rule.mode == "regular" or self._rule.rho > 0

    def flip(self, lines: NDArray[np.int32], sweep: int) -> None:
        """Flip those of the lines, all of one sweep, whose turn it is."""
        if self._rule.mode == "regular":
            if sweep % self._rule.period == self._rule.period - 1:
                self.signs[lines] *= -1
        elif self._rule.rho > 0:
            flips = self._draw(sweep)[lines]
            if flips.any():
                self.signs[lines[flips]] *= -1

    def _draw(self, sweep: int) -> NDArray[np.bool_]:
        if sweep != self._drawn_for:
            seed, purpose, layer = self._place
            numbers = host_generator(seed, purpose, layer, sweep).random(len(self.signs))
            self._drawn, self._drawn_for = numbers < self._rule.rho, sweep
        return self._drawn
