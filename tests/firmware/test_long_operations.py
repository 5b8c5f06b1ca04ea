"""Abort, BUSY and the dead man: how a chip stops, and how it does not."""

import threading
import time

import numpy as np

from hwloop import operations as ops
from hwloop.operations import Verdict
from hwloop_wire import messages as m
from hwloop_wire import results
from hwloop_wire.codes import ErrorCode, Flag
from tests.core.strategies import population
from tests.firmware.chips import CONFIGURATION
from tests.firmware.host import error_of
from tests.firmware.moves import abort, pulse, refused


def slow_bench(bench):
    bench.write(population(np.random.default_rng(3), 20, 20))
    chip = bench.start()
    chip.host.prepare()
    counts = np.full((20, 20), 32767, np.int16)
    operation = ops.Pulse(tile=0, counts=counts, shape="set", configuration=CONFIGURATION.hash())
    return chip, operation


def test_an_abort_cuts_an_operation_short(bench):
    chip, operation = slow_bench(bench)
    host = chip.host
    (part,), (queued,) = host.parts(operation, 50), host.parts(pulse(), 51)
    host.send(host.request_frame(part))
    host.send(host.request_frame(queued, sequence=host.sequence + 1))
    host.sequence += 2
    time.sleep(0.1)
    abort(host, 1)
    first, second = host.receive(), host.receive()
    cut = results.decode(first.messages[0].body).head
    assert (cut.verdict, cut.error) == (Verdict.PARTIAL, ErrorCode.ABORTED)
    assert 0 < cut.fired < 32767 * 400
    assert cut.fired == chip.pulses().sum()
    behind = results.decode(second.messages[0].body).head
    assert (behind.verdict, behind.error) == (Verdict.NOT_APPLIED, ErrorCode.LATCHED)
    notice = host.await_notice(m.Aborted)
    assert (notice.id, notice.part, notice.fired, notice.number) == (50, 0, cut.fired, 1)
    status = host.status()
    assert (status.failed_id, status.failed_error) == (50, ErrorCode.ABORTED)
    hello = host.begin()
    assert (hello.commit_id, hello.commit_verdict, hello.commit_fired) == (
        50,
        Verdict.PARTIAL,
        cut.fired,
    )


def test_an_abort_while_nothing_is_going_on(bench):
    chip = bench.ready()
    host = chip.host
    abort(host, 1)
    notice = host.await_notice(m.Aborted)
    assert (notice.id, notice.fired, notice.number) == (0, 0, 1)
    host.run(pulse())
    assert host.error is ErrorCode.LATCHED
    host.control(m.Clear(), m.Done)
    abort(host, 1)  # late duplicate
    assert host.await_notice(m.Aborted).number == 1
    assert host.run(pulse()).fired == 1
    abort(host, 2)
    assert host.await_notice(m.Aborted).number == 2
    host.run(pulse())
    assert host.error is ErrorCode.LATCHED


def test_an_abort_of_another_epoch(bench):
    host = bench.ready().host
    abort(host, 1, epoch=12345)
    assert host.await_notice(m.Aborted).number == 1
    assert host.status().flags & Flag.LATCHED


def test_a_long_operation_says_that_it_is_busy(either):
    if either.capacity:
        either.write(population(np.random.default_rng(3), 20, 20))
        chip = either.start()
        chip.host.prepare()
        counts = np.full((2, 20), 32767, np.int16)
        operation = ops.Pulse(
            tile=0,
            rows=np.arange(2),
            counts=counts,
            shape="set",
            configuration=CONFIGURATION.hash(),
        )
    else:
        chip, operation = slow_bench(either)
    host = chip.host
    begin = time.monotonic()
    assert host.run(operation).verdict is Verdict.APPLIED
    spent = time.monotonic() - begin
    busy = [n for n in host.notices if n.type == m.Busy.NUMBER]
    assert m.Busy.unpack(busy[0].body).id == 1
    assert len(busy) >= int(spent / 0.1)
    assert (chip.pulses() == 32767).sum() == operation.counts.size


def test_frames_that_come_while_an_operation_lasts_are_not_lost(bench):
    chip, operation = slow_bench(bench)
    host = chip.host
    frames = [host.parts(operation)] + [host.parts(pulse()) for _ in range(40)]
    for n, parts in enumerate(frames):
        host.send(host.request_frame(*parts, sequence=host.sequence + n))
    answers = [host.receive() for _ in frames]
    assert [a.sequence for a in answers] == [host.sequence + n for n in range(len(frames))]
    assert chip.pulses().sum() == 32767 * 400 + 40


# The dead man


def test_a_silent_host_trips_the_dead_man(bench):
    chip = bench.ready()
    host = chip.host
    host.arm(deadman_ms=150)
    assert host.await_notice(m.Tripped, 2.0).error == ErrorCode.DEADMAN
    status = host.status()
    assert status.flags & Flag.LATCHED and not status.flags & Flag.ARMED
    assert status.failed_error == ErrorCode.DEADMAN
    host.control(m.Clear(), m.Done)
    refused(chip, pulse(), ErrorCode.NOT_ARMED)
    host.arm()
    assert host.run(pulse()).fired == 1


def test_a_host_that_shows_itself_trips_nothing(bench):
    host = bench.ready().host
    host.arm(deadman_ms=300)
    for _ in range(8):
        time.sleep(0.1)
        assert host.status().flags & Flag.ARMED
    assert not host.notices


def test_execution_is_no_silence(bench):
    chip, operation = slow_bench(bench)
    host = chip.host
    host.arm(deadman_ms=200)
    assert host.run(operation).verdict is Verdict.APPLIED
    assert not [n for n in host.notices if n.type == m.Tripped.NUMBER]


def test_a_host_that_does_not_read_stops_nothing_else(bench):
    """Answers that nobody takes fill the link; an abort still comes through."""
    chip = bench.ready()
    host = chip.host
    (part,) = host.parts(ops.ReadCells(tile=0, average=1))
    sent = threading.Event()

    def flood():
        for n in range(10):
            raw = host.request_frame(*[part] * 500, sequence=host.sequence + n)
            host.send(raw)
        sent.set()

    writer = threading.Thread(target=flood)
    writer.start()
    time.sleep(0.5)
    abort(host, 1)
    answers = [host.receive() for _ in range(10)]
    writer.join()
    codes = [error_of(a.messages[-1]) for a in answers]
    assert codes[0] is ErrorCode.NONE
    assert ErrorCode.LATCHED in codes or ErrorCode.WINDOW in codes
    assert sent.is_set()
    assert host.await_notice(m.Aborted).number == 1
