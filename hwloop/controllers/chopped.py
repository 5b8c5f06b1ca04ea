"""c-TTv2: gradients go to a fast array; its lines are read, chopped back and summed up digitally.

The algorithm of Rasch, Carta, Fagbohungbe and Gokmen, "Fast and robust analog in-memory deep neural
network training" (Nature Communications 15, 7133, 2024); without choppers (`rho=0`) it is TTv2
(Gokmen 2021). The parts are in files of their own; `docs/algorithms.md` has the equations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hwloop.controllers.base import ReadTerm, State, Vectors, check_train, step_size
from hwloop.controllers.choppers import ChopperRule, Choppers
from hwloop.controllers.hidden import HiddenMatrix, ResetRule
from hwloop.controllers.planning import peaks, plan_update
from hwloop.controllers.running import RunningMaximum
from hwloop.controllers.schedule import LineSchedule, Transfer
from hwloop.crossbar import Tile
from hwloop.errors import CapabilityError, ConfigurationError
from hwloop.operations import IntArray, Operation, Result
from hwloop.random import host_generator
from hwloop.weights import WeightMap


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoppedTTv2:
    """Chopped Tiki-Taka version 2; the papers' symbols are those of Rasch et al. 2024."""

    transfer: Literal["columns", "rows"] = "columns"
    """Lines of the fast array that are read, and that the choppers sit on. aihwkit:
    `transfer_columns`."""

    n_s: int = 2
    """Vectors between two reads. Paper: n_s; aihwkit: `transfer_every`."""

    lines_per_transfer: int = 1
    """Lines that are read together, at most all. With `n_s` as many times larger, each line is read
    as often and fewer operations are needed."""

    reads_per_transfer: int = 1
    """Reads of a line that the array averages."""

    l_max: int = 5
    """Longest pulse train of a sample, in slots. Paper: l_max; aihwkit: `desired_bl`."""

    eta0: float = 0.5
    """Learning rate of the fast array: the largest cross-point of a typical vector expects
    `eta0 * l_max` pulses. Paper: eta_0; aihwkit: `fast_lr` with `auto_scale`."""

    fast_rate: float | None = None
    """Fixed rate of the fast array, in device units per unit of `d x^T`, instead of `eta0` and the
    running maxima. Paper: lambda_A."""

    momentum: float = 0.99
    """Momentum of the running maxima mu_x and mu_d, per vector. aihwkit: `auto_momentum`."""

    chopper: Literal["random", "regular"] = "random"
    """Whether choppers flip at random or at every `period`-th read of a line. aihwkit:
    `in_chop_random`."""

    rho: float = 0.1
    """Probability that a read of a line flips its random chopper; 0 is TTv2. Paper: rho; aihwkit:
    `in_chop_prob`."""

    period: int = 10
    """Reads of a line between two flips of its regular chopper. aihwkit: 1 / `in_chop_prob`."""

    out_rho: float = 0.0
    """Probability that the end of a sweep over all lines flips the chopper of a line of the other
    axis. aihwkit: `out_chop_prob`."""

    gamma0: float = 1000.0
    """Length of the accumulation in the hidden matrix, in vectors. Paper: gamma_0; aihwkit:
    `auto_granularity`."""

    correct_magnitudes: bool = False
    """Whether the hidden matrix counts true gradients: reads are divided by the fast array's rate.
    Paper: the optional division by lambda_A; aihwkit: `correct_gradient_magnitudes`."""

    normalisation: Literal["paper", "aihwkit"] = "paper"
    """Whose granularity scales the hidden matrix: that of the weights' array (paper: delta_W), or
    that of the fast one, as aihwkit does without `correct_gradient_magnitudes`."""

    reset: Literal["zero", "subtract"] = "zero"
    """What a pulse leaves in the hidden matrix: the part `hidden_momentum` of the entry, or the
    entry less (1 - `hidden_momentum`). aihwkit: `forget_buffer`."""

    hidden_momentum: float = 0.0
    """Momentum of the hidden matrix. Paper: beta_H; aihwkit: `momentum`."""

    pulses_per_transfer: int = 1
    """Most pulses that a transfer gives to a cell; more than 1 suits devices of many states.
    aihwkit: `desired_bl` of `transfer_update`."""

    gamma: float = 0.0
    """Share of the fast array in the weights: `W = gamma chop(A) + C`. aihwkit: `gamma`."""

    granularity: float | None = None
    """Mean step of the weights' array, in device units; None takes it from the device file. Paper:
    delta_W."""

    fast_granularity: float | None = None
    """Mean step of the fast array, in device units; None takes `granularity`. Paper: delta_A."""

    name: ClassVar[str] = "c-ttv2"
    tiles_per_layer: ClassVar[int] = 2

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        for field, choices in (
            ("transfer", ("columns", "rows")),
            ("normalisation", ("paper", "aihwkit")),
        ):
            if getattr(self, field) not in choices:
                raise ConfigurationError(
                    f"{field} is {getattr(self, field)!r}, expected one of {', '.join(choices)}"
                )
        for field in ("eta0", "gamma0"):
            if not getattr(self, field) > 0:
                raise ConfigurationError(
                    f"{field} is {getattr(self, field)}, expected a positive number"
                )
        if not 0 <= self.momentum < 1:
            raise ConfigurationError(f"momentum is {self.momentum}, expected 0 to less than 1")

    def controller(
        self,
        tiles: Sequence[Tile],
        weights: WeightMap,
        granularity: float | None,
        *,
        seed: int,
        layer: int,
    ) -> ChoppedController:
        """Return the controller of one layer: its weights' tile C, then its fast tile A."""
        slow, fast = tiles
        check_train(fast, self.l_max)
        if not 1 <= self.reads_per_transfer <= fast.capabilities.average_max:
            raise CapabilityError(
                f"reads_per_transfer is {self.reads_per_transfer}, tile {fast.index} averages 1 to "
                f"{fast.capabilities.average_max} reads"
            )
        return ChoppedController(self, slow, fast, weights, granularity, seed, layer)


@dataclass(frozen=True, slots=True, eq=False)
class _Pending:
    """A planned read: what turns its line into increments of the hidden matrix.

    Attributes:
        lines: lines that are read.
        factors: increment per device unit, by line, float32, shape (lines, 1).
        out_signs: out-choppers at the time of the read, or None.
    """

    lines: NDArray[np.int32]
    factors: NDArray[np.float32]
    out_signs: NDArray[np.int32] | None


class ChoppedController:
    """Controller of `ChoppedTTv2`.

    Attributes:
        forward_tile: tile of the weights, C.
        fast_tile: tile of the gradients, A.
        hidden: the hidden matrix, a row for each line that is read.
        choppers: signs of the lines that are read.
        out_choppers: signs of the other axis.
        mu_x, mu_d: running maxima.
        vectors: samples so far.
    """

    def __init__(
        self,
        options: ChoppedTTv2,
        slow: Tile,
        fast: Tile,
        weights: WeightMap,
        granularity: float | None,
        seed: int,
        layer: int,
    ) -> None:
        o = options
        self.forward_tile = slow
        self.fast_tile = fast
        self.vectors = 0
        self.mu_x, self.mu_d = RunningMaximum(o.momentum), RunningMaximum(o.momentum)
        self._columns = o.transfer == "columns"
        lines, cells = (fast.cols, fast.rows) if self._columns else (fast.rows, fast.cols)
        self._schedule = LineSchedule(lines, o.n_s, min(o.lines_per_transfer, lines))
        reset = ResetRule(o.reset, o.hidden_momentum, o.pulses_per_transfer)
        self.hidden = HiddenMatrix(lines, cells, reset)
        rule = ChopperRule(o.chopper, o.rho, o.period)
        self.choppers = Choppers(lines, rule, seed, "choppers", layer)
        out_rule = ChopperRule("random", o.out_rho)
        self.out_choppers = Choppers(cells, out_rule, seed, "out choppers", layer)
        self._all_cells = np.arange(cells, dtype=np.int32)
        self._options = o
        self._place = seed, layer
        delta_slow = step_size(o.granularity, granularity)
        self._delta_fast = step_size(o.fast_granularity, delta_slow)
        delta = delta_slow if o.normalisation == "paper" else self._delta_fast
        # Increment of the hidden matrix per unit of rate and per device unit of A: the paper's
        # n_s n / (gamma_0 delta), delta as a weight.
        self._gain = self._schedule.period / (o.gamma0 * delta * weights.weight_per_unit)
        capabilities = fast.capabilities
        siemens = capabilities.adc_cells.lsb / capabilities.dac.full_scale
        self._units_per_code = siemens / capabilities.cell_siemens / o.reads_per_transfer
        self._pending: list[_Pending] | None = None

    def read_terms(self) -> tuple[ReadTerm, ...]:
        """Return the weights' tile, and the fast one if it has a share in the weights."""
        slow = ReadTerm(self.forward_tile)
        if self._options.gamma == 0:
            return (slow,)
        signs = self.choppers.signs, self.out_choppers.signs
        in_signs, out_signs = signs if self._columns else signs[::-1]
        return slow, ReadTerm(self.fast_tile, self._options.gamma, in_signs, out_signs)

    def plan(self, x: Vectors, d: Vectors, rate: float, share: float = 1.0) -> list[Operation]:
        """Return the chopped updates of the fast array, and the reads of its lines between them."""
        seed, layer = self._place
        x_peaks, d_peaks = peaks(x), peaks(d)
        lambda_A = self._fast_rates(x_peaks, d_peaks)
        update = plan_update(
            x,
            d,
            x_peaks,
            d_peaks,
            lambda_A / self._delta_fast * x_peaks * d_peaks,
            l_max=self._options.l_max,
            code_max=self.fast_tile.capabilities.update_code_max,
            generator=host_generator(seed, "update codes", layer, self.vectors),
        )
        # Choppers on the lines that are read, out-choppers on the others.
        codes, out_codes = update.x_codes, update.d_codes
        if not self._columns:
            codes, out_codes = out_codes, codes
        operations: list[Operation] = []
        self._pending = []
        start = 0
        transfers = self._schedule.transfers(self.vectors, len(x))
        for stop, transfer in [*((t.after, t) for t in transfers), (len(x), None)]:
            if update.lengths[start:stop].any():
                if self.choppers.active:
                    codes[start:stop] *= self.choppers.signs
                if self.out_choppers.active:
                    out_codes[start:stop] *= self.out_choppers.signs
                operations.append(
                    self.fast_tile.new_outer_update(
                        update.x_codes[start:stop],
                        update.d_codes[start:stop],
                        update.lengths[start:stop],
                        update.gains[start:stop],
                        update.gains[start:stop],
                    )
                )
            if transfer is not None:
                operations.append(self._plan_read(transfer))
                count = rate
                if self._options.correct_magnitudes:
                    newest = float(lambda_A[stop - 1])
                    count = rate * share / newest if newest > 0 else 0.0
                self._pending.append(self._pend(transfer, count))
                self._flip(transfer)
            start = stop
        self.vectors += len(x)
        return operations

    def digest(self, results: Sequence[Result]) -> list[Operation]:
        """Move the lines that were read to the hidden matrix; return the pulses that are due."""
        pending, self._pending = self._pending, None
        if not pending:
            return []
        reads = [result.values for result in results if result.values is not None]
        lines: list[NDArray[np.int32]] = []
        increments: list[NDArray[np.float32]] = []
        operations: list[Operation] = []
        taken = 0
        for read, values in zip(pending, reads, strict=True):
            # A line has its turn again only after all others, so that this many are distinct.
            if taken + len(read.lines) > self._schedule.lines:
                operations += self._add(lines, increments)
                lines, increments, taken = [], [], 0
            line_values = values.T if self._columns else values
            increment = line_values * read.factors
            if read.out_signs is not None:
                increment *= read.out_signs
            lines.append(read.lines)
            increments.append(increment.astype(np.float32, copy=False))
            taken += len(read.lines)
        return operations + self._add(lines, increments)

    def state(self) -> State:
        """Return the hidden matrix, the choppers, the running maxima and the number of samples."""
        if self._pending is not None:
            raise ConfigurationError(
                "a step is under way: its reads are planned, but not digested",
                remedy="save between two steps",
            )
        return {
            "hidden": self.hidden.values.copy(),
            "choppers": self.choppers.signs.copy(),
            "out_choppers": self.out_choppers.signs.copy(),
            "mu": np.array([self.mu_x.value, self.mu_d.value]),
            "vectors": np.array(self.vectors),
        }

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take what `state` returned."""
        self.hidden.values[...] = state["hidden"]
        self.choppers.signs[...] = state["choppers"]
        self.out_choppers.signs[...] = state["out_choppers"]
        self.mu_x.value, self.mu_d.value = state["mu"].tolist()
        self.vectors = int(state["vectors"])
        self._pending = None

    def _fast_rates(
        self, x_peaks: NDArray[np.float64], d_peaks: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return lambda_A = eta_0 l_max delta_A / (mu_x mu_d) of each sample, or the fixed one."""
        o = self._options
        if o.fast_rate is not None:
            return np.full(len(x_peaks), o.fast_rate)
        product = self.mu_x.follow(x_peaks) * self.mu_d.follow(d_peaks)
        return np.where(
            product > 0, o.eta0 * o.l_max * self._delta_fast / np.where(product > 0, product, 1), 0
        )

    def _plan_read(self, transfer: Transfer) -> Operation:
        average = self._options.reads_per_transfer
        if self._columns:
            return self.fast_tile.new_read_cells(cols=transfer.lines, average=average)
        return self.fast_tile.new_read_cells(rows=transfer.lines, average=average)

    def _pend(self, transfer: Transfer, rate: float) -> _Pending:
        signs = self.choppers.signs[transfer.lines, None]
        factors = (rate * self._gain * self._units_per_code * signs).astype(np.float32)
        out_signs = self.out_choppers.signs.copy() if self.out_choppers.active else None
        return _Pending(transfer.lines, factors, out_signs)

    def _flip(self, transfer: Transfer) -> None:
        """Flip choppers after a read; out-choppers after the last line of a sweep."""
        sweeps = [int(transfer.sweep[0])]
        if transfer.sweep[-1] != sweeps[0]:
            sweeps.append(int(transfer.sweep[-1]))
        for sweep in sweeps:
            lines = transfer.lines[transfer.sweep == sweep] if len(sweeps) > 1 else transfer.lines
            self.choppers.flip(lines, sweep)
            if self.out_choppers.active and lines[-1] == self._schedule.lines - 1:
                self.out_choppers.flip(self._all_cells, sweep)

    def _add(
        self, lines: list[NDArray[np.int32]], increments: list[NDArray[np.float32]]
    ) -> list[Operation]:
        """Add distinct lines to the hidden matrix; return their pulses as one operation, if any."""
        numbers = np.concatenate(lines)
        counts = self.hidden.add(numbers, np.concatenate(increments))
        pulsed = counts.any(axis=1)
        if not pulsed.any():
            return []
        counts, numbers = counts[pulsed], numbers[pulsed]
        block: IntArray = np.ascontiguousarray(counts.T) if self._columns else counts
        rows, cols = (None, numbers) if self._columns else (numbers, None)
        return [self.forward_tile.new_pulse(rows, cols, block)]
