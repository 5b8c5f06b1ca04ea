"""What is not a chip, or not ours: a clear error, no hang, no crash, no pulse."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pty
import random
import select
import socket
import threading
import time
import tty
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zmq

from hwloop.cli import main
from hwloop.errors import ConfigurationError, LinkError
from hwloop.operations import Wait
from hwloop_wire import WireBackend, open_serial_backend, open_zmq_backend
from hwloop_wire import messages as m
from hwloop_wire.codes import ErrorCode, Kind
from hwloop_wire.device import Bounds, Device
from hwloop_wire.executor import Executor
from hwloop_wire.frames import Frame, Message, Splitter, decode, encode, to_stream
from hwloop_wire.journal import Journal
from hwloop_wire.link import StreamLink, Waker, open_serial
from tests.wire.chips import InlineArray, connect, served

SHORT = {"timeout": "0.4"}


MOVING = {part.NUMBER for part in m.PARTS} | {m.Arm.NUMBER, m.Configure.NUMBER}
"""Messages that may change an array, or get it ready for that."""


@contextmanager
def device(answer: Callable[[bytes], bytes]) -> Iterator[str]:
    """Put something on a pseudo-terminal that answers bytes by bytes, and that nobody may move."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    stop = threading.Event()
    heard = bytearray()

    def work() -> None:
        while not stop.is_set():
            select.select([master], [], [], 0.05)
            with contextlib.suppress(OSError):  # what does not fit is lost
                raw = os.read(master, 4096)
                heard.extend(raw)
                if not stop.is_set() and (reply := answer(raw)):
                    os.write(master, reply)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield os.ttyname(slave)
    finally:
        stop.set()
        thread.join()
        os.close(master)
        os.close(slave)
    frames = [decode(raw) for raw in Splitter(1 << 20).feed(bytes(heard))]
    assert frames, "the host asked"
    assert not {message.type for frame in frames for message in frame.messages} & MOVING


def fails(address: str, text: str) -> None:
    begin = time.monotonic()
    with pytest.raises(LinkError, match=text):
        open_serial_backend(address, SHORT)
    assert time.monotonic() - begin < 3


def test_silence() -> None:
    with device(lambda raw: b"") as address:
        fails(address, "no answer within 0.4 s, not a single byte")


def test_garbage() -> None:
    with device(lambda raw: os.urandom(200)) as address:
        fails(address, r"\d+ bytes with 0 valid frames: this is no hwloop chip")


def test_an_echo() -> None:
    with device(lambda raw: raw) as address:
        fails(address, r"[1-9]\d* valid frames: this is no hwloop chip")


def test_endless_garbage_without_a_zero() -> None:
    with device(lambda raw: b"\x55" * 4000) as address:
        fails(address, "this is no hwloop chip")


def answering(reply: Callable[[Frame], bytes]) -> Callable[[bytes], bytes]:
    splitter = Splitter(4096)

    def answer(raw: bytes) -> bytes:
        return b"".join(to_stream(reply(decode(frame))) for frame in splitter.feed(raw))

    return answer


def test_another_protocol_version() -> None:
    def reply(frame: Frame) -> bytes:
        raw = b"\x02\x09" + encode(Frame(Kind.ANSWER, 0, 0, 0, []))[2:16]
        return raw + zlib.crc32(raw).to_bytes(4, "little")

    with device(answering(reply)) as address:
        fails(address, "the chip speaks protocol version 9, this host 1")


def test_another_dictionary() -> None:
    def reply(frame: Frame) -> bytes:
        error = m.Error(value=0xABCD, error=ErrorCode.DICTIONARY, type=1)
        return encode(Frame(Kind.ANSWER, 0, 0, 0, [Message(255, error.pack())]))

    with device(answering(reply)) as address:
        fails(address, f"dictionary 0000abcd, this host's {m.DICTIONARY:08x}")


def test_the_server_refuses_other_versions_and_dictionaries() -> None:
    with served() as server:
        link = open_serial(server.address, 9600, waker := Waker())
        splitter = Splitter(4096)

        def ask(raw: bytes) -> m.Error:
            link.send(to_stream(raw))
            frames: list[bytes] = []
            while not frames:
                frames = splitter.feed(link.receive(1.0))
            (message,) = decode(frames[0]).messages
            return m.Error.unpack(message.body)

        raw = b"\x01\x09" + encode(Frame(1, 0, 0, 0, []))[2:16]
        other = ask(raw + zlib.crc32(raw).to_bytes(4, "little"))
        assert (other.error, other.value) == (ErrorCode.VERSION, 1)
        hello = m.Hello(nonce=1, dictionary=123).pack()
        other = ask(encode(Frame(1, 0, 0, 0, [Message(1, hello)])))
        assert (other.error, other.value) == (ErrorCode.DICTIONARY, m.DICTIONARY)
        status = ask(encode(Frame(1, 77, 1, 0, [Message(3, b"")])))
        assert status.error == ErrorCode.EPOCH
        link.close()
        waker.close()


def hello_answer(frame: Frame, **changes: int) -> bytes:
    """Return an answer to HELLO."""
    hello = m.Hello.unpack(frame.messages[0].body)
    fields = {p.name: 1 for p in m.HelloAnswer.PLACES if p.type[0] == "u"}
    fields |= {"nonce": hello.nonce, "frame_bytes": 4096, "receive_bytes": 4096}
    fields |= {"cache_bytes": 4096, **changes}
    texts = dict.fromkeys(("chip_id", "name", "firmware", "device"), "x")
    body = m.HelloAnswer(**fields, **texts).pack()  # type: ignore[arg-type]
    return encode(Frame(Kind.ANSWER, 0, 0, 0, [Message(129, body)]))


@pytest.mark.parametrize(
    "changes",
    [
        {"frame_bytes": 511},
        {"receive_bytes": 100},
        {"cache_bytes": 0},
        {"cache_frames": 0},
        {"epoch": 0},
    ],
    ids=str,
)
def test_answers_to_hello_that_cannot_be(changes: dict[str, int]) -> None:
    with device(answering(lambda frame: hello_answer(frame, **changes))) as address:
        fails(address, "the chip describes itself wrongly")


def test_an_answer_to_another_hello_is_none() -> None:
    with device(answering(lambda frame: hello_answer(frame, nonce=5))) as address:
        fails(address, "[1-9] valid frames: this is no hwloop chip")


def test_another_refusal_of_hello() -> None:
    def reply(frame: Frame) -> bytes:
        error = m.Error(value=12, error=ErrorCode.LENGTH, type=1)
        return encode(Frame(Kind.ANSWER, 0, 0, 0, [Message(255, error.pack())]))

    with device(answering(reply)) as address:
        fails(address, "this is no hwloop chip")


AFTER_HELLO: dict[str, Callable[[Frame], bytes]] = {
    "silence": lambda frame: b"",
    "garbage": lambda frame: os.urandom(200),
    "one endless frame": lambda frame: b"\x55" * 100_000,
    "frames that are too long": lambda frame: to_stream(
        encode(Frame(Kind.ANSWER, frame.epoch, 1, 1, [Message(131, bytes(20_000))]))
    ),
    "its own frames": lambda frame: to_stream(encode(frame)),
    "answers of another epoch": lambda frame: to_stream(
        encode(frame._replace(kind=Kind.ANSWER, epoch=frame.epoch + 1))
    ),
    "answers without messages": lambda frame: to_stream(
        encode(frame._replace(kind=Kind.ANSWER, messages=[]))
    ),
}


@pytest.mark.parametrize("then", AFTER_HELLO.values(), ids=AFTER_HELLO)
def test_a_chip_that_goes_mad_after_hello(then: Callable[[Frame], bytes]) -> None:
    splitter = Splitter(1 << 20)

    def answer(raw: bytes) -> bytes:
        frames = [decode(frame) for frame in splitter.feed(raw)]
        return b"".join(
            then(frame) if frame.epoch else to_stream(hello_answer(frame)) for frame in frames
        )

    with device(answer) as address:
        fails(address, r"(silent|no answer) for 0\.4 s")


def test_answers_that_describe_no_chip() -> None:
    def reply(frame: Frame) -> bytes:
        if not frame.epoch:
            return hello_answer(frame, bias=77)
        answers = []
        for message in frame.messages:
            number = {3: 131, 2: 130, 5: 133}.get(message.type, 128)
            answers.append(Message(number, bytes(m.TYPES[number].STRUCT.size)))
        return encode(Frame(Kind.ANSWER, frame.epoch, frame.sequence, frame.sequence, answers))

    with device(answering(reply)) as address:
        fails(address, "the chip describes itself wrongly")


def test_a_port_in_use() -> None:
    with served() as server:
        backend = connect("pty", server.address)
        with pytest.raises(ConfigurationError, match="is in use by another program"):
            open_serial_backend(server.address, {})
        backend.close()


def test_a_missing_port() -> None:
    with pytest.raises(ConfigurationError, match="does not exist"):
        open_serial_backend("/dev/ttyNONE7", {})


def test_what_is_no_port(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        open_serial_backend(str(tmp_path / "file"), {})


@pytest.mark.parametrize(
    ("number", "text", "remedy"),
    [
        (errno.EACCES, "no permission", "dialout"),
        (errno.EPERM, "no permission", "dialout"),
        (errno.EBUSY, "is in use by another program", "close that program"),
        (errno.EIO, "cannot be opened", ""),
    ],
)
def test_a_port_that_the_system_refuses(
    number: int, text: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The tests may run as root, who has every permission and minds no TIOCEXCL.
    def refuse(path: str, flags: int, *rest: object, **more: object) -> int:
        raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr("os.open", refuse)
    with pytest.raises(ConfigurationError, match=text) as caught:
        open_serial_backend("/dev/ttyS0", {})
    assert remedy in str(caught.value)


def test_a_port_that_another_program_has_locked() -> None:
    master, slave = pty.openpty()
    fcntl.flock(slave, fcntl.LOCK_EX)
    with pytest.raises(ConfigurationError, match="is in use by another program"):
        open_serial_backend(os.ttyname(slave), {})
    os.close(master)
    os.close(slave)


def test_a_hostile_router_is_an_error_and_gets_no_part() -> None:
    router = zmq.Context.instance().socket(zmq.ROUTER)
    router.setsockopt(zmq.LINGER, 0)
    port = router.bind_to_random_port("tcp://127.0.0.1")
    heard: list[bytes] = []
    stop = threading.Event()

    def work() -> None:
        replies = ([b""], [os.urandom(3000)], [b"two", b"parts"], [bytes(1 << 24)])
        while not stop.is_set():
            if router.poll(50):
                peer, raw = router.recv_multipart()
                heard.append(raw)
                for reply in replies:
                    router.send_multipart([peer, *reply])

    thread = threading.Thread(target=work)
    thread.start()
    with pytest.raises(LinkError, match="0 valid frames: this is no hwloop chip"):
        open_zmq_backend(f"tcp://127.0.0.1:{port}", SHORT)
    stop.set()
    thread.join()
    router.close(0)
    assert {message.type for raw in heard for message in decode(raw).messages} == {m.Hello.NUMBER}


@pytest.mark.parametrize(
    ("answer", "code", "text"),
    [
        (lambda raw: b"", 5, "not a single byte"),
        (lambda raw: os.urandom(300), 5, "this is no hwloop chip"),
        (None, 2, "does not exist"),
    ],
    ids=["silence", "garbage", "missing"],
)
def test_the_command_line_says_it_without_a_traceback(
    answer: Callable[[bytes], bytes] | None,
    code: int,
    text: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with contextlib.ExitStack() as stack:
        port = "/dev/ttyNONE7" if answer is None else stack.enter_context(device(answer))
        assert main(["chip", "describe", "--backend", f"serial:{port},timeout=0.4"]) == code
    out, err = capfd.readouterr()
    assert out == ""
    assert text in err
    assert "remedy: " in err
    assert "Traceback" not in err


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(LinkError, match="refused"):
        open_serial_backend(f"tcp://127.0.0.1:{port}", {})
    with pytest.raises(LinkError, match="not a single byte"):
        open_zmq_backend(f"tcp://127.0.0.1:{port}", SHORT)


def test_a_link_that_opens_and_closes_for_ever_is_an_error() -> None:
    with served(InlineArray(), "tcp") as server, socket.create_server(("127.0.0.1", 0)) as door:
        count, cut = 0, threading.Event()

        def relay() -> None:
            """Let the first host through until it is cut off, then close at once."""
            nonlocal count
            host, _ = door.accept()
            chip = socket.create_connection(("127.0.0.1", int(server.address.rpartition(":")[2])))
            while not cut.is_set():
                for end in select.select([host, chip], [], [], 0.02)[0]:
                    (chip if end is host else host).sendall(end.recv(65536))
            for end in (host, chip):
                end.close()
            with contextlib.suppress(OSError):
                while True:
                    door.accept()[0].close()
                    count += 1

        thread = threading.Thread(target=relay)
        thread.start()
        backend = connect("tcp", f"tcp://127.0.0.1:{door.getsockname()[1]}", timeout=0.5)
        begin = time.monotonic()
        cut.set()
        with pytest.raises(LinkError, match=r"closed|reset|silent"):
            backend.wait(backend.submit([Wait(tile=0, id=1, ticks=1)]), 10)
        assert time.monotonic() - begin < 5
        assert count < 100
        backend.close()
        door.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize(
    ("open_backend", "address", "options", "text"),
    [
        (open_serial_backend, "", {}, "serial: no port"),
        (open_serial_backend, "tcp://host", {}, "is not tcp://HOST:PORT"),
        (open_serial_backend, "/dev/x", {"bauds": "1"}, "did you mean baud"),
        (open_serial_backend, "/dev/x", {"baud": "fast"}, "expected a positive number"),
        (open_serial_backend, "/dev/x", {"timeout": "-1"}, "expected a positive number"),
        (open_zmq_backend, "host:5555", {}, "is not an endpoint"),
        (open_zmq_backend, "tcp://127.0.0.1:1", {"clear": "maybe"}, "expected yes or no"),
        (open_zmq_backend, "tcp://127.0.0.1:nine", {}, "is not an endpoint"),
        (open_zmq_backend, "tcp://10.0.0.1:5", {}, "leaves this machine, which takes keys"),
        (open_zmq_backend, "tcp://10.0.0.1:5", {"key": "a"}, "belong together"),
        (open_zmq_backend, "tcp://10.0.0.1:5", {"key": "/a", "server_key": "/b"}, "cannot be read"),
    ],
)
def test_wrong_urls(
    open_backend: Callable[[str, dict[str, str]], object],
    address: str,
    options: dict[str, str],
    text: str,
) -> None:
    with pytest.raises(ConfigurationError, match=text):
        open_backend(address, options)


@pytest.mark.parametrize("kind", ["zmq", "tcp"])
def test_a_hostile_peer_moves_nothing_and_stops_nobody(kind: str) -> None:
    array = InlineArray()
    with served(array, kind) as server:
        backend = connect(kind, server.address)
        epoch = backend._client.hello.epoch
        head = m.Wait(id=1, ordinal=1, tile=0, part=0, parts=1, ticks=1)
        frames = [
            b"",
            os.urandom(3000),
            encode(Frame(Kind.REQUEST, epoch, 1, 0, [Message(23, head.pack())])),
            encode(Frame(Kind.REQUEST, epoch, 2**32 - 1, 2**32 - 1, [])),
            encode(Frame(Kind.REQUEST, 0, 0, 0, [Message(1, b"short")])),
            encode(Frame(Kind.REQUEST, 0, 0, 0, [Message(1, m.Hello(5, m.DICTIONARY).pack())])),
            encode(Frame(Kind.NOTICE, epoch, 1, 0, [Message(200, bytes(50))])),
            encode(Frame(9, epoch, 1, 0, [])),
        ]
        if kind == "zmq":
            peer = zmq.Context.instance().socket(zmq.DEALER)
            peer.setsockopt(zmq.LINGER, 0)
            peer.connect(server.address)
            for _ in range(20):
                for frame in frames:
                    peer.send(frame)
                peer.send_multipart([b"", b"two", b"parts"])
        else:
            host, port = server.address.removeprefix("tcp://").split(":")
            connection = socket.create_connection((host, int(port)))
            for _ in range(20):
                connection.sendall(b"".join(to_stream(f) for f in frames) + os.urandom(1000))
        deadline = time.monotonic() + 10
        while server.device.bad < 20 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert backend.status().flags == server.device.flags()
        assert server.device.epoch == epoch
        assert array.executed == []
        backend.close()
        if kind == "zmq":
            peer.close(0)
        else:
            connection.close()


def test_whatever_the_frame_the_device_answers_or_is_silent() -> None:
    dice = random.Random(5)
    array = InlineArray()
    device = Device(Executor(array, Journal(), None), Bounds(4096, 16384, 16, 16384))
    hello = Frame(1, 0, 0, 0, [Message(1, m.Hello(nonce=1, dictionary=m.DICTIONARY).pack())])
    answer = device.request(hello)
    assert answer is not None
    sequence, sizes = 0, [0, 6, 24, 40, 48, 90]
    clear = Message(m.Clear.NUMBER or 0, b"")
    for _ in range(3000):
        sequence += 1
        messages = [
            Message(dice.choice([*m.TYPES, 77]), dice.randbytes(dice.choice(sizes)))
            for _ in range(dice.randrange(4))
        ]
        messages = [message for message in messages if message.type != m.Bye.NUMBER]
        frame = Frame(1, device.epoch, sequence, sequence - 1, [clear, *messages])
        raw = device.request(frame)
        assert raw is not None
        answered = decode(raw)
        if device._next == sequence:
            sequence -= 1  # refused by the window: its answer would be too long
        else:
            assert len(answered.messages) == len(messages) + 1
    kinds = {operation.kind for operation in array.executed}
    assert kinds <= {"vmm", "read_cells"}, "nothing may move without arming"


class Dripping:
    """A link from which, once it is slow, bytes come a few at a time."""

    stream = True
    byte_seconds = 0.0

    def __init__(self, link: StreamLink) -> None:
        self.name = link.name
        self.slow = False
        self._link = link
        self._waiting = b""

    @property
    def pending(self) -> int:
        return self._link.pending

    def send(self, raw: bytes) -> None:
        self._link.send(raw)

    def receive(self, timeout: float) -> bytes:
        raw = self._waiting or self._link.receive(timeout)
        if self.slow and raw:
            time.sleep(0.06)
        raw, self._waiting = (raw[:8], raw[8:]) if self.slow else (raw, b"")
        return raw

    def close(self) -> None:
        self._link.close()


def test_a_long_answer_on_a_slow_line_is_no_silence() -> None:
    links: list[Dripping] = []

    def open_slow(waker: Waker) -> Dripping:
        links.append(Dripping(open_serial(server.address, 921600, waker)))
        return links[-1]

    with served() as server:
        backend = WireBackend(open_slow, timeout=1.0)
        links[0].slow = True
        begin = time.monotonic()
        assert backend.status().pulses == 0
        assert time.monotonic() - begin > 1.0
        links[0].slow = False
        backend.close()
