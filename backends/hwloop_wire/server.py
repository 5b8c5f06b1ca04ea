"""Serves any backend as a chip: `serve(backend, port)`."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path

from hwloop.backend import CrossbarBackend
from hwloop.capabilities import Capabilities, Limits
from hwloop.errors import CrossbarError
from hwloop_wire import messages as m
from hwloop_wire.codes import ErrorCode, Kind
from hwloop_wire.decoding import PartError
from hwloop_wire.describing import hello_fields
from hwloop_wire.device import Bounds, Device, is_hello, notice, other_version, refusal
from hwloop_wire.executor import Executor
from hwloop_wire.frames import Frame, FrameError, OtherVersionError, decode
from hwloop_wire.journal import Journal
from hwloop_wire.link import LinkClosedError, Waker
from hwloop_wire.ports import Peer, PortOpener

logger = logging.getLogger(__name__)

BUSY_SECONDS = 0.1
LEASE_SECONDS = 10.0
_TICK_SECONDS = 0.05
_SMALLEST_FRAME = 1 << 20
_CACHE_FRAMES = 64


def bounds_for(capabilities: Capabilities) -> Bounds:
    """Return bounds with room for whole operations, a snapshot of the largest tile among them.

    Operations are served whole, since they know no offsets; nothing of this size is allocated.
    """
    largest = max(tile.rows * tile.cols for tile in capabilities.tiles)
    frame = max(_SMALLEST_FRAME, 64 * 1024 * 1024, 16 * largest + 4096)
    return Bounds(
        frame_bytes=frame,
        receive_bytes=min(2 * frame, 2**32 - 1),
        cache_frames=_CACHE_FRAMES,
        cache_bytes=min(2 * frame, 2**32 - 1),
    )


class Server:
    """A chip made of a backend.

    One thread, that of `run`, receives, sends, aborts and watches; another one executes.

    Args:
        backend: the array; `run` closes it.
        open_port: opens the port that hosts connect to.
        journal: file in which consuming parts leave records that survive a restart.
        arm: id of the chip that hosts may move; arrays that this process started need none.
        station: origin and limits of the bench, which hold beside the chip's own.
        lease: seconds of silence after which another host may take the chip.
        bounds: of frames and caches.

    Attributes:
        address: what a host connects to.

    Raises:
        ConfigurationError: port or journal cannot be had, or the chip's id is too long.
        SafetyError: another process holds the chip.
    """

    def __init__(
        self,
        backend: CrossbarBackend,
        open_port: PortOpener,
        *,
        journal: Path | None = None,
        arm: str | None = None,
        station: tuple[str, Limits] | None = None,
        lease: float = LEASE_SECONDS,
        bounds: Bounds | None = None,
    ) -> None:
        self._backend = backend
        capabilities = backend.describe()
        hello_fields(capabilities)  # refuses what no HELLO can say
        bounds = bounds or bounds_for(capabilities)
        self._journal = Journal(journal)
        self._executor = Executor(backend, self._journal, arm, station)
        self.device = Device(self._executor, bounds)
        self._waker = Waker()
        try:
            self._port = open_port(self._waker, bounds.frame_bytes)
        except BaseException:
            self._executor.close()
            raise
        self.address = self._port.address
        self._lease = lease
        self._holder: Peer | None = None
        self._heard = 0.0
        self._told_busy = 0.0
        self._abort: tuple[int, int] = (0, 0)
        self._abort_notice: m.Aborted | None = None
        self._aborting: Peer | None = None
        self._queue: queue.SimpleQueue[tuple[Peer, Frame] | None] = queue.SimpleQueue()
        self._busy = False
        self._bad = 0
        self._out: queue.SimpleQueue[tuple[Peer, bytes]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._stopping = False

    def run(self, ready: Callable[[str], None] = lambda address: None) -> None:
        """Serve until `stop`, then close the backend; `ready` is told the address."""
        worker = threading.Thread(target=self._work, name="hwloop-serve", daemon=True)
        worker.start()
        try:
            ready(self.address)
            while not self._stopping:
                for peer, raw in self._receive():
                    self._take(peer, raw)
                self._watch()
                self._flush()
        finally:
            self._queue.put(None)
            worker.join()
            self._flush()
            self._port.close()
            self._waker.close()
            self._journal.close()
            try:
                self._backend.close()
            finally:
                self._executor.close()

    def stop(self) -> None:
        """Make `run` return; called from any thread."""
        self._stopping = True
        self._waker.wake()

    # --- the thread of the port ---------------------------------------------------------------

    def _receive(self) -> list[tuple[Peer, bytes]]:
        try:
            return self._port.receive(_TICK_SECONDS)
        except LinkClosedError:
            time.sleep(_TICK_SECONDS)
            return []

    def _flush(self) -> None:
        with contextlib.suppress(queue.Empty, LinkClosedError):
            while True:
                self._port.send(*self._out.get_nowait())

    def _take(self, peer: Peer, raw: bytes) -> None:
        device = self.device
        try:
            frame = decode(raw)
        except OtherVersionError as error:
            self._bad += 1
            if error.kind == Kind.REQUEST:
                self._out.put((peer, other_version()))
            return
        except FrameError:
            self._bad += 1
            return
        device.good += 1
        if frame.kind == Kind.ABORT:
            self._take_abort(peer, frame)
        elif frame.kind == Kind.REQUEST and self._holds(peer, frame):
            self._heard = time.monotonic()
            # A host within its window has no more than this on the way, but for repetitions.
            if self._queue.qsize() < 2 * device.bounds.cache_frames:
                self._queue.put((peer, frame))

    def _holds(self, peer: Peer, frame: Frame) -> bool:
        """Return whether a host holds the chip, or takes it; else refuse its frame."""
        if self._holder == peer:
            return True
        hello = is_hello(frame)
        free = self._holder is None or time.monotonic() - self._heard > self._lease
        returned = (
            self._holder is not None
            and self._port.gone(self._holder)
            and frame.epoch == self.device.epoch
        )
        if (hello and (free or self._port.gone(self._holder or b""))) or returned:
            self._holder = peer
            logger.info("host %s holds the chip", peer.hex())
            return True
        code = ErrorCode.EPOCH if free else ErrorCode.LEASE
        self._out.put((peer, refusal(frame, code, 0)))
        return False

    def _take_abort(self, peer: Peer, frame: Frame) -> None:
        number = (frame.epoch, frame.sequence)
        with self._lock:
            if number == self._abort and frame.epoch == self.device.epoch:
                if self._abort_notice is not None:
                    self._tell(peer, self._abort_notice)
                return
            self._abort, self._abort_notice, self._aborting = number, None, None
        self._executor.abort()
        with self._lock:
            self._aborting = peer
            # Else the thread that executes tells it, when the part under way has ended.
            if self._executor.current is None:
                self._end_abort()

    def _end_abort(self) -> None:
        """Tell whoever aborted where the chip was; the lock is held."""
        if self._aborting is None:
            return
        identity, part, fired = self._executor.cut_short
        self._abort_notice = m.Aborted(id=identity, part=part, fired=fired, number=self._abort[1])
        self._tell(self._aborting, self._abort_notice)
        self._aborting = None

    def _tell(self, peer: Peer, body: m.Busy | m.Tripped | m.Aborted) -> None:
        self._out.put((peer, notice(self.device.epoch, body)))

    def _watch(self) -> None:
        """Say that a long part is being executed; trip on silence."""
        self.device.bad = self._bad + self._port.bad
        now = time.monotonic()
        current = self._executor.current
        holder = self._holder
        if holder is None:
            return
        if self._busy or not self._queue.empty():
            self._heard = now
        if not self._busy:
            self._told_busy = now
        elif current is not None and now - self._told_busy > BUSY_SECONDS:
            self._told_busy = now
            self._tell(holder, m.Busy(id=current[0], part=current[1]))
        deadman = self.device.deadman_ms / 1000
        if self._executor.armed and now - self._heard > deadman:
            self._executor.trip()
            self._tell(holder, m.Tripped(error=ErrorCode.DEADMAN))

    # --- the thread that executes -------------------------------------------------------------

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            peer, frame = item
            self._busy = True
            try:
                raw = self.device.request(frame)
            except Exception as error:  # whatever a driver raises, the chip stays reachable
                detail = f"{type(error).__name__}: {error}"
                self._executor.refuse(PartError(ErrorCode.FAILED, detail))
                raw = None
            if raw is not None:
                self._out.put((peer, raw))
            with self._lock:
                self._end_abort()
            self._busy = False
            if not self.device.epoch and self._holder is not None:
                logger.info("host %s lets the chip go", self._holder.hex())
                self._holder = None
            self._waker.wake()


def serve(
    backend: CrossbarBackend,
    open_port: PortOpener,
    *,
    journal: Path | None = None,
    arm: str | None = None,
    station: tuple[str, Limits] | None = None,
    ready: Callable[[str], None] = print,
) -> None:
    """Serve a backend until Ctrl-C.

    Args:
        backend: the array; it is closed in the end.
        open_port: opens the port that hosts connect to.
        journal: file in which consuming parts leave records.
        arm: id of the chip that hosts may move.
        station: origin and limits of the bench.
        ready: is told the address.

    Raises:
        ConfigurationError: port or journal cannot be had.
    """
    try:
        server = Server(backend, open_port, journal=journal, arm=arm, station=station)
    except BaseException:
        with contextlib.suppress(CrossbarError):
            backend.close()
        raise
    with contextlib.suppress(KeyboardInterrupt):
        server.run(ready)
