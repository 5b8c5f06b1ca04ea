"""Analog SGD: every gradient goes to the weights as pulses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hwloop.controllers.base import ReadTerm, State, Vectors, check_train, step_size
from hwloop.controllers.planning import peaks, plan_update
from hwloop.crossbar import Tile
from hwloop.operations import Operation, Result
from hwloop.random import host_generator
from hwloop.weights import WeightMap


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalogSGD:
    """Stochastic gradient descent by outer-product updates (Gokmen and Vlasov 2016).

    A sample moves the weights by `rate * share * d x^T` in the mean, as `torch.optim.SGD` would.
    """

    l_max: int = 31
    """Longest pulse train of a sample, in slots. aihwkit: `desired_bl`."""

    granularity: float | None = None
    """Mean step of a pulse, in device units; None takes it from the device file. Papers: delta."""

    name: ClassVar[str] = "sgd"
    tiles_per_layer: ClassVar[int] = 1

    @property
    def pulses_per_vector(self) -> int:
        """Most pulses that a vector gives to a cell."""
        return self.l_max

    def controller(
        self,
        tiles: Sequence[Tile],
        weights: WeightMap,
        granularity: float | None,
        *,
        seed: int,
        layer: int,
    ) -> SGDController:
        """Return the controller of one layer, which has one tile."""
        (tile,) = tiles
        check_train(tile, self.l_max)
        delta = step_size(self.granularity, granularity) * weights.weight_per_unit
        return SGDController(tile, delta, self.l_max, seed, layer)


class SGDController:
    """Controller of `AnalogSGD`.

    Attributes:
        forward_tile: the layer's only tile.
        vectors: samples so far.
    """

    def __init__(self, tile: Tile, delta: float, l_max: int, seed: int, layer: int) -> None:
        self.forward_tile = tile
        self.vectors = 0
        self._delta = delta  # weight of one pulse
        self._l_max = l_max
        self._place = seed, layer

    def read_terms(self) -> tuple[ReadTerm, ...]:
        """Return the tile."""
        return (ReadTerm(self.forward_tile),)

    def plan(self, x: Vectors, d: Vectors, rate: float, share: float = 1.0) -> list[Operation]:
        """Return one update for all samples."""
        seed, layer = self._place
        x_peaks, d_peaks = peaks(x), peaks(d)
        update = plan_update(
            x,
            d,
            x_peaks,
            d_peaks,
            rate * share / self._delta * x_peaks * d_peaks,
            l_max=self._l_max,
            code_max=self.forward_tile.capabilities.update_code_max,
            generator=host_generator(seed, "update codes", layer, self.vectors),
        )
        self.vectors += len(x)
        if not update.lengths.any():
            return []
        return [
            self.forward_tile.new_outer_update(
                update.x_codes, update.d_codes, update.lengths, update.gains, update.gains
            )
        ]

    def digest(self, results: Sequence[Result]) -> list[Operation]:
        """Return nothing: the update was all."""
        return []

    def state(self) -> State:
        """Return the number of samples, which places the rounding of codes."""
        return {"vectors": np.array(self.vectors)}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take what `state` returned."""
        self.vectors = int(state["vectors"])
