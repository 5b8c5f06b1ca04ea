"""Transfer learning: weights that were trained in float go on being trained on an array."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hwloop.crossbar import Chip, Tile
from hwloop.errors import ConfigurationError
from hwloop.experiments.config import TrainConfig
from hwloop.experiments.dataset import Dataset
from hwloop.experiments.networks import accuracy, build, head_path
from hwloop.experiments.pretraining import pretrain_cached
from hwloop.experiments.transfer_config import Transfer
from hwloop.nn import CrossbarLayer
from hwloop.nn.survey import matches
from hwloop.operations import Plane
from hwloop.procedures import choose_cells, offset_reference, write_exact, write_verify
from hwloop.procedures.bench import Bench as CellBench

READS = 16
"""Reads behind a value."""

ROUNDS, ROUND_PULSES = 30, 20
MOST_PULSES = ROUNDS * ROUND_PULSES
"""Most pulses that write-verify gives a cell."""


@dataclass(frozen=True, slots=True)
class Pretrained:
    """What a transfer begins with.

    Attributes:
        net: the float network that learns the new classes: the pre-trained one with a new head.
        head: the head of the pre-training.
        x_test, y_test: test samples of the old classes.
        accuracy: share of them that the pre-trained network classifies right.
        digest: SHA-256 over the pre-trained weights.
    """

    net: nn.Module
    head: nn.Linear
    x_test: Tensor
    y_test: Tensor
    accuracy: float
    digest: str


@dataclass(frozen=True, slots=True)
class Transferred:
    """What reached the array.

    Attributes:
        pretrained_accuracy: test accuracy of the float network on the old classes.
        programmed_accuracy: the same of the network on the array before it is trained, the head
            being the old one, digital.
        weight_error: root mean square of the programming error, as a share of each layer's largest
            weight.
    """

    pretrained_accuracy: float
    programmed_accuracy: float
    weight_error: float


def divide(data: Dataset, transfer: Transfer) -> tuple[Dataset, Dataset]:
    """Return the data of the pre-training, and those that are learned on the array.

    Raises:
        ConfigurationError: a class is not there, or is in both.
    """
    names = data.classes
    before = tuple(str(name) for name in transfer.before or names[: len(names) // 2])
    rest = tuple(name for name in names if name not in before)
    after = tuple(str(name) for name in transfer.after or rest)
    both = [name for name in after if name in before]
    if both:
        raise ConfigurationError(
            f"transfer.after: {', '.join(both)} is in transfer.before too",
            remedy="name other classes",
        )
    return data.of_classes(before), data.of_classes(after)


def begin(
    net: nn.Module, before: Dataset, config: TrainConfig, note: Callable[[str], None]
) -> Pretrained:
    """Return the pre-trained network with the head of a new one.

    Args:
        net: a new network for the new classes.
        before: the data of the pre-training.
        config: the configuration.
        note: is told how the pre-training goes on.
    """
    transfer = config.transfer
    assert transfer is not None
    trained = build(config.network, before, config.seed)
    digest = pretrain_cached(trained, before, config, note)
    x_test, y_test = torch.from_numpy(before.x_test), torch.from_numpy(before.y_test)
    result, place = copy.deepcopy(net), head_path(net)
    state, new = trained.state_dict(), net.state_dict()
    kept = {name: new[name] if name.startswith(f"{place}.") else state[name] for name in new}
    result.load_state_dict(kept)
    _freeze(result, transfer.trained)
    head = trained.get_submodule(place)
    assert isinstance(head, nn.Linear)
    return Pretrained(result, head, x_test, y_test, accuracy(trained, x_test, y_test), digest)


def _freeze(net: nn.Module, trained: tuple[str, ...]) -> None:
    paths = [path for path, _ in net.named_modules() if path]
    for pattern in trained:
        if not any(matches(pattern, path) for path in paths):
            raise ConfigurationError(
                f"transfer.trained: {pattern!r} matches no module of the network",
                remedy=f"modules: {', '.join(paths)}",
            )
    for path, module in net.named_modules():
        if any(matches(pattern, path) for pattern in trained):
            continue
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad_(False)


def layers_on_array(model: nn.Module, net: nn.Module) -> Iterator[tuple[CrossbarLayer, Tensor]]:
    """Yield the layers on an array with the weights that they have in the float network."""
    for path, layer in model.named_modules():
        if isinstance(layer, CrossbarLayer):
            weight = net.get_submodule(path).weight
            assert isinstance(weight, Tensor)
            yield layer, weight.detach().reshape(len(weight), -1)


def program(model: nn.Module, net: nn.Module, transfer: Transfer) -> None:
    """Give the cells of a converted network its weights by write-verify.

    The fast arrays of a virtual array are set to their references; those of a physical one keep
    what they hold, so that it should be zero-shifted before.

    Args:
        model: the network on the array.
        net: the float network.
        transfer: the settings.
    """
    for layer, weight in layers_on_array(model, net):
        units = weight.float().numpy() / np.float32(layer.weights.weight_per_unit)
        tolerance = transfer.tolerance * float(np.abs(units).max())
        for block in layer.matrix.blocks:
            for tile in block.tiles:
                target = np.zeros((tile.rows, tile.cols), np.float32)
                if tile is block.controller.forward_tile:
                    part = units[block.rows, block.cols]
                    target[: part.shape[0], : part.shape[1]] = part
                    _write_verify(layer.chip, tile, target, tolerance)
                elif "restore" in layer.chip.capabilities.operations:
                    write_exact(layer.chip, tile, target)


def _write_verify(chip: Chip, tile: Tile, target: NDArray[np.float32], tolerance: float) -> None:
    """Bring the cells of a tile to differences from their reference, device units."""
    cells = choose_cells(tile.capabilities, tile.index)
    bench = CellBench(chip, chip.configuration, cells)
    average = bench.average(None)
    rows, cols = cells.lines
    read = bench.tile.new_read_cells(rows, cols, average, Plane.REFERENCE)
    reference = bench.siemens(read, chip.submit([read]).results()[0])
    siemens = tile.capabilities.cell_siemens
    write_verify(
        chip,
        tile,
        np.maximum(reference + target.ravel() * siemens, 0),
        tolerance_siemens=tolerance * siemens,
        cells=cells,
        rounds=ROUNDS,
        round_pulses=ROUND_PULSES,
    )


def offset_fast_arrays(model: nn.Module, transfer: Transfer, seed: int) -> None:
    """Move the references of the fast arrays off their symmetry points, as the settings say."""
    if not (transfer.symmetry_skew or transfer.symmetry_variability):
        return
    for layer in model.modules():
        if not isinstance(layer, CrossbarLayer):
            continue
        for block in layer.matrix.blocks:
            for tile in block.tiles:
                if tile is not block.controller.forward_tile:
                    offset_reference(
                        layer.chip,
                        tile,
                        transfer.symmetry_skew,
                        transfer.symmetry_variability,
                        seed=seed,
                    )


def look(model: nn.Module, start: Pretrained) -> Transferred:
    """Return what reached the array, through its own reads."""
    squares, count = 0.0, 0
    for layer, weight in layers_on_array(model, start.net):
        average = min(READS, layer.controller.forward_tile.capabilities.average_max)
        error = (layer.read_weights(average) - weight) / weight.abs().max()
        squares, count = squares + float(error.square().sum()), count + error.numel()
    programmed = _old_accuracy(model, start)
    return Transferred(start.accuracy, programmed, math.sqrt(squares / max(count, 1)))


def _old_accuracy(model: nn.Module, start: Pretrained) -> float:
    """Return the accuracy on the old classes with the old head behind what the new one is given."""
    features: list[Tensor] = []

    def listen(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        features.append(arguments[0].detach())

    place = head_path(start.net)
    hook = model.get_submodule(place).register_forward_pre_hook(listen)
    try:
        accuracy(model, start.x_test, start.y_test)
    finally:
        hook.remove()
    return accuracy(start.head, torch.cat(features), start.y_test)
