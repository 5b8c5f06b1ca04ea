"""Managed vector-matrix reads: every vector uses the whole range of the converters.

Both managements are digital work of the host (Gokmen, Onen and Haensch 2017; Rasch et al. 2021).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwloop.crossbar import Chip, Tile
from hwloop.errors import ConfigurationError
from hwloop.operations import Direction, Result
from hwloop.weights import WeightMap

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Management:
    """How vectors are fitted to the converters.

    Attributes:
        noise: scale each vector by its largest magnitude, so that it drives the DAC to its full
            scale; otherwise 1 is the full scale, and larger inputs are cut.
        bound_rounds: most times that a vector whose result saturated is halved and read again, in
            forward reads; 0 is no bound management. A 7-bit DAC has nothing left to halve after 5.
    """

    noise: bool = True
    bound_rounds: int = 5


DEFAULT = Management()


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
    scale = _scales(vectors, management.noise)
    forward = direction is Direction.FORWARD
    capabilities = tile.capabilities
    lsb = weights.forward_lsb(capabilities) if forward else weights.backward_lsb(capabilities)
    code_max = capabilities.dac.code_max
    result = _read(chip, tile, direction, vectors, scale, code_max)
    products = _products(result, scale, lsb)
    if not forward or management.bound_rounds == 0:
        return products
    assert result.saturated is not None
    if not result.saturated.any():
        return products
    rows = np.arange(len(vectors))
    for _ in range(management.bound_rounds):
        rows = rows[result.saturated.any(axis=1)]
        if not len(rows):
            break
        scale[rows] *= 2
        result = _read(chip, tile, direction, vectors[rows], scale[rows], code_max)
        products[rows] = _products(result, scale[rows], lsb)
        assert result.saturated is not None
    return products


def _scales(vectors: NDArray[np.float32], noise_management: bool) -> NDArray[np.float32]:
    """Return the input that drives the DAC to its full scale, float32, shape (samples,)."""
    largest: NDArray[np.float32] = np.maximum(
        vectors.max(axis=1, initial=0), -vectors.min(axis=1, initial=0)
    )
    if not np.isfinite(largest).all():
        raise ConfigurationError(
            "a vector to be read holds NaN or infinite values",
            remedy="look for a training that has diverged: lower the learning rate",
        )
    if not noise_management:
        return np.ones_like(largest)
    largest[largest == 0] = 1
    return largest


def _read(
    chip: Chip,
    tile: Tile,
    direction: Direction,
    vectors: NDArray[np.float32],
    scale: NDArray[np.float32],
    code_max: int,
) -> Result:
    codes = vectors * (code_max / scale)[:, None]
    np.rint(codes, out=codes)
    np.clip(codes, -code_max, code_max, out=codes)
    operation = tile.new_vmm(direction, codes.astype(np.int32))
    return chip.submit([operation]).results()[0]


def _products(result: Result, scale: NDArray[np.float32], lsb: float) -> NDArray[np.float32]:
    assert result.values is not None
    products = result.values.astype(np.float32)
    products *= (scale * np.float32(lsb))[:, None]
    return products
