"""A simulated tile: the arrays that the core works on, and the core's functions as methods."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from hwloop.operations import Direction, Plane
from hwloop_sim import core
from hwloop_sim.core import address, readable, writable
from hwloop_sim.periphery import Periphery
from hwloop_sim.state import TileState

if TYPE_CHECKING:
    from hwloop_sim.population import Population

Ints = NDArray[np.int32]
Flags = NDArray[np.bool_]
T = TypeVar("T")
Lines = NDArray[np.uint32] | None

_CACHE_LINE = 64  # alignment of scratch memory

# Work below which a second thread costs more than it brings.
_MACS_PER_THREAD = 4_000_000
_PULSES_PER_THREAD = 50_000
_LOOKS_PER_THREAD = 4_000


class Tile:
    """A tile of simulated cells; what its methods do is specified in `docs/array-model.md`.

    Lines, codes and counts are taken as they come: the backend checks their shapes and ranges.

    Args:
        population: the cells.
        periphery: the converters.
        index: of the tile on its chip; enters into its random numbers.
        seed: of the array's random numbers.
        threads: most threads of one operation; results do not depend on it.
        form: `plain` computes with the simple loops that firmware may use, `fast` with the fast
            forms, and `portable` with these but without special instructions; the results are the
            same.
    """

    def __init__(
        self,
        population: Population,
        periphery: Periphery,
        *,
        index: int,
        seed: int,
        threads: int = 1,
        form: Literal["fast", "portable", "plain"] = "fast",
    ) -> None:
        self._core = core.library()
        self.rows, self.cols = population.reference.shape
        self.periphery = periphery
        self._plain = form == "plain"
        self._simd = self._core.hwl_simd_best() if form == "fast" else 0
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

        self._state = TileState(population, periphery, index=index, seed=seed)
        self._tile = ctypes.pointer(self._state.struct)
        self._seen = ctypes.pointer(self._state.seen)
        room = max(
            self._core.hwl_update_scratch(self.cols), self._core.hwl_read_scratch(self._tile)
        )
        self._scratch = [_aligned(room) for _ in range(threads)]
        self._scratch_at = [address(scratch) for scratch in self._scratch]
        self._grids: dict[Plane, _Grid] = {}
        self._current: set[Plane] = set()  # planes whose grid no change has made stale
        self._masks = np.empty(0, np.uint32)
        self._masks_at = 0

    @property
    def pulses(self) -> NDArray[np.uint32]:
        """Pulses that each cell has had, shape (rows, cols); a view."""
        return self._state.pulses

    @property
    def state_words(self) -> int:
        """Words per cell of what `snapshot` returns."""
        return self._state.words

    def begin(self, clock: int) -> None:
        """Say at which tick of the chip's clock the next operation begins, on whatever tile."""
        if self._state.time is not None:
            self._state.time.begin(clock)

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
        carried = readable(codes, np.int32)
        if self.periphery.input_noise > 0:
            noisy = np.empty(codes.shape, np.int32)
            driven, carried = carried, noisy.ctypes
            self._core.hwl_drive(self._tile, direction, ordinal, samples, driven, carried)
        values = np.empty((samples, lines), np.int32)
        saturated = np.empty((samples, lines), np.bool_)
        self._look(None, self.rows)
        arguments = (direction, plane, ordinal, samples, carried)
        outputs = (writable(values), writable(saturated))
        work = samples * self.rows * self.cols // _MACS_PER_THREAD
        if self._plain:

            def read_plain(_: int, begin: int, end: int) -> None:
                self._core.hwl_read_plain(self._seen, *arguments, begin, end, *outputs)

            self._split(read_plain, lines, work)
            return values, saturated

        grid = self._grid(plane)

        def read(part: int, begin: int, end: int) -> None:
            scratch = self._scratch_at[part]
            self._core.hwl_read_fast(
                self._seen, self._simd, grid, *arguments, begin, end, *outputs, scratch
            )

        self._split(read, lines, work)
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
        self._look(rows, height)
        block = (plane, ordinal, average, _list(rows), _list(cols), width)
        outputs = (writable(values), writable(saturated))

        def read(_: int, begin: int, end: int) -> None:
            if self._plain:
                self._core.hwl_read_cells_plain(self._seen, *block, begin, end, *outputs)
            else:
                self._core.hwl_read_cells_fast(self._seen, self._simd, *block, begin, end, *outputs)

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
        height, width = self._block(rows, cols)
        block = (ordinal, _list(rows), _list(cols), width, readable(counts, np.int16))
        self._current.discard(Plane.MAIN)
        self._current.discard(Plane.DIFFERENCE)

        def pulse(part: int, begin: int, end: int) -> int:
            if self._plain:
                fired: int = self._core.hwl_pulse_plain(self._tile, *block, begin, end)
            else:
                scratch = self._scratch_at[part]
                fired = self._core.hwl_pulse_fast(
                    self._tile, self._simd, *block, begin, end, scratch
                )
            return fired

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
        words = (max(lengths.tolist(), default=0) + 31) // 32
        trains = self._trains(samples, words)
        slots = readable(lengths, np.int32)
        for purpose, codes, gains, lines, plus, minus in (
            (core.PURPOSE_X_TRAINS, x_codes, x_gains, self.cols, trains.x_plus, trains.x_minus),
            (core.PURPOSE_D_TRAINS, d_codes, d_gains, self.rows, trains.d_plus, trains.d_minus),
        ):
            side = (ordinal, purpose, lines, readable(codes, np.int32), slots)
            masks = (readable(gains, np.int32), words, plus, minus, 0, samples)
            if self._plain:
                self._core.hwl_draw_trains_plain(self._tile, *side, *masks)
            else:
                self._core.hwl_draw_trains_fast(self._tile, self._simd, *side, *masks)
        return self._apply_trains(trains, ordinal)

    def outer_trains(self, x_trains: NDArray[Any], d_trains: NDArray[Any], *, ordinal: int) -> int:
        """Make a batch of rank-1 updates from trains.

        Args:
            x_trains: in {-1, 0, 1}, shape (samples, slots, cols).
            d_trains: in {-1, 0, 1}, shape (samples, slots, rows).
            ordinal: noise ordinal.

        Returns:
            Number of pulses given.
        """
        samples, slots, _ = x_trains.shape
        words = (slots + 31) // 32
        trains = self._trains(samples, words)
        for values, lines, plus, minus in (
            (x_trains, self.cols, trains.x_plus, trains.x_minus),
            (d_trains, self.rows, trains.d_plus, trains.d_minus),
        ):
            packed = readable(values, np.int8)
            self._core.hwl_pack_trains(lines, samples, slots, packed, words, plus, minus)
        return self._apply_trains(trains, ordinal)

    def snapshot(self) -> NDArray[np.uint32]:
        """Return the whole state, shape (`state_words`, rows, cols).

        Bits of persistent, visible and reference, and pulse counts; of a tile whose cells change
        with time also the tick of each cell's last pulse and the tick that it is, each as a low
        and a high word.
        """
        return self._state.snapshot()

    def restore(self, state: NDArray[Any]) -> None:
        """Write the whole state, as `snapshot` returns it.

        A persistent value outside its cell's bounds becomes the bound, as after a pulse; the host
        cannot know the bounds, and compares what it wrote with a snapshot.

        Raises:
            DeviceError: a value is not finite, or a reference one is outside the full scale.
        """
        self._state.restore(state)
        self._current.clear()

    def close(self) -> None:
        """Let the threads go."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def _block(self, rows: Lines, cols: Lines) -> tuple[int, int]:
        height = self.rows if rows is None else len(rows)
        return height, self.cols if cols is None else len(cols)

    def _look(self, rows: Lines, count: int) -> None:
        """Bring what reads see of the rows of a block to the time of the operation."""
        if self._state.time is None:
            return
        self._current.clear()
        listed = _list(rows)

        def look(_: int, begin: int, end: int) -> None:
            if self._plain:
                self._core.hwl_see_plain(self._tile, listed, begin, end)
            else:
                self._core.hwl_see_fast(self._tile, self._simd, listed, begin, end)

        self._split(look, count, count * self.cols // _LOOKS_PER_THREAD)

    def _grid(self, plane: Plane) -> _Grid:
        """Return the up-to-date read grid of a plane."""
        grid = self._grids.get(plane)
        if grid is None:
            grid = self._grids[plane] = _Grid(self._core.hwl_grid_size(self._tile), self.rows)
        if plane not in self._current:

            def refresh(_: int, begin: int, end: int) -> None:
                self._core.hwl_grid_refresh(self._seen, self._simd, plane, grid, begin, end)

            self._split(refresh, self.rows, self.rows * self.cols // _MACS_PER_THREAD)
            self._current.add(plane)
        return grid

    def _trains(self, samples: int, words: int) -> core.TrainsStruct:
        """Return masks for trains, in memory that is used again by the next update."""
        side = samples * words
        needed = 2 * side * (self.rows + self.cols)
        if self._masks.size < needed:
            self._masks = np.empty(needed, np.uint32)
            self._masks_at = address(self._masks)
        x_plus, x_bytes, d_bytes = self._masks_at, 4 * side * self.cols, 4 * side * self.rows
        d_plus = x_plus + 2 * x_bytes
        return core.TrainsStruct(x_plus, x_plus + x_bytes, d_plus, d_plus + d_bytes, samples, words)

    def _apply_trains(self, trains: core.TrainsStruct, ordinal: int) -> int:
        self._current.discard(Plane.MAIN)
        self._current.discard(Plane.DIFFERENCE)

        def update(part: int, begin: int, end: int) -> int:
            if self._plain:
                fired: int = self._core.hwl_update_plain(self._tile, ordinal, trains, begin, end)
            else:
                scratch = self._scratch_at[part]
                fired = self._core.hwl_update_fast(
                    self._tile, self._simd, ordinal, trains, begin, end, scratch
                )
            return fired

        work = trains.samples * trains.words * self.rows * self.cols // _PULSES_PER_THREAD
        return sum(self._split(update, self.rows, work))

    def _split(self, work: Callable[[int, int, int], T], lines: int, parts: int) -> list[T]:
        """Call `work(part, begin, end)` on parts of the lines, as many as are worth a thread."""
        if self._pool is None or parts == 0 or lines == 0:
            return [work(0, 0, lines)]
        parts = min(parts + 1, self._threads, lines)
        edges = [lines * n // parts for n in range(parts + 1)]
        return list(self._pool.map(work, range(parts), edges[:-1], edges[1:]))


class _Grid(core.GridStruct):
    """A read grid of a plane, with its memory; of no row yet."""

    def __init__(self, size: int, rows: int) -> None:
        self._values = _aligned(size)
        self._values.fill(0)
        self._seen = np.zeros(rows, np.uint32)
        super().__init__(address(self._values), address(self._seen))


def _aligned(size: int) -> NDArray[np.uint8]:
    """Return memory that begins on a cache line."""
    memory = np.empty(size + _CACHE_LINE, np.uint8)
    begin = -address(memory) % _CACHE_LINE
    return memory[begin : begin + size]


def _list(lines: Lines) -> Any:
    """Return what a call takes as a pointer to a block's lines."""
    return None if lines is None else readable(lines, np.uint32)
