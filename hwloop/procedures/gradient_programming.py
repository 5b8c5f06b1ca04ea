"""Programming by gradient descent on vector-matrix reads.

The error of products with random vectors, not that of single cells, says which pulses are given
(gradient-descent programming; Buechel et al., IEDM 2022, arXiv 2305.16647): no converter for single
cells is needed, and what reads do to all cells alike is corrected too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwloop.crossbar import Chip, Tile
from hwloop.errors import ConfigurationError
from hwloop.operations import Direction
from hwloop.procedures.management import DEFAULT, Management, managed_vmm
from hwloop.random import host_generator
from hwloop.weights import WeightMap

UNITS = WeightMap(1.0)
VARIANCE = 1 / 3
"""Variance of an input that is uniform from -1 to 1."""


@dataclass(frozen=True, slots=True)
class GradientProgrammed:
    """What gradient-descent programming left.

    Attributes:
        errors: error of the products of each round, before its pulses: mean magnitude, as a part of
            the largest wanted product; shape (rounds,).
        within: whether the last one is within the tolerance.
        pulses: pulses of each cell, shape (rows, cols).
        rounds: rounds of pulses.
    """

    errors: NDArray[np.float64]
    within: bool
    pulses: NDArray[np.int64]
    rounds: int


def program_by_gradients(
    chip: Chip,
    tile: Tile,
    target_units: ArrayLike,
    *,
    granularity: float,
    tolerance: float = 0.01,
    rounds: int = 200,
    vectors: int | None = None,
    rate: float = 0.5,
    round_pulses: int = 20,
    shape: str | None = None,
    seed: int = 1,
    management: Management = DEFAULT,
) -> GradientProgrammed:
    """Program a tile by pulses until its products with random vectors are those of a target.

    A round reads `y = W x` for vectors uniform from -1 to 1, and gives each cell
    `rate / (granularity var(x)) mean((y* - y) x)` pulses, rounded to whole ones.

    Args:
        chip: the array.
        tile: the tile; its difference plane is read.
        target_units: wanted difference to the reference plane, device units, shape (rows, cols).
        granularity: mean step of a pulse, device units.
        tolerance: error of the products that will do, as a part of the largest wanted product.
        rounds: most rounds of pulses.
        vectors: vectors of a round; 4 per column by default.
        rate: part of the distance that a round is meant to go.
        round_pulses: most pulses of a cell in a round.
        shape: pulse shape; the first one by default.
        seed: seed of the vectors; the tile's index is mixed in.
        management: how vectors are fitted to the converters.

    Raises:
        ConfigurationError: the target does not fit, or a number means nothing.
        CrossbarError: the array refuses or fails.
    """
    target = np.asarray(target_units, np.float32)
    if target.shape != (tile.rows, tile.cols) or not np.isfinite(target).all():
        raise ConfigurationError(
            f"target_units has shape {target.shape}, expected finite {(tile.rows, tile.cols)}"
        )
    for name, value in (("granularity", granularity), ("tolerance", tolerance), ("rate", rate)):
        if not value > 0:
            raise ConfigurationError(f"{name} is {value}, expected a positive number")
    samples = 4 * tile.cols if vectors is None else vectors
    pulses = np.zeros(target.shape, np.int64)
    errors: list[float] = []
    for number in range(rounds + 1):
        generator = host_generator(seed, "gradient programming", tile.index, number)
        x = generator.uniform(-1, 1, (samples, tile.cols)).astype(np.float32)
        wanted = x @ target.T
        short = wanted - managed_vmm(chip, tile, UNITS, Direction.FORWARD, x, management)
        largest = float(np.abs(wanted).max()) or 1.0
        errors.append(float(np.abs(short).mean()) / largest)
        if errors[-1] <= tolerance or number == rounds:
            break
        distance = (short.T @ x) / np.float32(samples * VARIANCE)
        exact = distance * np.float32(rate / granularity)
        # Rounded to the nearest: a cell that is less than half a pulse off rests.
        counts = np.rint(exact).clip(-round_pulses, round_pulses).astype(np.int16)
        if counts.any():
            chip.submit([tile.new_pulse(None, None, counts, shape)])
        pulses += np.abs(counts)
    return GradientProgrammed(np.array(errors), errors[-1] <= tolerance, pulses, len(errors) - 1)
