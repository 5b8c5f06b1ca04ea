"""c-TTv2: gradients go to a fast array; its lines are read, chopped back and summed up digitally.

The algorithm of Rasch, Carta, Fagbohungbe and Gokmen, "Fast and robust analog in-memory deep neural
network training" (Nature Communications 15, 7133, 2024), and without choppers TTv2 (Gokmen,
Frontiers in Artificial Intelligence 4, 699148, 2021). `docs/algorithms.md` has the equations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hwloop.controllers.base import ReadTerm, State, Vectors, step_size
from hwloop.controllers.choppers import ChopperRule
from hwloop.controllers.fast import FastArray
from hwloop.controllers.hidden import HiddenMatrix
from hwloop.controllers.options import FastOptions, HiddenOptions
from hwloop.controllers.transfer import HiddenTransfer
from hwloop.crossbar import Tile
from hwloop.operations import Operation, Result
from hwloop.weights import WeightMap


@dataclass(frozen=True, kw_only=True)
class TTv2(FastOptions, HiddenOptions):
    """Tiki-Taka version 2 (Gokmen 2021): c-TTv2 without choppers."""

    name: ClassVar[str] = "ttv2"
    tiles_per_layer: ClassVar[int] = 2

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        FastOptions.__post_init__(self)
        HiddenOptions.__post_init__(self)

    def controller(
        self,
        tiles: Sequence[Tile],
        weights: WeightMap,
        granularity: float | None,
        *,
        seed: int,
        layer: int,
    ) -> ChoppedController:
        """Return the controller of one layer: its weights' tile C, then its fast tile A."""
        same = ChoppedTTv2(rho=0.0, **vars(self))
        return same.controller(tiles, weights, granularity, seed=seed, layer=layer)


@dataclass(frozen=True, kw_only=True)
class ChoppedTTv2(FastOptions, HiddenOptions):
    """Chopped Tiki-Taka version 2; the papers' symbols are those of Rasch et al. 2024."""

    chopper: Literal["random", "regular"] = "random"
    """Whether choppers flip at random or at every `period`-th read of a line. aihwkit:
    `in_chop_random`."""

    rho: float = 0.1
    """Probability that a read of a line flips its random chopper; 0 is TTv2. Paper: rho; aihwkit:
    `in_chop_prob`."""

    period: int = 10
    """Reads of a line between two flips of its regular chopper. aihwkit: 1 / `in_chop_prob`."""

    out_rho: float = 0.0
    """Probability that the end of a sweep over all lines flips the chopper of a line of the other
    axis. aihwkit: `out_chop_prob`."""

    gamma: float = 0.0
    """Share of the fast array in the weights: `W = gamma chop(A) + C`. aihwkit: `gamma`."""

    name: ClassVar[str] = "c-ttv2"
    tiles_per_layer: ClassVar[int] = 2

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        FastOptions.__post_init__(self)
        HiddenOptions.__post_init__(self)
        self._rules()

    def controller(
        self,
        tiles: Sequence[Tile],
        weights: WeightMap,
        granularity: float | None,
        *,
        seed: int,
        layer: int,
    ) -> ChoppedController:
        """Return the controller of one layer: its weights' tile C, then its fast tile A."""
        slow, fast_tile = tiles
        delta_slow = step_size(self.granularity, granularity)
        delta_fast = step_size(self.fast_granularity, delta_slow)
        fast = FastArray(self, fast_tile, weights, delta_fast, seed, layer, *self._rules())
        transfer = HiddenTransfer(self, fast, slow, delta_slow, weights)
        return ChoppedController(slow, fast, transfer, self.gamma)

    def _rules(self) -> tuple[ChopperRule, ChopperRule]:
        return (
            ChopperRule(self.chopper, self.rho, self.period),
            ChopperRule("random", self.out_rho),
        )


class ChoppedController:
    """Controller of `ChoppedTTv2` and `TTv2`.

    Attributes:
        forward_tile: tile of the weights, C.
        fast: the array of the gradients, A.
    """

    def __init__(
        self, slow: Tile, fast: FastArray, transfer: HiddenTransfer, gamma: float = 0.0
    ) -> None:
        self.forward_tile = slow
        self.fast = fast
        self._transfer = transfer
        self._gamma = gamma
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
        signs = self.fast.choppers.signs, self.fast.out_choppers.signs
        in_signs, out_signs = signs if self.fast.columns else signs[::-1]
        return slow, ReadTerm(self.fast.tile, self._gamma, in_signs, out_signs)

    def plan(self, x: Vectors, d: Vectors, rate: float, share: float = 1.0) -> list[Operation]:
        """Return the chopped updates of the fast array, and the reads of its lines between them."""
        self._rate = rate, share
        return self.fast.plan(x, d, rate, share)

    def digest(self, results: Sequence[Result]) -> list[Operation]:
        """Move the lines that were read to the hidden matrix; return the pulses that are due."""
        pieces = []
        for read, codes in self.fast.collect(results):
            scale = self._transfer.rate(*self._rate, read.rate) * self.fast.units_per_code
            factors = (scale * read.signs).astype(np.float32)
            increments: NDArray[np.floating[Any]] = codes * factors
            if read.out_signs is not None:
                increments *= read.out_signs
            pieces.append((read.lines, increments))
        return self._transfer.pulses(pieces)

    def state(self) -> State:
        """Return the hidden matrix, the choppers, the running maxima and the number of samples."""
        return {**self.fast.state(), "hidden": self.hidden.values.copy()}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take what `state` returned."""
        self.fast.load_state(state)
        self.hidden.values[...] = state["hidden"]
