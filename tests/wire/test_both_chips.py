"""What docs/protocol.md says of mistakes holds for the firmware and for a served array alike."""

from __future__ import annotations

import dataclasses
import math
import os
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwloop.operations import Pulse, ReadCells, Verdict, Wait
from hwloop_wire import describing
from hwloop_wire import messages as m
from hwloop_wire.codes import ErrorCode, Flag, Kind, Table
from hwloop_wire.device import Bounds
from hwloop_wire.emulator import start
from hwloop_wire.frames import Frame, Message, encode
from tests.firmware.host import Host, error_of, message
from tests.wire.chips import InlineArray, served

BOUNDS = Bounds(frame_bytes=4096, receive_bytes=16384, cache_frames=16, cache_bytes=16384)


@pytest.fixture(params=["firmware", "server"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    """A host in a session with a chip of 4 rows and 6 columns, neither configured nor armed."""
    if request.param == "server":
        with served(InlineArray(tiles=1), bounds=BOUNDS) as server:
            yield from session(server.address)
        return
    chip = start("native", "", {"shape": "4x6"}, cells=tmp_path / "cells")
    try:
        yield from session(chip.terminal())
    finally:
        chip.close()


def session(address: str) -> Iterator[Host]:
    terminal = os.open(address, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(terminal)
    host = Host(terminal, terminal)
    host.begin()
    host.read_tiles()
    yield host
    os.close(terminal)


def pulse(host: Host, **changes: Any) -> Pulse:
    fields: dict[str, Any] = {
        "tile": 0,
        "rows": np.array([1]),
        "cols": np.array([2]),
        "counts": np.ones((1, 1), np.int16),
        "shape": next(iter(host.cutter.shapes), "set"),
        "configuration": host.offered().hash(),
    }
    return Pulse(**fields | changes)


def frame_error(host: Host) -> tuple[ErrorCode, int]:
    """Return the error that answers a whole frame, and its value."""
    (answer,) = host.receive().messages
    error = m.Error.unpack(answer.body)
    assert (answer.type, error.type) == (m.Error.NUMBER, 0)
    return ErrorCode(error.error), error.value


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"configuration": 0}, ErrorCode.RANGE),
        ({"up_volts": math.nan}, ErrorCode.RANGE),
        ({"down_volts": -math.inf}, ErrorCode.RANGE),
        ({"up_seconds": math.nan}, ErrorCode.RANGE),
        ({"down_seconds": 0.0}, ErrorCode.RANGE),
        ({"up_amperes": math.inf}, ErrorCode.RANGE),
        ({}, ErrorCode.NONE),
    ],
    ids=str,
)
def test_configurations_that_are_none(
    change: dict[str, float], expected: ErrorCode, host: Host
) -> None:
    configuration = host.offered()
    head = m.Configure.unpack(describing.configure_body(configuration))
    entries = describing.shape_entries(configuration)
    of_shape = {k: v for k, v in change.items() if k != "configuration"}
    entries[-1] = dataclasses.replace(entries[-1], **of_shape)
    head = dataclasses.replace(head, configuration=change.get("configuration", head.configuration))
    tail = b"".join(entry.pack() for entry in entries)
    (answer,) = host.ask(message(head, tail))
    assert error_of(answer) is expected
    if expected:
        request = m.ReadConfiguration(first=0, shapes=9, table=Table.INSTALLED)
        installed = host.control(request, m.ReadConfigurationAnswer)
        assert (installed.configuration, installed.shapes, installed.total) == (0, 0, 0)
    assert bool(host.status().flags & Flag.CONFIGURED) == (expected is ErrorCode.NONE)
    assert not host.status().flags & Flag.LATCHED


@pytest.mark.parametrize(
    ("request_", "answer", "expected"),
    [
        (m.ReadConfiguration(first=0, shapes=9, table=7), m.Done, ErrorCode.RANGE),
        (m.Describe(tile=1), m.Done, ErrorCode.TILE),
        (m.Arm(deadman_ms=1000, armed=1, chip_id="another"), m.Done, ErrorCode.CHIP),
        (m.Arm(deadman_ms=1000, armed=0, chip_id=""), m.Done, ErrorCode.CHIP),
    ],
    ids=["table", "tile", "chip", "no chip"],
)
def test_control_messages_that_are_refused_latch_nothing(
    request_: Any, answer: Any, expected: ErrorCode, host: Host
) -> None:
    assert host.control(request_, answer) is expected
    assert not host.status().flags & (Flag.LATCHED | Flag.ARMED)


def test_a_dead_man_without_time_is_refused(host: Host) -> None:
    assert host.arm(deadman_ms=0) is ErrorCode.RANGE
    own = host.hello.chip_id
    assert host.control(m.Arm(deadman_ms=1000, armed=2, chip_id=own), m.Done) is ErrorCode.RANGE
    assert not host.status().flags & Flag.ARMED


def test_what_moving_needs(host: Host) -> None:
    """In this order: arming, a configuration, a shape of it, a new id."""

    def refused(expected: ErrorCode, operation: Any, identity: int | None = None) -> None:
        result = host.run(operation, identity)
        assert (result.verdict, host.error) == (Verdict.NOT_APPLIED, expected)
        assert host.status().failed_error == expected
        host.run(ReadCells(tile=0, plane=0))
        assert host.error is ErrorCode.LATCHED
        assert isinstance(host.control(m.Clear(), m.Done), m.Done)

    names = [entry.name for entry in describing.shape_entries(host.offered())]
    host.cutter.shapes = {name: n for n, name in enumerate(names)}
    refused(ErrorCode.NOT_ARMED, pulse(host))
    assert isinstance(host.arm(), m.Done)
    refused(ErrorCode.CONFIGURATION, pulse(host))
    assert host.configure(host.offered()) is ErrorCode.NONE
    refused(ErrorCode.CONFIGURATION, pulse(host, configuration=1))
    host.cutter.shapes |= {"none": 77}
    refused(ErrorCode.SHAPE, pulse(host, shape="none"))
    refused(ErrorCode.RANGE, pulse(host, rows=np.array([4])))
    assert host.status().pulses == 0
    assert host.run(pulse(host), 1000).fired == 1
    refused(ErrorCode.ID, pulse(host), 1000)
    refused(ErrorCode.ID, pulse(host), 7)
    refused(ErrorCode.ID, Wait(tile=0, ticks=1), 999)
    assert host.run(pulse(host), 1001).fired == 1
    assert host.status().pulses == 2


@pytest.mark.parametrize(
    ("bad", "expected", "answered_by"),
    [
        (Message(99, b""), ErrorCode.TYPE, m.Error),
        (Message(m.Status.NUMBER or 0, b"x"), ErrorCode.LENGTH, m.Error),
        (Message(m.Pulse.NUMBER or 0, b""), ErrorCode.LENGTH, m.Result),
        (Message(m.ReadCells.NUMBER or 0, bytes(23)), ErrorCode.LENGTH, m.Result),
        (Message(m.Wait.NUMBER or 0, bytes(31)), ErrorCode.LENGTH, m.Result),
    ],
    ids=["unknown", "control", "empty part", "short part", "cut part"],
)
def test_messages_that_cannot_be_read_latch(
    bad: Message, expected: ErrorCode, answered_by: Any, host: Host
) -> None:
    answers = host.ask(bad, message(m.Status()))
    assert answers[0].type == answered_by.NUMBER
    assert error_of(answers[0]) is expected
    status = m.StatusAnswer.unpack(answers[1].body)
    assert status.flags & Flag.LATCHED
    assert status.failed_error == expected


def test_hello_of_another_length(host: Host) -> None:
    host.send(encode(Frame(Kind.REQUEST, 0, 0, 0, [Message(m.Hello.NUMBER or 0, b"12345")])))
    (answer,) = host.receive().messages
    assert error_of(answer) is ErrorCode.LENGTH
    assert host.status().failed_error == ErrorCode.NONE, "the session goes on"


def test_an_answer_that_no_frame_holds(host: Host) -> None:
    many = [message(m.Describe(tile=0))] * (host.hello.frame_bytes // 128)
    host.send(host.request_frame(*many))
    assert frame_error(host) == (ErrorCode.LENGTH, host.hello.frame_bytes)
    assert host.status().frames_good >= 2, "the number was not used up"


def test_a_window_that_is_full(host: Host) -> None:
    for n in range(host.hello.cache_frames):
        host.ask(message(m.Idle()), acknowledge=False)
        assert host.sequence == n + 3
    host.send(host.request_frame(message(m.Idle())))
    assert frame_error(host)[0] is ErrorCode.WINDOW
    host.acknowledged = host.sequence - 1
    host.ask(message(m.Idle()))


NOISE: dict[str, Callable[[Host], bytes]] = {
    "too long": lambda host: b"\x55" * (host.hello.frame_bytes + 5000) + b"\0",
    "no frame": lambda host: os.urandom(3000).replace(b"\0", b"\1") + b"\0",
    "zeros": lambda host: bytes(500),
    "cut off": lambda host: host.request_frame(message(m.Status()))[:20] + b"\0",
}


@pytest.mark.parametrize("noise", NOISE.values(), ids=NOISE)
def test_noise_between_frames_is_dropped(noise: Callable[[Host], bytes], host: Host) -> None:
    before = host.status()
    for _ in range(3):
        os.write(host.write_fd, noise(host))
    status = host.status()
    assert status.frames_good == before.frames_good + 1
    bad = status.frames_bad - before.frames_bad
    assert bad == 0 if noise is NOISE["zeros"] else bad >= 3
    assert not status.flags & Flag.LATCHED


@pytest.mark.parametrize("kind", [Kind.ANSWER, Kind.NOTICE, 0, 9])
def test_kinds_of_frames_that_no_host_sends_are_dropped(kind: int, host: Host) -> None:
    host.send(encode(Frame(kind, host.epoch, host.sequence, 0, [message(m.Bye())])))
    assert host.status().failed_error == ErrorCode.NONE, "the session goes on"
