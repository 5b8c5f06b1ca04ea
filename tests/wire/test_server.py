"""A served array: arming, guard, lease, abort, dead man, notices, keys."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from hwloop.capabilities import Limits
from hwloop.crossbar import Chip
from hwloop.errors import ConfigurationError, DeviceError, LinkError, SafetyError
from hwloop.operations import Operation, Plane, Pulse, Result, Verdict
from hwloop_wire import WireBackend
from hwloop_wire.codes import ErrorCode, Flag
from hwloop_wire.journal import Journal
from hwloop_wire.server import serve
from hwloop_wire.zmq_port import RouterPort
from tests.seam.bench_array import STEP, BenchArray
from tests.wire.chips import PORTS, InlineArray, connect, served

KINDS = ["pty", "tcp", "zmq"]


class SlowArray(InlineArray):
    """Fires pulses one by one, as long as nobody aborts."""

    def __init__(self, seconds: float = 0.01, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self.seconds = seconds
        self.started = threading.Event()

    def execute(self, operation: Operation) -> Result:
        if not isinstance(operation, Pulse):
            return super().execute(operation)
        self.started.set()
        for fired in range(int(np.abs(operation.counts).sum())):
            if self.aborted:
                return Result(verdict=Verdict.PARTIAL, fired=fired)
            self.cells[0][0, 0] += STEP
            time.sleep(self.seconds)
        return Result(fired=fired + 1)

    def abort(self) -> object:  # type: ignore[override]
        self._aborted.set()
        self.idle()
        return None


@pytest.mark.parametrize("kind", KINDS)
def test_a_served_array_is_the_array(kind: str) -> None:
    array = BenchArray(reference="none")
    with served(array, kind) as server, Chip(connect(kind, server.address)) as chip:
        direct = array.describe()
        assert chip.capabilities == direct.model_copy(
            update={"retained_evidence": False, "protocol_version": 1}
        )
        tile = chip[0]
        assert tile.pulse(3, 5, 10, "set") == 10
        assert tile.read_cells([3], [5], average=4, plane=Plane.MAIN)[0, 0] == pytest.approx(
            10 * STEP, rel=1e-2
        )
        volts = np.zeros((2, 6))
        volts[:, 5] = 0.2, -0.1
        assert tile.forward(volts, plane=Plane.MAIN)[:, 3] == pytest.approx([2e-6, -1e-6], rel=2e-2)
        with chip.batch() as batch:
            fired = [batch[1].pulse(0, 1, n) for n in (1, -2, 3)]
            line = batch[1].read_line(0, plane=Plane.MAIN)
        assert [f.result() for f in fired] == [1, 2, 3]
        assert line.result()[1] == pytest.approx(2 * STEP, rel=1e-2)
        trains = np.zeros((2, 3, 6), np.int8), np.zeros((2, 3, 4), np.int8)
        trains[0][:, 1, 2], trains[1][:, 1, 3] = 1, -1
        chip.wait(1e-6)
        status = chip.backend.status()  # type: ignore[attr-defined]
        assert (status.pulses, status.failed_error) == (16, 0)
    assert array.idled >= 1
    assert [op.kind for op in array.executed][:2] == ["configure", "pulse"]


def test_a_physical_array_moves_only_where_both_ends_are_armed() -> None:
    for served_arm, host_arm, moves in ((None, "bench-1", False), ("bench-1", "bench-1", True)):
        array = InlineArray(kind="physical")
        with served(array, arm=served_arm) as server:
            backend = connect("pty", server.address)
            chip = Chip(backend, arm=host_arm)
            if moves:
                assert chip[0].pulse(0, 0, 1) == 1
            else:
                with pytest.raises(DeviceError, match=r"ARM for another chip|without ARM"):
                    chip[0].pulse(0, 0, 1)
                backend.clear()
            chip.close()
        assert any(isinstance(op, Pulse) for op in array.executed) == moves
    with (
        served(InlineArray(kind="physical"), arm="bench-1") as server,
        Chip(connect("pty", server.address)) as chip,
        pytest.raises(SafetyError),
    ):
        chip[0].pulse(0, 0, 1)


def test_the_server_runs_the_guard_again() -> None:
    limits = Limits(pulses_per_operation=5)
    with served(InlineArray(limits=limits)) as server:
        backend = connect("pty", server.address)
        chip = Chip(backend)
        chip.guard.admit = lambda operations: None  # type: ignore[method-assign]
        for count in (6, -9):
            with pytest.raises(DeviceError, match="a limit in force forbids it") as caught:
                chip[0].pulse(0, 0, count)
            assert caught.value.verdict is Verdict.NOT_APPLIED
            assert backend.status().failed_error == ErrorCode.LIMIT
            with pytest.raises(DeviceError, match="latched"):
                chip[0].pulse(0, 0, 1)
            backend.clear()
        assert "pulses_per_operation" in str(caught.value)
        assert chip[0].pulse(0, 0, 5) == 5
        chip.close()


def test_looser_limits_are_refused() -> None:
    with served(InlineArray(limits=Limits(voltage_max=2.0))) as server:
        backend = connect("pty", server.address)
        looser = backend.describe().configuration.model_copy(update={"limits": Limits()})
        backend._capabilities = backend.describe().model_copy(update={"configuration": looser})
        with pytest.raises(DeviceError, match="CONFIGURE is refused: a limit in force"):
            Chip(backend)
        backend.clear()
        backend.close()


def test_a_failure_latches_and_tells_why() -> None:
    class Failing(InlineArray):
        def execute(self, operation: Operation) -> Result:
            if isinstance(operation, Pulse) and operation.counts.max() == 7:
                raise DeviceError("compliance at row 3", verdict=Verdict.PARTIAL)
            return super().execute(operation)

    with served(Failing()) as server:
        backend = connect("pty", server.address)
        chip = Chip(backend)
        with chip.batch() as batch:
            answers = [batch[0].pulse(0, 0, n) for n in (1, 7, 2)]
        with pytest.raises(DeviceError, match="compliance at row 3") as caught:
            answers[0].result()
        assert caught.value.verdict is Verdict.PARTIAL
        assert backend.verdicts == {
            1: Verdict.APPLIED,
            2: Verdict.PARTIAL,
            3: Verdict.NOT_APPLIED,
        }
        backend._client.close()
        with pytest.raises(DeviceError, match=r"the chip remembers: .*compliance at row 3"):
            connect("pty", server.address)
        with Chip(connect("pty", server.address, clear=True)) as again:
            assert again[0].pulse(0, 0, 1) == 1


def test_one_host_at_a_time() -> None:
    with served(kind="tcp", lease=30.0) as server:
        first = connect("tcp", server.address)
        with pytest.raises(LinkError, match="another host holds the chip") as caught:
            connect("tcp", server.address)
        assert caught.value.retryable
        first.close()
        connect("tcp", server.address).close()
    with served(kind="zmq", lease=0.3) as server:
        first = connect("zmq", server.address)
        with pytest.raises(LinkError, match="another host holds the chip"):
            connect("zmq", server.address)
        first._client.keep_alive = 1000.0  # a host that is silent loses the chip
        time.sleep(0.5)
        second = connect("zmq", server.address)
        with pytest.raises(LinkError, match="LEASE"):
            first.status()
        second.close()
        first._client.close()


@pytest.mark.parametrize("kind", KINDS)
def test_abort_cuts_short_and_drops_the_queue(kind: str) -> None:
    array = SlowArray()
    with served(array, kind) as server:
        backend = connect(kind, server.address)
        chip = Chip(backend)
        one = np.full((1, 1), 100, np.int16)
        operations = [chip[0].new_pulse(np.array([0]), np.array([0]), one) for _ in range(200)]
        chip.submit(operations[:100])
        chip.submit(operations[100:])
        assert array.started.wait(5)
        time.sleep(0.05)
        report = backend.abort()
        assert report.partial is not None
        assert report.partial.id == operations[0].id
        assert 0 < report.partial.fired < 100
        assert array.cells[0][0, 0] == pytest.approx(report.partial.fired * STEP)
        assert report.not_applied == tuple(op.id for op in operations[1:])
        assert array.idled >= 1
        assert backend.status().failed_error == ErrorCode.ABORTED
        backend.clear()
        with pytest.raises(DeviceError, match="cut short by an abort"):
            chip.flush()
        with pytest.raises(DeviceError, match="operation 101: not_applied"):
            chip.flush()
        assert chip[0].pulse(0, 0, 2) == 2
        chip.close()


def test_abort_of_an_idle_chip_holds_until_cleared() -> None:
    with served() as server:
        backend = connect("pty", server.address)
        chip = Chip(backend)
        assert backend.abort() == (report := backend.abort())
        assert report.partial is None
        with pytest.raises(DeviceError, match="latched"):
            chip[0].pulse(0, 0, 1)
        backend.clear()
        assert chip[0].pulse(0, 0, 1) == 1
        chip.close()


def test_ctrl_c_in_a_run_aborts() -> None:
    array = SlowArray()
    with served(array) as server:
        backend = connect("pty", server.address)
        with pytest.raises(KeyboardInterrupt), Chip(backend) as chip:
            chip.submit(
                [chip[0].new_pulse(np.array([0]), np.array([0]), np.full((1, 1), 1000, np.int16))]
            )
            array.started.wait(5)
            raise KeyboardInterrupt
        assert array.cells[0][0, 0] < 500 * STEP


def test_a_silent_host_trips_the_dead_man() -> None:
    array = InlineArray()
    with served(array) as server:
        backend = connect("pty", server.address, deadman=0.4)
        chip = Chip(backend)
        chip[0].pulse(0, 0, 1)
        time.sleep(1.0)
        assert backend.status().flags & Flag.ARMED, "an idle host keeps its chip alive"
        backend._client.keep_alive = 1000.0
        idled = array.idled
        time.sleep(1.0)
        assert array.idled == idled + 1
        with pytest.raises(DeviceError, match="not executed after a failure"):
            chip[0].pulse(0, 0, 1)
        assert backend.status().failed_error == ErrorCode.DEADMAN
        backend._client.keep_alive = 0.1
        backend.clear()
        assert chip[0].pulse(0, 0, 1) == 1
        chip.close()


def test_a_long_part_says_busy() -> None:
    array = SlowArray(seconds=0.02)
    with served(array) as server:
        backend = connect("pty", server.address, timeout=0.4, deadman=0.4)
        with Chip(backend) as chip:
            assert chip[0].pulse(0, 0, 50) == 50
        assert backend.counters.frames_resent <= 5
    assert array.cells[0][0, 0] == pytest.approx(50 * STEP)


def test_a_journal_has_one_server(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    first = Journal(path)
    assert first.evidence.boot == 1
    first.intend(7, 2)
    first.commit(7, 2, 1, 5)
    epoch = first.begin()
    first.close()
    second = Journal(path)
    evidence = second.evidence
    assert (evidence.boot, evidence.intent_id, evidence.commit_part, evidence.commit_fired) == (
        2,
        7,
        2,
        5,
    )
    assert second.begin() == epoch + 1
    raw = path.read_bytes()
    second.close()
    # A torn write leaves the record before it.
    newest = 64 if raw[72:80] > raw[8:16] else 0
    path.write_bytes(raw[:newest] + bytes(20) + raw[newest + 20 :])
    third = Journal(path)
    assert third.evidence.epoch == epoch
    third.close()
    path.write_bytes(b"something else" * 20)
    with pytest.raises(ConfigurationError, match="is not a journal"):
        Journal(path)
    with pytest.raises(ConfigurationError, match="journal"):
        Journal(tmp_path)


def test_serve_closes_the_array_and_tells_its_address() -> None:
    class Closing(BenchArray):
        closed = False

        def close(self) -> None:
            self.closed = True

    array, told = Closing(), []

    def ready(address: str) -> None:
        told.append(address)
        raise KeyboardInterrupt

    serve(array, PORTS["zmq"], ready=ready)
    assert array.closed
    assert told[0].startswith("tcp://127.0.0.1:")
    other = Closing()
    with pytest.raises(ConfigurationError):
        serve(other, lambda waker, length: RouterPort("tcp://1.2.3.4:1", waker, length))
    assert other.closed


def test_what_is_behind_the_link_is_not_the_controllers_business() -> None:
    with served() as server:
        backend: WireBackend = connect("pty", server.address)
        with Chip(backend) as chip:
            assert chip.capabilities.kind == "virtual"
            assert backend.counters.round_trip > 0
            assert backend.counters.bytes_sent > 0
            backend.idle()


def test_a_session_out_of_numbers_is_followed_by_another() -> None:
    array = InlineArray()
    with served(array) as server, Chip(connect("pty", server.address)) as chip:
        chip[0].pulse(0, 0, 1)
        backend = chip.backend
        assert isinstance(backend, WireBackend)
        session, first = backend._client.session, server.device.epoch
        assert session.idle
        skipped = 2**32 - 3
        session._next = server.device._next = skipped
        session._acknowledged = server.device._acknowledged = skipped - 1
        for _ in range(6):
            assert chip[0].pulse(0, 0, 1) == 1
        assert server.device.epoch != first
        assert server.device._next < 10
    assert array.cells[0][0, 0] == pytest.approx(7 * STEP)
