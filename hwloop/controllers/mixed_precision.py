"""Mixed precision: gradients are summed up digitally, whole steps go to the weights as pulses.

Nandakumar et al., "Mixed-precision deep learning based on computational memory" (Frontiers in
Neuroscience 14, 406, 2020). `docs/algorithms.md` has the equations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hwloop.controllers.base import ReadTerm, State, Vectors, step_size
from hwloop.controllers.hidden import HiddenMatrix, ResetRule
from hwloop.controllers.planning import peaks
from hwloop.controllers.schedule import LineSchedule
from hwloop.crossbar import Tile
from hwloop.errors import ConfigurationError
from hwloop.operations import Operation, Result
from hwloop.random import host_generator
from hwloop.weights import WeightMap


@dataclass(frozen=True, kw_only=True)
class MixedPrecision:
    """Mixed precision; symbols of Nandakumar et al. 2020.

    It spends rows x columns digital operations per vector, where the algorithms with a fast array
    spend rows + columns (Rasch et al. 2024, table 1).
    """

    n_s: int = 1
    """Vectors between two transfers. aihwkit: `transfer_every`, there in batches."""

    rows_per_transfer: int | None = None
    """Rows of a transfer, in cyclic order; None is all. aihwkit: `n_rows_per_transfer`."""

    x_bins: int = 0
    """Levels that activations are rounded to before they are multiplied; 0 rounds nothing. aihwkit:
    `n_x_bins`."""

    d_bins: int = 0
    """The same for errors. aihwkit: `n_d_bins`."""

    stochastic_rounding: bool = True
    """Whether levels are chosen at random such that the mean is kept. aihwkit: `stoc_round_x`,
    `stoc_round_d`."""

    pulses_max: int = 31
    """Most pulses that a transfer gives to a cell; what is left over waits. aihwkit:
    `desired_bl`."""

    granularity: float | None = None
    """Mean step of a pulse, in device units; None takes it from the device file. Papers: epsilon;
    aihwkit: `granularity`."""

    name: ClassVar[str] = "mixed-precision"
    tiles_per_layer: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        for field, least in (("n_s", 1), ("x_bins", 0), ("d_bins", 0)):
            if getattr(self, field) < least:
                raise ConfigurationError(
                    f"{field} is {getattr(self, field)}, expected {least} or more"
                )
        for field in ("x_bins", "d_bins"):
            if getattr(self, field) == 1:
                raise ConfigurationError(f"{field} is 1, expected 0 or at least 2 levels")
        if self.rows_per_transfer is not None and self.rows_per_transfer < 1:
            raise ConfigurationError(
                f"rows_per_transfer is {self.rows_per_transfer}, expected 1 or more, or null"
            )
        ResetRule("subtract", 0.0, self.pulses_max)

    @property
    def pulses_per_vector(self) -> int:
        """Most pulses that a vector gives to a cell, in the mean over the vectors of a transfer."""
        return -(-self.pulses_max // self.n_s)

    def controller(
        self,
        tiles: Sequence[Tile],
        weights: WeightMap,
        granularity: float | None,
        *,
        seed: int,
        layer: int,
    ) -> MixedPrecisionController:
        """Return the controller of one layer, which has one tile."""
        (tile,) = tiles
        delta = step_size(self.granularity, granularity) * weights.weight_per_unit
        return MixedPrecisionController(self, tile, delta, seed, layer)


class MixedPrecisionController:
    """Controller of `MixedPrecision`: it reads nothing, and its pulses are its only submission.

    Attributes:
        forward_tile: the layer's only tile.
        sums: the digital sums chi in pulses, a row for each of the tile.
        vectors: samples so far.
    """

    def __init__(
        self, options: MixedPrecision, tile: Tile, delta: float, seed: int, layer: int
    ) -> None:
        self.forward_tile = tile
        self.sums = HiddenMatrix(
            tile.rows, tile.cols, ResetRule("subtract", 0.0, options.pulses_max)
        )
        self.vectors = 0
        together = options.rows_per_transfer or tile.rows
        self._schedule = LineSchedule(tile.rows, options.n_s, min(together, tile.rows))
        self._options = options
        self._delta = delta  # weight of one pulse
        self._place = seed, layer
        self._pulses: list[Operation] = []

    def read_terms(self) -> tuple[ReadTerm, ...]:
        """Return the tile."""
        return (ReadTerm(self.forward_tile),)

    def plan(self, x: Vectors, d: Vectors, rate: float, share: float = 1.0) -> list[Operation]:
        """Sum up the gradients; nothing is sent yet."""
        o, (seed, layer) = self._options, self._place
        generator = host_generator(seed, "levels", layer, self.vectors)
        x = _levels(x, o.x_bins, generator if o.stochastic_rounding else None)
        d = _levels(d, o.d_bins, generator if o.stochastic_rounding else None)
        d = d * np.float32(rate * share / self._delta)
        start = 0
        for transfer in self._schedule.transfers(self.vectors, len(x)):
            self.sums.values += d[start : transfer.after].T @ x[start : transfer.after]
            self._pulses += self._transfer(transfer.lines)
            start = transfer.after
        self.sums.values += d[start:].T @ x[start:]
        self.vectors += len(x)
        return []

    def digest(self, results: Sequence[Result]) -> list[Operation]:
        """Return the pulses that are due."""
        pulses, self._pulses = self._pulses, []
        return pulses

    def state(self) -> State:
        """Return the digital sums and the number of samples."""
        return {"sums": self.sums.values.copy(), "vectors": np.array(self.vectors)}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take what `state` returned."""
        self.sums.values[...] = state["sums"]
        self.vectors = int(state["vectors"])
        self._pulses = []

    def _transfer(self, rows: NDArray[np.int32]) -> list[Operation]:
        counts = self.sums.add(rows, np.zeros((len(rows), self.forward_tile.cols), np.float32))
        pulsed, used = counts.any(axis=1), counts.any(axis=0)
        if not pulsed.any():
            return []
        block = np.ascontiguousarray(counts[pulsed][:, used])
        cols = np.flatnonzero(used).astype(np.int32)
        return [self.forward_tile.new_pulse(rows[pulsed], cols, block)]


def _levels(vectors: Vectors, bins: int, generator: np.random.Generator | None) -> Vectors:
    """Round each vector to `bins` levels between plus and minus its largest magnitude."""
    largest = peaks(vectors)
    if bins == 0:
        return vectors
    half = bins // 2
    width = (np.where(largest > 0, largest, 1) / half).astype(np.float32)[:, None]
    levels = vectors / width
    if generator is not None:
        levels += generator.random(vectors.shape, np.float32) - np.float32(0.5)
    rounded: Vectors = np.rint(levels).clip(-half, half).astype(np.float32) * width
    return rounded
