"""Conversion of a torch model: its linear layers move to tiles, all else stays digital."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import groupby
from typing import Literal

import torch
from torch import nn

from hwloop.controllers import Algorithm
from hwloop.crossbar import Chip
from hwloop.errors import CapabilityError, ConfigurationError
from hwloop.nn.linear import CrossbarLinear
from hwloop.procedures import Management, write_exact
from hwloop.weights import WeightMap

DIGITAL: tuple[type[nn.Module], ...] = (
    nn.LayerNorm,
    nn.GroupNorm,
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.PReLU,
    nn.Embedding,
)
"""Layers with parameters that stay digital and are trained by the optimizer's digital part."""


def convert(
    net: nn.Module,
    chip: Chip,
    algorithm: Algorithm,
    *,
    weight_gain: float = 16.0,
    seed: int = 1,
    write_error: float = 0.0,
    initial_weights: Literal["write", "keep"] = "write",
    management: Management | None = None,
) -> nn.Module:
    """Return a copy of a model whose linear layers are on an array; the model itself is untouched.

    Layers take tiles in the order of `net.modules()`, `algorithm.tiles_per_layer` each, with as
    many rows as outputs and as many columns as inputs (`tile_shapes`). Biases stay digital.

    Args:
        net: any tree of modules, its weights in exact `torch.nn.Linear` layers.
        chip: the array.
        algorithm: what trains the layers, such as `ChoppedTTv2()`.
        weight_gain: weight of one device unit times sqrt(n_in) (`WeightMap.for_inputs`).
        seed: seed of all random choices of the host.
        write_error: standard deviation of the error of writing the initial weights, device units.
        initial_weights: write the model's weights exactly, which only virtual arrays can, or keep
            what the cells hold.
        management: how vectors are fitted to the converters.

    Raises:
        CapabilityError: a layer cannot move to the array, or tiles do not fit.
    """
    layers = _linear_layers(net)
    _check_tiles(layers, chip, algorithm)
    if initial_weights not in ("write", "keep"):
        raise ConfigurationError(
            f"initial_weights is {initial_weights!r}, expected 'write' or 'keep'"
        )
    model = copy.deepcopy(net)
    granularity = None if chip.device is None else chip.device.granularity
    replacements: dict[int, CrossbarLinear] = {}
    for number, (_, linear) in enumerate(_linear_layers(model)):
        first = number * algorithm.tiles_per_layer
        tiles = [chip[first + i] for i in range(algorithm.tiles_per_layer)]
        weights = WeightMap.for_inputs(linear.in_features, weight_gain)
        controller = algorithm.controller(tiles, weights, granularity, seed=seed, layer=number)
        layer = CrossbarLinear(chip, controller, weights, linear.bias, management)
        if initial_weights == "write":
            for tile in tiles:
                target = torch.zeros_like(linear.weight)
                if tile is controller.forward_tile:
                    target = linear.weight / weights.weight_per_unit
                error = write_error if tile is controller.forward_tile else 0.0
                written = write_exact(chip, tile, target.detach().numpy(), error=error, seed=seed)
                if tile is controller.forward_tile:
                    layer.written = written
        layer.train(linear.training)
        replacements[id(linear)] = layer
    if id(model) in replacements:
        return replacements[id(model)]
    for module in list(model.modules()):
        # Not `named_children`, which names a layer that is used twice once.
        for name, child in module._modules.items():
            if id(child) in replacements:
                module._modules[name] = replacements[id(child)]
    return model


def tile_shapes(net: nn.Module, algorithm: Algorithm) -> list[tuple[int, int]]:
    """Return rows and columns of the tiles that a model needs, in order."""
    return [
        (layer.out_features, layer.in_features)
        for _, layer in _linear_layers(net)
        for _ in range(algorithm.tiles_per_layer)
    ]


def shape_option(shapes: Sequence[tuple[int, int]]) -> str:
    """Return shapes as the option `shape` of a backend URL, for example `2x256x784+2x10x256`."""
    runs = [(shape, len(list(run))) for shape, run in groupby(shapes)]
    return "+".join(f"{count}x{rows}x{cols}" for (rows, cols), count in runs)


def _linear_layers(net: nn.Module) -> list[tuple[str, nn.Linear]]:
    """Return the layers that move to the array, with their names; refuse what cannot move."""
    layers: list[tuple[str, nn.Linear]] = []
    refused: list[str] = []
    owners: dict[int, str] = {}
    for name, module in net.named_modules():
        label = f"{name or 'the model itself'} ({type(module).__name__})"
        own = list(module.parameters(recurse=False))
        # The exact class: a subclass, or a module that uses weights by itself, would go on using
        # the dense ones.
        if type(module) is nn.Linear:
            if module._forward_hooks or module._forward_pre_hooks:
                refused.append(f"{label}: it has forward hooks")
            layers.append((name, module))
        elif own and type(module) not in DIGITAL:
            refused.append(f"{label}: only torch.nn.Linear layers move to an array")
        for parameter in own:
            if id(parameter) in owners:
                refused.append(f"{label}: it shares a parameter with {owners[id(parameter)]}")
            owners[id(parameter)] = label
    if refused:
        raise CapabilityError(
            "the model has layers that cannot move to an array:\n  " + "\n  ".join(refused),
            remedy="replace them by torch.nn.Linear layers, or keep them outside the model",
        )
    if not layers:
        raise CapabilityError("the model has no torch.nn.Linear layer")
    return layers


def _check_tiles(layers: Sequence[tuple[str, nn.Linear]], chip: Chip, algorithm: Algorithm) -> None:
    """Refuse tiles that do not fit the layers, all at once."""
    each = algorithm.tiles_per_layer
    wanted = [(x.out_features, x.in_features) for _, x in layers for _ in range(each)]
    held = [(tile.rows, tile.cols) for tile in chip.capabilities.tiles]
    misfits = [
        f"layer {layers[i // each][0] or '(the model itself)'}: tile {i} should be "
        f"{rows}x{cols}, "
        + (f"it is {held[i][0]}x{held[i][1]}" if i < len(held) else "there is none")
        for i, (rows, cols) in enumerate(wanted)
        if i >= len(held) or held[i] != (rows, cols)
    ]
    if misfits:
        raise CapabilityError(
            f"the tiles of {chip.capabilities.name} do not fit the model:\n  "
            + "\n  ".join(misfits),
            remedy=f"open the array with shape={shape_option(wanted)}",
        )
