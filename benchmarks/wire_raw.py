"""The other ends of `wire.py`: bare echoes over each kind of link, and a line of a given baud rate.

    python benchmarks/wire_raw.py socket | pty | tcp | zmq
    python benchmarks/wire_raw.py line TERMINAL BAUD

Each prints where it listens and runs until it is killed. A request to an echo begins with its own
length and that of its answer, u32 each; nothing is checked, nothing is decoded.
"""

from __future__ import annotations

import contextlib
import os
import pty
import select
import socket
import struct
import sys
import tempfile
import time
import tty

import zmq

LENGTHS = struct.Struct("<II")
READ_BYTES = 1 << 16
BITS_PER_BYTE = 10
"""On a serial line: a start bit, eight bits, a stop bit."""

LEAST_SECONDS = 0.001
"""Between two looks at a throttled line."""


class Raw:
    """A bare client of an echo: keeps some requests in flight, and counts the bytes of answers.

    Args:
        kind: `socket` (of this machine), `pty`, `tcp` or `zmq`.
        address: what the echo has printed.
    """

    def __init__(self, kind: str, address: str) -> None:
        self._zmq = None
        if kind == "zmq":
            self._zmq = zmq.Context.instance().socket(zmq.DEALER)
            self._zmq.setsockopt(zmq.LINGER, 0)
            self._zmq.connect(address)
            return
        if kind == "tcp":
            host, _, port = address.rpartition(":")
            connection = socket.create_connection((host, int(port)))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._file = connection.detach()
        elif kind == "socket":
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(address)
            self._file = connection.detach()
        else:
            self._file = os.open(address, os.O_RDWR | os.O_NOCTTY)
        os.set_blocking(self._file, False)

    def exchange(self, count: int, request: int, answer: int, window: int) -> None:
        """Send requests of a length and wait until all answers are there, each of a length."""
        raw = LENGTHS.pack(request, answer) + bytes(request - LENGTHS.size)
        if self._zmq is not None:
            self._exchange_messages(count, raw, window)
        else:
            self._exchange_bytes(count, raw, answer, window)

    def close(self) -> None:
        """Let the link go."""
        if self._zmq is not None:
            self._zmq.close()
        else:
            os.close(self._file)

    def _exchange_messages(self, count: int, raw: bytes, window: int) -> None:
        assert self._zmq is not None
        sent = min(window, count)
        for _ in range(sent):
            self._zmq.send(raw)
        for _ in range(count):
            self._zmq.recv()
            if sent < count:
                self._zmq.send(raw)
                sent += 1

    def _exchange_bytes(self, count: int, raw: bytes, answer: int, window: int) -> None:
        received = queued = 0
        pending = bytearray()
        poll = select.poll()
        while received < count * answer:
            more = min(count, received // answer + window) - queued
            if more > 0:
                pending += raw * more
                queued += more
            if pending:
                with contextlib.suppress(BlockingIOError):
                    del pending[: os.write(self._file, pending)]
            poll.register(self._file, select.POLLIN | (select.POLLOUT if pending else 0))
            if poll.poll()[0][1] & select.POLLIN:
                received += len(os.read(self._file, READ_BYTES))


def echo_bytes(file: int) -> None:
    """Answer on a byte stream."""
    got = bytearray()
    with contextlib.suppress(OSError):  # the client is gone
        while raw := os.read(file, READ_BYTES):
            got += raw
            length = 0
            while len(got) >= LENGTHS.size:
                request, answer = LENGTHS.unpack_from(got)
                if len(got) < request:
                    break
                del got[:request]
                length += answer
            out = bytes(length)
            while out:
                out = out[os.write(file, out) :]


def echo_pty() -> None:
    """Answer on a pseudo-terminal."""
    ours, its = pty.openpty()
    tty.setraw(its)
    print(os.ttyname(its), flush=True)
    echo_bytes(ours)


def echo_tcp() -> None:
    """Answer on TCP."""
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"127.0.0.1:{listener.getsockname()[1]}", flush=True)
    connection, _ = listener.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    echo_bytes(connection.fileno())


def echo_socket() -> None:
    """Answer on a socket of this machine."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{folder}/echo")
        listener.listen(1)
        print(f"{folder}/echo", flush=True)
        connection, _ = listener.accept()
        echo_bytes(connection.fileno())


def echo_zmq() -> None:
    """Answer on ZMQ."""
    router = zmq.Context.instance().socket(zmq.ROUTER)
    port = router.bind_to_random_port("tcp://127.0.0.1")
    print(f"tcp://127.0.0.1:{port}", flush=True)
    while True:
        peer, raw = router.recv_multipart()
        router.send_multipart([peer, bytes(LENGTHS.unpack_from(raw)[1])])


class Lane:
    """One direction of a line: no byte is passed on before its last bit could have arrived.

    Bytes are left with their sender until then, so that it feels the line. While some wait, a late
    look loses no time of the line; where none do, the line rests, and saves nothing up.
    """

    def __init__(self, source: int, target: int, baud: int) -> None:
        self.source, self.target = source, target
        self._seconds = BITS_PER_BYTE / baud
        self._free: float | None = None  # when the last byte was through, None at rest
        self._held = b""

    @property
    def rests(self) -> bool:
        """Whether nothing is on the line."""
        return self._free is None

    def move(self, now: float, readable: bool) -> None:
        """Pass on what is due."""
        if self._free is None:
            self._free = now if readable else None
            return
        if self._held:  # the receiver is full, and holds the line up
            self._free = max(self._free, now)
            self._pass(b"")
            return
        due = int((now - self._free) / self._seconds)
        if due <= 0:
            return
        try:
            raw = os.read(self.source, due)
        except BlockingIOError:
            raw = b""
        self._free = self._free + len(raw) * self._seconds if len(raw) == due else None
        self._pass(raw)

    def _pass(self, raw: bytes) -> None:
        self._held += raw
        with contextlib.suppress(BlockingIOError):
            while self._held:
                self._held = self._held[os.write(self.target, self._held) :]


def line(terminal: str, baud: int) -> None:
    """Join a terminal to a new one by a line of a baud rate, in both directions."""
    far = os.open(terminal, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(far)
    near, its = pty.openpty()
    tty.setraw(its)
    print(os.ttyname(its), flush=True)
    os.set_blocking(near, False)
    os.set_blocking(far, False)
    lanes = Lane(near, far, baud), Lane(far, near, baud)
    while True:
        resting = [lane.source for lane in lanes if lane.rests]
        ready, _, _ = select.select(resting, [], [], None if len(resting) == 2 else LEAST_SECONDS)
        now = time.monotonic()
        for lane in lanes:
            lane.move(now, lane.source in ready)


def main() -> int:
    """Run one of them."""
    kind, *rest = sys.argv[1:]
    if kind == "line":
        line(rest[0], int(rest[1]))
    else:
        {"socket": echo_socket, "pty": echo_pty, "tcp": echo_tcp, "zmq": echo_zmq}[kind]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
