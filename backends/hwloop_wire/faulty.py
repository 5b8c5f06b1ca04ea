"""A link that loses, changes, doubles, delays and reorders what passes, reproducibly."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from hwloop_wire.link import Link, Opener, Waker


@dataclass(frozen=True, slots=True)
class Faults:
    """Probabilities of faults, per byte of a stream or per message, in each direction.

    Attributes:
        drop, flip, duplicate: of losing it, changing a bit, passing it twice.
        delay: of holding it back, with all that follows on a stream; messages overtake it.
        delay_seconds: longest delay.
    """

    drop: float = 0.0
    flip: float = 0.0
    duplicate: float = 0.0
    delay: float = 0.0
    delay_seconds: float = 0.001

    @classmethod
    def total(cls, rate: float) -> Faults:
        """Return faults of all four sorts that are `rate` together."""
        return cls(*(rate / 4,) * 4)


@dataclass(slots=True)
class _Lane:
    """What is on its way in one direction, with the time at which it may go on."""

    waiting: deque[tuple[float, bytes]] = field(default_factory=deque)

    def put(self, due: float, raw: bytes, ordered: bool) -> None:
        """Add something; on a stream nothing overtakes what is held back."""
        if ordered and self.waiting:
            due = max(due, self.waiting[-1][0])
        self.waiting.append((due, raw))

    def due(self, now: float) -> list[bytes]:
        """Take what may go on."""
        ready = [raw for due, raw in self.waiting if due <= now]
        self.waiting = deque(item for item in self.waiting if item[0] > now)
        return ready

    def next(self, now: float) -> float | None:
        """Seconds until something may go on."""
        return max(0.0, min(due for due, _ in self.waiting) - now) if self.waiting else None


class FaultyLink:
    """A link with faults in both directions.

    Args:
        link: what it spoils.
        faults: how often.
        seed: of the faults.

    Attributes:
        spoilt: faults so far.
    """

    def __init__(self, link: Link, faults: Faults, seed: int) -> None:
        self.name = link.name
        self.stream = link.stream
        self.byte_seconds = link.byte_seconds
        self.spoilt = 0
        self._link = link
        self._faults = faults
        self._random = np.random.Generator(np.random.PCG64(seed))
        self._out, self._in = _Lane(), _Lane()

    @property
    def pending(self) -> int:
        """Bytes that have not left."""
        return self._link.pending

    def send(self, raw: bytes) -> None:
        """Send, or not quite."""
        self._spoil(self._out, raw)
        self._push()

    def receive(self, timeout: float) -> bytes:
        """Return what has come, or not quite."""
        deadline = time.monotonic() + timeout
        while True:
            now = time.monotonic()
            self._push()
            if ready := self._in.due(now):
                if self.stream:
                    return b"".join(ready)
                for later in ready[1:]:
                    self._in.put(0.0, later, ordered=False)
                return ready[0]
            left = max(0.0, deadline - now)
            waits = [w for w in (self._out.next(now), self._in.next(now)) if w is not None]
            raw = self._link.receive(min([left, *waits]))
            if raw:
                self._spoil(self._in, raw)
            elif not waits or not left:
                return b""

    def close(self) -> None:
        """Let the port go."""
        self._link.close()

    def _push(self) -> None:
        for raw in self._out.due(time.monotonic()):
            self._link.send(raw)

    def _spoil(self, lane: _Lane, raw: bytes) -> None:
        now = time.monotonic()
        if self.stream:
            spoilt, delayed = self._spoil_bytes(raw)
            lane.put(now + self._delay() if delayed else now, spoilt, ordered=True)
            return
        faults, dice = self._faults, self._random.random(4)
        self.spoilt += int(
            (dice < (faults.drop, faults.flip, faults.duplicate, faults.delay)).sum()
        )
        if dice[0] < faults.drop:
            return
        if dice[1] < faults.flip and raw:
            changed = bytearray(raw)
            changed[int(self._random.integers(len(raw)))] ^= 1 << int(self._random.integers(8))
            raw = bytes(changed)
        for _ in range(1 + (dice[2] < faults.duplicate)):
            late = dice[3] < faults.delay
            lane.put(now + self._delay() if late else now, raw, ordered=False)

    def _spoil_bytes(self, raw: bytes) -> tuple[bytes, bool]:
        faults = self._faults
        edges = np.cumsum([faults.drop, faults.flip, faults.duplicate, faults.delay])
        which = np.searchsorted(edges, self._random.random(len(raw)), side="right")
        self.spoilt += int((which < 4).sum())
        values = np.frombuffer(raw, np.uint8).copy()
        flips = which == 1
        values[flips] ^= (1 << self._random.integers(8, size=int(flips.sum()))).astype(np.uint8)
        times = np.ones(len(raw), np.intp)
        times[which == 0] = 0
        times[which == 2] = 2
        return np.repeat(values, times).tobytes(), bool((which == 3).any())

    def _delay(self) -> float:
        return float(self._random.random()) * self._faults.delay_seconds


def faulty(opener: Opener, faults: Faults, seed: int) -> Opener:
    """Return an opener whose links have faults."""
    count = 0

    def open_link(waker: Waker) -> Link:
        nonlocal count
        count += 1
        return FaultyLink(opener(waker), faults, seed + count - 1)

    return open_link
