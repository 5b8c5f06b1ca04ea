"""Cuts operations into parts that fit the frames of a chip."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwloop import operations as ops
from hwloop.capabilities import TileCapabilities
from hwloop.errors import CapabilityError, ConfigurationError
from hwloop_wire import messages as m
from hwloop_wire.layout import Body, MessageError
from hwloop_wire.results import answer_length, cells_value_bytes, vmm_value_bytes
from hwloop_wire.tails import U16_TYPE, U32_TYPE, Block, joined, narrowed

MOST_PARTS = 0xFFFF
_SLACK = 16
"""Bytes that the alignment of arrays in a body may cost."""


class PartMessage(NamedTuple):
    """A part as it is sent.

    Attributes:
        type, body: the message.
        answer_length: most bytes of the body of its answer.
    """

    type: int
    body: bytes
    answer_length: int


class Cutter:
    """Makes the parts of operations.

    Args:
        tiles: the tiles of the chip.
        request_limit, answer_limit: most bytes of a body that a frame of its own can hold.

    Attributes:
        shapes: numbers of the pulse shapes of the installed configuration.
    """

    def __init__(
        self, tiles: Sequence[TileCapabilities], request_limit: int, answer_limit: int
    ) -> None:
        self._tiles = tiles
        self._request_limit = request_limit
        self._answer_limit = answer_limit
        self.shapes: dict[str, int] = {}
        self._cut: dict[type[ops.Operation], Callable[[Any, TileCapabilities, int], Any]] = {
            ops.Vmm: self._vmm,
            ops.ReadCells: self._read_cells,
            ops.Pulse: self._pulse,
            ops.OuterUpdate: self._outer_update,
            ops.OuterTrains: self._outer_trains,
            ops.Form: self._treatment,
            ops.Reset: self._treatment,
            ops.Wait: self._wait,
            ops.Snapshot: self._snapshot,
            ops.Restore: self._restore,
        }

    def cut(self, operation: ops.Operation, identity: int) -> list[PartMessage]:
        """Return the parts of an operation under an id of the chip.

        Raises:
            ConfigurationError: it holds what no message can carry.
            CapabilityError: one sample or line of it does not fit a frame, or there are too many.
        """
        if not 0 <= operation.tile < len(self._tiles):
            raise ConfigurationError(
                f"tile {operation.tile} does not exist: the chip has {len(self._tiles)}"
            )
        try:
            parts = list(
                self._cut[type(operation)](operation, self._tiles[operation.tile], identity)
            )
        except (MessageError, OverflowError) as error:
            raise ConfigurationError(f"{operation.kind}: {error}") from error
        return parts

    def count(self, operation: ops.Operation) -> int:
        """Return the number of parts of an operation, whatever configuration is installed."""
        shapes, self.shapes = self.shapes, {}
        name = getattr(operation, "shape", None)
        try:
            if name is not None:
                self.shapes[name] = 0
            return len(self.cut(operation, operation.id))
        finally:
            self.shapes = shapes

    def _ranges(
        self, operation: ops.Operation, total: int, request: int, answer_bits: int, fixed: int
    ) -> list[tuple[int, int]]:
        """Return the ranges of samples, lines or cells that parts hold.

        Args:
            operation: what is cut.
            total: samples, lines or cells.
            request: bytes of each in the request.
            answer_bits: bits of each in the answer.
            fixed: bytes of the request that every part repeats.
        """
        most = total or 1
        if request:
            most = min(most, (self._request_limit - fixed - _SLACK) // request)
        if answer_bits:
            most = min(most, (self._answer_limit - m.Result.STRUCT.size - 1) * 8 // answer_bits)
        if most < 1:
            raise CapabilityError(
                f"one sample or line of {operation.kind} needs {request} bytes to the chip and "
                f"{answer_bits // 8} back, its frames hold {self._request_limit} and "
                f"{self._answer_limit}",
                remedy="use a chip with longer frames, or fewer lines at once",
            )
        if total > most * MOST_PARTS:
            raise CapabilityError(f"{operation.kind} would be cut into over {MOST_PARTS} parts")
        return [(at, min(at + most, total)) for at in range(0, total or 1, most)]

    def _vmm(
        self, operation: ops.Vmm, tile: TileCapabilities, identity: int
    ) -> Iterator[PartMessage]:
        codes = narrowed(operation.codes)
        forward = operation.direction is ops.Direction.FORWARD
        lines = tile.rows if forward else tile.cols
        value_bytes = vmm_value_bytes(tile, operation.direction)
        ranges = self._ranges(
            operation,
            len(codes),
            codes.shape[1] * codes.itemsize,
            lines * (8 * value_bytes + 1),
            m.Vmm.STRUCT.size,
        )
        for n, (begin, end) in enumerate(ranges):
            head = m.Vmm(
                **_head(operation, identity, n, len(ranges)),
                samples=end - begin,
                sample_offset=begin,
                direction=operation.direction,
                plane=operation.plane,
                width=codes.itemsize,
            )
            length = answer_length((end - begin) * lines, value_bytes)
            yield _part(head, length, codes[begin:end])

    def _read_cells(
        self, operation: ops.ReadCells, tile: TileCapabilities, identity: int
    ) -> Iterator[PartMessage]:
        block = Block.of(operation.rows, operation.cols, (tile.rows, tile.cols))
        value_bytes = cells_value_bytes(tile, operation.average)
        # The chip reads line by line along the shorter side: so cut, the times of parts add up.
        by_cols = block.height > block.width
        lines, cells = sorted((block.height, block.width))
        ranges = self._ranges(
            operation,
            lines,
            2,
            cells * (8 * value_bytes + 1),
            m.ReadCells.STRUCT.size + 2 * cells,
        )
        for n, (begin, end) in enumerate(ranges):
            some = (block.some_cols if by_cols else block.some_rows)(begin, end)
            head = m.ReadCells(
                **_head(operation, identity, n, len(ranges)),
                average=operation.average,
                plane=operation.plane,
                **some.fields(),
            )
            yield _part(head, answer_length(some.height * some.width, value_bytes), *some.lists())

    def _pulse(
        self, operation: ops.Pulse, tile: TileCapabilities, identity: int
    ) -> Iterator[PartMessage]:
        block = Block.of(operation.rows, operation.cols, (tile.rows, tile.cols))
        counts = narrowed(operation.counts)
        _check_shape("counts", counts, (block.height, block.width))
        ranges = self._ranges(
            operation,
            block.height,
            2 + block.width * counts.itemsize,
            0,
            m.Pulse.STRUCT.size + 2 * block.width,
        )
        for n, (begin, end) in enumerate(ranges):
            some = block.some_rows(begin, end)
            head = m.Pulse(
                **_head(operation, identity, n, len(ranges)),
                **self._shape(operation),
                width=counts.itemsize,
                **some.fields(),
            )
            yield _part(head, answer_length(), *some.lists(), counts[begin:end])

    def _outer_update(
        self, operation: ops.OuterUpdate, tile: TileCapabilities, identity: int
    ) -> Iterator[PartMessage]:
        x, d = narrowed(operation.x_codes), narrowed(operation.d_codes)
        if x.itemsize != d.itemsize:
            wider = max(x.dtype, d.dtype, key=lambda dtype: dtype.itemsize)
            x, d = x.astype(wider), d.astype(wider)
        samples = len(operation.train_lengths)
        _check_shape("x_codes", x, (samples, tile.cols))
        _check_shape("d_codes", d, (samples, tile.rows))
        for name in ("x_gains", "d_gains"):
            _check_shape(name, getattr(operation, name), (samples,))
        gains = [
            _unsigned16(side.astype(np.int64) - 1)
            for side in (operation.x_gains, operation.d_gains)
        ]
        lengths = _unsigned16(operation.train_lengths)
        each = 6 + (x.shape[1] + d.shape[1]) * x.itemsize
        ranges = self._ranges(operation, len(x), each, 0, m.OuterUpdate.STRUCT.size)
        for n, (begin, end) in enumerate(ranges):
            head = m.OuterUpdate(
                **_head(operation, identity, n, len(ranges)),
                **self._shape(operation),
                samples=end - begin,
                sample_offset=begin,
                width=x.itemsize,
            )
            arrays = (a[begin:end] for a in (*gains, lengths, x, d))
            yield _part(head, answer_length(), *arrays)

    def _outer_trains(
        self, operation: ops.OuterTrains, tile: TileCapabilities, identity: int
    ) -> Iterator[PartMessage]:
        samples, slots = operation.x_trains.shape[:2]
        _check_shape("x_trains", operation.x_trains, (samples, slots, tile.cols))
        _check_shape("d_trains", operation.d_trains, (samples, slots, tile.rows))
        planes = [
            np.packbits(fires, axis=-1, bitorder="little")
            for trains in (operation.x_trains, operation.d_trains)
            for fires in (trains > 0, trains < 0)
        ]
        each = sum(plane.shape[2] for plane in planes)
        room = self._request_limit - m.OuterTrains.STRUCT.size - _SLACK
        if slots * each <= room:
            ranges = self._ranges(operation, samples, slots * each, 0, m.OuterTrains.STRUCT.size)
            cuts = [(begin, end, 0, slots) for begin, end in ranges]
        else:
            by_slot = self._ranges(operation, slots, each, 0, m.OuterTrains.STRUCT.size)
            cuts = [(s, s + 1, begin, end) for s in range(samples) for begin, end in by_slot]
            if len(cuts) > MOST_PARTS:
                raise CapabilityError(f"{operation.kind} would be cut into over {MOST_PARTS} parts")
        for n, (begin, end, slot, last) in enumerate(cuts):
            head = m.OuterTrains(
                **_head(operation, identity, n, len(cuts)),
                **self._shape(operation),
                samples=end - begin,
                sample_offset=begin,
                slots=last - slot,
                slot_offset=slot,
            )
            arrays = (plane[begin:end, slot:last] for plane in planes)
            yield _part(head, answer_length(), *arrays)

    def _treatment(
        self, operation: ops.Form | ops.Reset, tile: TileCapabilities, identity: int
    ) -> Iterator[PartMessage]:
        block = Block.of(operation.rows, operation.cols, (tile.rows, tile.cols))
        message = m.Form if isinstance(operation, ops.Form) else m.Reset
        fixed = message.STRUCT.size + 2 * block.width
        ranges = self._ranges(operation, block.height, 2, 0, fixed)
        for n, (begin, end) in enumerate(ranges):
            some = block.some_rows(begin, end)
            head = message(
                **_head(operation, identity, n, len(ranges)),
                configuration=operation.configuration,
                recipe=operation.recipe,
                **some.fields(),
            )
            yield _part(head, answer_length(), *some.lists())

    def _wait(
        self, operation: ops.Wait, tile: TileCapabilities, identity: int
    ) -> Iterator[PartMessage]:
        yield _part(
            m.Wait(**_head(operation, identity, 0, 1), ticks=operation.ticks), answer_length()
        )

    def _snapshot(
        self, operation: ops.Snapshot, tile: TileCapabilities, identity: int
    ) -> Iterator[PartMessage]:
        words = tile.state_words
        ranges = self._ranges(
            operation, tile.rows * tile.cols, 0, 32 * words, m.Snapshot.STRUCT.size
        )
        for n, (begin, end) in enumerate(ranges):
            head = _head(operation, identity, n, len(ranges))
            length = answer_length(words * (end - begin), 4, saturation=False)
            yield _part(m.Snapshot(**head, first=begin, cells=end - begin), length)

    def _restore(
        self, operation: ops.Restore, tile: TileCapabilities, identity: int
    ) -> Iterator[PartMessage]:
        expected = (tile.state_words, tile.rows, tile.cols)
        if operation.state.shape != expected:
            raise MessageError(f"state has shape {operation.state.shape}, expected {expected}")
        state = operation.state.reshape(tile.state_words, -1).astype(U32_TYPE)
        each = 4 * tile.state_words
        ranges = self._ranges(operation, state.shape[1], each, 0, m.Restore.STRUCT.size)
        for n, (begin, end) in enumerate(ranges):
            head = _head(operation, identity, n, len(ranges))
            message = m.Restore(**head, first=begin, cells=end - begin)
            yield _part(message, answer_length(), state[:, begin:end])

    def _shape(self, operation: ops.Pulse | ops.OuterUpdate | ops.OuterTrains) -> dict[str, int]:
        number = self.shapes.get(operation.shape)
        if number is None:
            raise ConfigurationError(
                f"pulse shape {operation.shape!r} is not installed in the chip",
                remedy=f"use one of {', '.join(sorted(self.shapes)) or '(none)'}",
            )
        return {"configuration": operation.configuration, "shape": number}


def _head(operation: ops.Operation, identity: int, part: int, parts: int) -> dict[str, Any]:
    return {
        "id": identity,
        "ordinal": operation.ordinal,
        "tile": operation.tile,
        "part": part,
        "parts": parts,
    }


def _part(head: Body, length: int, *arrays: NDArray[Any]) -> PartMessage:
    assert head.NUMBER is not None
    return PartMessage(head.NUMBER, joined(head, *arrays), length)


def _check_shape(name: str, array: NDArray[Any], shape: tuple[int, ...]) -> None:
    if array.shape != shape:  # what is left over would not be sent, and nobody would know
        raise MessageError(f"{name} has shape {array.shape}, expected {shape}")


def _unsigned16(values: NDArray[np.integer[Any]]) -> NDArray[np.uint16]:
    if values.size and (int(values.min()) < 0 or int(values.max()) > 0xFFFF):
        raise MessageError("a gain or train length does not fit 16 bits")
    return values.astype(U16_TYPE)
