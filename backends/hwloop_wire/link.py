"""Links: byte streams over terminals and TCP, messages over ZMQ.

A link is used by one thread. Nothing blocks but `receive`, which also moves on what `send` could
not get rid of: else both ends could wait for each other with full buffers.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import select
import socket
import termios
import time
import urllib.parse
from collections.abc import Callable
from typing import Protocol

import serial

from hwloop.errors import ConfigurationError

READ_BYTES = 1 << 16

BITS_PER_BYTE = 10
"""Of a serial line: a start bit, eight of the byte, a stop bit."""

_IN, _IN_OUT = select.POLLIN, select.POLLIN | select.POLLOUT


class LinkClosedError(Exception):
    """The other end is gone, or the port is."""


class Link(Protocol):
    """What carries frames.

    Attributes:
        name: what is connected, for people.
        stream: whether frames have to be COBS-encoded; else a message is a frame.
        byte_seconds: what the line takes for a byte, 0 if nobody knows.
    """

    @property
    def name(self) -> str: ...

    @property
    def stream(self) -> bool: ...

    @property
    def byte_seconds(self) -> float: ...

    @property
    def pending(self) -> int:
        """Bytes that `send` took and that have not left."""
        ...

    def send(self, raw: bytes) -> None:
        """Take bytes, or a message; raise `LinkClosedError`."""
        ...

    def receive(self, timeout: float) -> bytes:
        """Return some bytes, or a message; nothing after a time-out in seconds or when woken."""
        ...

    def close(self) -> None:
        """Let the port go."""
        ...


class Waker:
    """A pipe that ends a wait in another thread."""

    def __init__(self) -> None:
        self.reading, self._writing = os.pipe()
        os.set_blocking(self.reading, False)
        os.set_blocking(self._writing, False)

    def wake(self) -> None:
        """End the wait, or the next one."""
        with contextlib.suppress(OSError):  # a full pipe wakes as well
            os.write(self._writing, b"w")

    def clear(self) -> None:
        """Forget what has been woken."""
        with contextlib.suppress(OSError):
            os.read(self.reading, READ_BYTES)

    def close(self) -> None:
        """Close the pipe."""
        os.close(self.reading)
        os.close(self._writing)


Opener = Callable[[Waker], Link]
"""Opens a link whose `receive` a waker ends, again after it was closed.

Raises `ConfigurationError` or `LinkClosedError`.
"""


class StreamLink:
    """A byte stream over a file descriptor that does not block.

    Args:
        descriptor: of a terminal or socket.
        name: what is connected.
        waker: ends `receive`.
        close: lets the port go.
        byte_seconds: what the line takes for a byte.
    """

    stream = True

    def __init__(
        self,
        descriptor: int,
        name: str,
        waker: Waker,
        close: Callable[[], None],
        byte_seconds: float = 0.0,
    ) -> None:
        self.name = name
        self.byte_seconds = byte_seconds
        self._descriptor = descriptor
        self._close = close
        self._pending = bytearray()
        self._waker = waker
        self._poll = select.poll()
        self._poll.register(self._waker.reading, _IN)
        self._watched = 0
        os.set_blocking(descriptor, False)
        # What a program before us may have left half sent ends here.
        self.send(b"\0")

    @property
    def pending(self) -> int:
        """Bytes that have not left."""
        return len(self._pending)

    def send(self, raw: bytes) -> None:
        """Send bytes, now as far as they go and the rest from `receive`."""
        if self._pending:
            self._pending += raw
            self._push()
        else:
            self._pending += raw[self._write(raw) :]

    def receive(self, timeout: float) -> bytes:
        """Return bytes with the end of a frame, or what there is at a time-out or `wake`."""
        deadline = time.monotonic() + timeout
        left = timeout
        pieces: list[bytes] = []
        while True:
            self._watch(_IN_OUT if self._pending else _IN)
            ready = dict(self._poll.poll(left * 1000))
            woken = self._waker.reading in ready
            if woken:
                self._waker.clear()
            events = ready.get(self._descriptor, 0)
            if events & select.POLLOUT:
                self._push()
            if events & ~select.POLLOUT:
                try:
                    pieces.append(self._pull())
                except LinkClosedError:  # it is raised again, behind what had come
                    if not pieces:
                        raise
                    return b"".join(pieces)
            left = max(0.0, deadline - time.monotonic())
            if woken or not ready or not left or (pieces and 0 in pieces[-1]):
                return b"".join(pieces)

    def close(self) -> None:
        """Let the port go; what has not left is lost."""
        self._close()

    def _watch(self, events: int) -> None:
        if events != self._watched:
            self._poll.register(self._descriptor, events)
            self._watched = events

    def _push(self) -> None:
        while self._pending and (done := self._write(self._pending)):
            del self._pending[:done]

    def _write(self, raw: bytes | bytearray) -> int:
        try:
            return os.write(self._descriptor, raw)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise LinkClosedError(f"{self.name}: {error.strerror}") from error

    def _pull(self) -> bytes:
        try:
            raw = os.read(self._descriptor, READ_BYTES)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise LinkClosedError(f"{self.name}: {error.strerror}") from error
        if not raw:
            raise LinkClosedError(f"{self.name}: the other end has closed")
        return raw


def open_serial(path: str, baud: int, waker: Waker) -> StreamLink:
    """Open a terminal.

    Raises:
        ConfigurationError: there is no such port, it is in use, or it may not be opened.
    """
    try:
        port = serial.Serial(path, baud, timeout=0, exclusive=True)
    except (serial.SerialException, OSError, ValueError) as error:
        raise _port_error(path, error) from error

    def close() -> None:
        with contextlib.suppress(serial.SerialException, OSError, termios.error):
            port.reset_output_buffer()  # else closing waits for what nobody reads
        port.close()

    return StreamLink(port.fileno(), path, waker, close, BITS_PER_BYTE / baud)


def _port_error(path: str, error: Exception) -> ConfigurationError:
    number = getattr(error, "errno", None)
    if number is None and "exclusively lock" in str(error):
        number = errno.EBUSY
    if number == errno.ENOENT:
        return ConfigurationError(
            f"serial port {path} does not exist", remedy="plug the chip in, or name another port"
        )
    if number in (errno.EACCES, errno.EPERM):
        return ConfigurationError(
            f"serial port {path}: no permission",
            remedy="join the group that owns it (often dialout), then log in again",
        )
    if number in (errno.EBUSY, errno.EAGAIN):
        return ConfigurationError(
            f"serial port {path} is in use by another program", remedy="close that program"
        )
    return ConfigurationError(f"serial port {path} cannot be opened: {error}")


def open_tcp(host: str, port: int, waker: Waker, timeout: float = 5.0) -> StreamLink:
    """Connect to a TCP port.

    Raises:
        LinkClosedError: nobody listens there.
    """
    name = f"tcp://{host}:{port}"
    try:
        connection = socket.create_connection((host, port), timeout)
    except OSError as error:
        raise LinkClosedError(f"{name}: {error.strerror or error}") from error
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return StreamLink(connection.fileno(), name, waker, connection.close)


def is_loopback(endpoint: str) -> bool:
    """Return whether an endpoint such as `tcp://127.0.0.1:5555` stays on this machine."""
    parts = urllib.parse.urlsplit(endpoint)
    if parts.scheme in ("ipc", "inproc"):
        return True
    host = parts.hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
