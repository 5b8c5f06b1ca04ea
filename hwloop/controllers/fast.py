"""The fast array: it takes the gradients as pulses, and its lines are read between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwloop.controllers.base import State, Vectors, check_train
from hwloop.controllers.choppers import ChopperRule, Choppers
from hwloop.controllers.options import FastOptions
from hwloop.controllers.planning import peaks, plan_update
from hwloop.controllers.running import RunningMaximum
from hwloop.controllers.schedule import LineSchedule, Transfer
from hwloop.crossbar import Tile
from hwloop.errors import CapabilityError, ConfigurationError
from hwloop.operations import Operation, Result
from hwloop.random import host_generator
from hwloop.weights import WeightMap

NO_CHOPPERS = ChopperRule("random", 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class LineRead:
    """Lines that are read together, and what is needed to make sense of them.

    Attributes:
        lines: the lines, int32, shape (lines,).
        sweep: number of the pass over all lines that each read belongs to, shape (lines,).
        signs: choppers of the lines at the time of the read, int32, shape (lines, 1).
        out_signs: choppers of the other axis, int32, shape (cells of a line,), or None.
        flipped: lines whose chopper flips behind the read, bool, shape (lines,).
        rate: lambda_A of the last vector before the read.
    """

    lines: NDArray[np.int32]
    sweep: NDArray[np.int64]
    signs: NDArray[np.int32]
    out_signs: NDArray[np.int32] | None
    flipped: NDArray[np.bool_]
    rate: float


class FastArray:
    """The fast array A of a layer, with its choppers, running maxima and line schedule.

    Attributes:
        tile: the tile.
        columns: whether lines are columns.
        schedule: whose turn it is to be read.
        delta: mean step, device units.
        units_per_code: device units per unit of a read.
        choppers: signs of the lines that are read.
        out_choppers: signs of the other axis.
        mu_x, mu_d: running maxima.
        vectors: samples so far.
    """

    def __init__(
        self,
        options: FastOptions,
        tile: Tile,
        weights: WeightMap,
        delta: float,
        seed: int,
        layer: int,
        rule: ChopperRule = NO_CHOPPERS,
        out_rule: ChopperRule = NO_CHOPPERS,
    ) -> None:
        o, capabilities = options, tile.capabilities
        check_train(tile, o.l_max)
        if not 1 <= o.reads_per_transfer <= capabilities.average_max:
            raise CapabilityError(
                f"reads_per_transfer is {o.reads_per_transfer}, tile {tile.index} averages 1 to "
                f"{capabilities.average_max} reads"
            )
        self.tile = tile
        self.columns = o.transfer == "columns"
        lines, cells = (tile.cols, tile.rows) if self.columns else (tile.rows, tile.cols)
        self.schedule = LineSchedule(lines, o.n_s, min(o.lines_per_transfer, lines))
        self.delta = delta
        siemens = capabilities.adc_cells.lsb / capabilities.dac.full_scale
        self.units_per_code = siemens / capabilities.cell_siemens / o.reads_per_transfer
        self.choppers = Choppers(lines, rule, seed, "choppers", layer)
        self.out_choppers = Choppers(cells, out_rule, seed, "out choppers", layer)
        self.mu_x, self.mu_d = RunningMaximum(o.momentum), RunningMaximum(o.momentum)
        self.vectors = 0
        self._all_cells = np.arange(cells, dtype=np.int32)
        self._options = o
        self._weight_per_unit = weights.weight_per_unit
        self._place = seed, layer
        self._pending: list[LineRead] | None = None

    def plan(self, x: Vectors, d: Vectors, rate: float, share: float) -> list[Operation]:
        """Return the chopped updates of a batch, and the line reads between them.

        Args:
            x, d, rate, share: as in `Controller.plan`.
        """
        seed, layer = self._place
        x_peaks, d_peaks = peaks(x), peaks(d)
        rates = self._rates(x_peaks, d_peaks, rate * share)
        update = plan_update(
            x,
            d,
            x_peaks,
            d_peaks,
            rates / self.delta * x_peaks * d_peaks,
            l_max=self._options.l_max,
            code_max=self.tile.capabilities.update_code_max,
            generator=host_generator(seed, "update codes", layer, self.vectors),
        )
        # Choppers on the lines that are read, out-choppers on the others.
        codes, out_codes = update.x_codes, update.d_codes
        if not self.columns:
            codes, out_codes = out_codes, codes
        operations: list[Operation] = []
        self._pending = []
        start = 0
        transfers = self.schedule.transfers(self.vectors, len(x))
        for stop, transfer in [*((t.after, t) for t in transfers), (len(x), None)]:
            if update.lengths[start:stop].any():
                if self.choppers.active:
                    codes[start:stop] *= self.choppers.signs
                if self.out_choppers.active:
                    out_codes[start:stop] *= self.out_choppers.signs
                operations.append(
                    self.tile.new_outer_update(
                        update.x_codes[start:stop],
                        update.d_codes[start:stop],
                        update.lengths[start:stop],
                        update.gains[start:stop],
                        update.gains[start:stop],
                    )
                )
            if transfer is not None:
                operations.append(self._read(transfer))
                self._pending.append(self._flip(transfer, float(rates[stop - 1])))
            start = stop
        self.vectors += len(x)
        return operations

    def collect(self, results: Sequence[Result]) -> list[tuple[LineRead, NDArray[np.integer[Any]]]]:
        """Return the planned reads with their values in codes, shape (lines, cells of a line).

        `units_per_code` makes device units of them.
        """
        pending, self._pending = self._pending, None
        if not pending:
            return []
        reads = [result.values for result in results if result.values is not None]
        return [
            (read, values.T if self.columns else values)
            for read, values in zip(pending, reads, strict=True)
        ]

    def state(self) -> State:
        """Return the choppers, the running maxima and the number of samples."""
        if self._pending is not None:
            raise ConfigurationError(
                "a step is under way: its reads are planned, but not digested",
                remedy="save between two steps",
            )
        return {
            "choppers": self.choppers.signs.copy(),
            "out_choppers": self.out_choppers.signs.copy(),
            "mu": np.array([self.mu_x.value, self.mu_d.value]),
            "vectors": np.array(self.vectors),
        }

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take what `state` returned."""
        self.choppers.signs[...] = state["choppers"]
        self.out_choppers.signs[...] = state["out_choppers"]
        self.mu_x.value, self.mu_d.value = state["mu"].tolist()
        self.vectors = int(state["vectors"])
        self._pending = None

    def _rates(
        self, x_peaks: NDArray[np.float64], d_peaks: NDArray[np.float64], rate: float
    ) -> NDArray[np.float64]:
        """Return lambda_A of each sample; eta_0 l_max delta_A / (mu_x mu_d) if automatic."""
        o = self._options
        if o.fast_rate is not None:
            return np.full(len(x_peaks), o.fast_rate)
        if o.eta0 is None:
            assert o.fast_lr is not None
            return np.full(len(x_peaks), o.fast_lr * rate / self._weight_per_unit)
        product = self.mu_x.follow(x_peaks) * self.mu_d.follow(d_peaks)
        return np.where(
            product > 0, o.eta0 * o.l_max * self.delta / np.where(product > 0, product, 1), 0
        )

    def _read(self, transfer: Transfer) -> Operation:
        average = self._options.reads_per_transfer
        if self.columns:
            return self.tile.new_read_cells(cols=transfer.lines, average=average)
        return self.tile.new_read_cells(rows=transfer.lines, average=average)

    def _flip(self, transfer: Transfer, rate: float) -> LineRead:
        """Flip choppers behind a read, out-choppers behind the last line of a sweep."""
        signs = self.choppers.signs[transfer.lines]
        out_signs = self.out_choppers.signs.copy() if self.out_choppers.active else None
        sweeps = [int(transfer.sweep[0])]
        if transfer.sweep[-1] != sweeps[0]:
            sweeps.append(int(transfer.sweep[-1]))
        for sweep in sweeps:
            lines = transfer.lines[transfer.sweep == sweep] if len(sweeps) > 1 else transfer.lines
            self.choppers.flip(lines, sweep)
            if self.out_choppers.active and lines[-1] == self.schedule.lines - 1:
                self.out_choppers.flip(self._all_cells, sweep)
        flipped = self.choppers.signs[transfer.lines] != signs
        return LineRead(transfer.lines, transfer.sweep, signs[:, None], out_signs, flipped, rate)
