"""E-RIDER: residual learning that tracks the symmetry point of its residual array while it trains.

Xiao et al., "Dynamic symmetric point tracking: tackling non-ideal reference in analog in-memory
training" (arXiv 2602.21321). `docs/algorithms.md` has the equations, and what differs here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from hwloop.controllers.agad import AGADController
from hwloop.controllers.base import step_size
from hwloop.controllers.choppers import ChopperRule
from hwloop.controllers.fast import NO_CHOPPERS, FastArray
from hwloop.controllers.options import (
    FastOptions,
    HiddenOptions,
    require_choice,
    require_positive,
    require_share,
)
from hwloop.controllers.transfer import HiddenTransfer
from hwloop.crossbar import Tile
from hwloop.errors import ConfigurationError
from hwloop.weights import WeightMap


@dataclass(frozen=True, kw_only=True)
class ERider(FastOptions, HiddenOptions):
    """E-RIDER, and without choppers RIDER; symbols of Xiao et al. 2026."""

    chopper: Literal["random", "regular", "none"] = "random"
    """Whether choppers flip at random, at every `period`-th read of a line, or, as in RIDER,
    never."""

    rho: float = 0.05
    """Probability that a read of a line flips its random chopper. Paper: p."""

    period: int = 20
    """Reads of a line between two flips of its regular chopper."""

    eta: float = 0.1
    """Weight of a read in the tracked symmetry point Q. Paper: eta."""

    gamma: float = 0.1
    """Share of the residual array in the weights: `W + gamma c (P - Q)`. Paper: gamma."""

    name: ClassVar[str] = "e-rider"
    tiles_per_layer: ClassVar[int] = 2

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        FastOptions.__post_init__(self)
        HiddenOptions.__post_init__(self)
        require_choice(self, "chopper", ("random", "regular", "none"))
        require_share(self, "eta")
        require_positive(self, "eta", "gamma")
        if self.chopper == "random" and self.rho == 0:
            raise ConfigurationError(
                "random choppers with rho=0 never flip", remedy="set chopper to none for RIDER"
            )
        self._rule()

    def controller(
        self,
        tiles: Sequence[Tile],
        weights: WeightMap,
        granularity: float | None,
        *,
        seed: int,
        layer: int,
    ) -> AGADController:
        """Return the controller of one layer: the tile of W, then that of its residual P."""
        slow, fast_tile = tiles
        delta_slow = step_size(self.granularity, granularity)
        delta_fast = step_size(self.fast_granularity, delta_slow)
        fast = FastArray(self, fast_tile, weights, delta_fast, seed, layer, self._rule())
        transfer = HiddenTransfer(self, fast, slow, delta_slow, weights)
        tracks = self.chopper == "none"
        return AGADController(slow, fast, transfer, self.eta, gamma=self.gamma, tracks=tracks)

    def _rule(self) -> ChopperRule:
        if self.chopper == "none":
            return NO_CHOPPERS
        return ChopperRule(self.chopper, self.rho, self.period)
