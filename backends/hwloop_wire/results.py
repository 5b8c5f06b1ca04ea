"""Answers to parts: their lengths, their bytes, and what they make together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from hwloop import operations as ops
from hwloop.capabilities import Converter, TileCapabilities
from hwloop_wire.codes import ErrorCode
from hwloop_wire.evidence import verdict_of_operation
from hwloop_wire.layout import MessageError
from hwloop_wire.part_messages import Result
from hwloop_wire.tails import U32_TYPE, TailReader, joined

T = TypeVar("T", bound=np.generic)

_VALUE_TYPES: dict[int, np.dtype[np.signedinteger[Any]]] = {2: np.dtype("<i2"), 4: np.dtype("<i4")}


class PartResult(NamedTuple):
    """What an answer to a part says.

    Attributes:
        head: its fixed fields.
        values, saturated: what was read, flat; None if nothing was.
    """

    head: Result
    values: NDArray[np.integer[Any]] | None
    saturated: NDArray[np.bool_] | None


def value_bytes(largest: int) -> int:
    """Return the bytes of a value of this largest magnitude."""
    return 2 if largest < 2**15 else 4


def vmm_value_bytes(tile: TileCapabilities, direction: ops.Direction) -> int:
    """Return the bytes of a value of a `Vmm`."""
    forward = direction is ops.Direction.FORWARD
    adc: Converter = tile.adc_forward if forward else tile.adc_backward
    return value_bytes(adc.code_max)


def cells_value_bytes(tile: TileCapabilities, average: int) -> int:
    """Return the bytes of a value of a `ReadCells`."""
    return value_bytes(tile.adc_cells.code_max * average)


def answer_length(values: int = 0, each: int = 0, *, saturation: bool = True) -> int:
    """Return the bytes of the body of an answer."""
    bits = (values + 7) // 8 if saturation else 0
    return Result.STRUCT.size + values * each + bits


def encode(head: Result, result: ops.Result) -> bytes:
    """Return the body of an answer; values are sent in `head.value_bytes` each."""
    if result.values is None or not head.values:
        return head.pack()
    if result.saturated is None:
        return joined(head, result.values.astype(U32_TYPE))
    values = result.values.astype(_VALUE_TYPES[head.value_bytes])
    return joined(head, values, np.packbits(result.saturated, bitorder="little"))


def decode(body: bytes, *, state: bool = False) -> PartResult:
    """Return what an answer says.

    Args:
        body: of the message.
        state: whether it answers a part of a `Snapshot`.

    Raises:
        MessageError: it is not laid out as an answer.
    """
    head = Result.unpack(body)
    reader = TailReader(body, Result.STRUCT.size)
    if head.verdict > ops.Verdict.UNKNOWN:
        raise MessageError(f"verdict {head.verdict}")
    if not head.values and not head.value_bytes:
        reader.end()
        return PartResult(head, None, None)
    if head.value_bytes not in _VALUE_TYPES:
        raise MessageError(f"values of {head.value_bytes} bytes")
    if state:
        values: NDArray[np.integer[Any]] = reader.take(U32_TYPE, head.values)
        reader.end()
        return PartResult(head, values, None)
    values = reader.take(_VALUE_TYPES[head.value_bytes], head.values).astype(np.int32)
    bits = reader.take(np.uint8, (head.values + 7) // 8)
    reader.end()
    saturated = np.unpackbits(bits, count=head.values, bitorder="little").view(np.bool_)
    return PartResult(head, values, saturated)


def merged(
    operation: ops.Operation, tile: TileCapabilities, parts: Sequence[PartResult]
) -> ops.Result:
    """Return the result of an operation from the answers to all of its parts.

    Raises:
        MessageError: they do not hold as many values as the operation asked for.
    """
    verdict = verdict_of_operation(ops.Verdict(part.head.verdict) for part in parts)
    values: NDArray[np.integer[Any]] | None = None
    saturated: NDArray[np.bool_] | None = None
    if verdict is ops.Verdict.APPLIED:
        layout = _layout(operation, tile)
        if layout is not None:
            values = _joined([part.values for part in parts], layout, np.int32)
            if not isinstance(operation, ops.Snapshot):
                saturated = _joined([part.saturated for part in parts], layout, np.bool_)
        elif any(part.values is not None for part in parts):
            raise MessageError(f"values in the answer to {operation.kind}")
    return ops.Result(
        id=operation.id,
        verdict=verdict,
        values=values,
        saturated=saturated,
        fired=sum(part.head.fired for part in parts),
        ticks=sum(part.head.ticks for part in parts),
    )


class _Layout(NamedTuple):
    """How the values of parts make those of an operation.

    Attributes:
        shape: of all values.
        by_cols: whether parts hold columns of them, or cells of each plane, instead of rows.
    """

    shape: tuple[int, ...]
    by_cols: bool = False


def _layout(operation: ops.Operation, tile: TileCapabilities) -> _Layout | None:
    """Return the layout of what an operation reads, None if it reads nothing."""
    match operation:
        case ops.Vmm():
            forward = operation.direction is ops.Direction.FORWARD
            return _Layout((len(operation.codes), tile.rows if forward else tile.cols))
        case ops.ReadCells():
            rows = tile.rows if operation.rows is None else len(operation.rows)
            cols = tile.cols if operation.cols is None else len(operation.cols)
            return _Layout((rows, cols), by_cols=rows > cols)
        case ops.Snapshot():
            return _Layout((tile.state_words, tile.rows, tile.cols), by_cols=True)
    return None


def _joined(
    pieces: Sequence[NDArray[T] | None], layout: _Layout, dtype: type[np.int32] | type[np.bool_]
) -> NDArray[T]:
    """Return the values of all parts; without any, an empty array of a type."""
    flat = [piece for piece in pieces if piece is not None] or [np.empty(0, dtype)]
    shape, count = layout.shape, sum(map(len, flat))
    if count != math.prod(shape):
        raise MessageError(f"{count} values, expected {shape}")
    if len(flat) == 1:
        return flat[0].reshape(shape)
    if layout.by_cols:
        flat = [piece.reshape(shape[0], -1) for piece in flat]
    return np.concatenate(flat, axis=int(layout.by_cols)).reshape(shape)


def first_error(parts: Sequence[PartResult]) -> ErrorCode:
    """Return why the first part that was not wholly applied was not."""
    for part in parts:
        if part.head.verdict:
            try:
                return ErrorCode(part.head.error)
            except ValueError:
                return ErrorCode.FAILED
    return ErrorCode.NONE
