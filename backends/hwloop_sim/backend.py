"""The simulated array as a backend: checks operations, and executes them at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from hwloop.backend import AbortReport, Ticket
from hwloop.capabilities import Capabilities, Configuration
from hwloop.device_file import DeviceFile
from hwloop.errors import CapabilityError, CrossbarError, DeviceError
from hwloop.guard import Guard
from hwloop.operations import (
    GAIN_ONE,
    Configure,
    Direction,
    Operation,
    OuterTrains,
    OuterUpdate,
    Pulse,
    ReadCells,
    Restore,
    Result,
    Snapshot,
    Verdict,
    Vmm,
    Wait,
)
from hwloop_sim import core, population
from hwloop_sim.checks import check, listed_lines
from hwloop_sim.describing import capabilities
from hwloop_sim.periphery import Periphery
from hwloop_sim.terms import TICK_SECONDS
from hwloop_sim.tile import Tile

_DONE = threading.Event()
_DONE.set()


class _Executed(Ticket):
    """A ticket of operations that are executed while it is made, so nobody waits for it."""

    __slots__ = ()

    def __init__(self, operations: Sequence[Operation]) -> None:
        self.operations = operations
        self.results = []
        self.error = None
        self.done = _DONE


class SimBackend:
    """A simulated array; operations are executed in `submit`, in the caller's thread.

    Args:
        device: the device that the cells follow.
        shapes: rows and columns of each tile.
        periphery: the converters of all tiles.
        seed: of the cells and of all noise.
        threads: most threads of one operation.
        overrides: values that replace some of the device's, for `population.draw`.
        address: what the user called the device.
    """

    def __init__(
        self,
        device: DeviceFile,
        shapes: Sequence[tuple[int, int]],
        periphery: Periphery,
        *,
        seed: int = 1,
        threads: int = 1,
        overrides: dict[str, str] | None = None,
        address: str | None = None,
    ) -> None:
        self._tiles = [
            Tile(
                population.draw(device, rows, cols, seed=seed, tile=n, overrides=overrides or {}),
                periphery,
                index=n,
                seed=seed,
                threads=threads,
            )
            for n, (rows, cols) in enumerate(shapes)
        ]
        self._read_ticks = _ticks(periphery.read_seconds)
        self._offered = Configuration(shapes=device.shapes, limits=device.limits)
        self._installed: Configuration | None = None
        self._installed_hash = 0
        self._guard: Guard | None = None
        self._capabilities = capabilities(
            device,
            shapes,
            periphery,
            self._offered,
            seed,
            address,
            overrides or {},
            [tile.state_words for tile in self._tiles],
        )
        self._clock = 0  # ticks
        self._failure: CrossbarError | None = None
        self._latched = False
        self._aborted = threading.Event()
        self._executing = threading.Lock()
        self._waiting: list[Operation] = []
        self._dropped: list[Operation] = []  # by the abort under way
        self._execute: dict[type[Operation], Callable[[Any], Result]] = {
            Vmm: self._vmm,
            ReadCells: self._read_cells,
            Pulse: self._pulse,
            OuterUpdate: self._outer_update,
            OuterTrains: self._outer_trains,
            Configure: self._configure,
            Wait: self._wait,
            Snapshot: self._snapshot,
            Restore: self._restore,
        }

    def describe(self) -> Capabilities:
        """Return what the array can do."""
        return self._capabilities

    def installed(self) -> Configuration:
        """Return pulse shapes and limits as the array holds them."""
        return self._offered if self._installed is None else self._installed

    def submit(self, operations: Sequence[Operation]) -> Ticket:
        """Execute operations; a failure shows in `wait` or in the next `submit`."""
        self._raise_failure()
        ticket = _Executed(operations)
        self._waiting = list(operations)[::-1]
        while self._waiting:
            with self._executing:
                if not self._waiting:
                    break
                operation = self._waiting[-1]
                if self._latched or self._aborted.is_set():
                    error: CrossbarError = DeviceError(
                        "not executed: the array is latched after a failure or an abort",
                        remedy="look at the first error, then clear()",
                    )
                    self._dropped = self._waiting
                    self._fail(ticket, operation, error)
                    break
                self._waiting.pop()
                try:
                    ticket.results.append(self._one(operation))
                except CrossbarError as refused:
                    self._fail(ticket, operation, refused)
                    break
                except Exception as unexpected:
                    error = DeviceError(
                        f"{type(unexpected).__name__} in the simulation: {unexpected}",
                        verdict=Verdict.UNKNOWN,
                    )
                    error.__cause__ = unexpected
                    self._fail(ticket, operation, error)
                    break
        self._waiting = []
        return ticket

    def wait(self, ticket: Ticket, timeout: float | None = None) -> list[Result]:
        """Return the results of a submission, one per operation."""
        if ticket.error is not None:
            if self._failure is ticket.error:
                self._failure = None
            raise ticket.error
        return ticket.results

    def idle(self) -> None:
        """Do nothing: a simulated line is always idle between operations."""

    def abort(self) -> AbortReport:
        """Execute nothing more until `clear`; the operation under way is finished."""
        self._dropped = []
        self._aborted.set()
        with self._executing:
            # Whoever is submitting may have seen the abort before this has the lock.
            not_begun = self._dropped or self._waiting
            self._latched = True
        return AbortReport(None, tuple(operation.id for operation in reversed(not_begun)))

    def clear(self) -> None:
        """Allow execution again after a failure or an abort."""
        self._failure = None
        self._latched = False
        self._aborted.clear()

    def close(self) -> None:
        """Let the threads go."""
        for tile in self._tiles:
            tile.close()
        self._raise_failure()

    def pulses(self, tile: int) -> NDArray[np.uint32]:
        """Return the pulses that each cell of a tile has had, shape (rows, cols)."""
        return self._tiles[tile].pulses.copy()

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _fail(self, ticket: Ticket, operation: Operation, error: CrossbarError) -> None:
        error.operation_id = error.operation_id or operation.id
        ticket.error = self._failure = error
        self._latched = True

    def _one(self, operation: Operation) -> Result:
        execute = self._execute.get(type(operation))
        if execute is None:
            raise CapabilityError(
                f"a simulated array does not understand {operation.kind!r}",
                remedy=f"it understands {', '.join(sorted(self._capabilities.operations))}",
            )
        if not 0 <= operation.tile < len(self._tiles):
            raise DeviceError(
                f"{operation.kind}: tile {operation.tile}: expected 0 to {len(self._tiles) - 1}"
            )
        if self._guard is not None and isinstance(operation, Pulse | OuterUpdate | OuterTrains):
            self._widths(operation)
            self._guard.admit([operation])
        self._tiles[operation.tile].begin(self._clock)
        result = execute(operation)
        self._clock += result.ticks
        return result

    def _vmm(self, operation: Vmm) -> Result:
        tile = self._tiles[operation.tile]
        codes = operation.codes
        driven = tile.cols if operation.direction == Direction.FORWARD else tile.rows
        check(operation, "codes", codes, (*codes.shape[:1], driven), self._dac_max(operation))
        values, saturated = tile.vmm(
            operation.direction, operation.plane, codes, ordinal=operation.ordinal
        )
        return Result(
            id=operation.id,
            values=values,
            saturated=saturated,
            ticks=len(values) * self._read_ticks,
        )

    def _read_cells(self, operation: ReadCells) -> Result:
        tile = self._tiles[operation.tile]
        most = self._capabilities.tiles[operation.tile].average_max
        if not 1 <= operation.average <= most:
            raise DeviceError(f"read_cells: average {operation.average}: expected 1 to {most}")
        values, saturated = tile.read_cells(
            operation.plane,
            listed_lines(operation, "rows", operation.rows, tile.rows),
            listed_lines(operation, "cols", operation.cols, tile.cols),
            average=operation.average,
            ordinal=operation.ordinal,
        )
        # One line at a time, all of its cells together, along the shorter side of the block.
        reads = min(values.shape) * operation.average
        return Result(
            id=operation.id, values=values, saturated=saturated, ticks=reads * self._read_ticks
        )

    def _pulse(self, operation: Pulse) -> Result:
        tile = self._tiles[operation.tile]
        up, down = self._widths(operation)
        rows = listed_lines(operation, "rows", operation.rows, tile.rows)
        cols = listed_lines(operation, "cols", operation.cols, tile.cols)
        shape = (
            tile.rows if rows is None else len(rows),
            tile.cols if cols is None else len(cols),
        )
        counts = operation.counts
        check(operation, "counts", counts, shape, None if counts.dtype == np.int16 else 2**15 - 1)
        try:
            # The cells of a row are pulsed together, up pulses before down pulses.
            ups, downs = core.pulse_rounds(counts)
        except ValueError as error:
            raise DeviceError(f"pulse: counts: {error}") from error
        fired = tile.pulse(rows, cols, counts, ordinal=operation.ordinal)
        return Result(id=operation.id, fired=fired, ticks=ups * up + downs * down)

    def _outer_update(self, operation: OuterUpdate) -> Result:
        tile = self._tiles[operation.tile]
        up, down = self._widths(operation)
        capabilities = self._capabilities.tiles[operation.tile]
        largest = capabilities.update_code_max
        samples = len(operation.train_lengths)
        check(operation, "x_codes", operation.x_codes, (samples, tile.cols), largest)
        check(operation, "d_codes", operation.d_codes, (samples, tile.rows), largest)
        check(
            operation,
            "train_lengths",
            operation.train_lengths,
            (samples,),
            capabilities.longest_train,
            least=0,
        )
        check(operation, "x_gains", operation.x_gains, (samples,), GAIN_ONE, least=1)
        check(operation, "d_gains", operation.d_gains, (samples,), GAIN_ONE, least=1)
        fired = tile.outer_update(
            operation.x_codes,
            operation.d_codes,
            operation.train_lengths,
            operation.x_gains,
            operation.d_gains,
            ordinal=operation.ordinal,
        )
        slots = sum(operation.train_lengths.tolist())
        return Result(id=operation.id, fired=fired, ticks=slots * (up + down))

    def _outer_trains(self, operation: OuterTrains) -> Result:
        tile = self._tiles[operation.tile]
        up, down = self._widths(operation)
        check(operation, "x_trains", operation.x_trains, (None, None, tile.cols), 1)
        samples, slots, _ = operation.x_trains.shape
        check(operation, "d_trains", operation.d_trains, (samples, slots, tile.rows), 1)
        longest = self._capabilities.tiles[operation.tile].longest_train
        if slots > longest:
            raise DeviceError(f"outer_trains: {slots} slots: expected at most {longest}")
        fired = tile.outer_trains(operation.x_trains, operation.d_trains, ordinal=operation.ordinal)
        return Result(id=operation.id, fired=fired, ticks=samples * slots * (up + down))

    def _configure(self, operation: Configure) -> Result:
        try:
            configuration = Configuration.model_validate_json(operation.content_json)
        except ValidationError as error:
            raise DeviceError(f"configure: not a configuration: {error}") from error
        for name, shape in configuration.shapes.items():
            if self._offered.shapes.get(name) != shape:
                raise CapabilityError(
                    f"configure: pulse shape {name!r}: the model holds for its own shapes only",
                    remedy="use as the device file gives them: "
                    + ", ".join(sorted(self._offered.shapes)),
                )
        limits = configuration.limits
        if limits.tightened(self._offered.limits.installed()) != limits:
            raise DeviceError(
                "configure: limits are looser than those of the device",
                remedy="tighten them by `Limits.tightened` of the device's own limits",
            )
        guard = Guard(self._capabilities, configuration, armed=True)
        guard.admit([operation])
        self._installed, self._installed_hash = configuration, configuration.hash()
        self._keep_limits(guard)
        return Result(id=operation.id)

    def _keep_limits(self, guard: Guard) -> None:
        """Let the array hold limits on pulses by itself, as a chip does, if there are any.

        Doses count from here on: a run installs its configuration once, in its beginning.
        """
        limits = guard.configuration.limits
        counted = (limits.pulses_per_operation, limits.dose_per_cell, limits.dose_per_line)
        self._guard = guard if any(most is not None for most in counted) else None

    def _wait(self, operation: Wait) -> Result:
        if operation.ticks < 0:
            raise DeviceError(f"wait: {operation.ticks} ticks: expected 0 or more")
        return Result(id=operation.id, ticks=operation.ticks)

    def _snapshot(self, operation: Snapshot) -> Result:
        return Result(id=operation.id, values=self._tiles[operation.tile].snapshot())

    def _restore(self, operation: Restore) -> Result:
        tile = self._tiles[operation.tile]
        expected = (tile.state_words, tile.rows, tile.cols)
        if operation.state.shape != expected or operation.state.dtype != np.uint32:
            raise DeviceError(
                f"restore: state {operation.state.dtype} {operation.state.shape}: "
                f"expected uint32 {expected}"
            )
        tile.restore(operation.state)
        return Result(id=operation.id)

    def _dac_max(self, operation: Operation) -> int:
        return self._capabilities.tiles[operation.tile].dac.code_max

    def _widths(self, operation: Pulse | OuterUpdate | OuterTrains) -> tuple[int, int]:
        """Return the ticks of an up and a down pulse; refuse what is not installed."""
        if self._installed is None:
            raise DeviceError(
                f"{operation.kind}: no configuration is installed", remedy="send Configure first"
            )
        if operation.configuration != self._installed_hash:
            raise DeviceError(
                f"{operation.kind}: configuration {operation.configuration:#x} is not the one "
                f"installed, {self._installed_hash:#x}",
                remedy="send Configure, then name the hash of its configuration",
            )
        shape = self._installed.shapes.get(operation.shape)
        if shape is None:
            raise DeviceError(
                f"{operation.kind}: pulse shape {operation.shape!r} is not installed",
                remedy=f"use one of {', '.join(sorted(self._installed.shapes))}",
            )
        return _ticks(shape.up.width_seconds), _ticks(shape.down.width_seconds)


def _ticks(seconds: float) -> int:
    return max(1, round(seconds / TICK_SECONDS))
