"""A simulated tile: the arrays that the core works on, and the core's functions as methods."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from hwloop.errors import DeviceError
from hwloop.operations import Direction, Plane
from hwloop_sim import core
from hwloop_sim.core import address, contiguous
from hwloop_sim.periphery import Periphery, code_max

if TYPE_CHECKING:
    from hwloop_sim.population import Population

Ints = NDArray[np.int32]
Flags = NDArray[np.bool_]
T = TypeVar("T")
Lines = NDArray[np.uint32] | None

_PARAMETERS = (
    "up_a",
    "up_b",
    "down_a",
    "down_b",
    "bound_max",
    "bound_min",
    "write_noise",
)
_PULSES = 7  # word of a cell's parameters that counts its pulses

# Work below which a second thread costs more than it brings.
_MACS_PER_THREAD = 4_000_000
_PULSES_PER_THREAD = 50_000


class Tile:
    """A tile of simulated cells; what its methods do is specified in `docs/array-model.md`.

    Lines, codes and counts are taken as they come: the backend checks their shapes and ranges.

    Args:
        population: the cells.
        periphery: the converters.
        index: of the tile on its chip; enters into its random numbers.
        seed: of the array's random numbers.
        threads: most threads of one operation; results do not depend on it.
        form: `plain` computes with the simple loops that firmware may use, `fast` otherwise; the
            results are the same.
    """

    def __init__(
        self,
        population: Population,
        periphery: Periphery,
        *,
        index: int,
        seed: int,
        threads: int = 1,
        form: Literal["fast", "plain"] = "fast",
    ) -> None:
        self._core = core.library()
        self.rows, self.cols = population.reference.shape
        self.periphery = periphery
        self._form = form
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

        self._persistent = _own(population.initial)
        self._visible = _own(population.initial_visible)
        self._reference = _own(population.reference)
        self._cells = np.zeros((self.rows, self.cols, 8), np.float32)
        for n, name in enumerate(_PARAMETERS):
            self._cells[:, :, n] = getattr(population, name)
        self._pulses = self._cells.view(np.uint32)[:, :, _PULSES]
        self._versions = np.ones(self.rows, np.uint32)
        self._tables = [
            _own(t) for t in (population.up_table, population.down_table) if t is not None
        ]

        p = periphery
        self._struct = core.TileStruct(
            persistent=address(self._persistent),
            visible=address(self._visible),
            reference=address(self._reference),
            cells=address(self._cells),
            versions=address(self._versions),
            up_table=address(self._tables[0]) if self._tables else None,
            down_table=address(self._tables[1]) if self._tables else None,
            seed=seed & 0xFFFFFFFFFFFFFFFF,
            index=index,
            rows=self.rows,
            cols=self.cols,
            knots=len(self._tables[0]) if self._tables else 0,
            additive=population.additive,
            write_noise=bool(np.any(population.write_noise != 0)),
            cell_bits=p.cell_bits,
            cycle_noise=population.cycle_noise,
            full_scale=population.full_scale,
            input_noise=p.input_noise,
            output_noise=p.output_noise,
            dac_code_max=code_max(p.dac_bits),
            update_code_max=code_max(p.update_bits),
        )
        for adc, bits, bound in zip(
            self._struct.adc,
            (p.adc_bits, p.adc_bits, p.cell_adc_bits),
            (p.adc_range_forward, p.adc_range_backward, p.cell_adc_range),
            strict=True,
        ):
            adc.code_max, adc.range = code_max(bits), bound
        self._tile = ctypes.pointer(self._struct)

    @property
    def pulses(self) -> NDArray[np.uint32]:
        """Pulses that each cell has had, shape (rows, cols); a view."""
        return self._pulses

    def vmm(
        self, direction: Direction, plane: Plane, codes: NDArray[Any], *, ordinal: int
    ) -> tuple[Ints, Flags]:
        """Read a batch of vectors.

        Args:
            direction: columns driven (forward) or rows driven (backward).
            plane: plane that is read.
            codes: DAC codes, shape (samples, driven lines).
            ordinal: noise ordinal.

        Returns:
            ADC codes and saturation flags, shape (samples, output lines).
        """
        lines = self.rows if direction == Direction.FORWARD else self.cols
        samples = len(codes)
        carried = contiguous(codes, np.int32)
        if self.periphery.input_noise > 0:
            driven, carried = carried, np.empty_like(carried)
            self._core.hwl_drive(
                self._tile, direction, ordinal, samples, address(driven), address(carried)
            )
        values = np.empty((samples, lines), np.int32)
        saturated = np.empty((samples, lines), np.bool_)
        arguments = (direction, plane, ordinal, samples, address(carried))
        outputs = (address(values), address(saturated))

        def read(begin: int, end: int) -> None:
            self._core.hwl_read_plain(self._tile, *arguments, begin, end, *outputs)

        self._split(read, lines, samples * self.rows * self.cols // _MACS_PER_THREAD)
        return values, saturated

    def read_cells(
        self, plane: Plane, rows: Lines, cols: Lines, *, average: int, ordinal: int
    ) -> tuple[Ints, Flags]:
        """Read the cells of a block one by one.

        Args:
            plane: plane that is read.
            rows, cols: the block's lines, uint32; None is every line.
            average: number of reads that are summed.
            ordinal: noise ordinal.

        Returns:
            Sums of ADC codes, and whether any read of the cell saturated; shape (block rows, block
            columns).
        """
        height, width = self._block(rows, cols)
        values = np.empty((height, width), np.int32)
        saturated = np.empty((height, width), np.bool_)
        block = (plane, ordinal, average, address(rows), address(cols), width)
        outputs = (address(values), address(saturated))

        def read(begin: int, end: int) -> None:
            self._core.hwl_read_cells_plain(self._tile, *block, begin, end, *outputs)

        self._split(read, height, height * width * average // _PULSES_PER_THREAD)
        return values, saturated

    def pulse(self, rows: Lines, cols: Lines, counts: NDArray[Any], *, ordinal: int) -> int:
        """Give the cells of a block whole pulses.

        Args:
            rows, cols: the block's lines, uint32, each once; None is every line.
            counts: signed pulses, int16, shape (block rows, block columns); positive is up.
            ordinal: noise ordinal.

        Returns:
            Number of pulses given.
        """
        counts = contiguous(counts, np.int16)
        height, width = self._block(rows, cols)
        block = (ordinal, address(rows), address(cols), width, address(counts))

        def pulse(begin: int, end: int) -> int:
            return int(self._core.hwl_pulse_plain(self._tile, *block, begin, end))

        return sum(self._split(pulse, height, counts.size // _PULSES_PER_THREAD))

    def outer_update(
        self,
        x_codes: NDArray[Any],
        d_codes: NDArray[Any],
        lengths: NDArray[Any],
        x_gains: NDArray[Any],
        d_gains: NDArray[Any],
        *,
        ordinal: int,
    ) -> int:
        """Make a batch of rank-1 stochastic updates from codes.

        Args:
            x_codes: update codes of the columns, shape (samples, cols).
            d_codes: update codes of the rows, shape (samples, rows).
            lengths: slots per sample, shape (samples,).
            x_gains, d_gains: gains of the sides, 1 to 65536, shape (samples,).
            ordinal: noise ordinal.

        Returns:
            Number of pulses given.
        """
        samples = len(lengths)
        lengths = contiguous(lengths, np.int32)
        words = (int(lengths.max(initial=0)) + 31) // 32
        masks: list[NDArray[np.uint32]] = []
        for purpose, codes, gains, lines in (
            (core.PURPOSE_X_TRAINS, x_codes, x_gains, self.cols),
            (core.PURPOSE_D_TRAINS, d_codes, d_gains, self.rows),
        ):
            codes, gains = contiguous(codes, np.int32), contiguous(gains, np.int32)
            plus = np.empty((samples, words, lines), np.uint32)
            minus = np.empty_like(plus)
            side = (
                ordinal,
                purpose,
                lines,
                address(codes),
                address(lengths),
                address(gains),
                words,
            )
            self._core.hwl_draw_trains_plain(
                self._tile, *side, address(plus), address(minus), 0, samples
            )
            masks += [plus, minus]
        return self._apply_trains(masks, ordinal)

    def outer_trains(self, x_trains: NDArray[Any], d_trains: NDArray[Any], *, ordinal: int) -> int:
        """Make a batch of rank-1 updates from trains.

        Args:
            x_trains: in {-1, 0, 1}, shape (samples, slots, cols).
            d_trains: in {-1, 0, 1}, shape (samples, slots, rows).
            ordinal: noise ordinal.

        Returns:
            Number of pulses given.
        """
        masks: list[NDArray[np.uint32]] = []
        for trains in (contiguous(x_trains, np.int8), contiguous(d_trains, np.int8)):
            samples, slots, lines = trains.shape
            words = (slots + 31) // 32
            plus = np.empty((samples, words, lines), np.uint32)
            minus = np.empty_like(plus)
            self._core.hwl_pack_trains(
                lines, samples, slots, address(trains), words, address(plus), address(minus)
            )
            masks += [plus, minus]
        return self._apply_trains(masks, ordinal)

    def snapshot(self) -> NDArray[np.uint32]:
        """Return the whole state: bits of persistent, visible and reference, and pulse counts."""
        state = np.empty((4, self.rows, self.cols), np.uint32)
        for n, plane in enumerate((self._persistent, self._visible, self._reference)):
            state[n] = plane.view(np.uint32)
        state[3] = self._pulses
        return state

    def restore(self, state: NDArray[Any]) -> None:
        """Write the whole state, as `snapshot` returns it.

        Raises:
            DeviceError: a value is not finite, a persistent one is outside its cell's bounds by
                more than rounding, or a reference one is outside the full scale.
        """
        state = contiguous(state, np.uint32)
        persistent, visible, reference = (state[n].view(np.float32) for n in range(3))
        slack = np.float32(2**-20 * self._struct.full_scale)
        bound_max, bound_min = self._cells[:, :, 4], self._cells[:, :, 5]
        for name, values, fine in (
            (
                "persistent",
                persistent,
                (persistent <= bound_max + slack) & (persistent >= bound_min - slack),
            ),
            ("visible", visible, np.isfinite(visible)),
            ("reference", reference, np.abs(reference) <= self._struct.full_scale),
        ):
            if not fine.all():
                row, col = (int(i) for i in np.argwhere(~fine)[0])
                raise DeviceError(
                    f"restore: {name} value {values[row, col]:g} of cell ({row}, {col}) is outside "
                    f"what the cell can hold; its bounds are {bound_min[row, col]:g} and "
                    f"{bound_max[row, col]:g}",
                    remedy="restore a snapshot of the same device, shape and seed",
                )
        np.copyto(self._persistent, persistent)
        np.copyto(self._visible, visible)
        np.copyto(self._reference, reference)
        self._pulses[:] = state[3]
        self._versions += np.uint32(1)

    def close(self) -> None:
        """Let the threads go."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def _block(self, rows: Lines, cols: Lines) -> tuple[int, int]:
        height = self.rows if rows is None else len(rows)
        return height, self.cols if cols is None else len(cols)

    def _apply_trains(self, masks: list[NDArray[np.uint32]], ordinal: int) -> int:
        samples, words, _ = masks[0].shape
        trains = core.TrainsStruct(*map(address, masks), samples, words)

        def update(begin: int, end: int) -> int:
            return int(
                self._core.hwl_update_plain(self._tile, ordinal, ctypes.byref(trains), begin, end)
            )

        work = samples * words * self.rows * self.cols // _PULSES_PER_THREAD
        return sum(self._split(update, self.rows, work))

    def _split(self, work: Callable[[int, int], T], lines: int, parts: int) -> list[T]:
        """Call `work(begin, end)` on parts of the lines, as many as the work is worth threads."""
        parts = min(parts + 1, self._threads, lines)
        if parts <= 1 or self._pool is None:
            return [work(0, lines)]
        edges = [lines * n // parts for n in range(parts + 1)]
        return list(self._pool.map(work, edges[:-1], edges[1:]))


def _own(values: NDArray[Any]) -> NDArray[np.float32]:
    """Return a copy that nobody else writes to."""
    return np.array(values, dtype=np.float32, order="C")
