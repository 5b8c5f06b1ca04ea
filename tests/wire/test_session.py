"""Both ends of a session, and a channel in simulated time that loses, doubles and reorders."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Sequence

import pytest

from hwloop.backend import LinkCounters
from hwloop_wire import describing
from hwloop_wire import messages as m
from hwloop_wire.codes import ErrorCode, Flag, Kind
from hwloop_wire.device import Bounds, Device
from hwloop_wire.executor import Executor
from hwloop_wire.frames import Frame, FrameError, Message, decode, encode
from hwloop_wire.journal import Journal
from hwloop_wire.session import HostSession, Request
from tests.wire.chips import InlineArray

BOUNDS = Bounds(frame_bytes=600, receive_bytes=1500, cache_frames=5, cache_bytes=1400)
NUMBER = {m.Hello: 1, m.Status: 3}


class WatchedDevice(Device):
    """Asserts that the host keeps its window, and that frames are executed once and in order."""

    def __init__(self, executor: Executor) -> None:
        super().__init__(executor, BOUNDS)
        self.lengths: dict[int, int] = {}
        self.executed: list[int] = []

    def request(self, frame: Frame) -> bytes | None:
        before = self._next
        if frame.epoch == self.epoch and self.epoch and frame.sequence >= before:
            self.lengths[frame.sequence] = len(encode(frame))
            unacknowledged = range(frame.acknowledged + 1, frame.sequence + 1)
            unacknowledged = [n for n in unacknowledged if n in self.lengths]
            assert len(unacknowledged) <= BOUNDS.cache_frames
            assert sum(self.lengths[n] for n in unacknowledged) <= BOUNDS.receive_bytes
        raw = super().request(frame)
        assert self.refused == 0
        assert self._cache_bytes <= BOUNDS.cache_bytes
        if self._next != before and frame.epoch:
            self.executed.append(frame.sequence)
        return raw


class World:
    """A host session and a device, and a channel that a seed makes unreliable."""

    def __init__(
        self,
        seed: int,
        rate: float,
        ordered: bool,
        retained: bool,
        byte_seconds: float = 0.0,
        known: bool = True,
    ) -> None:
        self.dice = random.Random(seed)
        self.rate = rate
        self.ordered = ordered
        self.now = 0.0
        self.array = InlineArray()
        journal = Journal()
        self.device = WatchedDevice(Executor(self.array, journal, None))
        hello = m.Hello(nonce=1, dictionary=m.DICTIONARY)
        raw = self.device.request(Frame(Kind.REQUEST, 0, 0, 0, [Message(1, hello.pack())]))
        assert raw is not None
        answer = m.HelloAnswer.unpack(decode(raw).messages[0].body)
        if retained:
            answer = type(answer)(
                **{
                    **{n: getattr(answer, n) for n in type(answer).__slots__},
                    "flags": answer.flags | Flag.RETAINED,
                }
            )
        said = byte_seconds if known else 0.0
        self.session = HostSession(answer, lambda length: length, LinkCounters(), said)
        self.queue: list[tuple[float, int, bool, bytes]] = []
        self.count = 0
        self.byte_seconds = byte_seconds
        self.last = {True: 0.0, False: 0.0}

    def transmit(self, to_chip: bool, raw: bytes) -> None:
        if self.dice.random() < self.rate:
            return
        if self.dice.random() < self.rate:
            raw = bytes([raw[0] ^ 1]) + raw[1:]
        for _ in range(1 + (self.dice.random() < self.rate)):
            due = self.now + 1e-4 * self.dice.random()
            if self.byte_seconds:
                due = max(due, self.last[to_chip]) + self.byte_seconds * len(raw)
            if self.dice.random() < self.rate:
                due += 0.05 * self.dice.random()
            if self.ordered:
                due = self.last[to_chip] = max(due, self.last[to_chip])
            self.count += 1
            heapq.heappush(self.queue, (due, self.count, to_chip, raw))

    def run(self, done: Callable[[], bool], limit: float = 300.0) -> None:
        while not done():
            assert self.now < limit, "no progress"
            for raw in self.session.outgoing(self.now):
                self.transmit(True, raw)
            upcoming = [self.queue[0][0]] if self.queue else []
            if self.session.awaited:
                upcoming.append(self.session.deadline)
            self.now = max(self.now, min(upcoming))
            while self.queue and self.queue[0][0] <= self.now:
                _, _, to_chip, raw = heapq.heappop(self.queue)
                try:
                    frame = decode(raw)
                except FrameError:
                    continue
                if not to_chip:
                    for again in self.session.receive(frame, self.now):
                        self.transmit(True, again)
                elif (answer := self.device.request(frame)) is not None:
                    self.transmit(False, answer)


def pulse(world: World, number: int, answers: list[m.Result]) -> Request:
    configuration = world.array.describe().configuration
    head = m.Pulse(
        id=number,
        ordinal=number,
        tile=0,
        part=0,
        parts=1,
        configuration=configuration.hash(),
        row_first=0,
        row_count=1,
        col_first=0,
        col_count=1,
        shape=0,
        listed=0,
        width=1,
    )
    return Request(
        18,
        head.pack() + b"\1",
        m.Result.STRUCT.size,
        lambda message: answers.append(m.Result.unpack(message.body)),
        identity=number,
    )


def prepare(world: World) -> None:
    configuration = world.array.describe().configuration
    answers: list[Message] = []
    world.session.waiting += [
        Request(4, describing.configure_body(configuration), 8, answers.append),
        Request(6, m.Arm(deadman_ms=1000, armed=1, chip_id="bench-1").pack(), 8, answers.append),
    ]
    world.run(lambda: len(answers) == 2)
    assert {a.type for a in answers} == {m.Done.NUMBER}


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("retained", [True, False])
@pytest.mark.parametrize("rate", [0.0, 0.05, 0.3])
@pytest.mark.parametrize("seed", range(4))
def test_every_pulse_once_and_every_answer_in_order(
    ordered: bool, retained: bool, rate: float, seed: int
) -> None:
    world = World(seed, rate, ordered, retained)
    prepare(world)
    answers: list[m.Result] = []
    for number in range(1, 201):
        world.session.waiting.append(pulse(world, number, answers))
    world.run(lambda: len(answers) == 200)
    assert [a.id for a in answers] == list(range(1, 201))
    assert all(a.verdict == 0 and a.fired == 1 for a in answers)
    assert world.array.cells[0][0, 0] == pytest.approx(200e-6)
    assert world.device.executed == list(range(1, world.device._next))
    assert world.session.idle


@pytest.mark.parametrize(
    ("rate", "seeds", "most"), [(0.0, range(8), 0), (0.05, [1], 1), (0.3, range(8), 5)]
)
def test_repetitions_stay_few_on_a_clean_link_and_bounded_on_a_bad_one(
    rate: float, seeds: Sequence[int], most: float
) -> None:
    repeated = []
    for seed in seeds:
        world = World(seed, rate, ordered=True, retained=True)
        prepare(world)
        give_pulses(world, 300)
        repeated.append(world.session.counters.frames_resent / world.session._next)
    assert sum(repeated) / len(repeated) <= most


@pytest.mark.parametrize(
    ("byte_seconds", "known"), [(1e-5, False), (1e-5, True), (1e-4, True), (1e-3, True)]
)
def test_a_slow_line_is_kept_busy_and_nothing_is_repeated(byte_seconds: float, known: bool) -> None:
    world = World(1, 0.0, ordered=True, retained=True, byte_seconds=byte_seconds, known=known)
    prepare(world)
    begin, first = world.now, world.session._next
    give_pulses(world, 300)
    assert world.session.counters.frames_resent == 0
    sent = sum(world.device.lengths[n] for n in range(first, world.session._next))
    assert sent * byte_seconds < world.now - begin < 1.1 * sent * byte_seconds


def give_pulses(world: World, count: int, first_id: int = 1) -> None:
    answers: list[m.Result] = []
    for number in range(first_id, first_id + count):
        world.session.waiting.append(pulse(world, number, answers))
    world.run(lambda: len(answers) == count)


def test_without_retained_evidence_one_consuming_operation_is_in_flight() -> None:
    world = World(1, 0.0, ordered=True, retained=False)
    prepare(world)
    answers: list[m.Result] = []
    for number in range(1, 4):
        world.session.waiting.append(pulse(world, number, answers))
    world.session.outgoing(world.now)
    assert [r.identity for r in world.session.in_flight] == [1]


def test_late_errors_of_an_earlier_session_say_nothing() -> None:
    world = World(1, 0.0, ordered=True, retained=True)
    answers: list[Message] = []
    world.session.waiting.append(Request(3, b"", m.StatusAnswer.STRUCT.size, answers.append))
    (raw,) = world.session.outgoing(0.0)
    ours = decode(raw)
    error = m.Error(value=77, error=ErrorCode.EPOCH, type=0)
    stale = Frame(Kind.ANSWER, ours.epoch, 9, 0, [Message(255, error.pack())])
    assert world.session.receive(stale, 0.0) == []
    assert world.session.refusal is not None
    # The client hands on frames of the session's own epoch only; see test_link_errors.


def test_the_last_sequence_number_ends_a_session() -> None:
    world = World(1, 0.0, ordered=True, retained=True)
    world.session._next = 2**32 - 1
    for _ in range(2):
        world.session.waiting.append(Request(3, b"", m.StatusAnswer.STRUCT.size, lambda _: None))
    assert len(world.session.outgoing(0.0)) == 1
    assert world.session.exhausted
