"""Tiles of a model: how matrices are divided, which tiles they need, and which they get."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from torch import nn

from hwloop.controllers import Algorithm
from hwloop.crossbar import Chip
from hwloop.errors import CapabilityError
from hwloop.nn.survey import Found, Rules, survey

Shape = tuple[int, int]


def tile_shapes(
    net: nn.Module,
    algorithm: Algorithm,
    *,
    tile: Shape | None = None,
    rules: Rules | None = None,
    array: str | None = None,
) -> list[Shape]:
    """Return rows and columns of the tiles that a model needs, in order.

    Args:
        net: the model, before `convert`.
        algorithm: what trains the layers; it says how many tiles each part of a layer has.
        tile: largest rows and columns of a tile; larger layers are divided. None is no limit.
        rules: rules as for `convert`.
        array: name of the array, where rules name several.

    Raises:
        CapabilityError: the model has layers that cannot move to an array.
    """
    _, found = survey(net, rules)
    shapes = []
    for weight in found:
        if weight.placement.array != array:
            continue
        each = (weight.placement.algorithm or algorithm).tiles_per_layer
        for rows, cols in blocks(weight, tile or (weight.rows, weight.cols)):
            shapes += [(rows.stop - rows.start, cols.stop - cols.start)] * each
    return shapes


def shape_option(shapes: Sequence[Shape]) -> str:
    """Return shapes as the option `shape` of a backend URL, for example `2x256x784+2x10x256`."""
    runs = [(shape, len(list(run))) for shape, run in groupby(shapes)]
    return "+".join(f"{count}x{rows}x{cols}" for (rows, cols), count in runs)


def blocks(weight: Found, tile: Shape) -> list[tuple[slice, slice]]:
    """Return the parts of a matrix that fit tiles, row by row: as few and as equal as possible."""
    return [
        (rows, cols)
        for rows in _divided(weight.rows, tile[0])
        for cols in _divided(weight.cols, tile[1])
    ]


@dataclass(frozen=True, slots=True, eq=False)
class Allotted:
    """The tiles of a matrix.

    Attributes:
        weight: the matrix.
        parts: rows and columns of each part, and its tiles by number.
    """

    weight: Found
    parts: list[tuple[slice, slice, tuple[int, ...]]]


def allot(found: Sequence[Found], chip: Chip, algorithm: Algorithm) -> list[Allotted]:
    """Give each matrix tiles of an array, in order: the first free ones that are large enough.

    Args:
        found: the matrices.
        chip: the array.
        algorithm: what trains those whose rule names no other.

    Raises:
        CapabilityError: tiles do not suffice.
    """
    held = [(tile.rows, tile.cols) for tile in chip.capabilities.tiles]
    largest = max(rows for rows, _ in held), max(cols for _, cols in held)
    free = list(range(len(held)))
    wanted: list[Shape] = []
    misfits: list[str] = []
    allotted = []
    for weight in found:
        each = (weight.placement.algorithm or algorithm).tiles_per_layer
        parts = []
        for rows, cols in blocks(weight, largest):
            shape = rows.stop - rows.start, cols.stop - cols.start
            wanted += [shape] * each
            tiles = _first(free, held, shape, each)
            if tiles is None:
                misfits.append(
                    f"{weight.label}: needs {each} {'tile' if each == 1 else 'tiles of one shape'},"
                    f" {shape[0]}x{shape[1]} or larger"
                )
                continue
            free = [tile for tile in free if tile not in tiles]
            parts.append((rows, cols, tiles))
        allotted.append(Allotted(weight, parts))
    if misfits:
        raise CapabilityError(
            f"the tiles of {chip.capabilities.name} ({shape_option(held)}) do not suffice for the "
            f"model, which needs {len(wanted)}; there is none left for\n  " + "\n  ".join(misfits),
            remedy=f"open the array with shape={shape_option(wanted)}, or keep layers digital "
            "(rules)",
        )
    return allotted


def _first(
    free: Sequence[int], held: Sequence[Shape], shape: Shape, count: int
) -> tuple[int, ...] | None:
    """Return the first free tiles of one shape that are large enough."""
    for first in free:
        if held[first][0] < shape[0] or held[first][1] < shape[1]:
            continue
        alike = [tile for tile in free if tile >= first and held[tile] == held[first]]
        if len(alike) >= count:
            return tuple(alike[:count])
    return None


def _divided(lines: int, most: int) -> list[slice]:
    size = -(-lines // -(-lines // most))
    return [slice(start, min(start + size, lines)) for start in range(0, lines, size)]
