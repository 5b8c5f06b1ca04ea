"""What speaks against an algorithm on an array, said before the first pulse."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hwloop.controllers.agad import AGAD
from hwloop.controllers.base import Algorithm
from hwloop.controllers.options import FastOptions
from hwloop.controllers.schedule import LineSchedule
from hwloop.crossbar import Tile
from hwloop.device_file import DeviceFile
from hwloop.errors import ConfigurationError

CELLS_OUTSIDE = 0.02
"""Share of cells whose reference may lie outside their range before that is said."""


class AlgorithmWarning(UserWarning):
    """An algorithm will run on an array, but hardly well."""


def examine(
    algorithm: Algorithm,
    tiles: Sequence[Tile],
    device: DeviceFile | None,
    vectors: int | None = None,
) -> list[str]:
    """Return what speaks against an algorithm on an array, one sentence each.

    Args:
        algorithm: the algorithm.
        tiles: tiles of all layers, in the order that `tiles_per_layer` groups.
        device: what is known of the cells.
        vectors: length of the training; None is not known.

    Raises:
        ConfigurationError: it cannot work at all.
    """
    found: list[str] = []
    if device is not None:
        found += _reference(device)
    if isinstance(algorithm, FastOptions):
        if device is not None:
            found += _symmetry(algorithm, device)
        layers = list(tiles[1 :: algorithm.tiles_per_layer])
        if device is not None:
            found += _resolution(algorithm, layers, device)
        if vectors is not None:
            found += _schedule(algorithm, layers, vectors)
    return found


def _reference(device: DeviceFile) -> list[str]:
    """Look for references that cells cannot reach, so that weights have one sign only."""
    model = device.model
    reference = model.reference
    if reference is None:
        return []
    place = f"device {device.name!r}: model.reference"
    low, high = model.bound_min, model.bound_max
    if not low < reference.mean < high:
        raise ConfigurationError(
            f"{place}.mean is {reference.mean:g}, outside the range of the cells, {low:g} to "
            f"{high:g}: all weights would have the same sign",
            remedy="zero-shift the array (hwloop.procedures.zero_shift), or correct the file",
        )
    if reference.std == 0:
        return []
    outside = 1 - _normal((high - reference.mean) / reference.std)
    outside += _normal((low - reference.mean) / reference.std)
    if outside < CELLS_OUTSIDE:
        return []
    return [
        f"{place}.std is {reference.std:g}: {100 * outside:.0f} % of the cells have their "
        "reference outside their range, so their weights have one sign only; zero-shift the array "
        "better"
    ]


def _symmetry(algorithm: Algorithm, device: DeviceFile) -> list[str]:
    if device.model.has_symmetry_point:
        return []
    return [
        f"device {device.name!r} has the same steps in every state ({device.model.kind}): it has "
        f"no symmetry point, so that the fast array of {algorithm.name} forgets nothing and drifts "
        "to its bounds; sgd suits such devices"
    ]


def _resolution(algorithm: FastOptions, fast: list[Tile], device: DeviceFile) -> list[str]:
    """Look for reads that are coarser than a pulse, or that end before the cells' range."""
    found = []
    delta = algorithm.fast_granularity or algorithm.granularity or device.granularity
    model = device.model
    for tile in fast:
        c = tile.capabilities
        code = c.adc_cells.lsb / c.dac.full_scale / c.cell_siemens
        span = model.bound_max - model.bound_min
        if code > delta:
            found.append(
                f"the fast array has {span / delta:.0f} states, more than the {span / code:.0f} "
                f"codes of a read of its cells ({code:.2g} device units each, a pulse is "
                f"{delta:.2g}): pulses are seen only in the mean of many noisy reads; read with "
                "more bits, or average"
            )
        elif code * c.adc_cells.code_max < max(model.bound_max, -model.bound_min):
            found.append(
                f"a read of a cell ends at {code * c.adc_cells.code_max:.2g} device units, cells "
                f"go to {max(model.bound_max, -model.bound_min):.2g}: large gradients are cut"
            )
    return sorted(set(found))


def _schedule(algorithm: FastOptions, fast: list[Tile], vectors: int) -> list[str]:
    """Look for runs that are over before their schedule has come round."""
    found = []
    for tile in fast:
        lines = tile.cols if algorithm.transfer == "columns" else tile.rows
        schedule = LineSchedule(lines, algorithm.n_s, min(algorithm.lines_per_transfer, lines))
        pass_text = (
            f"a pass over the {lines} lines of tile {tile.index} takes {schedule.period:.0f} "
            f"vectors (n_s={algorithm.n_s}, lines_per_transfer={algorithm.lines_per_transfer})"
        )
        remedy = "raise lines_per_transfer, lower n_s, or train longer"
        if vectors < algorithm.n_s:
            raise ConfigurationError(
                f"the run has {vectors} vectors and reads the fast array after every "
                f"{algorithm.n_s}: no weight would ever change",
                remedy=remedy,
            )
        skipped = algorithm.sweeps_skipped if isinstance(algorithm, AGAD) else 0
        if skipped and vectors <= skipped * schedule.period:
            raise ConfigurationError(
                f"the run has {vectors} vectors, AGAD learns its references in {skipped} passes, "
                f"and {pass_text}: no weight would ever change",
                remedy=f"{remedy}, lower period, or set skip_first_period to false",
            )
        if vectors < schedule.period:
            found.append(
                f"the run has {vectors} vectors, but {pass_text}: some are never read; {remedy}"
            )
    return found


def _normal(z: float) -> float:
    """Return the share of a standard normal number below z."""
    return 0.5 * math.erfc(-z / math.sqrt(2))
