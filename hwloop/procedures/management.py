"""Managed vector-matrix reads: every vector uses the whole range of the converters.

Both managements are digital work of the host (Gokmen, Onen and Haensch 2017; Rasch et al. 2021).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwloop.crossbar import Chip, Tile
from hwloop.errors import ConfigurationError
from hwloop.operations import Direction, Operation, Result, code_dtype
from hwloop.weights import WeightMap

Floats = NDArray[np.floating[Any]]
Rows = slice | NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Management:
    """How vectors are fitted to the converters.

    Attributes:
        noise: scale each vector by its largest magnitude, so that it drives the DAC to its full
            scale; otherwise `input_range` is the full scale, and larger inputs are cut.
        bound_rounds: most times that a vector whose result saturated is halved and read again, in
            forward reads; 0 is no bound management. A 7-bit DAC has nothing left to halve after 5.
        input_range: input that drives the DAC to its full scale where vectors are not scaled.
    """

    noise: bool = True
    bound_rounds: int = 5
    input_range: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.input_range) and self.input_range > 0):
            raise ConfigurationError(
                f"input_range is {self.input_range}, expected a positive number"
            )


DEFAULT = Management()


@dataclass(frozen=True, slots=True, eq=False)
class TileRead:
    """A tile's products that are wanted.

    Attributes:
        tile: its difference plane is read.
        weights: mapping of the tile.
        vectors: float32, shape (samples, driven lines).
    """

    tile: Tile
    weights: WeightMap
    vectors: NDArray[np.float32]


def managed_vmm(
    chip: Chip,
    tile: Tile,
    weights: WeightMap,
    direction: Direction,
    vectors: NDArray[np.float32],
    management: Management = DEFAULT,
) -> NDArray[np.float32]:
    """Return the products of a tile's weights with vectors, as its converters give them.

    One operation, plus one per round of bound management: all saturated vectors of a round are
    halved and read again together. A vector that still saturates after the last round stays cut.

    Args:
        chip: the array.
        tile: its difference plane is read.
        weights: mapping of the tile.
        direction: forward gives `W x` per vector, backward `W^T d`.
        vectors: float32, shape (samples, driven lines).
        management: how vectors are fitted to the converters.

    Returns:
        Weighted sums, float32, shape (samples, output lines).
    """
    return managed_vmms(chip, [TileRead(tile, weights, vectors)], direction, management)[0]


def managed_vmms(
    chip: Chip,
    reads: Sequence[TileRead],
    direction: Direction,
    management: Management = DEFAULT,
) -> list[NDArray[np.float32]]:
    """Return what `managed_vmm` gives for several tiles, which share its submissions.

    Args:
        chip: the array.
        reads: what is wanted of each tile.
        direction: forward gives `W x` per vector, backward `W^T d`.
        management: how vectors are fitted to the converters.

    Returns:
        Weighted sums of each tile, float32, shape (samples, output lines).
    """
    forward = direction is Direction.FORWARD
    scales = [_scales(read.vectors, management) for read in reads]
    parts: list[tuple[int, Rows]] = [(index, slice(None)) for index in range(len(reads))]
    products: list[NDArray[np.float32]] = []
    for round_number in range(1 + (management.bound_rounds if forward else 0)):
        operations = [
            _operation(reads[index], direction, reads[index].vectors[rows], scales[index][rows])
            for index, rows in parts
        ]
        results = chip.submit(operations).results()
        saturated: list[tuple[int, Rows]] = []
        for (index, rows), result in zip(parts, results, strict=True):
            lsb = _lsb(reads[index], forward)
            values = _products(result, scales[index][rows], lsb)
            if round_number == 0:
                products.append(values)
            else:
                products[index][rows] = values
            if forward and result.saturated is not None and result.saturated.any():
                again = np.flatnonzero(result.saturated.any(axis=1))
                saturated.append((index, again if isinstance(rows, slice) else rows[again]))
        if not saturated:
            break
        if round_number < management.bound_rounds:
            for index, rows in saturated:
                scales[index][rows] *= 2
        parts = saturated
    return products


def _scales(vectors: NDArray[np.float32], management: Management) -> NDArray[np.float32]:
    """Return the input that drives the DAC to its full scale, float32, shape (samples,)."""
    largest: NDArray[np.float32] = np.maximum(
        vectors.max(axis=1, initial=0), -vectors.min(axis=1, initial=0)
    )
    if not np.isfinite(largest).all():
        raise ConfigurationError(
            "a vector to be read holds NaN or infinite values",
            remedy="look for a training that has diverged: lower the learning rate",
        )
    if not management.noise:
        return np.full_like(largest, management.input_range)
    largest[largest == 0] = 1
    return largest


def _operation(
    read: TileRead,
    direction: Direction,
    vectors: NDArray[np.float32],
    scale: NDArray[np.float32],
) -> Operation:
    code_max = read.tile.capabilities.dac.code_max
    codes = vectors * (code_max / scale)[:, None]
    np.rint(codes, out=codes)
    np.clip(codes, -code_max, code_max, out=codes)
    return read.tile.new_vmm(direction, codes.astype(code_dtype(code_max)))


def _lsb(read: TileRead, forward: bool) -> float:
    capabilities = read.tile.capabilities
    if forward:
        return read.weights.forward_lsb(capabilities)
    return read.weights.backward_lsb(capabilities)


def _products(result: Result, scale: NDArray[np.float32], lsb: float) -> NDArray[np.float32]:
    assert result.values is not None
    products = result.values.astype(np.float32)
    products *= (scale * np.float32(lsb))[:, None]
    return products
