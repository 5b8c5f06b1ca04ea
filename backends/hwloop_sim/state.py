"""The memory of a simulated tile: what the core works on, bound to `hwl_tile`."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwloop.errors import DeviceError
from hwloop_sim import core
from hwloop_sim.core import address, contiguous
from hwloop_sim.periphery import Periphery, code_max

if TYPE_CHECKING:
    from hwloop_sim.population import Population
    from hwloop_sim.terms import Terms

WORDS, WORDS_WITH_TIME = 4, 8
"""Planes of a state: bits of persistent, visible and reference, and pulse counts; with a time also
the tick of the last pulse and the tick that it is, low words before high words."""

_PARAMETERS = ("up_a", "up_b", "down_a", "down_b", "bound_max", "bound_min", "write_noise")
_BOUND_MAX, _BOUND_MIN, _PULSES = 4, 5, 7  # words of a cell's parameters
_CLOCK = 2**64


class TileTime:
    """What a tile with terms keeps of time, bound to `hwl_time`.

    Attributes:
        struct: as the core takes it.
        pulsed: tick of the last pulse of each cell, uint64, shape (rows, cols).
    """

    def __init__(self, terms: Terms, rows: int, cols: int) -> None:
        self._ahead = 0  # of the chip's clock
        self.pulsed = np.zeros((rows, cols), np.uint64)
        self._counted = np.zeros((rows, cols), np.uint32)
        self.seen = np.zeros((rows, cols), np.float32)
        self._seen_at = np.zeros(rows, np.uint64)
        self._seen_of = np.zeros(rows, np.uint32)
        self.seen_versions = np.ones(rows, np.uint32)
        self._terms = np.frombuffer(terms.pack(), np.uint32).copy()
        self.struct = core.TimeStruct(
            now=0,
            terms=address(self._terms),
            pulsed=address(self.pulsed),
            counted=address(self._counted),
            seen=address(self.seen),
            seen_at=address(self._seen_at),
            seen_of=address(self._seen_of),
            seen_versions=address(self.seen_versions),
        )

    def begin(self, clock: int) -> None:
        """Set the time at which an operation begins, by the chip's clock."""
        self.struct.now = (clock + self._ahead) % _CLOCK

    def planes(self) -> NDArray[np.uint32]:
        """Return the planes of a state that belong to time."""
        now = np.full_like(self.pulsed, self.struct.now)
        parts = [w >> np.uint64(s) for w in (self.pulsed, now) for s in (0, 32)]
        return np.stack([p.astype(np.uint32) for p in parts])

    def restore(self, planes: NDArray[np.uint32], pulses: NDArray[np.uint32]) -> None:
        """Write what `planes` returns; the tile then goes on from that time."""
        low, high = planes[0::2].astype(np.uint64), planes[1::2].astype(np.uint64)
        pulsed, now = low | high << np.uint64(32)
        self.pulsed[:] = pulsed
        self._counted[:] = pulses
        clock = (int(self.struct.now) - self._ahead) % _CLOCK
        self._ahead = int(now.flat[0]) - clock
        self.begin(clock)


class TileState:
    """Arrays of a tile and the struct that the core takes.

    Args:
        population: the cells.
        periphery: the converters.
        index: of the tile on its chip.
        seed: of the array's random numbers.

    Attributes:
        struct: the tile, for pulses.
        seen: the tile as reads see it: the same struct, unless its cells change with time.
        time: what the tile keeps of time, or None.
        pulses: pulses of each cell, a view.
    """

    def __init__(
        self, population: Population, periphery: Periphery, *, index: int, seed: int
    ) -> None:
        self.rows, self.cols = population.reference.shape
        self._persistent = _own(population.initial)
        self._visible = _own(population.initial_visible)
        self._reference = _own(population.reference)
        self._cells = np.zeros((self.rows, self.cols, 8), np.float32)
        for n, name in enumerate(_PARAMETERS):
            self._cells[:, :, n] = getattr(population, name)
        self.pulses = self._cells.view(np.uint32)[:, :, _PULSES]
        self._versions = np.ones(self.rows, np.uint32)
        self._tables = [
            _own(t) for t in (population.up_table, population.down_table) if t is not None
        ]
        self._errors = periphery.line_errors(self.rows, self.cols, seed=seed, tile=index)
        self.time = (
            None if population.terms is None else TileTime(population.terms, self.rows, self.cols)
        )
        p = periphery
        self.struct = core.TileStruct(
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
            write_memory=population.write_memory,
        )
        for adc, bits, bound in zip(
            self.struct.adc,
            (p.adc_bits, p.adc_bits, p.cell_adc_bits),
            (p.adc_range_forward, p.adc_range_backward, p.cell_adc_range),
            strict=True,
        ):
            adc.code_max, adc.range = code_max(bits), bound
        if self._errors is not None:
            for n, (gains, offsets) in enumerate(self._errors):
                self.struct.line_gains[n] = address(gains)
                self.struct.line_offsets[n] = address(offsets)
        self.seen = self.struct
        if self.time is not None:
            self.struct.time = ctypes.addressof(self.time.struct)
            self.seen = core.TileStruct.from_buffer_copy(self.struct)
            self.seen.visible = address(self.time.seen)
            self.seen.versions = address(self.time.seen_versions)
            self.seen.time = None

    @property
    def words(self) -> int:
        """Words per cell of a state."""
        return WORDS if self.time is None else WORDS_WITH_TIME

    def snapshot(self) -> NDArray[np.uint32]:
        """Return the whole state, shape (`words`, rows, cols)."""
        state = np.empty((self.words, self.rows, self.cols), np.uint32)
        for n, plane in enumerate((self._persistent, self._visible, self._reference)):
            state[n] = plane.view(np.uint32)
        state[3] = self.pulses
        if self.time is not None:
            state[WORDS:] = self.time.planes()
        return state

    def restore(self, state: NDArray[Any]) -> None:
        """Write the whole state, as `snapshot` returns it.

        Raises:
            DeviceError: a value is not finite, or a reference one is outside the full scale, or the
                cells differ in what time it is.
        """
        state = contiguous(state, np.uint32)
        persistent, visible, reference = (state[n].view(np.float32) for n in range(3))
        for name, values, fine in (
            ("persistent", persistent, np.isfinite(persistent)),
            ("visible", visible, np.isfinite(visible)),
            ("reference", reference, np.abs(reference) <= self.struct.full_scale),
        ):
            if not fine.all():
                row, col = (int(i) for i in np.argwhere(~fine)[0])
                raise DeviceError(
                    f"restore: {name} value {values[row, col]:g} of cell ({row}, {col}) is not "
                    f"one that a cell can hold",
                    remedy="restore a snapshot of the same device, shape and seed",
                )
        if self.time is not None and np.ptp(state[6:].reshape(2, -1), axis=1).any():
            raise DeviceError(
                "restore: the cells of the tile differ in what time it is",
                remedy="restore a snapshot of one moment",
            )
        low, high = self._cells[:, :, _BOUND_MIN], self._cells[:, :, _BOUND_MAX]
        np.clip(persistent, low, high, out=self._persistent)
        np.copyto(self._visible, visible)
        np.copyto(self._reference, reference)
        self.pulses[:] = state[3]
        if self.time is not None:
            self.time.restore(state[WORDS:], state[3])
        self._versions += np.uint32(1)


def _own(values: NDArray[Any]) -> NDArray[np.float32]:
    """Return a copy that nobody else writes to."""
    return np.array(values, dtype=np.float32, order="C")
