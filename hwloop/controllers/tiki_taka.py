"""Tiki-Taka, version 1: gradients go to a fast array, what it holds is pulsed into the weights.

Gokmen and Haensch, "Algorithm for training neural networks on resistive device arrays" (Frontiers
in Neuroscience 14, 103, 2020). With the fast array in the weights (`gamma`) it is residual
learning, version 1 (Wu et al., arXiv 2502.06309). `docs/algorithms.md` has the equations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hwloop.controllers.base import ReadTerm, State, Vectors, check_train, step_size
from hwloop.controllers.fast import FastArray
from hwloop.controllers.options import FastOptions, require_positive
from hwloop.controllers.planning import peaks, plan_update
from hwloop.crossbar import Tile
from hwloop.operations import Operation, Result
from hwloop.random import host_generator
from hwloop.weights import WeightMap


@dataclass(frozen=True, kw_only=True)
class TikiTaka(FastOptions):
    """Tiki-Taka version 1; symbols of Gokmen and Haensch 2020."""

    l_max: int = 31
    """Longest pulse train of a sample, in slots. Paper: BL; aihwkit: `desired_bl`."""

    eta0: float | None = None
    """As for c-TTv2; None, the default, lets the fast array take true gradients by `fast_lr`."""

    fast_lr: float | None = 1.0
    """Rate of the fast array as a part of the learning rate, in weights. aihwkit: `fast_lr`."""

    transfer_lr: float = 1.0
    """Rate of a transfer as a part of the learning rate. aihwkit: `transfer_lr` with
    `scale_transfer_lr`."""

    transfer_l_max: int = 31
    """Longest pulse train of a transfer, in slots. aihwkit: `desired_bl` of `transfer_update`."""

    gamma: float = 0.0
    """Share of the fast array in the weights: `W = gamma A + C`. Paper: gamma."""

    name: ClassVar[str] = "tiki-taka"
    tiles_per_layer: ClassVar[int] = 2

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        FastOptions.__post_init__(self)
        require_positive(self, "transfer_lr")

    def controller(
        self,
        tiles: Sequence[Tile],
        weights: WeightMap,
        granularity: float | None,
        *,
        seed: int,
        layer: int,
    ) -> TikiTakaController:
        """Return the controller of one layer: its weights' tile C, then its fast tile A."""
        slow, fast_tile = tiles
        check_train(slow, self.transfer_l_max)
        delta_slow = step_size(self.granularity, granularity)
        delta_fast = step_size(self.fast_granularity, delta_slow)
        fast = FastArray(self, fast_tile, weights, delta_fast, seed, layer)
        return TikiTakaController(self, slow, fast, delta_slow, seed, layer)


class TikiTakaController:
    """Controller of `TikiTaka`.

    Attributes:
        forward_tile: tile of the weights, C.
        fast: the array of the gradients, A.
    """

    def __init__(
        self,
        options: TikiTaka,
        slow: Tile,
        fast: FastArray,
        delta_slow: float,
        seed: int,
        layer: int,
    ) -> None:
        self.forward_tile = slow
        self.fast = fast
        self._options = options
        self._delta = delta_slow
        self._place = seed, layer
        self._rate = 0.0

    def read_terms(self) -> tuple[ReadTerm, ...]:
        """Return the weights' tile, and the fast one if it has a share in the weights."""
        slow, gamma = ReadTerm(self.forward_tile), self._options.gamma
        return (slow,) if gamma == 0 else (slow, ReadTerm(self.fast.tile, gamma))

    def plan(self, x: Vectors, d: Vectors, rate: float, share: float = 1.0) -> list[Operation]:
        """Return the updates of the fast array, and the reads of its lines between them."""
        self._rate = rate * self._options.transfer_lr
        return self.fast.plan(x, d, rate, share)

    def digest(self, results: Sequence[Result]) -> list[Operation]:
        """Return one update of the weights, with a sample for each line that was read."""
        reads = self.fast.collect(results)
        if not reads:
            return []
        lines = np.concatenate([read.lines for read, _ in reads])
        codes = np.concatenate([codes for _, codes in reads])
        values = (codes * self.fast.units_per_code).astype(np.float32)
        one_hot = np.zeros((len(lines), self.fast.schedule.lines), np.float32)
        one_hot[np.arange(len(lines)), lines] = 1
        x, d = (one_hot, values) if self.fast.columns else (values, one_hot)
        x_peaks, d_peaks = peaks(x), peaks(d)
        seed, layer = self._place
        update = plan_update(
            x,
            d,
            x_peaks,
            d_peaks,
            self._rate / self._delta * x_peaks * d_peaks,
            l_max=self._options.transfer_l_max,
            code_max=self.forward_tile.capabilities.update_code_max,
            generator=host_generator(seed, "transfer codes", layer, self.fast.vectors),
        )
        if not update.lengths.any():
            return []
        return [
            self.forward_tile.new_outer_update(
                update.x_codes, update.d_codes, update.lengths, update.gains, update.gains
            )
        ]

    def state(self) -> State:
        """Return the state of the fast array."""
        return self.fast.state()

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take what `state` returned."""
        self.fast.load_state(state)
