"""Frames, sessions and windows: what is executed, what is answered again, and what is refused."""

import os
import random
import struct
import zlib

import numpy as np
import pytest

from hwloop import operations as ops
from hwloop_wire import firmware_build
from hwloop_wire import messages as m
from hwloop_wire.codes import ErrorCode, Flag, Kind
from hwloop_wire.frames import Frame, Message, encode, to_stream
from tests.firmware.chips import FIRMWARE
from tests.firmware.host import SilenceError, error_of, message
from tests.firmware.moves import pulse

SOON = 0.2


def frame_error(answer):
    assert len(answer.messages) == 1 and answer.messages[0].type == m.Error.NUMBER
    return m.Error.unpack(answer.messages[0].body)


def silent(host):
    """Whether nothing comes, until a HELLO is answered: a chip answers in order."""
    host.send(encode(Frame(Kind.REQUEST, 0, 0, 0, [hello(1)])))
    answer = host.receive()
    return answer.messages[0].type == m.HelloAnswer.NUMBER


def hello(nonce, dictionary=m.DICTIONARY):
    return message(m.Hello(nonce=nonce, dictionary=dictionary))


def test_hello_describes_the_chip(either):
    either.write()
    host = either.start().host
    answer = host.begin()
    assert answer.chip_id == "chip-1" and answer.name == "a chip of a test"
    assert answer.flags == Flag.RETAINED | Flag.VIRTUAL
    assert (answer.boot, answer.epoch, answer.intent_id, answer.commit_id) == (1, 1, 0, 0)
    if either.capacity:
        assert answer.firmware == firmware_build.core_hash(FIRMWARE / "core")
    host.read_tiles()
    assert tuple(host.tiles) == either.chip.tiles
    assert host.offered() == either.chip.configuration


def test_each_hello_makes_a_new_epoch_and_its_repetition_none(bench):
    host = bench.ready().host
    assert host.run(pulse()).fired == 1
    epoch = host.epoch
    assert host.begin(nonce=5).epoch == epoch + 1
    host.ask(message(m.Status()))
    host.send(encode(Frame(Kind.REQUEST, 0, 0, 0, [hello(5)])))
    again = m.HelloAnswer.unpack(host.receive().messages[0].body)
    assert again.epoch == host.epoch
    host.ask(message(m.Status()))  # the session goes on
    assert again.intent_id == again.commit_id == 1 and again.commit_fired == 1


def test_hello_disarms(bench):
    host = bench.ready().host
    assert host.hello.flags & Flag.ARMED == 0
    assert host.status().flags & Flag.ARMED
    assert host.begin().flags & Flag.ARMED == 0


def test_another_dictionary_is_refused(bench):
    bench.write()
    host = bench.start().host
    host.send(encode(Frame(Kind.REQUEST, 0, 0, 0, [hello(1, dictionary=1)])))
    answer = host.receive()
    error = frame_error(answer)
    assert (error.error, error.value) == (ErrorCode.DICTIONARY, m.DICTIONARY)
    assert (answer.epoch, answer.sequence) == (0, 0)


def test_another_version_is_refused(bench):
    bench.write()
    host = bench.start().host
    raw = bytearray(encode(Frame(Kind.REQUEST, 0, 7, 0, [hello(1)]))[:-4])
    raw[1] = 9
    host.send(bytes(raw) + struct.pack("<I", zlib.crc32(raw)))
    answer = host.receive()
    error = frame_error(answer)
    assert (error.error, error.value, answer.sequence) == (ErrorCode.VERSION, 1, 7)


def test_no_session_no_execution(bench):
    bench.write()
    host = bench.start().host
    host.send(host.request_frame(message(m.Status()), epoch=3))
    error = frame_error(host.receive())
    assert (error.error, error.value) == (ErrorCode.EPOCH, 0)


def test_a_repeated_request_is_answered_and_not_executed_again(either):
    chip = either.ready()
    host = chip.host
    (part,) = host.parts(pulse(3))
    raw = host.request_frame(part)
    host.send(raw)
    first = host.receive()
    for _ in range(3):
        host.send(raw)
        assert host.receive() == first
    assert chip.pulses().sum() == 3
    host.sequence += 1
    assert host.status().frames_duplicate == 3


def test_a_read_is_answered_whole_from_the_cache(either):
    host = either.ready().host
    (part,) = host.parts(ops.ReadCells(tile=0, average=4, ordinal=3))
    raw = host.request_frame(part)
    host.send(raw)
    first = host.receive()
    host.sequence += 1
    host.ask(*host.parts(pulse(9)), acknowledge=False)  # what is read has moved meanwhile
    host.send(raw)
    assert host.receive() == first


def test_what_is_acknowledged_is_not_answered_again(bench):
    host = bench.ready().host
    raw = host.request_frame(message(m.Status()))
    host.ask(message(m.Status()))
    host.ask(message(m.Status()))  # acknowledges the first
    host.send(raw)
    assert silent(host)


@pytest.mark.parametrize("ahead", [1, 2, 1000, 2**32 - 1])
def test_a_gap_is_not_executed(bench, ahead):
    chip = bench.ready()
    host = chip.host
    (part,) = host.parts(pulse())
    wanted = host.sequence
    host.send(host.request_frame(part, sequence=min(wanted + ahead, 2**32 - 1)))
    error = frame_error(host.receive())
    assert (error.error, error.value) == (ErrorCode.SEQUENCE, wanted)
    assert chip.pulses().sum() == 0
    assert host.status().frames_stale == 1


def test_a_frame_of_an_earlier_session_is_not_executed(either):
    chip = either.ready()
    host = chip.host
    (part,) = host.parts(pulse())
    raw = host.request_frame(part)
    host.begin()
    host.send(raw)
    error = frame_error(host.receive())
    assert (error.error, error.value) == (ErrorCode.EPOCH, host.epoch)
    assert chip.pulses().sum() == 0


def test_a_frame_of_an_earlier_boot_is_not_executed(either):
    first = either.ready()
    (part,) = first.host.parts(pulse())
    raw = first.host.request_frame(part)
    first.kill()
    chip = either.start()
    chip.host.prepare()
    chip.host.send(raw)
    assert frame_error(chip.host.receive()).error == ErrorCode.EPOCH
    assert chip.pulses().sum() == 0


def test_bye_ends_the_session(bench):
    host = bench.ready().host
    (answer,) = host.ask(message(m.Bye()))
    assert m.Done.unpack(answer.body).flags & Flag.ARMED == 0
    host.send(host.request_frame(message(m.Status())))
    assert frame_error(host.receive()).error == ErrorCode.EPOCH


def test_the_window_of_frames(bench):
    """Without room for its answer a request is not executed, and goes through once there is."""
    chip = bench.ready()
    host = chip.host
    kept = host.acknowledged
    for _ in range(host.hello.cache_frames):
        host.ask(*host.parts(pulse()), acknowledge=False)
    before = int(chip.pulses().sum())
    (part,) = host.parts(pulse())
    host.send(host.request_frame(part))
    assert frame_error(host.receive()).error == ErrorCode.WINDOW
    assert chip.pulses().sum() == before
    host.acknowledged = kept + 1
    host.ask(part)
    assert chip.pulses().sum() == before + 1


def test_the_window_of_bytes(bench):
    host = bench.ready().host
    vectors = np.zeros((6000, 5), np.int32)
    (part,) = host.parts(ops.Vmm(tile=0, direction=ops.Direction.FORWARD, codes=vectors))
    asked = 0
    while True:
        host.send(host.request_frame(part))
        answer = host.receive()
        if error_of(answer.messages[0]) is ErrorCode.WINDOW:
            break
        asked += len(encode(answer))
        host.sequence += 1
    assert asked <= host.hello.cache_bytes < asked + len(encode(answer)) + 6000 * 4 * 2.2
    assert asked + 6000 * 4 * 2 + 2 * 6000 * 4 // 8 > host.hello.cache_bytes


def test_an_answer_that_no_frame_holds(bench):
    host = bench.ready().host
    head = m.Vmm(1, 0, 0, 0, 1, samples=2**24, sample_offset=0, direction=0, plane=0, width=1)
    host.send(host.request_frame(message(head, bytes(20))))
    assert frame_error(host.receive()).error == ErrorCode.LENGTH


def test_a_frame_without_messages(bench):
    host = bench.ready().host
    assert host.ask() == []


def test_several_messages_are_executed_in_order(either):
    chip = either.ready()
    host = chip.host
    read = ops.ReadCells(tile=0, average=1, ordinal=1)
    parts = [*host.parts(read), *host.parts(pulse(50)), *host.parts(read)]
    answers = host.ask(message(m.Status()), *parts, message(m.Status()))
    before, after = (m.StatusAnswer.unpack(answers[n].body) for n in (0, -1))
    assert (before.pulses, after.pulses) == (0, 50)
    assert answers[1].body != answers[3].body


def damaged(raw, rng):
    """The bytes of a frame on the link, changed somewhere."""
    stream = bytearray(to_stream(raw))
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(stream) or 1)
        match rng.randrange(4) if stream else 2:
            case 0:
                stream[at] ^= 1 << rng.randrange(8)
            case 1:
                del stream[at]
            case 2:
                stream.insert(at, rng.randrange(256))
            case 3:
                stream = stream[:at]
    return bytes(stream)


def test_damaged_frames_are_dropped_and_counted(bench):
    chip = bench.ready()
    host = chip.host
    rng = random.Random(1)
    for _ in range(300):
        (part,) = host.parts(pulse(), identity=10**6)
        raw = host.request_frame(part)
        stream = damaged(raw, rng)
        if to_stream(raw)[:-1] not in stream.split(b"\0"):
            os.write(host.write_fd, b"\0" + stream + b"\0")
    status = host.status()
    assert status.frames_bad >= 250
    assert chip.pulses().sum() == 0


@pytest.mark.parametrize("size", [19, 65536 - 3, 65537, 300_000])
def test_frames_of_odd_lengths(bench, size):
    host = bench.ready().host
    host.send(bytes(n % 251 for n in range(size)))
    assert host.status().frames_bad == 1


def test_the_longest_frame_is_taken(bench):
    host = bench.ready().host
    room = (host.hello.frame_bytes - 28) // 8 * 8
    host.send(host.request_frame(Message(200, bytes(room))))
    assert error_of(host.receive().messages[0]) is ErrorCode.TYPE


WRONG_LAYOUTS = {
    "a message that is longer than its frame": (1, struct.pack("<B3xI", 3, 8)),
    "a message whose length is nearly 2^32": (1, struct.pack("<B3xI", 3, 2**32 - 4)),
    "half a message header": (0, bytes(4)),
    "fewer messages than announced": (2, struct.pack("<B3xI", 3, 0)),
    "more messages than announced": (0, struct.pack("<B3xI", 3, 0)),
    "no padding": (1, struct.pack("<B3xIH", 2, 2, 0)),
}


@pytest.mark.parametrize("what", WRONG_LAYOUTS)
def test_wrong_layouts_are_dropped(bench, what):
    host = bench.ready().host
    count, body = WRONG_LAYOUTS[what]
    raw = struct.pack("<BBHIII", 1, 1, count, host.epoch, host.sequence, 0) + body
    host.send(raw + struct.pack("<I", zlib.crc32(raw)))
    assert host.status().frames_bad == 1


@pytest.mark.parametrize("kind", [0, 2, 3, 5, 255])
def test_other_kinds_of_frames_are_not_looked_at(bench, kind):
    host = bench.ready().host
    host.send(encode(Frame(kind, host.epoch, host.sequence, 0, [message(m.Bye())])))
    with pytest.raises(SilenceError):
        host.receive(SOON)
    assert host.status().frames_bad == 0
