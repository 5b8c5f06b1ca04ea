"""Bytes of a tape: records, and the canonical encoding of operations and results.

A tape is `MAGIC` followed by records `length (u32) | type (u8) | payload | CRC-32 (u32)`,
little-endian; the length is the payload's and the CRC covers type and payload. A tape cut anywhere
is readable up to its last whole record.

The canonical encoding of a value is a tag and its bytes; arrays are stored in the narrowest signed
integer type that holds their values, so that equal content has equal bytes whoever made it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from enum import Enum
from typing import Any

import numpy as np

from hwloop.errors import ReplayError
from hwloop.operations import CONTENT, KINDS, Direction, IntArray, Operation, Plane, Result, Verdict

TAPE_VERSION = 1
MAGIC = b"hwloop tape 1\n"

_FRAME = struct.Struct("<IB")
_CRC = struct.Struct("<I")
_INT = struct.Struct("<cq")
_LENGTH = struct.Struct("<cI")

RECORD_LIMIT = 1 << 30
"""Longest payload that a reader accepts."""


class RecordType(Enum):
    """Types of records; only operations and results take part in a tape's hash."""

    HEADER = b"H"
    OPERATION = b"O"
    RESULT = b"R"
    EVENT = b"E"


_KIND_CODES: dict[type[Operation], int] = {cls: i for i, cls in enumerate(KINDS.values(), start=1)}
_KIND_OF_CODE = {code: cls for cls, code in _KIND_CODES.items()}
_DTYPES: dict[bytes, np.dtype[np.integer[Any]]] = {
    b"1": np.dtype("<i1"),
    b"2": np.dtype("<i2"),
    b"4": np.dtype("<i4"),
    b"u": np.dtype("<u4"),
}
_ENUMS: dict[str, type[Direction] | type[Plane]] = {"direction": Direction, "plane": Plane}


def _array_bytes(array: IntArray) -> bytes:
    if array.dtype == np.uint32:
        tag = b"u"
    elif array.dtype == np.int8:
        tag = b"1"
    elif array.size == 0:
        tag, array = b"1", array.astype(np.int8)
    else:
        low, high = int(array.min()), int(array.max())
        if low >= -128 and high <= 127:
            tag, array = b"1", array.astype(np.int8)
        elif low >= -32768 and high <= 32767:
            tag, array = b"2", array.astype("<i2")
        else:
            tag, array = b"4", array.astype("<i4")
    shape = struct.pack(f"<cB{array.ndim}I", tag, array.ndim, *array.shape)
    return b"a" + shape + array.tobytes()


def _value_bytes(value: Any) -> bytes:
    if isinstance(value, np.ndarray):
        return _array_bytes(value)
    if value is None:
        return b"n"
    if isinstance(value, int):
        return _INT.pack(b"i", value)
    if isinstance(value, str):
        raw = value.encode()
        return _LENGTH.pack(b"s", len(raw)) + raw
    raise TypeError(f"no encoding for {type(value).__name__}")


def _take_value(raw: bytes, at: int) -> tuple[Any, int]:
    tag = raw[at : at + 1]
    if tag == b"n":
        return None, at + 1
    if tag == b"i":
        return _INT.unpack_from(raw, at)[1], at + _INT.size
    if tag == b"s":
        (_, length) = _LENGTH.unpack_from(raw, at)
        start = at + _LENGTH.size
        return raw[start : start + length].decode(), start + length
    if tag == b"a":
        dtype = _DTYPES[raw[at + 1 : at + 2]]
        ndim = raw[at + 2]
        shape = struct.unpack_from(f"<{ndim}I", raw, at + 3)
        start = at + 3 + 4 * ndim
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        if start + size > len(raw):
            raise ValueError("array longer than its record")
        data = np.frombuffer(raw[start : start + size], dtype=dtype).reshape(shape)
        return (data if tag == b"u" or dtype.kind == "u" else data.astype(np.int32)), start + size
    raise ValueError(f"unknown tag {tag!r}")


def operation_content(operation: Operation) -> bytes:
    """Return the canonical bytes of what an operation asks for: its ordinal, but not its id."""
    head = struct.pack("<BQ", _KIND_CODES[type(operation)], operation.ordinal)
    values = (_value_bytes(getattr(operation, name)) for name in CONTENT[type(operation)])
    return head + b"".join(values)


def operation_payload(operation: Operation, content: bytes) -> bytes:
    """Return the payload of an operation's record, made of its id and its canonical content."""
    return struct.pack("<Q", operation.id) + content


def result_content(result: Result) -> bytes:
    """Return the canonical bytes of a result, its id and chip time left out."""
    saturated = result.saturated
    marks = None if saturated is None or not saturated.any() else saturated.astype(np.int8)
    head = struct.pack("<BQ", result.verdict, result.fired)
    return head + _value_bytes(result.values) + _value_bytes(marks)


def result_payload(result: Result, content: bytes) -> bytes:
    """Return the payload of a result's record, made of its id, chip time and canonical content."""
    return struct.pack("<QQ", result.id, result.ticks) + content


def decode_operation(payload: bytes) -> Operation:
    """Return the operation of a record's payload.

    Raises:
        ReplayError: the payload is not an operation.
    """
    try:
        identity, code, ordinal = struct.unpack_from("<QBQ", payload)
        cls = _KIND_OF_CODE[code]
        at = struct.calcsize("<QBQ")
        values: dict[str, Any] = {}
        for name in CONTENT[cls]:
            value, at = _take_value(payload, at)
            values[name] = _ENUMS[name](value) if name in _ENUMS else value
    except (struct.error, KeyError, ValueError, IndexError, UnicodeDecodeError) as error:
        raise ReplayError(f"a tape record is not an operation: {error}") from error
    return cls(id=identity, ordinal=ordinal, **values)


def decode_result(payload: bytes) -> Result:
    """Return the result of a record's payload.

    Raises:
        ReplayError: the payload is not a result.
    """
    try:
        identity, ticks, verdict, fired = struct.unpack_from("<QQBQ", payload)
        values, at = _take_value(payload, struct.calcsize("<QQBQ"))
        marks, _ = _take_value(payload, at)
        saturated = None
        if values is not None and values.dtype != np.uint32:
            saturated = np.zeros(values.shape, bool) if marks is None else marks.astype(bool)
        return Result(
            id=identity,
            verdict=Verdict(verdict),
            values=values,
            saturated=saturated,
            fired=fired,
            ticks=ticks,
        )
    except (struct.error, KeyError, ValueError, IndexError) as error:
        raise ReplayError(f"a tape record is not a result: {error}") from error


def frame(kind: RecordType, payload: bytes) -> bytes:
    """Return a whole record."""
    body = kind.value + payload
    return len(payload).to_bytes(4, "little") + body + _CRC.pack(zlib.crc32(body))


def split_records(raw: bytes | memoryview, at: int) -> Iterator[tuple[int, RecordType, bytes]]:
    """Yield (offset behind it, type, payload) of each record up to the first torn one."""
    view = memoryview(raw)
    while at + _FRAME.size + _CRC.size <= len(view):
        length, kind = _FRAME.unpack_from(view, at)
        end = at + _FRAME.size + length
        if length > RECORD_LIMIT or end + _CRC.size > len(view):
            return
        body = view[at + 4 : end]
        if zlib.crc32(body) != _CRC.unpack_from(view, end)[0]:
            return
        try:
            record_type = RecordType(bytes((kind,)))
        except ValueError:
            return
        at = end + _CRC.size
        yield at, record_type, bytes(body[1:])
