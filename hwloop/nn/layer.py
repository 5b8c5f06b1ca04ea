"""What all layers on arrays have in common."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwloop.controllers import Controller
from hwloop.crossbar import Chip
from hwloop.errors import CapabilityError, ConfigurationError
from hwloop.nn.matrix import CrossbarMatrix, Recording, Vectors
from hwloop.procedures import Management, Written
from hwloop.weights import WeightMap

Arrays = dict[str, NDArray[Any]]


class CrossbarLayer(torch.nn.Module):
    """A layer whose weights are a matrix on an array, with a digital bias.

    Layers that share their weights share the matrix. `state_dict` holds the state of the
    controllers, ranges, and of a virtual array the cells too; a physical one keeps its cells
    itself.

    Args:
        matrix: the weights.
        bias: the bias, a parameter of shape (n_out,), or None for a layer without.
    """

    def __init__(self, matrix: CrossbarMatrix, bias: Tensor | None = None) -> None:
        super().__init__()
        self.matrix = matrix
        assert bias is None or isinstance(bias, torch.nn.Parameter)
        self.bias = bias

    @property
    def chip(self) -> Chip:
        """The array."""
        return self.matrix.chip

    @property
    def controller(self) -> Controller:
        """Controller of a layer on one tile, of one on several that of the first."""
        return self.matrix.blocks[0].controller

    @property
    def weights(self) -> WeightMap:
        """Mapping of its tiles."""
        return self.matrix.weights

    @property
    def written(self) -> Written | None:
        """What `convert` wrote into the tile of the weights, the first of several, or None."""
        return self.matrix.blocks[0].written

    @property
    def trace(self) -> list[Recording]:
        """What backward passes have recorded since the last step."""
        return self.matrix.trace

    def read_weights(self, average: int = 1) -> Tensor:
        """Read the weights cell by cell through the converters, shape (n_out, n_in)."""
        return self.matrix.read_weights(average)

    def get_extra_state(self) -> dict[str, Any]:
        """Return what `state_dict` holds besides parameters: controllers, cells if they show."""
        chip = self.chip
        state = {k: _tensor(v) for k, v in controllers_state([self.matrix]).items()}
        cells: dict[str, Tensor] = {}
        if {"snapshot", "restore"} <= chip.capabilities.operations:
            numbers = self._tiles()
            for number, planes in zip(numbers, chip.snapshot(numbers), strict=True):
                cells[str(number)] = torch.from_numpy(planes.view(np.int32).copy())
        gains = {
            str(i): _tensor(block.line_gains)
            for i, block in enumerate(self.matrix.blocks)
            if block.line_gains is not None
        }
        return {
            "chip_id": chip.capabilities.chip_id,
            "controllers": state,
            "cells": cells,
            "line_gains": gains,
            "management": torch.tensor(astuple(self.matrix.management), dtype=torch.float64),
        }

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take what `get_extra_state` returned.

        Raises:
            ConfigurationError: it is the state of another array or another conversion.
        """
        chip = self.chip
        if state["chip_id"] != chip.capabilities.chip_id:
            raise ConfigurationError(
                f"the state is of chip {state['chip_id']!r}, but {chip.capabilities.chip_id!r} is "
                "connected"
            )
        held = {k: v.numpy() for k, v in state["controllers"].items()}
        wanted = controllers_state([self.matrix])
        virtual = {"snapshot", "restore"} <= chip.capabilities.operations
        numbers = self._tiles() if virtual else []
        if {k: v.shape for k, v in held.items()} != {k: v.shape for k, v in wanted.items()} or set(
            state["cells"]
        ) != {str(number) for number in numbers}:
            raise ConfigurationError(
                "the state does not fit the layer",
                remedy="convert the same model with the same algorithm to the same tiles",
            )
        chip.flush()
        if virtual:
            planes = [state["cells"][str(n)].numpy().view(np.uint32) for n in numbers]
            chip.restore(planes, numbers)
        load_controllers([self.matrix], held)
        for i, block in enumerate(self.matrix.blocks):
            gains = state["line_gains"].get(str(i))
            block.line_gains = None if gains is None else gains.numpy()
        noise, rounds, input_range = state["management"].tolist()
        self.matrix.management = Management(bool(noise), int(rounds), input_range)

    def __deepcopy__(self, memo: dict[int, Any]) -> NoReturn:
        raise CapabilityError(
            "a layer on an array cannot be copied: its weights are cells",
            remedy="convert the model once for each array",
        )

    def extra_repr(self) -> str:
        """Return what `print(model)` shows."""
        tiles = ", ".join(str(number) for number in self._tiles())
        return (
            f"in_features={self.matrix.in_features}, out_features={self.matrix.out_features}, "
            f"bias={self.bias is not None}, tiles=[{tiles}]"
        )

    def _tiles(self) -> list[int]:
        return [tile.index for block in self.matrix.blocks for tile in block.tiles]


def matrices(model: torch.nn.Module) -> list[CrossbarMatrix]:
    """Return the matrices of a model, each once, in the order of its modules."""
    found: dict[int, CrossbarMatrix] = {}
    for module in model.modules():
        if isinstance(module, CrossbarLayer):
            found.setdefault(id(module.matrix), module.matrix)
    return list(found.values())


def controllers_state(chosen: list[CrossbarMatrix]) -> Arrays:
    """Return the state of all controllers; the first part of a name is the controller's number."""
    blocks = [block for matrix in chosen for block in matrix.blocks]
    return {f"{i}/{k}": v for i, b in enumerate(blocks) for k, v in b.controller.state().items()}


def load_controllers(chosen: list[CrossbarMatrix], arrays: Arrays) -> None:
    """Take what `controllers_state` returned."""
    blocks = [block for matrix in chosen for block in matrix.blocks]
    for i, block in enumerate(blocks):
        prefix = f"{i}/"
        own = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
        block.controller.load_state(own)


def vectors_of(tensor: Tensor) -> Vectors:
    """Return vectors along the last axis as float32, shape (samples, lines)."""
    flat = tensor.detach().to("cpu", torch.float32).reshape(-1, tensor.shape[-1])
    array: Vectors = flat.contiguous().numpy()
    return array


def _tensor(array: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.array(array))
