"""Frames: encoding, decoding and, on byte streams, their separation."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from typing import NamedTuple

from cobs import cobs

from hwloop_wire.codes import PROTOCOL_VERSION
from hwloop_wire.control_messages import FrameHeader, MessageHeader

HEADER_BYTES = FrameHeader.STRUCT.size
CHECK_BYTES = 4
SMALLEST = HEADER_BYTES + CHECK_BYTES
ALIGNMENT = 8
"""Messages begin at multiples of this, counted from the start of the frame."""

_HEADER = FrameHeader.STRUCT
_MESSAGE = MessageHeader.STRUCT
_CHECK = struct.Struct("<I")
_ZEROS = tuple(bytes(n) for n in range(ALIGNMENT))


class FrameError(Exception):
    """Bytes that are not a frame."""


class OtherVersionError(FrameError):
    """A frame of another protocol version, its check being right."""

    def __init__(self, kind: int, version: int) -> None:
        super().__init__(f"frame of protocol version {version}, expected {PROTOCOL_VERSION}")
        self.kind = kind
        self.version = version


class Message(NamedTuple):
    """A message of a frame: its number and its body."""

    type: int
    body: bytes


class Frame(NamedTuple):
    """A frame."""

    kind: int
    epoch: int
    sequence: int
    acknowledged: int
    messages: list[Message]


def message_bytes(length: int) -> int:
    """Return the bytes that a message with a body of this length takes in a frame."""
    return _MESSAGE.size + length + (-length % ALIGNMENT)


def frame_bytes(lengths: Iterable[int]) -> int:
    """Return the bytes of a frame of messages with bodies of these lengths."""
    return SMALLEST + sum(map(message_bytes, lengths))


def encoded_bytes(length: int) -> int:
    """Return the most bytes that a frame of this length takes on a byte stream."""
    return length + length // 254 + 2


def encode(frame: Frame) -> bytes:
    """Return the bytes of a frame, before COBS."""
    kind, epoch, sequence, acknowledged, messages = frame
    pieces = [_HEADER.pack(kind, PROTOCOL_VERSION, len(messages), epoch, sequence, acknowledged)]
    for number, body in messages:
        pieces += (_MESSAGE.pack(number, len(body)), body, _ZEROS[-len(body) % ALIGNMENT])
    raw = b"".join(pieces)
    return raw + _CHECK.pack(zlib.crc32(raw))


def decode(raw: bytes) -> Frame:
    """Return the frame that bytes hold.

    Raises:
        OtherVersionError: it is one of another protocol version.
        FrameError: its check, lengths or number of messages are wrong.
    """
    end = len(raw) - CHECK_BYTES
    if end < HEADER_BYTES:
        raise FrameError(f"{len(raw)} bytes, a frame has at least {SMALLEST}")
    if zlib.crc32(memoryview(raw)[:end]) != _CHECK.unpack_from(raw, end)[0]:
        raise FrameError("wrong check")
    kind, version, count, epoch, sequence, acknowledged = _HEADER.unpack_from(raw)
    if version != PROTOCOL_VERSION:
        raise OtherVersionError(kind, version)
    messages: list[Message] = []
    at = HEADER_BYTES
    while at < end:
        if at + _MESSAGE.size > end:
            raise FrameError("a message is cut off")
        number, length = _MESSAGE.unpack_from(raw, at)
        at += _MESSAGE.size
        if length > end - at:
            raise FrameError("a message is longer than its frame")
        messages.append(Message(number, raw[at : at + length]))
        at += length + (-length % ALIGNMENT)
    if at != end or len(messages) != count:
        raise FrameError(f"{len(messages)} messages, the header says {count}")
    return Frame(kind, epoch, sequence, acknowledged, messages)


def to_stream(raw: bytes) -> bytes:
    """Return a frame as it travels on a byte stream."""
    return cobs.encode(raw) + b"\0"  # type: ignore[no-any-return]


class Splitter:
    """Separates the frames of a byte stream.

    Args:
        limit: longest encoded frame; what is longer is dropped.

    Attributes:
        bad: pieces that were dropped: too long, or not COBS.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.bad = 0
        self._tail = b""
        self._skipping = False

    @property
    def within(self) -> bool:
        """Whether a frame has begun and not ended."""
        return bool(self._tail)

    def feed(self, raw: bytes) -> list[bytes]:
        """Take bytes as they come and return the frames that they complete, before `decode`."""
        *pieces, tail = raw.split(b"\0")
        if pieces:
            pieces[0] = self._tail + pieces[0]
            if self._skipping:
                pieces[0] = b""
                self._skipping = False
        else:
            tail = self._tail + tail
        if len(tail) > self.limit:
            self.bad += not self._skipping
            self._skipping = True
        self._tail = b"" if self._skipping else tail
        frames = []
        for piece in pieces:
            if len(piece) > self.limit:
                self.bad += 1
            elif piece:
                try:
                    frames.append(cobs.decode(piece))
                except cobs.DecodeError:
                    self.bad += 1
        return frames
