"""The link with faults, around a link that answers with what it is sent."""

import time
from collections import deque

import pytest

from hwloop.testing import FaultSpec, FaultyLink, Reboot, Schedule, Stall


class Echo:
    """Gives back what it is sent."""

    name, byte_seconds, pending = "echo", 0.0, 0

    def __init__(self, stream: bool) -> None:
        self.stream = stream
        self.waiting: deque[bytes] = deque()

    def send(self, raw: bytes) -> None:
        self.waiting.append(raw)

    def receive(self, timeout: float) -> bytes:
        return self.waiting.popleft() if self.waiting else b""

    def close(self) -> None:
        pass


def through(spec: FaultSpec, messages: list[bytes], *, stream: bool = False) -> list[bytes]:
    """Return what comes back of messages that are sent one after the other."""
    link = FaultyLink(Echo(stream), spec)
    for message in messages:
        link.send(message)
    got = []
    while raw := link.receive(0.01):
        got.append(raw)
    return got


MESSAGES = [bytes([n]) * 20 for n in range(200)]


def test_without_faults_nothing_changes() -> None:
    assert through(FaultSpec(), MESSAGES) == MESSAGES
    assert b"".join(through(FaultSpec(), MESSAGES, stream=True)) == b"".join(MESSAGES)


def test_every_sort_of_fault_on_messages() -> None:
    # 200 messages, each way: expected counts, and bounds of five standard deviations.
    assert 40 < len(through(FaultSpec(drop=0.3), MESSAGES)) < 160
    assert len(through(FaultSpec(duplicate=0.3), MESSAGES)) > 260
    flipped = through(FaultSpec(flip=0.5), MESSAGES)
    changed = [(a, b) for a, b in zip(flipped, MESSAGES, strict=True) if a != b]
    assert 100 < len(changed) < 190
    moved = through(FaultSpec(reorder=0.2), MESSAGES)
    assert moved != MESSAGES and set(moved) <= set(MESSAGES) and len(moved) >= 198
    late = through(FaultSpec(delay=0.5, delay_seconds=0.002), MESSAGES)
    assert sorted(late) == MESSAGES and late != MESSAGES


def test_bytes_of_a_stream() -> None:
    sent = b"".join(MESSAGES)
    dropped = b"".join(through(FaultSpec(drop=0.1), MESSAGES, stream=True))
    assert 0.7 * len(sent) < len(dropped) < 0.9 * len(sent)  # 0.81
    held = b"".join(through(FaultSpec(delay=0.05), MESSAGES, stream=True))
    assert held == sent


def test_the_same_seed_is_the_same_fault() -> None:
    spec = FaultSpec(drop=0.1, flip=0.1, duplicate=0.1, reorder=0.1, seed=5)
    assert through(spec, MESSAGES) == through(spec, MESSAGES)
    assert through(FaultSpec(drop=0.3, seed=1), MESSAGES) != through(
        FaultSpec(drop=0.3, seed=2), MESSAGES
    )


def test_a_link_that_breaks_breaks_once() -> None:
    spec = FaultSpec(disconnects=(3,))
    schedule = Schedule(spec)
    link = FaultyLink(Echo(False), spec, schedule=schedule)
    for message in MESSAGES[:3]:
        link.send(message)
    with pytest.raises(ConnectionResetError, match="disconnected"):
        link.send(MESSAGES[3])
    again = FaultyLink(Echo(False), spec, schedule=schedule)
    for message in MESSAGES:
        again.send(message)
    assert len(again.receive(0.01)) == 20


def test_a_link_that_stalls() -> None:
    link = FaultyLink(Echo(False), FaultSpec(stalls=(Stall(0.05, 2),)))
    link.send(MESSAGES[0])
    assert link.receive(0.01) == MESSAGES[0]
    began = time.monotonic()
    link.send(MESSAGES[1])
    assert link.receive(0.0) == b""
    assert link.receive(5.0) == MESSAGES[1]
    assert time.monotonic() - began >= 0.05


@pytest.mark.parametrize(
    ("point", "answered"), [("before-request", 2), ("after-request", 2), ("before-answer", 1)]
)
def test_a_reboot_comes_at_its_point(point: str, answered: int) -> None:
    boots: list[int] = []
    echo = Echo(False)
    spec = FaultSpec(reboots=(Reboot(point, 2),))
    schedule = Schedule(spec, lambda: boots.append(len(echo.waiting)))
    link = FaultyLink(echo, spec, schedule=schedule)
    got = []
    for message in MESSAGES[:2]:
        link.send(message)
        got.append(link.receive(0.0))
    assert boots == [{"before-request": 0, "after-request": 1, "before-answer": 0}[point]]
    assert sum(bool(raw) for raw in got) == answered
