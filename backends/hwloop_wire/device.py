"""The chip's side of a session: epochs, sequence numbers, the answer cache, control messages."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from hwloop.errors import CrossbarError
from hwloop_wire import describing
from hwloop_wire import messages as m
from hwloop_wire.codes import PROTOCOL_VERSION, ErrorCode, Flag, Kind, Table
from hwloop_wire.decoding import Asked, PartError
from hwloop_wire.executor import Executor
from hwloop_wire.frames import Frame, Message, encode, frame_bytes
from hwloop_wire.layout import Body, MessageError

_PART_NUMBERS = {part.NUMBER for part in m.PARTS}
_FIXED = (m.Describe, m.Status, m.ReadConfiguration, m.Arm, m.Idle, m.Clear, m.Bye)
"""Control messages of one length."""
_SHAPES_MAX = 1024


class Bounds(NamedTuple):
    """What HELLO promises of the chip's memory."""

    frame_bytes: int
    receive_bytes: int
    cache_frames: int
    cache_bytes: int


class _Task(NamedTuple):
    """A message of a request, read."""

    run: Callable[[], Message]
    answer_length: int


class Device:
    """Answers request frames, each executed once.

    Args:
        executor: the array.
        bounds: of frames and caches.

    Attributes:
        epoch: of the session, 0 without one.
        deadman_ms: silence that trips the armed chip.
        good, bad, duplicate, stale: frames received, by what became of them.
        refused: requests that went beyond the window.
    """

    def __init__(self, executor: Executor, bounds: Bounds) -> None:
        self.executor = executor
        self.bounds = bounds
        self.epoch = 0
        self.deadman_ms = 0
        self.good = self.bad = self.duplicate = self.stale = self.refused = 0
        self._nonce = 0
        self._next = 1
        self._acknowledged = 0
        self._cache: OrderedDict[int, bytes] = OrderedDict()
        self._cache_bytes = 0

    def request(self, frame: Frame) -> bytes | None:
        """Execute a request frame, or answer it from the cache; return the answer frame."""
        if is_hello(frame):
            return self._hello(frame.messages[0].body)
        if frame.epoch != self.epoch or not self.epoch:
            self.stale += 1
            return refusal(frame, ErrorCode.EPOCH, self.epoch)
        self._acknowledge(min(frame.acknowledged, self._next - 1))
        if frame.sequence > self._next:
            self.stale += 1
            return refusal(frame, ErrorCode.SEQUENCE, self._next)
        if frame.sequence < self._next:
            self.duplicate += 1
            return self._cache.get(frame.sequence)
        tasks = [self._read(message) for message in frame.messages]
        length = frame_bytes(task.answer_length for task in tasks)
        bounds = self.bounds
        if length > bounds.frame_bytes:
            return refusal(frame, ErrorCode.LENGTH, bounds.frame_bytes)
        full = len(self._cache) >= bounds.cache_frames
        if full or self._cache_bytes + length > bounds.cache_bytes:
            self.refused += 1
            return refusal(frame, ErrorCode.WINDOW, bounds.cache_bytes)
        epoch = self.epoch
        answers = [task.run() for task in tasks]
        raw = encode(Frame(Kind.ANSWER, epoch, frame.sequence, frame.sequence, answers))
        self._cache[frame.sequence] = raw
        self._cache_bytes += len(raw)
        self._next += 1
        return raw

    def flags(self) -> int:
        """Return the state of the chip."""
        executor = self.executor
        return (
            Flag.RETAINED * executor.journal.retained
            | Flag.VIRTUAL * (executor.capabilities.kind == "virtual")
            | Flag.ARMED * executor.armed
            | Flag.LATCHED * bool(executor.latched)
            | Flag.CONFIGURED * (executor.configuration is not None)
            | Flag.LEDGER * executor.keeps_doses
        )

    def end(self) -> None:
        """End the session."""
        self.epoch = 0
        self._nonce = 0
        self._cache.clear()
        self._cache_bytes = 0
        self.executor.new_session()

    def _acknowledge(self, sequence: int) -> None:
        while self._acknowledged < sequence:
            self._acknowledged += 1
            self._cache_bytes -= len(self._cache.pop(self._acknowledged, b""))

    def _hello(self, body: bytes) -> bytes:
        try:
            hello = m.Hello.unpack(body)
        except MessageError:
            error = m.Error(value=m.Hello.STRUCT.size, error=ErrorCode.LENGTH, type=1)
            return encode(Frame(Kind.ANSWER, 0, 0, 0, [_message(error)]))
        if hello.dictionary != m.DICTIONARY:
            error = m.Error(value=m.DICTIONARY, error=ErrorCode.DICTIONARY, type=1)
            return encode(Frame(Kind.ANSWER, 0, 0, 0, [_message(error)]))
        if not self.epoch or hello.nonce != self._nonce:
            self.end()
            self._nonce = hello.nonce
            self.epoch = self.executor.journal.begin()
            self._next, self._acknowledged = 1, 0
        evidence = self.executor.journal.evidence
        configuration = self.executor.configuration
        answer = m.HelloAnswer(
            nonce=hello.nonce,
            intent_id=evidence.intent_id,
            commit_id=evidence.commit_id,
            commit_fired=evidence.commit_fired,
            configuration=0 if configuration is None else configuration.hash(),
            dictionary=m.DICTIONARY,
            epoch=self.epoch,
            boot=evidence.boot,
            flags=self.flags(),
            frame_bytes=self.bounds.frame_bytes,
            receive_bytes=self.bounds.receive_bytes,
            cache_frames=self.bounds.cache_frames,
            cache_bytes=self.bounds.cache_bytes,
            intent_part=evidence.intent_part,
            commit_part=evidence.commit_part,
            commit_verdict=evidence.commit_verdict,
            shapes=_SHAPES_MAX,
            **describing.hello_fields(self.executor.capabilities),
        )
        return encode(Frame(Kind.ANSWER, 0, 0, 0, [_message(answer)]))

    # --- messages -----------------------------------------------------------------------------

    def _read(self, message: Message) -> _Task:
        if message.type in _PART_NUMBERS:
            return self._read_part(message)
        try:
            return self._read_control(message)
        except MessageError as error:
            return self._refused(message, PartError(ErrorCode.LENGTH, str(error)))

    def _read_part(self, message: Message) -> _Task:
        try:
            asked = self.executor.decoder.decode(message.type, message.body)
        except PartError as refused:
            error = refused
            # What is missing of a part that is too short counts as zeros.
            head = m.Part.unpack(message.body.ljust(m.Part.STRUCT.size, b"\0"))
            return _Task(lambda: _message(self.executor.refuse(error, head)), m.Result.STRUCT.size)
        return _Task(lambda: self._execute(asked), asked.answer_length)

    def _execute(self, asked: Asked) -> Message:
        assert m.Result.NUMBER is not None
        return Message(m.Result.NUMBER, self.executor.execute(asked))

    def _refused(self, message: Message, error: PartError) -> _Task:
        """Return the task that answers what cannot be read, and latches: a part may be lost."""

        def run() -> Message:
            self.executor.refuse(error)
            return _error(error.code, message.type)

        return _Task(run, m.Error.STRUCT.size)

    def _read_control(self, message: Message) -> _Task:
        body = message.body
        executor = self.executor
        known = m.TYPES.get(message.type)
        if known in _FIXED and len(body) != known.STRUCT.size:
            raise MessageError(f"{len(body)} bytes, expected {known.STRUCT.size}")
        error_size = m.Error.STRUCT.size
        if message.type == m.Describe.NUMBER:
            index = m.Describe.unpack(body).tile
            return _Task(lambda: self._describe(index), m.DescribeAnswer.STRUCT.size)
        if message.type == m.Status.NUMBER:
            return _Task(lambda: _message(self._status()), m.StatusAnswer.STRUCT.size)
        if message.type == m.ReadConfiguration.NUMBER:
            asked = m.ReadConfiguration.unpack(body)
            length = m.ReadConfigurationAnswer.STRUCT.size
            length += m.ShapeEntry.STRUCT.size * asked.shapes
            return _Task(lambda: self._read_configuration(asked), length)
        if message.type == m.Configure.NUMBER:
            head = m.Configure.unpack(body)
            entries = describing.parse_shapes(body, m.Configure.STRUCT.size, head.shapes)
            return _Task(lambda: self._configure(head, entries), error_size)
        if message.type == m.Arm.NUMBER:
            arm = m.Arm.unpack(body)
            return _Task(lambda: self._arm(arm), error_size)
        if message.type == m.Idle.NUMBER:
            return _Task(lambda: self._done(executor.idle), error_size)
        if message.type == m.Clear.NUMBER:
            return _Task(lambda: self._done(executor.clear), error_size)
        if message.type == m.Bye.NUMBER:
            return _Task(lambda: self._done(self._bye), error_size)
        return self._refused(message, PartError(ErrorCode.TYPE))

    def _done(self, action: Callable[[], None]) -> Message:
        try:
            action()
        except CrossbarError as error:
            self.executor.refuse(PartError(ErrorCode.FAILED, error.message))
            return _error(ErrorCode.FAILED, 0)
        return _message(m.Done(flags=self.flags()))

    def _bye(self) -> None:
        self.executor.idle()
        self.end()

    def _describe(self, index: int) -> Message:
        tiles = self.executor.capabilities.tiles
        if index >= len(tiles):
            return _error(ErrorCode.TILE, m.Describe.NUMBER, len(tiles))
        return _message(describing.describe_answer(tiles[index]))

    def _status(self) -> m.StatusAnswer:
        executor = self.executor
        return m.StatusAnswer(
            failed_id=executor.failed[0],
            pulses=executor.pulses,
            ticks=executor.ticks,
            flags=self.flags(),
            frames_good=self.good & 0xFFFFFFFF,
            frames_bad=self.bad & 0xFFFFFFFF,
            frames_duplicate=self.duplicate & 0xFFFFFFFF,
            frames_stale=self.stale & 0xFFFFFFFF,
            failed_part=executor.failed[1],
            failed_error=executor.latched,
            detail=describing.shortened(executor.detail, 128),
        )

    def _read_configuration(self, asked: m.ReadConfiguration) -> Message:
        if asked.table not in (Table.OFFERED, Table.INSTALLED):
            return _error(ErrorCode.RANGE, m.ReadConfiguration.NUMBER)
        offered = self.executor.capabilities.configuration
        installed = self.executor.configuration if asked.table == Table.INSTALLED else None
        configuration = offered if asked.table == Table.OFFERED else installed
        entries = [] if configuration is None else describing.shape_entries(configuration)
        wanted = entries[asked.first : asked.first + asked.shapes]
        head = m.ReadConfigurationAnswer(
            configuration=0 if installed is None else installed.hash(),
            shapes=len(wanted),
            total=len(entries),
            **describing.limit_fields((configuration or offered).limits),
        )
        return _message(head, b"".join(entry.pack() for entry in wanted))

    def _configure(self, head: m.Configure, entries: list[m.ShapeEntry]) -> Message:
        code = ErrorCode.LATCHED
        if not self.executor.latched:
            try:
                configuration = describing.configuration(head, entries)
                code = self.executor.configure(configuration, head.configuration)
            except MessageError:
                code = ErrorCode.RANGE
        return self._outcome(code, m.Configure)

    def _arm(self, arm: m.Arm) -> Message:
        code = ErrorCode.LATCHED
        if not self.executor.latched:
            fine = arm.armed == 0 or (arm.armed == 1 and arm.deadman_ms)
            code = self.executor.arm(arm) if fine else ErrorCode.RANGE
            if code is ErrorCode.NONE:
                self.deadman_ms = arm.deadman_ms
        return self._outcome(code, m.Arm)

    def _outcome(self, code: ErrorCode, message: type[Body]) -> Message:
        if code is not ErrorCode.NONE:
            return _error(code, message.NUMBER)
        return _message(m.Done(flags=self.flags()))


def is_hello(frame: Frame) -> bool:
    """Return whether a request is a HELLO."""
    return not frame.epoch and [message.type for message in frame.messages] == [m.Hello.NUMBER]


def refusal(frame: Frame, code: ErrorCode, value: int) -> bytes:
    """Return the answer to a whole frame that is not executed."""
    error = m.Error(value=value, error=code, type=0)
    return encode(Frame(Kind.ANSWER, frame.epoch, frame.sequence, 0, [_message(error)]))


def other_version() -> bytes:
    """Return the answer to a frame of another protocol version."""
    error = m.Error(value=PROTOCOL_VERSION, error=ErrorCode.VERSION, type=0)
    return encode(Frame(Kind.ANSWER, 0, 0, 0, [_message(error)]))


def notice(epoch: int, body: Body) -> bytes:
    """Return the frame of a notice."""
    return encode(Frame(Kind.NOTICE, epoch, 0, 0, [_message(body)]))


def _message(body: Body, tail: bytes = b"") -> Message:
    assert body.NUMBER is not None
    return Message(body.NUMBER, body.pack() + tail)


def _error(code: ErrorCode, number: int | None, value: int = 0) -> Message:
    return _message(m.Error(value=value, error=code, type=number or 0))
