"""A host in its simplest form: one frame at a time, and every mistake that a test wants made."""

import itertools
import os
import select
import time

from hwloop.errors import LinkError
from hwloop.operations import OperationClass
from hwloop_wire import describing, results
from hwloop_wire import messages as m
from hwloop_wire.codes import ErrorCode, Kind, Table
from hwloop_wire.cutting import Cutter
from hwloop_wire.frames import Frame, Message, Splitter, decode, encode, to_stream

PATIENCE = 20.0
_LONGEST = 1 << 20


class SilenceError(Exception):
    """The chip did not answer."""


def message(body, tail=b""):
    return Message(body.NUMBER, body.pack() + tail)


def error_of(answer):
    """The `ErrorCode` of an ERROR or RESULT, NONE of anything else."""
    body = {m.Error.NUMBER: m.Error, m.Result.NUMBER: m.Result}.get(answer.type)
    return ErrorCode(body.unpack(answer.body).error) if body else ErrorCode.NONE


class Host:
    """Speaks with a chip over two file descriptors.

    Attributes:
        hello: what the chip said when the session began.
        notices: messages that came unasked for.
        clock: ticks of what was run, as far as a test adds them up.
    """

    def __init__(self, read_fd, write_fd):
        self.read_fd, self.write_fd = read_fd, write_fd
        self.epoch = 0
        self.sequence = 1
        self.acknowledged = 0
        self.notices = []
        self.hello = None
        self.clock = 0
        self.ids = itertools.count(1)
        self._splitter = Splitter(_LONGEST)
        self._answers = []

    # Bytes and frames

    def send(self, raw):
        os.write(self.write_fd, to_stream(raw))

    def receive(self, patience=PATIENCE):
        """The next answer; notices on the way are kept."""
        end = time.monotonic() + patience
        while not self._answers:
            self._read(end)
        return self._answers.pop(0)

    def await_notice(self, body, patience=PATIENCE):
        """The next notice of a type."""
        end = time.monotonic() + patience
        while True:
            for n, notice in enumerate(self.notices):
                if notice.type == body.NUMBER:
                    del self.notices[n]
                    return body.unpack(notice.body)
            self._read(end)

    def _read(self, end):
        """Take what comes until a time, at least one byte."""
        left = end - time.monotonic()
        if left <= 0 or not select.select([self.read_fd], [], [], left)[0]:
            raise SilenceError
        raw = os.read(self.read_fd, 1 << 16)
        if not raw:
            raise LinkError("the chip closed its link")
        for frame in map(decode, self._splitter.feed(raw)):
            if frame.kind == Kind.NOTICE:
                self.notices += frame.messages
            else:
                self._answers.append(frame)

    def request_frame(self, *messages, sequence=None, epoch=None, acknowledged=None):
        return encode(
            Frame(
                Kind.REQUEST,
                self.epoch if epoch is None else epoch,
                self.sequence if sequence is None else sequence,
                self.acknowledged if acknowledged is None else acknowledged,
                list(messages),
            )
        )

    # Sessions

    def begin(self, nonce=None):
        """HELLO; returns what the chip says."""
        nonce = int.from_bytes(os.urandom(8), "little") if nonce is None else nonce
        raw = message(m.Hello(nonce=nonce, dictionary=m.DICTIONARY))
        self.send(encode(Frame(Kind.REQUEST, 0, 0, 0, [raw])))
        while True:
            frame = self.receive()
            if frame.sequence == 0 and frame.messages[0].type == m.HelloAnswer.NUMBER:
                self.hello = m.HelloAnswer.unpack(frame.messages[0].body)
                if self.hello.nonce == nonce:
                    break
        self.epoch, self.sequence, self.acknowledged = self.hello.epoch, 1, 0
        self.ids = itertools.count(self.hello.intent_id + 1)
        return self.hello

    def ask(self, *messages, acknowledge=True):
        """Send a frame and return the messages of its answer."""
        sequence = self.sequence
        self.send(self.request_frame(*messages))
        self.sequence += 1
        while (frame := self.receive()).sequence != sequence:
            pass
        if acknowledge:
            self.acknowledged = sequence
        return frame.messages

    def control(self, body, answer, tail=b""):
        """Ask for one thing and return its answer's body, or the error."""
        (given,) = self.ask(message(body, tail))
        return answer.unpack(given.body) if given.type == answer.NUMBER else error_of(given)

    def status(self):
        return self.control(m.Status(), m.StatusAnswer)

    def arm(self, deadman_ms=60_000, chip_id=None):
        chip_id = self.hello.chip_id if chip_id is None else chip_id
        return self.control(m.Arm(deadman_ms=deadman_ms, armed=1, chip_id=chip_id), m.Done)

    def configure(self, configuration):
        body = describing.configure_body(configuration)
        (answer,) = self.ask(Message(m.Configure.NUMBER, body))
        return error_of(answer)

    def offered(self, table=Table.OFFERED):
        answer = self.control_raw(m.ReadConfiguration(first=0, shapes=32, table=table))
        head = m.ReadConfigurationAnswer.unpack(answer.body)
        entries = describing.parse_shapes(
            answer.body, m.ReadConfigurationAnswer.STRUCT.size, head.shapes
        )
        return describing.configuration(head, entries)

    def control_raw(self, body):
        (answer,) = self.ask(message(body))
        return answer

    # Operations

    def prepare(self, configuration=None):
        """Begin a session, read what the chip is, configure and arm it."""
        self.begin()
        self.read_tiles()
        configuration = configuration or self.offered()
        assert self.configure(configuration) is ErrorCode.NONE
        assert isinstance(self.arm(), m.Done)
        self.cutter.shapes = {
            entry.name: n for n, entry in enumerate(describing.shape_entries(configuration))
        }
        return configuration

    def read_tiles(self, limit=None):
        """Read the tiles; cut operations to frames of at most `limit` bytes."""
        answers = (
            self.control(m.Describe(tile=n), m.DescribeAnswer) for n in range(self.hello.tiles)
        )
        self.tiles = [describing.tile(answer) for answer in answers]
        room = (limit or self.hello.frame_bytes) - 64
        self.cutter = Cutter(self.tiles, room, room)

    def parts(self, operation, identity=None):
        consuming = operation.repeat is OperationClass.CONSUMING
        if identity is None:
            identity = next(self.ids) if consuming else 0
        return [Message(p.type, p.body) for p in self.cutter.cut(operation, identity)]

    def run(self, operation, identity=None):
        """Execute an operation, part by part, each in a frame, and return its result."""
        parts = self.parts(operation, identity)
        answers = [
            results.decode(self.ask(part)[0].body, state=operation.kind == "snapshot")
            for part in parts
        ]
        self.error = results.first_error(answers)
        return results.merged(operation, self.tiles[operation.tile], answers)
