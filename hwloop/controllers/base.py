"""What a training algorithm and its controller of one layer are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hwloop.crossbar import Tile
from hwloop.errors import CapabilityError, ConfigurationError
from hwloop.operations import Operation, Result
from hwloop.weights import WeightMap

Vectors = NDArray[np.float32]
State = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class ReadTerm:
    """One tile's part in a layer's weights.

    It is `factor * weight_per_unit * diag(out_signs) (tile - offset) diag(in_signs)`.

    Attributes:
        tile: the tile whose difference plane is read.
        factor: share of the tile in the weights.
        in_signs: signs of the columns, shape (cols,), or None for +1.
        out_signs: signs of the rows, shape (rows,), or None for +1.
        offset: what the host takes away from the tile, device units, shape (rows, cols), or None.
    """

    tile: Tile
    factor: float = 1.0
    in_signs: NDArray[np.int32] | None = None
    out_signs: NDArray[np.int32] | None = None
    offset: NDArray[np.float32] | None = None


class Controller(Protocol):
    """Turns the activations and errors of one layer into operations, and keeps its digital state.

    A step is `plan`, one submission, `digest`, and a second submission that nobody waits for.
    """

    @property
    def forward_tile(self) -> Tile:
        """Tile that holds the weights."""
        ...

    def read_terms(self) -> Sequence[ReadTerm]:
        """Return the tiles whose reads make up the layer's, `forward_tile` first."""
        ...

    def plan(self, x: Vectors, d: Vectors, rate: float, share: float = 1.0) -> list[Operation]:
        """Return the array updates and line reads of a batch, in time order.

        Args:
            x: activations, float32, shape (samples, n_in).
            d: descent directions, minus the gradient of each sample's own loss, float32, shape
                (samples, n_out).
            rate: learning rate, in weights.
            share: share of one sample in the loss: 1 for a sum, 1 / batch for a mean.
        """
        ...

    def digest(self, results: Sequence[Result]) -> list[Operation]:
        """Take the results of the planned operations; return the weight pulses, if any."""
        ...

    def state(self) -> State:
        """Return everything digital, as named arrays."""
        ...

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take what `state` returned."""
        ...


class Algorithm(Protocol):
    """The frozen options of a training algorithm."""

    @property
    def name(self) -> str:
        """Name in configurations and reports."""
        ...

    @property
    def tiles_per_layer(self) -> int:
        """Tiles of one layer, all of its shape."""
        ...

    @property
    def pulses_per_vector(self) -> int:
        """Most pulses that a vector gives to a cell."""
        ...

    def controller(
        self,
        tiles: Sequence[Tile],
        weights: WeightMap,
        granularity: float | None,
        *,
        seed: int,
        layer: int,
    ) -> Controller:
        """Return the controller of one layer.

        Args:
            tiles: the layer's tiles, the one that holds the weights first.
            weights: mapping of all of them.
            granularity: mean step of a pulse that the device file gives, device units; None without
                a device file.
            seed: seed of all random choices.
            layer: index of the layer; it is mixed into the seed.
        """
        ...


def step_size(option: float | None, granularity: float | None) -> float:
    """Return the granularity to plan with, in device units: an algorithm's option goes first."""
    value = option if option is not None else granularity
    if value is None:
        raise ConfigurationError(
            "the mean step of a pulse is not known: the array names no device file",
            remedy="name one (device='...'), or give the algorithm its granularity",
        )
    if not value > 0:
        raise ConfigurationError(f"granularity is {value}, expected a positive number")
    return value


def check_train(tile: Tile, l_max: int) -> None:
    """Check that a tile takes trains of `l_max` slots."""
    if not 1 <= l_max <= tile.capabilities.longest_train:
        raise CapabilityError(
            f"l_max is {l_max}, tile {tile.index} takes trains of 1 to "
            f"{tile.capabilities.longest_train} slots"
        )
