"""AGAD: c-TTv2 whose reference is read from the fast array itself, and kept by the host.

Analog gradient accumulation with dynamic reference (Rasch, Carta, Fagbohungbe and Gokmen, Nature
Communications 15, 7133, 2024). `docs/algorithms.md` has the equations.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hwloop.controllers.base import ReadTerm, State, Vectors, step_size
from hwloop.controllers.choppers import ChopperRule
from hwloop.controllers.fast import FastArray
from hwloop.controllers.hidden import HiddenMatrix
from hwloop.controllers.options import FastOptions, HiddenOptions, require_share
from hwloop.controllers.references import RunningReference
from hwloop.controllers.transfer import HiddenTransfer
from hwloop.crossbar import Tile
from hwloop.errors import ConfigurationError
from hwloop.operations import Operation, Result
from hwloop.weights import WeightMap


@dataclass(frozen=True, kw_only=True)
class AGAD(FastOptions, HiddenOptions):
    """Analog gradient accumulation with dynamic reference; symbols of Rasch et al. 2024."""

    chopper: Literal["random", "regular"] = "regular"
    """Whether choppers flip at random or at every `period`-th read of a line. aihwkit:
    `in_chop_random`."""

    rho: float = 0.1
    """Probability that a read of a line flips its random chopper. Paper: rho; aihwkit:
    `in_chop_prob`."""

    period: int = 10
    """Reads of a line between two flips of its regular chopper. aihwkit: 1 / `in_chop_prob`."""

    beta: float = 0.5
    """Weight of a read in the running mean. Paper: beta; aihwkit: `tail_weightening` /
    `period`."""

    skip_first_period: bool = True
    """Whether transfers begin only once every line has a reference, behind the first flip."""

    name: ClassVar[str] = "agad"
    tiles_per_layer: ClassVar[int] = 2

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        FastOptions.__post_init__(self)
        HiddenOptions.__post_init__(self)
        require_share(self, "beta")
        if self.beta == 0 or (self.chopper == "random" and self.rho == 0):
            raise ConfigurationError(
                f"AGAD with beta={self.beta}, rho={self.rho} never has a reference",
                remedy="give both a positive value, or use ttv2",
            )
        ChopperRule(self.chopper, self.rho, self.period)

    @property
    def sweeps_skipped(self) -> int:
        """Sweeps over all lines before the first transfer."""
        if not self.skip_first_period:
            return 0
        return self.period if self.chopper == "regular" else math.ceil(1 / self.rho)

    def controller(
        self,
        tiles: Sequence[Tile],
        weights: WeightMap,
        granularity: float | None,
        *,
        seed: int,
        layer: int,
    ) -> AGADController:
        """Return the controller of one layer: its weights' tile C, then its fast tile A."""
        slow, fast_tile = tiles
        delta_slow = step_size(self.granularity, granularity)
        delta_fast = step_size(self.fast_granularity, delta_slow)
        rule = ChopperRule(self.chopper, self.rho, self.period)
        fast = FastArray(self, fast_tile, weights, delta_fast, seed, layer, rule)
        transfer = HiddenTransfer(self, fast, slow, delta_slow, weights)
        return AGADController(slow, fast, transfer, self.beta, self.sweeps_skipped)


class AGADController:
    """Controller of `AGAD`, and of `ERider`, which has its fast array in the weights.

    Args:
        slow: tile of the weights, C.
        fast: the array of the gradients, A.
        transfer: the hidden matrix between both.
        beta: weight of a read in the running mean.
        skipped: sweeps over all lines before the first transfer.
        gamma: share of the fast array, less its reference, in the weights.
        tracks: whether the reference is the running mean at all times, without any flip.

    Attributes:
        forward_tile: tile of the weights, C.
        fast: the array of the gradients, A.
        references: running mean and reference of A.
    """

    def __init__(
        self,
        slow: Tile,
        fast: FastArray,
        transfer: HiddenTransfer,
        beta: float,
        skipped: int = 0,
        gamma: float = 0.0,
        tracks: bool = False,
    ) -> None:
        self.forward_tile = slow
        self.fast = fast
        self.references = RunningReference(*transfer.hidden.values.shape, beta)
        self._transfer = transfer
        self._skipped = skipped
        self._gamma = gamma
        self._tracks = tracks
        self._rate = 0.0, 1.0

    @property
    def hidden(self) -> HiddenMatrix:
        """The hidden matrix, a row for each line that is read."""
        return self._transfer.hidden

    def read_terms(self) -> tuple[ReadTerm, ...]:
        """Return the weights' tile, and the fast one if it has a share in the weights."""
        slow = ReadTerm(self.forward_tile)
        if self._gamma == 0:
            return (slow,)
        signs, offset = self.fast.choppers.signs, self.references.reference
        if self.fast.columns:
            return slow, ReadTerm(self.fast.tile, self._gamma, signs, None, offset.T)
        return slow, ReadTerm(self.fast.tile, self._gamma, None, signs, offset)

    def plan(self, x: Vectors, d: Vectors, rate: float, share: float = 1.0) -> list[Operation]:
        """Return the chopped updates of the fast array, and the reads of its lines between them."""
        self._rate = rate, share
        return self.fast.plan(x, d, rate, share)

    def digest(self, results: Sequence[Result]) -> list[Operation]:
        """Move what lines read above their references to the hidden matrix; return the pulses."""
        pieces = []
        for read, codes in self.fast.collect(results):
            units = (codes * self.fast.units_per_code).astype(np.float32)
            renewed = np.ones_like(read.flipped) if self._tracks else read.flipped
            above = self.references.difference(read.lines, units, renewed)
            scale = self._transfer.rate(*self._rate, read.rate)
            learned = read.sweep >= self._skipped
            if learned.any():
                factors = (scale * read.signs).astype(np.float32)[learned]
                pieces.append((read.lines[learned], above[learned] * factors))
        return self._transfer.pulses(pieces)

    def state(self) -> State:
        """Return the hidden matrix, the references, and the state of the fast array."""
        return {
            **self.fast.state(),
            **self.references.state(),
            "hidden": self.hidden.values.copy(),
        }

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take what `state` returned."""
        self.fast.load_state(state)
        self.references.load_state(state)
        self.hidden.values[...] = state["hidden"]
