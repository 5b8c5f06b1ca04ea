"""Arrays behind the Python server, for tests."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np

from hwloop.backend import CrossbarBackend, Ticket
from hwloop.errors import CrossbarError
from hwloop.operations import Operation, Result
from hwloop.testing import FaultSpec
from hwloop_wire import WireBackend, open_serial_backend, open_zmq_backend
from hwloop_wire.faulty import faulty
from hwloop_wire.link import Link, Opener, Waker, open_serial, open_tcp
from hwloop_wire.ports import PortOpener, PtyPort, TcpPort
from hwloop_wire.server import Server
from hwloop_wire.zmq_link import ZmqLink
from hwloop_wire.zmq_port import RouterPort
from tests.seam.bench_array import BenchArray

PORTS: dict[str, PortOpener] = {
    "pty": PtyPort,
    "tcp": lambda waker, length: TcpPort("127.0.0.1", 0, waker, length),
    "zmq": lambda waker, length: RouterPort("tcp://127.0.0.1:*", waker, length),
}


class InlineArray(BenchArray):
    """The bench array, executing in the thread that submits: no time passes but for execution."""

    def submit(self, operations: Sequence[Operation]) -> Ticket:
        ticket = Ticket(operations)
        for operation in operations:
            try:
                result = self.execute(operation)
            except CrossbarError as error:
                ticket.error = error
                break
            ticket.results.append(dataclasses.replace(result, id=operation.id))
        ticket.done.set()
        return ticket

    def clear(self) -> None:
        self._aborted.clear()


def opener(kind: str, address: str) -> Opener:
    """Return what opens a link to an address of a kind of port."""

    def open_link(waker: Waker) -> Link:
        if kind == "zmq":
            return ZmqLink(address, waker)
        if kind == "tcp":
            host, port = address.removeprefix("tcp://").split(":")
            return open_tcp(host, int(port), waker)
        return open_serial(address, 921600, waker)

    return open_link


class StartedHere(WireBackend):
    """A chip that the test itself started, so that it need not be armed by its id."""

    @property
    def started_here(self) -> bool:
        """Whether this process started the array."""
        return True


def connect(
    kind: str, address: str, *, faults: FaultSpec | None = None, seed: int = 1, **options: Any
) -> WireBackend:
    """Return the chip at an address."""
    if faults is None and not options:
        backend = (open_zmq_backend if kind == "zmq" else open_serial_backend)(address, {})
        backend.__class__ = StartedHere
        return backend
    link = opener(kind, address)
    return StartedHere(link if faults is None else faulty(link, faults, seed), **options)


@contextmanager
def served(
    array: CrossbarBackend | None = None, kind: str = "pty", **options: Any
) -> Iterator[Server]:
    """Serve an array in this process."""
    server = Server(array or InlineArray(), PORTS[kind], **options)
    thread = Thread(target=server.run, name="test-server")
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(10)
        assert not thread.is_alive()


def identical(a: Result, b: Result) -> bool:
    """Return whether two results are the same, types of arrays and chip time included."""
    arrays = ((a.values, b.values), (a.saturated, b.saturated))
    return (a.id, a.verdict, a.fired, a.ticks) == (b.id, b.verdict, b.fired, b.ticks) and all(
        x is y is None
        or (x is not None and y is not None and x.dtype == y.dtype and np.array_equal(x, y))
        for x, y in arrays
    )


class ChipProcess:
    """A chip in a process of its own, on cells and a journal that outlive it.

    Args:
        kind: of port.
        folder: of cells and journal.
        options: of `tests.wire.bench_chip`.

    Attributes:
        address: what a host connects to.
    """

    def __init__(self, kind: str, folder: Path, *options: str) -> None:
        command = [sys.executable, "-m", "tests.wire.bench_chip", kind, str(folder), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()

    def signal(self, number: signal.Signals) -> None:
        """Stop it, let it go on, or kill it."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill it, as `kill -9` does."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


Start = Callable[..., ChipProcess]
