"""Conversion of a torch model: its weights move to tiles, all else stays digital."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Literal

import numpy as np
from torch import nn

from hwloop.controllers import Algorithm, AlgorithmWarning, examine
from hwloop.crossbar import Chip, Tile
from hwloop.errors import ConfigurationError
from hwloop.nn.convolution import CrossbarConv
from hwloop.nn.layer import CrossbarLayer
from hwloop.nn.linear import CrossbarLinear
from hwloop.nn.matrix import CHUNK, Block, CrossbarMatrix
from hwloop.nn.survey import Found, Rules, replace, survey
from hwloop.nn.tiling import Allotted, allot
from hwloop.procedures import Management, write_exact
from hwloop.weights import WeightMap


def convert(
    net: nn.Module,
    chip: Chip,
    algorithm: Algorithm,
    *,
    rules: Rules | None = None,
    arrays: Mapping[str, Chip] | None = None,
    weight_gain: float = 16.0,
    seed: int = 1,
    write_error: float = 0.0,
    initial_weights: Literal["write", "keep"] = "write",
    management: Management | None = None,
    chunk: int = CHUNK,
) -> nn.Module:
    """Return a copy of a model whose weights are on an array; the model itself is untouched.

    `torch.nn.Linear`, `Conv1d` and `Conv2d` move, and so do the projections of
    `MultiheadAttention`. Normalisations, embeddings, biases, and parameters that a user's own
    module has stay digital. Weights take tiles in the order of `net.modules()` (`tile_shapes`), the
    first free ones that are large enough, `algorithm.tiles_per_layer` for each part; what is larger
    than the array's tiles is divided over both axes. Layers that share a weight share its tiles. A
    weight that needs no gradient is read, but not trained.

    Args:
        net: any tree of modules.
        chip: the array.
        algorithm: what trains the layers, such as `ChoppedTTv2()`.
        rules: which layers stay digital, or have an algorithm, gain or array of their own.
        arrays: further arrays, by the names that rules use.
        weight_gain: weight of one device unit times sqrt(n_in) (`WeightMap.for_inputs`).
        seed: seed of all random choices of the host.
        write_error: standard deviation of the error of writing the initial weights, device units.
        initial_weights: write the model's weights exactly, which only virtual arrays can, or keep
            what the cells hold.
        management: how vectors are fitted to the converters.
        chunk: most vectors (patches of a convolution) that a layer reads, or makes updates of, at
            once; memory grows with it, and so does the size of a submission.

    Raises:
        CapabilityError: a layer cannot move to an array, or tiles do not suffice.
        ConfigurationError: the algorithm cannot work on the array's device, or a rule means
            nothing.

    Warns:
        AlgorithmWarning: it can, but hardly well (`hwloop.controllers.examine`).
    """
    if initial_weights not in ("write", "keep"):
        raise ConfigurationError(
            f"initial_weights is {initial_weights!r}, expected 'write' or 'keep'"
        )
    model, found = survey(net, rules)
    chips = _chips(found, chip, arrays or {})
    allotted: dict[int, Allotted] = {}
    for name, where in chips.items():
        here = [weight for weight in found if weight.placement.array == name]
        for given in allot(here, where, algorithm):
            allotted[id(given.weight)] = given
    _examine(list(allotted.values()), chips, algorithm)
    # All controllers before the first write: they refuse what they cannot work with.
    made: list[tuple[Found, CrossbarMatrix]] = []
    number = 0
    for weight in found:
        where, placement = chips[weight.placement.array], weight.placement
        how = placement.algorithm or algorithm
        mapping = WeightMap.for_inputs(weight.cols, placement.weight_gain or weight_gain)
        parts = []
        for rows, cols, numbers in allotted[id(weight)].parts:
            tiles = tuple(where[i] for i in numbers)
            granularity = where.capabilities.granularity
            controller = how.controller(tiles, mapping, granularity, seed=seed, layer=number)
            parts.append(Block(controller, tiles, rows, cols))
            number += 1
        matrix = CrossbarMatrix(where, parts, mapping, management, chunk)
        matrix.trains = weight.layers[0].weight.requires_grad
        made.append((weight, matrix))
    replacements: dict[int, nn.Module] = {}
    for weight, matrix in made:
        if initial_weights == "write":
            _write(matrix, weight, write_error, seed)
        for layer in weight.layers:
            replacements[id(layer)] = _layer(matrix, layer)
    return replace(model, replacements)


def _chips(found: list[Found], chip: Chip, arrays: Mapping[str, Chip]) -> dict[str | None, Chip]:
    """Return the arrays that are used, by name."""
    chips: dict[str | None, Chip] = {None: chip}
    for name in {weight.placement.array for weight in found} - {None}:
        assert name is not None
        if name not in arrays:
            raise ConfigurationError(
                f"a rule names the array {name!r}, which is not there",
                remedy=f"give it to convert: arrays={{{name!r}: chip}}",
            )
        chips[name] = arrays[name]
    if len({id(where) for where in chips.values()}) != len(chips):
        raise ConfigurationError("one array has two names")
    return chips


def _examine(
    allotted: list[Allotted], chips: Mapping[str | None, Chip], algorithm: Algorithm
) -> None:
    """Say what speaks against an algorithm on an array, for each pair of both once."""
    groups: list[tuple[Chip, Algorithm, list[Tile]]] = []
    for given in allotted:
        where = chips[given.weight.placement.array]
        how = given.weight.placement.algorithm or algorithm
        tiles = [where[i] for _, _, numbers in given.parts for i in numbers]
        for known, same, together in groups:
            if known is where and same == how:
                together += tiles
                break
        else:
            groups.append((where, how, tiles))
    for where, how, tiles in groups:
        for text in examine(how, tiles, where.device):
            warnings.warn(text, AlgorithmWarning, stacklevel=3)


def _write(matrix: CrossbarMatrix, weight: Found, error: float, seed: int) -> None:
    """Write a layer's weights into its tiles; other tiles of its parts are set to 0."""
    dense = weight.layers[0].weight.detach().to("cpu").reshape(weight.rows, weight.cols)
    units = (dense / matrix.weights.weight_per_unit).float().numpy()
    for block in matrix.blocks:
        for tile in block.tiles:
            target = np.zeros((tile.rows, tile.cols), np.float32)
            if tile is not block.controller.forward_tile:
                write_exact(matrix.chip, tile, target, seed=seed)
                continue
            part = units[block.rows, block.cols]
            target[: part.shape[0], : part.shape[1]] = part
            block.written = write_exact(matrix.chip, tile, target, error=error, seed=seed)


def _layer(matrix: CrossbarMatrix, layer: nn.Linear | nn.Conv1d | nn.Conv2d) -> CrossbarLayer:
    made: CrossbarLayer
    if isinstance(layer, nn.Linear):
        made = CrossbarLinear(matrix, layer.bias)
    else:
        made = CrossbarConv(matrix, layer)
    made.train(layer.training)
    return made
