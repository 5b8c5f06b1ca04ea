"""Parts as operations, on the chip's side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwloop import operations as ops
from hwloop.capabilities import TileCapabilities
from hwloop_wire import messages as m
from hwloop_wire.codes import ErrorCode
from hwloop_wire.layout import Body, MessageError
from hwloop_wire.results import answer_length, cells_value_bytes, vmm_value_bytes
from hwloop_wire.tails import U16_TYPE, U32_TYPE, TailReader


class PartError(Exception):
    """A part that cannot be executed; nothing was moved."""

    def __init__(self, code: ErrorCode, detail: str = "") -> None:
        super().__init__(detail or code.meaning)
        self.code = code


class Asked(NamedTuple):
    """An operation that a part asks for.

    Attributes:
        head: the part's fixed fields.
        operation: what to execute.
        values, value_bytes: size of the answer.
        saturation: whether it has saturation bits.
        shape: number of the pulse shape, None for an operation without.
    """

    head: Any
    operation: ops.Operation
    values: int = 0
    value_bytes: int = 0
    saturation: bool = True
    shape: int | None = None

    @property
    def answer_length(self) -> int:
        """Most bytes of the body of the answer."""
        return answer_length(self.values, self.value_bytes, saturation=self.saturation)


class Decoder:
    """Makes operations out of parts.

    `hwloop.operations` knows no offsets, and the noise of a read or update is keyed by its sample:
    so what is cut by samples is refused, and only what is keyed by cell may come in parts.
    """

    def __init__(self, tiles: Sequence[TileCapabilities]) -> None:
        self._tiles = tiles
        self._decoders: dict[int | None, tuple[type[Body], Callable[..., Asked]]] = {
            m.Vmm.NUMBER: (m.Vmm, self._vmm),
            m.ReadCells.NUMBER: (m.ReadCells, self._read_cells),
            m.Pulse.NUMBER: (m.Pulse, self._pulse),
            m.OuterUpdate.NUMBER: (m.OuterUpdate, self._outer_update),
            m.OuterTrains.NUMBER: (m.OuterTrains, self._outer_trains),
            m.Form.NUMBER: (m.Form, self._form),
            m.Reset.NUMBER: (m.Reset, self._reset),
            m.Wait.NUMBER: (m.Wait, self._wait),
            m.Snapshot.NUMBER: (m.Snapshot, self._snapshot),
            m.Restore.NUMBER: (m.Restore, self._restore),
        }

    def decode(self, number: int, body: bytes) -> Asked:
        """Return the operation of a part.

        Raises:
            PartError: it is malformed, or cut in a way that operations do not know.
        """
        message, decoder = self._decoders[number]
        try:
            head: Any = message.unpack(body)
        except MessageError as error:
            raise PartError(ErrorCode.LENGTH, str(error)) from error
        if head.tile >= len(self._tiles):
            raise PartError(ErrorCode.TILE, f"tile {head.tile}")
        if not head.part < head.parts:
            raise PartError(ErrorCode.RANGE, f"part {head.part} of {head.parts}")
        reader = TailReader(body, message.STRUCT.size)
        try:
            asked = decoder(head, reader, self._tiles[head.tile])
            reader.end()
        except MessageError as error:
            raise PartError(ErrorCode.LENGTH, str(error)) from error
        except ValueError as error:
            raise PartError(ErrorCode.RANGE, str(error)) from error
        return asked

    def _vmm(self, head: m.Vmm, reader: TailReader, tile: TileCapabilities) -> Asked:
        _whole(head, head.sample_offset)
        direction = ops.Direction(head.direction)
        forward = direction is ops.Direction.FORWARD
        codes = reader.codes(head.width, head.samples, tile.cols if forward else tile.rows)
        operation = ops.Vmm(
            **_identity(head),
            direction=direction,
            codes=codes.astype(np.int32),
            plane=ops.Plane(head.plane),
        )
        lines = tile.rows if forward else tile.cols
        return Asked(head, operation, head.samples * lines, vmm_value_bytes(tile, direction))

    def _read_cells(self, head: m.ReadCells, reader: TailReader, tile: TileCapabilities) -> Asked:
        rows, cols = _lines(head, reader)
        operation = ops.ReadCells(
            **_identity(head),
            rows=rows,
            cols=cols,
            average=head.average,
            plane=ops.Plane(head.plane),
        )
        values = len(rows) * len(cols)
        return Asked(head, operation, values, cells_value_bytes(tile, head.average))

    def _pulse(self, head: m.Pulse, reader: TailReader, tile: TileCapabilities) -> Asked:
        rows, cols = _lines(head, reader)
        counts = reader.codes(head.width, len(rows), len(cols))
        operation = ops.Pulse(
            **_consuming(head),
            rows=rows,
            cols=cols,
            counts=counts.astype(np.int16 if head.width < 4 else np.int32),
            shape="",
        )
        return Asked(head, operation, shape=head.shape)

    def _outer_update(
        self, head: m.OuterUpdate, reader: TailReader, tile: TileCapabilities
    ) -> Asked:
        _whole(head, head.sample_offset)
        x_gains, d_gains = (
            reader.take(U16_TYPE, head.samples).astype(np.int32) + 1 for _ in range(2)
        )
        lengths = reader.take(U16_TYPE, head.samples).astype(np.int32)
        x_codes = reader.codes(head.width, head.samples, tile.cols).astype(np.int32)
        d_codes = reader.codes(head.width, head.samples, tile.rows).astype(np.int32)
        operation = ops.OuterUpdate(
            **_consuming(head),
            x_codes=x_codes,
            d_codes=d_codes,
            train_lengths=lengths,
            x_gains=x_gains,
            d_gains=d_gains,
            shape="",
        )
        return Asked(head, operation, shape=head.shape)

    def _outer_trains(
        self, head: m.OuterTrains, reader: TailReader, tile: TileCapabilities
    ) -> Asked:
        _whole(head, head.sample_offset or head.slot_offset)
        trains = []
        for lines in (tile.cols, tile.rows):
            plus, minus = (
                np.unpackbits(
                    reader.take(np.uint8, head.samples, head.slots, (lines + 7) // 8),
                    axis=-1,
                    count=lines,
                    bitorder="little",
                ).astype(np.int8)
                for _ in range(2)
            )
            if (plus & minus).any():
                raise ValueError("a line fires both ways in one slot")
            trains.append(plus - minus)
        operation = ops.OuterTrains(
            **_consuming(head), x_trains=trains[0], d_trains=trains[1], shape=""
        )
        return Asked(head, operation, shape=head.shape)

    def _form(self, head: m.Form, reader: TailReader, tile: TileCapabilities) -> Asked:
        rows, cols = _lines(head, reader)
        operation = ops.Form(**_consuming(head), rows=rows, cols=cols, recipe=head.recipe)
        return Asked(head, operation)

    def _reset(self, head: m.Reset, reader: TailReader, tile: TileCapabilities) -> Asked:
        rows, cols = _lines(head, reader)
        operation = ops.Reset(**_consuming(head), rows=rows, cols=cols, recipe=head.recipe)
        return Asked(head, operation)

    def _wait(self, head: m.Wait, reader: TailReader, tile: TileCapabilities) -> Asked:
        return Asked(head, ops.Wait(**_identity(head), ticks=head.ticks))

    def _snapshot(self, head: m.Snapshot, reader: TailReader, tile: TileCapabilities) -> Asked:
        _whole(head, head.first or head.cells != tile.rows * tile.cols)
        operation = ops.Snapshot(**_identity(head))
        return Asked(head, operation, tile.state_words * head.cells, 4, saturation=False)

    def _restore(self, head: m.Restore, reader: TailReader, tile: TileCapabilities) -> Asked:
        _whole(head, head.first or head.cells != tile.rows * tile.cols)
        state = reader.take(U32_TYPE, tile.state_words, tile.rows, tile.cols).astype(np.uint32)
        return Asked(head, ops.Restore(**_identity(head), state=state))


def _identity(head: m.Part) -> dict[str, Any]:
    return {"id": head.id, "ordinal": head.ordinal, "tile": head.tile}


def _consuming(head: Any) -> dict[str, Any]:
    return {**_identity(head), "configuration": head.configuration}


def _whole(head: m.Part, offset: int | bool) -> None:
    if offset or head.parts != 1:
        raise PartError(ErrorCode.UNSUPPORTED, "this chip takes such operations whole")


def _lines(
    head: m.ReadCells | m.Pulse | m.Form, reader: TailReader
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    rows = reader.lines(head.row_first, head.row_count, bool(head.listed & m.LISTED_ROWS))
    cols = reader.lines(head.col_first, head.col_count, bool(head.listed & m.LISTED_COLS))
    return rows.astype(np.int32), cols.astype(np.int32)
