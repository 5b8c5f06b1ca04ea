"""A link with faults, around any link that carries bytes or messages."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from hwloop.testing.schedule import Schedule
from hwloop.testing.spec import FaultSpec


class Link(Protocol):
    """What carries bytes or messages to an array and back, used by one thread.

    Attributes:
        name: what is connected, for people.
        stream: whether it is a stream of bytes; else one `send` is one message.
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
        """Take bytes, or a message."""
        ...

    def receive(self, timeout: float) -> bytes:
        """Return some bytes, or a message; nothing after a time-out in seconds."""
        ...

    def close(self) -> None:
        """Let the port go."""
        ...


@dataclass(slots=True)
class _Lane:
    """What is on its way in one direction, with the time at which it may go on.

    Attributes:
        random: makes the choices of this direction.
        waiting: in order.
        swapped: what goes behind the next one, or None.
    """

    random: np.random.Generator
    waiting: deque[tuple[float, bytes]] = field(default_factory=deque)
    swapped: bytes | None = None

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
        seed: of the random choices, in place of that of `faults`.
        schedule: what happens once; one of its own by default. Give the same to the link that is
            opened after this one.
        closed: makes the error of a link that breaks; `ConnectionResetError` by default.

    Attributes:
        spoilt: faults so far.
    """

    def __init__(
        self,
        link: Link,
        faults: FaultSpec,
        seed: int | None = None,
        *,
        schedule: Schedule | None = None,
        closed: Callable[[str], Exception] = ConnectionResetError,
    ) -> None:
        self.name = link.name
        self.stream = link.stream
        self.byte_seconds = link.byte_seconds
        self.spoilt = 0
        self._link = link
        self._faults = faults
        self._schedule = Schedule(faults) if schedule is None else schedule
        self._closed = closed
        self._broken = False
        self._silent_until = 0.0
        first = faults.seed if seed is None else seed
        self._out, self._in = (_Lane(np.random.default_rng([first, way])) for way in (0, 1))

    @property
    def pending(self) -> int:
        """Bytes that have not left."""
        return self._link.pending

    def send(self, raw: bytes) -> None:
        """Send, or not quite.

        Raises:
            Exception: that of `closed`, where the link breaks.
        """
        self._check()
        stall = self._schedule.before_request()
        if stall:
            self._silent_until = time.monotonic() + stall
            self.spoilt += 1
        self._spoil(self._out, raw)
        self._push()
        if self._schedule.after_request():
            self.spoilt += 1
            self._broken = True  # what has left has left; the next use finds out

    def receive(self, timeout: float) -> bytes:
        """Return what has come, or not quite."""
        deadline = time.monotonic() + timeout
        while True:
            self._check()
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
            if raw and self._schedule.before_answer():
                raw = b""
            if raw:
                self._spoil(self._in, raw)
            elif not waits or not left:
                return b""

    def close(self) -> None:
        """Let the port go."""
        self._link.close()

    def _check(self) -> None:
        if self._broken:
            raise self._closed(f"{self.name}: disconnected")

    def _push(self) -> None:
        for raw in self._out.due(time.monotonic()):
            self._link.send(raw)

    def _spoil(self, lane: _Lane, raw: bytes) -> None:
        faults = self._faults
        if faults.reorder and lane.swapped is None and lane.random.random() < faults.reorder:
            self.spoilt += 1
            lane.swapped = raw
            return
        self._pass(lane, raw)
        if lane.swapped is not None:
            swapped, lane.swapped = lane.swapped, None
            self._pass(lane, swapped)

    def _pass(self, lane: _Lane, raw: bytes) -> None:
        now = max(time.monotonic(), self._silent_until)
        if self.stream:
            spoilt, delayed = self._spoil_bytes(raw, lane.random)
            lane.put(now + self._delay(lane) if delayed else now, spoilt, ordered=True)
            return
        faults, dice = self._faults, lane.random.random(4)
        self.spoilt += int(
            (dice < (faults.drop, faults.flip, faults.duplicate, faults.delay)).sum()
        )
        if dice[0] < faults.drop:
            return
        if dice[1] < faults.flip and raw:
            changed = bytearray(raw)
            changed[int(lane.random.integers(len(raw)))] ^= 1 << int(lane.random.integers(8))
            raw = bytes(changed)
        for _ in range(1 + (dice[2] < faults.duplicate)):
            late = dice[3] < faults.delay
            lane.put(now + self._delay(lane) if late else now, raw, ordered=False)

    def _spoil_bytes(self, raw: bytes, random: np.random.Generator) -> tuple[bytes, bool]:
        faults = self._faults
        edges = np.cumsum([faults.drop, faults.flip, faults.duplicate, faults.delay])
        if not edges[-1]:
            return raw, False
        which = np.searchsorted(edges, random.random(len(raw)), side="right")
        self.spoilt += int((which < 4).sum())
        values = np.frombuffer(raw, np.uint8).copy()
        flips = which == 1
        values[flips] ^= (1 << random.integers(8, size=int(flips.sum()))).astype(np.uint8)
        times = np.ones(len(raw), np.intp)
        times[which == 0] = 0
        times[which == 2] = 2
        return np.repeat(values, times).tobytes(), bool((which == 3).any())

    def _delay(self, lane: _Lane) -> float:
        return float(lane.random.random()) * self._faults.delay_seconds
