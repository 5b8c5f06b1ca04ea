"""Ranges of a converted and programmed network, set after training from a few samples."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from hwloop.errors import CapabilityError, ConfigurationError
from hwloop.nn.layer import matrices
from hwloop.nn.matrix import Block, CrossbarMatrix, Vectors
from hwloop.operations import Direction
from hwloop.procedures import Management, line_gains, percentile_range, write_exact

Write = Callable[[CrossbarMatrix, Block, Vectors], None]


def set_input_ranges(model: nn.Module, x: Tensor, percentile: float = 99.9) -> list[float]:
    """Give every layer a fixed input range, a percentile of what it is given (Lammie et al. 2024).

    Vectors are no longer scaled one by one, nor read again where they saturate: what a converter
    with a fixed range cuts is cut. Layers are set one after the other, from what they are given
    while those before them have their new ranges.

    Args:
        model: a converted network.
        x: samples of its input.
        percentile: share of the inputs other than 0 that is not cut, in percent.

    Returns:
        The ranges, in the order of the layers' matrices.
    """
    ranges = []
    for matrix in matrices(model):
        seen = _inputs(model, matrix, x)
        fixed = percentile_range(seen, percentile)
        matrix.management = Management(noise=False, bound_rounds=0, input_range=fixed)
        ranges.append(fixed)
    return ranges


def set_line_ranges(
    model: nn.Module,
    x: Tensor,
    *,
    deviations: float = 3.0,
    reach: float = 1.0,
    write: Write | None = None,
) -> list[Vectors]:
    """Program every output line to use its converter's range (Lammie et al. 2024).

    The conductances of a line are multiplied by a factor that brings its output, as a few samples
    and the conductances let expect it, to the full scale; the factor is undone digitally. The
    network is for inference from then on.

    Args:
        model: a converted network with fixed input ranges.
        x: samples of its input.
        deviations: standard deviations of a line's output that are left room for.
        reach: largest conductance that cells are programmed to, device units.
        write: programs a part's tile with conductances, device units, shape (rows, cols); by
            default it is written exactly, which only virtual arrays can be.

    Returns:
        The factors of each part of each matrix.

    Raises:
        CapabilityError: a layer reads more than the one tile of its weights.
        ConfigurationError: a layer scales its vectors one by one, or was not written by `convert`.
    """
    chosen = []
    for matrix in matrices(model):
        if matrix.management.noise:
            raise ConfigurationError(
                "a layer scales its inputs vector by vector: its outputs have no fixed range",
                remedy="call set_input_ranges first",
            )
        seen = _inputs(model, matrix, x)
        matrix.trains = False
        for block in matrix.blocks:
            chosen.append(_set_lines(matrix, block, seen, deviations, reach, write or _write))
    return chosen


def _set_lines(
    matrix: CrossbarMatrix,
    block: Block,
    seen: Vectors,
    deviations: float,
    reach: float,
    write: Write,
) -> Vectors:
    if len(block.controller.read_terms()) != 1:
        raise CapabilityError(
            "a layer reads several tiles, which have no common range",
            remedy="convert the trained weights with another algorithm, such as AnalogSGD()",
        )
    if block.written is None:
        raise ConfigurationError(
            "the conductances of a layer are not known",
            remedy="convert the network with initial_weights='write'",
        )
    tile = block.controller.forward_tile
    rows = block.rows.stop - block.rows.start
    units = block.written.units[:rows]
    converter, unit = tile.capabilities.adc_forward, tile.capabilities.cell_siemens
    full_output = converter.full_scale / (tile.capabilities.dac.full_scale * unit)
    inputs = np.clip(block.inputs(seen) / matrix.management.input_range, -1, 1)
    gains = line_gains(
        inputs @ units.T, units, full_output=full_output, reach=reach, deviations=deviations
    )
    write(matrix, block, units * gains[:, None])
    block.line_gains = gains
    return gains


def _write(matrix: CrossbarMatrix, block: Block, units: Vectors) -> None:
    tile = block.controller.forward_tile
    target = np.zeros((tile.rows, tile.cols), np.float32)
    target[: len(units)] = units
    write_exact(matrix.chip, tile, target)


@torch.no_grad()
def _inputs(model: nn.Module, matrix: CrossbarMatrix, x: Tensor) -> Vectors:
    """Return what a matrix is given while the network sees samples, shape (vectors, inputs)."""
    seen: list[Vectors] = []
    read = matrix.read

    def listen(direction: Direction, vectors: Vectors) -> Vectors:
        seen.append(vectors.copy())
        return read(direction, vectors)

    matrix.read = listen  # type: ignore[method-assign]
    try:
        model(x)
    finally:
        del matrix.read
    if not seen:
        raise ConfigurationError("a layer of the network is not used by its forward pass")
    return np.concatenate(seen)
