"""A served array in a process of its own, whose cells and journal outlive `kill -9`.

    python -m tests.wire.bench_chip KIND FOLDER [--address A] [--slow SECONDS] [--bounds A,B,C,D]

KIND is pty, tcp or zmq. The address is printed. FOLDER keeps the cells, as counts of pulses.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwloop.operations import Operation, Pulse, Result, Verdict
from hwloop_wire.device import Bounds, Device
from hwloop_wire.frames import Frame, encode
from hwloop_wire.link import Waker
from hwloop_wire.ports import Port, PtyPort, TcpPort
from hwloop_wire.server import Server
from hwloop_wire.zmq_port import RouterPort
from tests.wire.chips import InlineArray

ROWS, COLS = 40, 50


def counts(folder: Path, mode: str = "r") -> NDArray[np.int64]:
    """Return the pulses that each cell has really had, shape (rows, cols)."""
    return np.memmap(folder / "cells", np.int64, mode, shape=(ROWS, COLS))  # type: ignore[call-overload,no-any-return]


class CountingArray(InlineArray):
    """Counts each pulse in a mapped file at the moment at which it is fired."""

    def __init__(self, folder: Path, slow: float) -> None:
        super().__init__(ROWS, COLS, tiles=1)
        if not (folder / "cells").exists():
            np.zeros((ROWS, COLS), np.int64).tofile(folder / "cells")
        self.counts = counts(folder, "r+")
        self.slow = slow

    def execute(self, operation: Operation) -> Result:
        if not isinstance(operation, Pulse):
            return super().execute(operation)
        fired = 0
        assert operation.rows is not None and operation.cols is not None
        for (i, j), count in np.ndenumerate(operation.counts):
            for _ in range(abs(int(count))):
                if self.aborted:
                    return Result(verdict=Verdict.PARTIAL, fired=fired)
                self.counts[operation.rows[i], operation.cols[j]] += 1
                fired += 1
                if self.slow:
                    time.sleep(self.slow)
        return Result(fired=fired, ticks=fired)

    def abort(self) -> object:  # type: ignore[override]
        self._aborted.set()
        self.idle()
        return None


class WatchedDevice(Device):
    """Ends the process if a host goes beyond its window."""

    def request(self, frame: Frame) -> bytes | None:
        lengths: dict[int, int] = self.__dict__.setdefault("lengths", {})
        if frame.epoch == self.epoch and frame.sequence >= self._next:
            lengths[frame.sequence] = len(encode(frame))
            sent = range(frame.acknowledged + 1, frame.sequence + 1)
            assert len(sent) <= self.bounds.cache_frames
            assert sum(lengths.get(n, 0) for n in sent) <= self.bounds.receive_bytes
            lengths.pop(frame.acknowledged, None)
        raw = super().request(frame)
        if self.refused:
            raise SystemExit("the host went beyond its window")
        return raw


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["pty", "tcp", "zmq"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--address", default="")
    parser.add_argument("--slow", type=float, default=0.0)
    parser.add_argument("--bounds", default="4096,16384,16,16384")
    parser.add_argument("--no-journal", action="store_true")
    options = parser.parse_args()

    def open_port(waker: Waker, length: int) -> Port:
        if options.kind == "pty":
            return PtyPort(waker, length)
        if options.kind == "tcp":
            port = int(options.address.rpartition(":")[2] or 0)
            return TcpPort("127.0.0.1", port, waker, length)
        return RouterPort(options.address or "tcp://127.0.0.1:*", waker, length)

    server = Server(
        CountingArray(options.folder, options.slow),
        open_port,
        journal=None if options.no_journal else options.folder / "journal",
        bounds=Bounds(*map(int, options.bounds.split(","))),
    )
    server.device.__class__ = WatchedDevice
    print(server.address, flush=True)
    server.run()


if __name__ == "__main__":
    main()
