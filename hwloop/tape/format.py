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
from collections.abc import Callable, Iterator
from enum import Enum
from functools import partial
from operator import attrgetter
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


_OPERATION, _OPERATION_CODE = struct.Struct("<IBQ"), ord(RecordType.OPERATION.value)
_RESULT, _RESULT_CODE = struct.Struct("<IBQQ"), ord(RecordType.RESULT.value)

_KIND_CODES: dict[type[Operation], int] = {cls: i for i, cls in enumerate(KINDS.values(), start=1)}
_KIND_OF_CODE = {code: cls for cls, code in _KIND_CODES.items()}
_DTYPES: dict[bytes, np.dtype[np.integer[Any]]] = {
    b"1": np.dtype("<i1"),
    b"2": np.dtype("<i2"),
    b"4": np.dtype("<i4"),
    b"u": np.dtype("<u4"),
}
_SHAPES = [struct.Struct(f"<ccB{ndim}I") for ndim in range(5)]
_NARROW = ((b"1", np.dtype("<i1")), (b"2", np.dtype("<i2")))
_FEW = 64
"""Values of an array up to which Python is faster than numpy."""
_PACK_FEW = [
    (tag, -over, over, [struct.Struct(f"<{n}{code}") for n in range(_FEW + 1)])
    for tag, over, code in ((b"1", 1 << 7, "b"), (b"2", 1 << 15, "h"), (b"4", 1 << 31, "i"))
]
"""Tag, least value, first value too large, and packers by the number of values."""

_HEAD = struct.Struct("<BQ")
_ID = struct.Struct("<Q")
_ID_TICKS = struct.Struct("<QQ")
_FIELDS = {cls: (code, attrgetter("ordinal", *CONTENT[cls])) for cls, code in _KIND_CODES.items()}
"""What an operation's content is made of: the code of its kind, and its ordinal and fields."""
_ENUMS: dict[str, type[Direction] | type[Plane]] = {"direction": Direction, "plane": Plane}


def _narrowest(array: IntArray) -> tuple[bytes, bytes]:
    """Return the tag of the narrowest signed type that holds an array's values, and their bytes.

    Much of a tape is made of arrays of ten values and of ten thousand: the first are faster in
    Python, and for the others casts there and back are faster than a search for the extremes.
    """
    if array.ndim == 1 and array.size <= _FEW:
        values = array.tolist()
        low, high = (min(values), max(values)) if values else (0, 0)
        for tag, least, over, packers in _PACK_FEW:
            if least <= low and high < over:
                return tag, packers[len(values)].pack(*values)
    if array.dtype.kind == "u":
        array = array.astype(np.int64)
    whole = array.tobytes()
    for tag, dtype in _NARROW:
        narrow = array.astype(dtype)
        if narrow.astype(array.dtype).tobytes() == whole:
            return tag, narrow.tobytes()
    return b"4", array.astype("<i4").tobytes()


def _array_bytes(array: IntArray) -> bytes:
    char = array.dtype.char
    if char == "b":
        tag, values = b"1", array.tobytes()
    elif char == "I":
        tag, values = b"u", array.tobytes()
    else:
        tag, values = _narrowest(array)
    shape = array.shape
    return _SHAPES[len(shape)].pack(b"a", tag, len(shape), *shape) + values


def _text_bytes(text: str) -> bytes:
    raw = text.encode()
    return _LENGTH.pack(b"s", len(raw)) + raw


def _none_bytes(_: None) -> bytes:
    return b"n"


_ENCODERS: dict[type, Callable[[Any], bytes]] = {
    np.ndarray: _array_bytes,
    type(None): _none_bytes,
    str: _text_bytes,
    **dict.fromkeys((int, Direction, Plane), partial(_INT.pack, b"i")),
}


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
    code, fields = _FIELDS[type(operation)]
    ordinal, *values = fields(operation)
    encoded = [_ENCODERS[type(value)](value) for value in values]
    return _HEAD.pack(code, ordinal) + b"".join(encoded)


def operation_frame(identity: int, content: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the record of an operation in three parts, the second being its content."""
    return _framed(_OPERATION.pack(8 + len(content), _OPERATION_CODE, identity), content)


def operation_payload(operation: Operation, content: bytes) -> bytes:
    """Return the payload of an operation's record, made of its id and its canonical content."""
    return _ID.pack(operation.id) + content


def result_content(result: Result) -> bytes:
    """Return the canonical bytes of a result, its id and chip time left out."""
    head, values, saturated = _HEAD.pack(result.verdict, result.fired), b"n", b"n"
    if result.values is not None:
        values = _array_bytes(result.values)
    if result.saturated is not None and 1 in result.saturated.tobytes():
        saturated = _array_bytes(result.saturated.view(np.int8))
    return b"".join((head, values, saturated))


def result_frame(identity: int, ticks: int, content: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the record of a result in three parts, the second being its content."""
    return _framed(_RESULT.pack(16 + len(content), _RESULT_CODE, identity, ticks), content)


def result_payload(result: Result, content: bytes) -> bytes:
    """Return the payload of a result's record, made of its id, chip time and canonical content."""
    return _ID_TICKS.pack(result.id, result.ticks) + content


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
    return b"".join(_framed(_FRAME.pack(len(payload), ord(kind.value)), payload))


def _framed(start: bytes, rest: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the parts of a record; the check covers all but the length."""
    return start, rest, _CRC.pack(zlib.crc32(rest, zlib.crc32(start[4:])))


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
