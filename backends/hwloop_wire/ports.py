"""Where a server listens: a pseudo-terminal, a TCP port."""

from __future__ import annotations

import contextlib
import os
import pty
import selectors
import socket
import tty
from collections.abc import Callable
from typing import Protocol

from hwloop.errors import ConfigurationError
from hwloop_wire.frames import Splitter, encoded_bytes, to_stream
from hwloop_wire.link import READ_BYTES, LinkClosedError, StreamLink, Waker, is_loopback

Peer = bytes
"""Whoever sends frames, as a port tells them apart."""


class Port(Protocol):
    """A listening end of links; used by one thread.

    Attributes:
        address: what a host connects to.
        bad: pieces received that cannot be frames.
    """

    address: str

    @property
    def bad(self) -> int:
        """Pieces received that cannot be frames."""
        ...

    def receive(self, timeout: float) -> list[tuple[Peer, bytes]]:
        """Return frames, before `decode`, with their senders; none after a time-out or a wake."""
        ...

    def send(self, peer: Peer, raw: bytes) -> None:
        """Send a frame; if its receiver is gone it is lost."""
        ...

    def gone(self, peer: Peer) -> bool:
        """Return whether a sender is known to have left."""
        ...

    def close(self) -> None:
        """Stop listening."""
        ...


class PtyPort:
    """A pseudo-terminal, as if it were a serial line.

    Args:
        waker: ends `receive`.
        frame_bytes: longest frame.
    """

    def __init__(self, waker: Waker, frame_bytes: int) -> None:
        master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.address = os.ttyname(self._slave)
        # The slave stays open here too, else the master fails whenever no host has it open.
        self._link = StreamLink(master, self.address, waker, self._close)
        self._master = master
        self._splitter = Splitter(encoded_bytes(frame_bytes))

    @property
    def bad(self) -> int:
        """Pieces received that cannot be frames."""
        return self._splitter.bad

    def receive(self, timeout: float) -> list[tuple[Peer, bytes]]:
        """Return frames with their sender."""
        raw = self._link.receive(timeout)
        return [(b"pty", frame) for frame in self._splitter.feed(raw)]

    def send(self, peer: Peer, raw: bytes) -> None:
        """Send a frame."""
        if self._link.pending < READ_BYTES:  # a host that does not read loses what follows
            self._link.send(to_stream(raw))

    def gone(self, peer: Peer) -> bool:
        """Return False: a terminal does not tell."""
        return False

    def close(self) -> None:
        """Close both ends."""
        self._link.close()

    def _close(self) -> None:
        os.close(self._master)
        os.close(self._slave)


class TcpPort:
    """A TCP port that carries the bytes of a serial line, for several hosts.

    Args:
        host, port: where to listen; port 0 is any free one.
        waker: ends `receive`.
        frame_bytes: longest frame.

    Raises:
        ConfigurationError: the port cannot be had, or is open to the network: whoever reaches it
            may move the chip.
    """

    def __init__(self, host: str, port: int, waker: Waker, frame_bytes: int) -> None:
        if not is_loopback(f"tcp://{host}"):
            raise ConfigurationError(
                f"tcp://{host}:{port} is open to the network, and TCP knows no keys",
                remedy="serve on 127.0.0.1, or on ZMQ with keys",
            )
        self.bad = 0
        self._frame_bytes = frame_bytes
        self._waker = waker
        self._hosts: dict[Peer, _Host] = {}
        self._count = 0
        try:
            self._socket = socket.create_server((host, port))
        except OSError as error:
            raise ConfigurationError(
                f"tcp://{host}:{port}: {error.strerror or error}", remedy="name another port"
            ) from error
        self._socket.setblocking(False)
        self.address = "tcp://{}:{}".format(*self._socket.getsockname()[:2])
        self._selector = selectors.DefaultSelector()
        self._selector.register(waker.reading, selectors.EVENT_READ)
        self._selector.register(self._socket, selectors.EVENT_READ)

    def receive(self, timeout: float) -> list[tuple[Peer, bytes]]:
        """Return frames with their senders."""
        frames: list[tuple[Peer, bytes]] = []
        for key, events in self._selector.select(timeout):
            host = key.data
            if key.fileobj is self._socket:
                self._accept()
            elif isinstance(host, _Host):
                try:
                    if events & selectors.EVENT_WRITE:
                        self._push(host)
                    if events & selectors.EVENT_READ:
                        frames += self._read(host)
                except (OSError, LinkClosedError):
                    self._drop(host)
            else:
                self._waker.clear()
        return frames

    def send(self, peer: Peer, raw: bytes) -> None:
        """Send a frame."""
        host = self._hosts.get(peer)
        if host is None:
            return
        if len(host.pending) < 2 * self._frame_bytes:
            host.pending += to_stream(raw)
        try:
            self._push(host)
        except OSError:
            self._drop(host)

    def gone(self, peer: Peer) -> bool:
        """Return whether a connection has ended."""
        return peer not in self._hosts

    def close(self) -> None:
        """End all connections and stop listening."""
        for host in list(self._hosts.values()):
            self._drop(host)
        self._selector.close()
        self._socket.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self._socket.accept()
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._count += 1
            host = _Host(b"tcp%d" % self._count, connection, encoded_bytes(self._frame_bytes))
            self._hosts[host.peer] = host
            self._selector.register(connection, selectors.EVENT_READ, host)

    def _read(self, host: _Host) -> list[tuple[Peer, bytes]]:
        raw = host.connection.recv(READ_BYTES)
        if not raw:
            raise LinkClosedError("closed")
        bad = host.splitter.bad
        frames = [(host.peer, frame) for frame in host.splitter.feed(raw)]
        self.bad += host.splitter.bad - bad
        return frames

    def _push(self, host: _Host) -> None:
        with contextlib.suppress(BlockingIOError):
            while host.pending:
                del host.pending[: host.connection.send(host.pending)]
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if host.pending else 0)
        self._selector.modify(host.connection, events, host)

    def _drop(self, host: _Host) -> None:
        if self._hosts.pop(host.peer, None) is not None:
            self._selector.unregister(host.connection)
            host.connection.close()


class _Host:
    """A connection of a TCP port."""

    def __init__(self, peer: Peer, connection: socket.socket, limit: int) -> None:
        self.peer = peer
        self.connection = connection
        self.splitter = Splitter(limit)
        self.pending = bytearray()


PortOpener = Callable[[Waker, int], Port]
"""Opens a port, given the waker that ends its waits and the longest frame."""
