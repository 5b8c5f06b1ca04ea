"""Residual learning: a second array corrects the weights, and hands its content on digitally.

Wu et al., "Analog in-memory training on general non-ideal resistive elements: understanding the
impact of response functions" (arXiv 2502.06309), version 2 with its digital buffer; version 1 is
`TikiTaka` with a `gamma`. `docs/algorithms.md` has the equations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from hwloop.controllers.base import step_size
from hwloop.controllers.chopped import ChoppedController
from hwloop.controllers.fast import FastArray
from hwloop.controllers.options import FastOptions, HiddenOptions, require_positive
from hwloop.controllers.transfer import HiddenTransfer
from hwloop.crossbar import Tile
from hwloop.errors import ConfigurationError
from hwloop.weights import WeightMap


@dataclass(frozen=True, kw_only=True)
class ResidualLearning(FastOptions, HiddenOptions):
    """Residual learning, version 2; symbols of Wu et al. 2025."""

    eta0: float | None = None
    """As for c-TTv2; None, the default, lets the residual array take true gradients: `fast_lr`."""

    fast_lr: float | None = 1.0
    """Rate of the residual array as a part of the learning rate, in weights. Paper: alpha."""

    gamma: float = 0.1
    """Share of the residual array in the weights: `W + gamma P`. Paper: gamma."""

    leak: float = 0.0
    """Part of a line of the hidden matrix that is lost at its read; the low-pass filter of the
    paper has `leak = beta` beside increments of `beta P`."""

    name: ClassVar[str] = "residual"
    tiles_per_layer: ClassVar[int] = 2

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        FastOptions.__post_init__(self)
        HiddenOptions.__post_init__(self)
        require_positive(self, "gamma")
        if not 0 <= self.leak < 1:
            raise ConfigurationError(f"leak is {self.leak}, expected 0 to less than 1")

    def controller(
        self,
        tiles: Sequence[Tile],
        weights: WeightMap,
        granularity: float | None,
        *,
        seed: int,
        layer: int,
    ) -> ChoppedController:
        """Return the controller of one layer: the tile of W, then that of its residual P."""
        slow, fast_tile = tiles
        delta_slow = step_size(self.granularity, granularity)
        delta_fast = step_size(self.fast_granularity, delta_slow)
        fast = FastArray(self, fast_tile, weights, delta_fast, seed, layer)
        transfer = HiddenTransfer(self, fast, slow, delta_slow, weights, self.leak)
        return ChoppedController(slow, fast, transfer, self.gamma)
